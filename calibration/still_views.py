"""Which pictures of a stream are views for a calibration: board and arm stand still, place is new.

A picture counts where the board's corners have not moved for a while, so that neither blur nor a
shutter that reads row by row bends them, and where the arm stood still about its moment, so that a
delay between both does not matter. Where joint states are missing about a picture it is no view.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from sim2arm.core.driver_stage import FloatArray

from .board import BoardFinder, Image
from .board_pose import solve_poses
from .board_views import BoardView
from .coverage import Coverage, cover
from .lens import Lens

LEAST_CORNERS = 12
STILL_PX = 0.7
"""Median move of corners below which the board stands still [pixels]."""
STILL_RAD = 1e-3
"""Range of a joint below which it stands still [rad]."""
HOLD_NS = 400_000_000
"""How long both stand still [ns]."""
AROUND_NS = 200_000_000
"""Joint states about a picture that count [ns]; on both sides there must be one."""
LATEST_NS = 2_000_000_000
"""How long a picture waits for the joint states after it [ns]."""
NEW = 0.04
"""Share of the picture's width by which corners differ from every view before, in the median."""
GUESSED = 0.9
"""Focal length that guidance goes by before there is a calibration, in widths of the picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """A picture or a joint state."""

    stamp_ns: int
    picture: Image | None = None
    """(rows, cols, 3) RGB."""
    q: FloatArray | None = None
    """(n,) [rad]."""


@dataclass(frozen=True, eq=False)
class Taken:
    """A view that was taken."""

    view: BoardView
    picture: Image
    """(rows, cols, 3) RGB."""
    stamp_ns: int
    q: FloatArray | None
    """(n,) joints at that moment [rad]; None where no arm is part of it."""


class StillViews:
    """Finds views in pictures and joint states as they come.

    Attributes:
        taken: the views so far.
        why_not: why the last picture was none, for the person who holds the board.
    """

    def __init__(self, finder: BoardFinder, *, joints: bool) -> None:
        """Begin.

        Args:
            finder: of the board.
            joints: whether joint states belong to views.
        """
        self.taken: list[Taken] = []
        self.why_not = "no picture yet"
        self._finder, self._joints = finder, joints
        self._states: deque[tuple[int, FloatArray]] = deque(maxlen=4000)
        self._last: tuple[int, BoardView] | None = None
        self._still_since: int | None = None
        self._waiting: tuple[int, BoardView, Image] | None = None
        self._size = (0, 0)

    def hear(self, stamp_ns: int, q: FloatArray) -> Taken | None:
        """Take a joint state (n,) [rad]; return the view that waited for it, if there is one."""
        if self._states and stamp_ns <= self._states[-1][0]:
            return None  # twice, or from before a clock was set back
        self._states.append((stamp_ns, np.asarray(q, dtype=np.float64)))
        if self._waiting is not None and stamp_ns >= self._waiting[0] + AROUND_NS:
            stamp, view, picture = self._waiting
            self._waiting = None
            return self._take(stamp, view, picture)
        return None

    def see(self, stamp_ns: int, picture: Image) -> Taken | None:
        """Take a picture (rows, cols, 3) RGB; return the view that it is, if it is one at once."""
        self._size = (picture.shape[1], picture.shape[0])
        view = self._finder.find(picture, f"view-{len(self.taken):03}.png")
        if len(view.pixels) < LEAST_CORNERS:
            self._last = self._still_since = None
            self.why_not = f"{len(view.pixels)} corners of the board are seen"
            return None
        before, self._last = self._last, (stamp_ns, view)
        if before is None or not self._stands(before[1], view) or stamp_ns <= before[0]:
            self._still_since = stamp_ns
            self.why_not = "hold still"
            return None
        assert self._still_since is not None  # it was set with the first of these pictures
        if stamp_ns - self._still_since < HOLD_NS:
            self.why_not = "hold still"
            return None
        if not self._is_new(view):
            self.why_not = "seen from here: move on"
            return None
        if not self._joints:
            return self._take(stamp_ns, view, picture)
        if self._waiting is None or stamp_ns - self._waiting[0] > LATEST_NS:
            self._waiting = (stamp_ns, view, picture)
            self.why_not = "waiting for joint states"
        return None

    def coverage(self) -> Coverage:
        """Return what the views cover, by a guess of the lens."""
        views = [one.view for one in self.taken]
        width, height = self._size
        if not views:
            return cover([], np.zeros((0, 4, 4)), (max(width, 1), max(height, 1)))
        middle = (0.5 * (width - 1), 0.5 * (height - 1))
        numbers = np.array([GUESSED * width, GUESSED * width, *middle, 0.0, 0.0, 0.0, 0.0, 0.0])
        lens = Lens(width=width, height=height, numbers=numbers)
        return cover(views, solve_poses(lens, views, quick=True)[0].T_camera_board, self._size)

    def _take(self, stamp_ns: int, view: BoardView, picture: Image) -> Taken | None:
        q: FloatArray | None = None
        if self._joints:
            q = self._joints_at(stamp_ns)
            if q is None:
                return None
        if not self._is_new(view):
            self.why_not = "seen from here: move on"
            return None
        self._still_since = stamp_ns
        self.why_not = "taken: move on"
        self.taken.append(Taken(view, picture.copy(), stamp_ns, q))
        return self.taken[-1]

    def _joints_at(self, stamp_ns: int) -> FloatArray | None:
        """Return the joints (n,) at a moment about which the arm stood still."""
        near = [(s, q) for s, q in self._states if abs(s - stamp_ns) <= AROUND_NS]
        if not near or near[0][0] > stamp_ns or near[-1][0] < stamp_ns:
            self.why_not = "no joint states about the picture: are both stamped by one clock?"
            return None
        every = np.stack([q for _, q in near])
        if np.ptp(every, axis=0).max() > STILL_RAD:
            self.why_not = "the arm moves"
            return None
        return every.mean(axis=0)

    def _stands(self, before: BoardView, now: BoardView) -> bool:
        moved = _moved(before, now)
        return moved is not None and moved < STILL_PX

    def _is_new(self, view: BoardView) -> bool:
        moves = [_moved(one.view, view) for one in self.taken]
        least = NEW * self._size[0]
        return all(moved is None or moved > least for moved in moves)


def _moved(a: BoardView, b: BoardView) -> float | None:
    """Return the median distance of corners that both show [pixels]; None with fewer than four."""
    apart = np.abs(a.points[:, None] - b.points[None]).max(axis=-1)
    i, j = np.nonzero(apart < 1e-9)
    if len(i) < 4:
        return None
    return float(np.median(np.linalg.norm(a.pixels[i] - b.pixels[j], axis=1)))
