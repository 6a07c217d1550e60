"""Which pictures of a stream become views."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest

from sim2arm.calibration.board import BoardCfg, BoardFinder, Image
from sim2arm.calibration.still_views import StillViews

BOARD = BoardCfg(columns=5, rows=4, square_mm=30.0, marker_mm=21.0, dictionary="4x4_50")
MS = 1_000_000


def make_picture(x: int, y: int = 30) -> Image:
    """Return a board whose upper left corner is at a pixel."""
    grey = np.full((240, 320), 200, np.uint8)
    grey[y : y + 128, x : x + 160] = BOARD.picture(32)
    return np.repeat(grey[:, :, None], 3, axis=2)


def watch(views: StillViews, x: int, start_ms: int, count: int = 8) -> int:
    """Show the board at a place, 10 pictures a second; return how many views came of it."""
    before = len(views.taken)
    for k in range(count):
        views.see((start_ms + 100 * k) * MS, make_picture(x))
    return len(views.taken) - before


def test_a_view_is_taken_once_it_stands_still_and_only_once() -> None:
    views = StillViews(BoardFinder(BOARD), joints=False)
    assert watch(views, 40, 0) == 1
    # 400 ms after the first picture it has stood long enough.
    assert views.taken[0].stamp_ns == 400 * MS and views.taken[0].q is None
    assert watch(views, 42, 1000) == 0 and "move on" in views.why_not  # 2 of 320 pixels
    assert watch(views, 90, 2000) == 1
    for k in range(20):  # it never stands still
        views.see((4000 + 100 * k) * MS, make_picture(20 + 3 * k))
        assert views.why_not == "hold still"
    views.see(7000 * MS, np.full((240, 320, 3), 90, np.uint8))
    assert views.why_not == "0 corners of the board are seen"
    assert len(views.taken) == 2 and len(views.coverage().lines) == 3


@pytest.mark.parametrize(("speed", "why"), [(0.0, ""), (0.05, "the arm moves")])
def test_joints_are_those_of_the_moment_and_stand_still(speed: float, why: str) -> None:
    views = StillViews(BoardFinder(BOARD), joints=True)
    taken, said = [], set[str]()
    for ms in range(0, 1200, 10):
        if ms % 100 == 0:
            assert views.see(ms * MS, make_picture(40)) is None  # joint states come after it
        taken.append(views.hear((ms + 3) * MS, np.array([0.5 + speed * ms / 1000, -1.0])))
        said.add(views.why_not)
    found = [one for one in taken if one is not None]
    if why:
        assert not found and why in said
        return
    assert len(found) == 1 and found[0].q is not None
    assert found[0].q.tolist() == [0.5, -1.0] and found[0].stamp_ns == 400 * MS


def test_without_joint_states_about_a_picture_there_is_no_view() -> None:
    views = StillViews(BoardFinder(BOARD), joints=True)
    watch(views, 40, 0)
    assert views.why_not == "waiting for joint states"
    assert views.hear(100_000 * MS, np.zeros(2)) is None  # by another clock
    assert "stamped by one clock" in views.why_not and not views.taken
    assert views.hear(90_000 * MS, np.zeros(2)) is None  # back
