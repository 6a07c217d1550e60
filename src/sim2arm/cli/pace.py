"""The pace of a loop: steady deadlines in real time, or as fast as it goes."""

from __future__ import annotations

from collections import deque

from sim2arm.core.clock import Ticker, keep_time, steady_ns

_RECENT = 120
"""Ticks of which the present rate is that."""


class Pace:
    """Waits for ticks, and counts them.

    Attributes:
        ticks: so far.
        missed: deadlines that passed without a tick; none without real time.
    """

    def __init__(self, period: float, *, real_time: bool) -> None:
        """Prepare.

        Args:
            period: of ticks [s].
            real_time: whether to wait for deadlines.
        """
        self.period, self._real = period, real_time
        if real_time:
            keep_time()
        self._ticker = Ticker(period)
        self.ticks = self.missed = 0
        self._spent, self._due = 0.0, 0
        self._recent: deque[int] = deque(maxlen=_RECENT)

    def wait(self) -> None:
        """Return when the next tick is due."""
        if self._real:
            tick = self._ticker.wait()
            now, self._due = tick.now_ns, self._ticker.deadline_ns(tick.number + 1)
            self.missed += tick.missed
        else:
            now = steady_ns()
        if self._recent:
            self._spent += 1e-9 * (now - self._recent[-1])
        self._recent.append(now)
        self.ticks += bool(len(self._recent) > 1)

    def rest(self) -> None:
        """Begin the deadlines anew: what comes now has no pace, such as the end of an episode."""
        self._ticker.restart()
        self._recent.clear()

    @property
    def left(self) -> float:
        """Time until the next tick is due [s]."""
        return 1e-9 * (self._due - steady_ns()) if self._real else float("inf")

    @property
    def rate_hz(self) -> float:
        """Ticks per second since the beginning, rests left out; 0 before the second tick."""
        return self.ticks / self._spent if self._spent > 0.0 else 0.0

    @property
    def recent_hz(self) -> float:
        """Ticks per second of the last ticks; 0 before the second."""
        if len(self._recent) < 2:
            return 0.0
        return 1e9 * (len(self._recent) - 1) / (self._recent[-1] - self._recent[0])
