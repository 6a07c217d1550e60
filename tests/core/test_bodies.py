"""Distances of links: against numbers by hand, against brute force, and on chains of our robots."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim2arm.core.bodies import Clearances, segments_apart
from sim2arm.core.robots import FR3, ROBOTS, Body, Capsule, Chain


def test_distances_of_segments_by_hand() -> None:
    p0, p1, r0, r1, expected = zip(
        # crossing one above the other
        ((-1, 0, 0), (1, 0, 0), (0, -1, 2), (0, 1, 2), 2.0),
        # parallel, side by side and one behind the other
        ((0, 0, 0), (1, 0, 0), (0, 3, 0), (1, 3, 0), 3.0),
        ((0, 0, 0), (1, 0, 0), (3, 0, 0), (5, 0, 0), 2.0),
        # a corner nearest to a corner, 3-4-5
        ((0, 0, 0), (1, 0, 0), (4, 4, 0), (4, 9, 0), 5.0),
        # points
        ((0, 0, 0), (0, 0, 0), (1, 2, 2), (1, 2, 2), 3.0),
        ((0.5, 1, 0), (0.5, 1, 0), (0, 0, 0), (1, 0, 0), 1.0),
        strict=True,
    )
    ends = (np.array(each, dtype=np.float64).T for each in (p0, p1, r0, r1))
    np.testing.assert_allclose(segments_apart(*ends), expected, atol=1e-12)


def test_distances_of_segments_against_every_pair_of_points() -> None:
    random = np.random.default_rng(0)
    p0, p1, r0, r1 = random.normal(size=(4, 3, 300))
    r1[:, :40] = r0[:, :40] + (p1 - p0)[:, :40] * random.uniform(-2, 2, 40)  # parallels
    found = segments_apart(p0, p1, r0, r1)
    share = np.linspace(0, 1, 201)
    a = p0[..., None] + (p1 - p0)[..., None] * share
    b = r0[..., None] + (r1 - r0)[..., None] * share
    every = np.linalg.norm(a[..., :, None] - b[..., None, :], axis=0).min(axis=(-1, -2))
    assert (found <= every + 1e-12).all()
    np.testing.assert_allclose(found, every, atol=0.02)


def toy() -> tuple[Chain, Body]:
    """Two joints 1 m apart that turn about z and x, capsules of 0.1 m along the links."""
    T = np.tile(np.eye(4), (2, 1, 1))
    T[1, :3, 3] = (0.0, 0.0, 1.0)
    tool = np.eye(4)
    tool[:3, 3] = (0.0, 0.0, 1.0)
    chain = Chain(
        base_frame="base", tool_frame="tool", joint_names=("a", "b"), T_parent_joint=T,
        axes=np.array([(0.0, 0.0, 1.0), (1.0, 0.0, 0.0)]), T_last_tool=tool,
    )  # fmt: skip
    body = Body(
        capsules=(
            Capsule(0, (0.0, -0.5, 0.0), (0.0, 0.5, 0.0), 0.1, above_table=False),
            Capsule(2, (0.0, 0.0, 0.0), (0.0, 0.0, 0.9), 0.1),
        ),
        pairs=((0, 2),),
        margin=0.02,
    )
    return chain, body


def test_distances_of_a_chain_by_hand() -> None:
    found = Clearances(*toy())(np.array([(0.0, 0.0), (np.pi / 2, np.pi / 2), (0.3, np.pi)]))
    # up: from (0, 0, 1) to the base's bar, 1 m; aside: the link starts at z = 1 and runs along x
    # (turned by 90 deg about z, then about its x: z turns to -y, which is x); down: its end at z
    # = 0.1 is above the bar.
    np.testing.assert_allclose(found.itself, (0.8, 0.8, -0.1), atol=1e-12)
    np.testing.assert_allclose(found.table, (0.9, 0.9, 0.0), atol=1e-12)
    assert found.closest == ("link0", "link2")


def test_shapes_follow_and_one_joint_state_is_as_many() -> None:
    clearances = Clearances(FR3.chain, FR3.body or toy()[1])
    random = np.random.default_rng(0)
    q = random.uniform(FR3.limits.q_min, FR3.limits.q_max, (4, 5, 7))
    all_at_once = clearances(q)
    assert all_at_once.itself.shape == all_at_once.table.shape == (4, 5)
    alone = clearances(q[2, 3])
    assert alone.itself == all_at_once.itself[2, 3] and alone.table == all_at_once.table[2, 3]


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_home_is_free(name: str) -> None:
    robot = ROBOTS[name]
    assert robot.body is not None
    home = Clearances(robot.chain, robot.body)(np.array(robot.home))
    assert home.itself > robot.body.margin + 0.02
    assert home.table > 0.05


def test_a_body_that_cannot_be_is_refused() -> None:
    capsule = Capsule(1, (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 0.1)
    with pytest.raises(ValueError, match=r"expected pairs of links of \[1\], lower first, got"):
        Body(capsules=(capsule,), pairs=((0, 1),), margin=0.01)
    with pytest.raises(ValueError, match="radius more than 0"):
        Body(capsules=(replace(capsule, radius=0.0),), pairs=(), margin=0.01)
    with pytest.raises(ValueError, match=r"'fr3': body: expected links from 0 to 8"):
        body = Body(capsules=(replace(capsule, link=9),), pairs=(), margin=0.01)
        replace(FR3, body=body)
