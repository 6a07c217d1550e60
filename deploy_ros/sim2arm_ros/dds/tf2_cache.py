# pyright: standard
"""What is known of one frame over time: where it is in its parent."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, NamedTuple

import numpy as np

from sim2arm.core.transforms import (
    quat_conjugate,
    quat_from_rotvec,
    quat_mul,
    quat_to_rotvec,
)

from .tf2_exceptions import ExtrapolationException

Pose = np.ndarray[Any, np.dtype[np.float64]]
"""x y z qw qx qy qz."""


class Stamped(NamedTuple):
    """A frame at one time."""

    stamp_ns: int
    parent: str
    T_parent_child: Pose
    """Pose of the frame in its parent, (7,)."""

    def same(self, other: Stamped) -> bool:
        """Return whether both say the same."""
        return self[:2] == other[:2] and np.array_equal(self[2], other[2])


class StaticCache:
    """A frame that does not move."""

    def __init__(self) -> None:
        self._entry: Stamped | None = None

    def insert(self, entry: Stamped) -> bool:
        """Replace what was known; return True."""
        self._entry = entry
        return True

    def at(self, stamp_ns: int) -> Stamped:
        """Return where the frame is, at any time."""
        if self._entry is None:
            raise ExtrapolationException("the buffer was cleared")
        return self._entry._replace(stamp_ns=stamp_ns)

    def latest(self) -> Stamped | None:
        """Return where the frame is, with stamp 0."""
        return None if self._entry is None else self._entry._replace(stamp_ns=0)

    def span(self) -> tuple[int, int, int]:
        """Return earliest and latest stamp [ns] and the number of entries."""
        return 0, 0, 0 if self._entry is None else 1

    def clear(self) -> None:
        """Forget everything."""
        self._entry = None


class TimeCache:
    """A frame that moves: entries of the last `length_ns`, oldest first."""

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._stamps: list[int] = []
        self._entries: list[Stamped] = []

    def insert(self, entry: Stamped) -> bool:
        """Add an entry, in any order; return False where it is too old to be kept."""
        newest_ns = self._stamps[-1] if self._stamps else 0
        old = bisect_left(self._stamps, newest_ns - self._length_ns)
        del self._stamps[:old], self._entries[:old]
        if self._stamps and entry.stamp_ns < newest_ns - self._length_ns:
            return False
        first = bisect_left(self._stamps, entry.stamp_ns)
        place = bisect_right(self._stamps, entry.stamp_ns)
        if not any(entry.same(known) for known in self._entries[first:place]):
            self._stamps.insert(place, entry.stamp_ns)
            self._entries.insert(place, entry)
        return True

    def at(self, stamp_ns: int) -> Stamped:
        """Return where the frame is at a time, the newest entry for 0.

        Raises:
            ExtrapolationException: the time is before or after what is known.
        """
        if not self._stamps:
            raise ExtrapolationException(f"time {_text(stamp_ns)} asked for, nothing is known")
        if stamp_ns == 0:
            return self._entries[-1]
        if stamp_ns > self._stamps[-1]:
            raise ExtrapolationException(
                f"time {_text(stamp_ns)} asked for, the latest known is {_text(self._stamps[-1])}: "
                "extrapolation into the future"
            )
        if stamp_ns < self._stamps[0]:
            raise ExtrapolationException(
                f"time {_text(stamp_ns)} asked for, the earliest known is "
                f"{_text(self._stamps[0])}: extrapolation into the past"
            )
        after = bisect_right(self._stamps, stamp_ns)
        older = self._entries[after - 1]
        if older.stamp_ns == stamp_ns or older.parent != self._entries[after].parent:
            return older
        return _between(older, self._entries[after], stamp_ns)

    def latest(self) -> Stamped | None:
        """Return the newest entry."""
        return self._entries[-1] if self._entries else None

    def span(self) -> tuple[int, int, int]:
        """Return earliest and latest stamp [ns] and the number of entries."""
        if not self._stamps:
            return 0, 0, 0
        return self._stamps[0], self._stamps[-1], len(self._stamps)

    def clear(self) -> None:
        """Forget everything."""
        self._stamps.clear()
        self._entries.clear()


def _between(older: Stamped, newer: Stamped, stamp_ns: int) -> Stamped:
    """Interpolate: position on a line, rotation about one axis, the shorter way."""
    share = (stamp_ns - older.stamp_ns) / (newer.stamp_ns - older.stamp_ns)
    a, b = older.T_parent_child, newer.T_parent_child
    turn = quat_to_rotvec(quat_mul(quat_conjugate(a[3:]), b[3:]))
    p = a[:3] + share * (b[:3] - a[:3])
    q = quat_mul(a[3:], quat_from_rotvec(share * turn))
    return Stamped(stamp_ns, older.parent, np.concatenate([p, q]))


def _text(stamp_ns: int) -> str:
    return f"{stamp_ns // 10**9}.{stamp_ns % 10**9:09d}"
