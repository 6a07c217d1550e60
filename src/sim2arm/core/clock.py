"""Steady time: control ticks on absolute deadlines, and a guard over the ROS clock.

Policy and gate tick on the steady clock, so a frozen or jumping ROS clock cannot stop a watchdog;
`ClockGuard` compares the two. Every source of time is injected, so tests need no waiting.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_NS_PER_S = 1e9
_SWITCH_S = 5e-4
"""Longest time for which a thread goes on in Python while another one wants to."""
_BACK = 10
"""Steps of niceness that a thread stands back."""


def steady_ns() -> int:
    """Return the steady clock of this machine [ns]: never set, equal in all its processes."""
    return time.monotonic_ns()


def let_others_first() -> None:
    """Let this thread stand back behind those that keep time, where threads can (on Linux)."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        kind = os.getpriority(os.PRIO_PROCESS, thread) + _BACK
        os.setpriority(os.PRIO_PROCESS, thread, min(kind, 19))


def keep_time() -> None:
    """Let a thread that has waited soon go on, whatever others compute in Python."""
    sys.setswitchinterval(_SWITCH_S)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One control tick."""

    number: int
    """0 for the first; numbers of skipped ticks are left out."""
    now_ns: int
    """When it started, by the steady clock."""
    lateness: float
    """Time since its deadline [s]."""
    missed: int
    """Deadlines before this one that were skipped."""


class Ticker:
    """Wait for deadlines that lie whole periods after the first tick, without drift.

    A tick that could only start more than `grace` periods late is skipped and counted: ticks are
    never made up for, and two of them are never closer than 1 - `grace` periods.

    Attributes:
        missed: deadlines skipped since the first tick.
    """

    def __init__(
        self,
        period_s: float,
        now_ns: Callable[[], int] = steady_ns,
        sleep: Callable[[float], object] = time.sleep,
        *,
        grace: float = 0.5,
    ) -> None:
        """Prepare; the first `wait` returns at once and starts the deadlines.

        Args:
            period_s: time between ticks [s].
            now_ns: steady time [ns].
            sleep: wait for a time [s]; it may return early or late.
            grace: how late a tick may still start, in periods.

        Raises:
            ValueError: the period is not above 0 or the grace not in [0, 1).
        """
        if not (math.isfinite(period_s) and period_s * _NS_PER_S >= 1.0):
            raise ValueError(f"period_s: expected more than 0, got {period_s}")
        if not 0.0 <= grace < 1.0:
            raise ValueError(f"grace: expected 0 or more and less than 1 period, got {grace}")
        self._period = period_s * _NS_PER_S  # [ns], not rounded: 1/60 s has no whole number
        self._now, self._sleep = now_ns, sleep
        self._grace = grace * self._period
        self.restart()

    def restart(self) -> None:
        """Forget the deadlines: the next `wait` returns at once as tick 0."""
        self._start: int | None = None
        self._next = 0
        self.missed = 0

    def deadline_ns(self, number: int) -> int:
        """Return the deadline of a tick by the steady clock [ns].

        Raises:
            RuntimeError: no tick has started yet.
        """
        if self._start is None:
            raise RuntimeError("the deadlines start with the first wait()")
        return self._start + round(number * self._period)

    def wait(self) -> Tick:
        """Sleep until the next deadline and return its tick."""
        if self._start is None:
            self._start = self._now()
            self._next = 1
            return Tick(number=0, now_ns=self._start, lateness=0.0, missed=0)
        due = self._next
        while True:
            now = self._now()
            due = self._due(now, due)
            late = now - self.deadline_ns(due)
            if late >= 0:
                break
            self._sleep(-late / _NS_PER_S)
        skipped = due - self._next
        self.missed += skipped
        self._next = due + 1
        return Tick(number=due, now_ns=now, lateness=late / _NS_PER_S, missed=skipped)

    def _due(self, now: int, earliest: int) -> int:
        """Return the first tick from `earliest` on that starts in time, now or later."""
        late = now - self.deadline_ns(earliest)
        if late <= self._grace:
            return earliest
        number = earliest + math.ceil((late - self._grace) / self._period)
        # One more where rounding to whole nanoseconds leaves the tick a hair too late.
        return number + int(now - self.deadline_ns(number) > self._grace)


@dataclass(frozen=True, kw_only=True)
class ClockGuardCfg:
    """What a clock may do compared with the steady clock."""

    freeze: float | None = 0.1
    """Longest time without an advance [s]; none where a lock step stops the clock on purpose."""
    jump: float = 0.5
    """Largest advance beyond that of the steady clock between two checks [s]."""

    def __post_init__(self) -> None:
        """Check that the bounds are above 0."""
        freeze = 1.0 if self.freeze is None else self.freeze
        if not (0.0 < freeze < math.inf and 0.0 < self.jump < math.inf):
            raise ValueError(
                f"freeze and jump: expected more than 0 s, got {self.freeze} and {self.jump}"
            )


@dataclass(frozen=True, kw_only=True)
class ClockFault:
    """What is wrong with a clock."""

    kind: Literal["not started", "backward", "forward", "frozen"]
    message: str
    """One line."""


class ClockGuard:
    """Watch a clock that others set: ROS time, from `/clock` or from the system."""

    def __init__(self, cfg: ClockGuardCfg | None = None, name: str = "ROS clock") -> None:
        """Start without a time; `name` is used in messages."""
        self._cfg, self._name = cfg or ClockGuardCfg(), name
        self.restart()

    def restart(self) -> None:
        """Forget what was seen, as after an episode of a simulation that starts again at 0."""
        self._last: tuple[int, int] | None = None
        self._advanced_ns = 0

    def check(self, clock_ns: int, steady_ns: int) -> ClockFault | None:
        """Return what is wrong now, or none; call it at every tick.

        A jump is reported once and then taken for the new time, so that the caller decides
        whether it latches; a clock that stands still is reported until it moves.

        Args:
            clock_ns: the clock that is watched [ns].
            steady_ns: the same moment by the steady clock [ns].
        """
        if clock_ns <= 0:
            return ClockFault(
                kind="not started",
                message=f"{self._name} has not started (time {clock_ns} ns): is /clock published?",
            )
        last, self._last = self._last, (clock_ns, steady_ns)
        if last is None:
            self._advanced_ns = steady_ns
            return None
        advance, passed = clock_ns - last[0], steady_ns - last[1]
        if advance != 0:
            self._advanced_ns = steady_ns
        return self._judge(advance, passed, steady_ns - self._advanced_ns)

    def _judge(self, advance: int, passed: int, still: int) -> ClockFault | None:
        cfg, name = self._cfg, self._name
        if advance < 0:
            return ClockFault(
                kind="backward", message=f"{name} went back by {-advance / _NS_PER_S:.3f} s"
            )
        excess = (advance - passed) / _NS_PER_S
        if excess > cfg.jump:
            return ClockFault(
                kind="forward",
                message=f"{name} jumped ahead by {excess:.3f} s, allowed {cfg.jump:g} s",
            )
        if cfg.freeze is not None and still / _NS_PER_S > cfg.freeze:
            return ClockFault(
                kind="frozen",
                message=f"{name} stands still for {still / _NS_PER_S:.3f} s, "
                f"allowed {cfg.freeze:g} s",
            )
        return None
