"""A box that steps of a tool stay in."""

import numpy as np
import pytest

from sim2arm.core.tool_box import ToolBox

BOX = ToolBox((0.3, -0.2, 0.1, 0.6, 0.2, 0.4))


def test_steps_are_shortened_at_the_side_that_they_would_cross() -> None:
    action = np.array([[1.0, -1.0, 0.5, 0.7, -0.7, 1.0, -1.0]])
    got = BOX.keep(action, np.array([[0.594, -0.2, 0.2]]), 0.01)
    np.testing.assert_allclose(got, [[0.6, 0.0, 0.5, 0.7, -0.7, 1.0, -1.0]], atol=1e-12)


def test_a_tool_outside_may_come_closer_and_goes_no_further() -> None:
    outside = np.array([[0.635, 0.0, 0.085]])
    closer = np.array([[-1.0, 0.5, 1.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(BOX.keep(closer, outside, 0.01), closer, atol=1e-12)
    further = np.array([[1.0, 0.5, -1.0, 0.3, 0.0, 0.0]])
    got = BOX.keep(further, outside, 0.01)
    np.testing.assert_allclose(got, [[0.0, 0.5, 0.0, 0.3, 0.0, 0.0]], atol=1e-12)
    assert not BOX.keep(np.zeros((1, 6)), outside, 0.01).any()  # who stands, stands


def test_whatever_is_asked_for_it_stays_inside() -> None:
    random = np.random.default_rng(0)
    position = random.uniform([0.3, -0.2, 0.1], [0.6, 0.2, 0.4], (500, 3))
    for _ in range(50):
        action = random.uniform(-1.0, 1.0, (500, 6))
        kept = BOX.keep(action, position, 0.03)
        assert (np.abs(kept) <= 1.0).all() and (np.abs(kept) <= np.abs(action) + 1e-12).all()
        position = position + 0.03 * kept[:, :3]
        assert (position >= np.array([0.3, -0.2, 0.1]) - 1e-12).all()
        assert (position <= np.array([0.6, 0.2, 0.4]) + 1e-12).all()


@pytest.mark.parametrize(
    ("corners", "line"),
    [
        ((0.0, 0.0, 0.0), "x y z of two corners"),
        ((0.0, 0.0, 0.0, 1.0, 1.0, np.nan), "x y z of two corners"),
        ((0.5, 0.0, 0.0, 0.5, 1.0, 1.0), "the least x y z come first"),
    ],
)
def test_what_is_no_box(corners: tuple[float, ...], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        ToolBox(corners)
