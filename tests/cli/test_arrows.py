import numpy as np
import pytest

from sim2arm.cli.arrows import Lens, draw_arrows

RED = (255, 0, 0)


def make_lens() -> Lens:
    """A camera at (0, 0, 5) that looks straight down, x to the right, 90 degrees high."""
    return Lens(
        position=np.array([0.0, 0.0, 5.0]), rotation=np.eye(3), fovy_deg=90.0, width=200, height=100
    )


def test_points_lie_where_a_pinhole_puts_them() -> None:
    points = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 6.0]])
    seen = make_lens().project(points)
    # Focal length 50 / tan 45 = 50: 1 m at a distance of 5 m is 10 pixels, y goes up.
    np.testing.assert_allclose(seen[:3], [[100.0, 50.0], [110.0, 50.0], [100.0, 0.0]], atol=1e-9)
    assert np.isnan(seen[3]).all()  # behind the camera


def test_a_turned_camera() -> None:
    # Looks along world x: its -z is x, its x is -y, its y is z.
    rotation = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    lens = Lens(position=np.zeros(3), rotation=rotation, fovy_deg=90.0, width=100, height=100)
    np.testing.assert_allclose(lens.project(np.array([2.0, 1.0, 0.5])), [25.0, 37.5])


def draw(tail: tuple[float, float], tip: tuple[float, float], width: float = 2.0) -> np.ndarray:
    picture = np.zeros((40, 60, 3), dtype=np.uint8)
    draw_arrows(picture, np.array([[tail, tip]]), RED, width)
    return picture


def test_an_arrow_has_a_shaft_and_a_head_that_ends_at_its_tip() -> None:
    picture = draw((10.0, 20.0), (50.0, 20.0))
    assert picture[..., 1:].max() == 0  # its colour alone
    covered = picture[..., 0] / 255.0
    columns = np.flatnonzero(covered.any(axis=0))
    assert columns[0] in (9, 10) and columns[-1] in (48, 49, 50)
    thick = covered.sum(axis=0)  # of each column [pixels]
    np.testing.assert_allclose(thick[15:40], 2.0, atol=0.05)  # the shaft
    assert 5.0 < thick[43] < 7.5 and thick[43] > thick[46] > thick[48]  # the head narrows
    # Shaft 32 x 2, head a triangle of 8 x 7.2 / 2.
    assert covered.sum() == pytest.approx(64.0 + 28.8, abs=4.0)


def test_an_arrow_may_point_anywhere_and_leave_the_picture() -> None:
    across = draw((10.0, 5.0), (40.0, 35.0))
    assert across[20, 25, 0] > 200 and across[35:, 10:35].max() == 0
    beyond = draw((30.0, 20.0), (300.0, 20.0))
    assert beyond[19:21, 31:, 0].min() > 200
    assert draw((-50.0, -50.0), (-10.0, -10.0)).max() == 0
    assert draw((10.0, 10.0), (10.0, 10.0)).max() == 0  # no direction
    assert draw((float("nan"), 0.0), (10.0, 10.0)).max() == 0
