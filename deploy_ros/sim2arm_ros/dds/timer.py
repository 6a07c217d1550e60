"""Timers on absolute deadlines, and rates."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .callback_groups import CallbackGroup
from .clock import Clock, ClockChange, JumpThreshold, ROSClock, TimeJump
from .context import Context
from .exceptions import InvalidHandle, ROSInterruptException
from .ros_time import Duration


class Timer:
    """Calls back each period of its clock; deadlines do not drift, missed ones are skipped."""

    def __init__(
        self,
        callback: Callable[..., Any] | None,
        callback_group: CallbackGroup,
        timer_period_ns: int,
        clock: Clock,
        *,
        context: Context | None = None,
        autostart: bool = True,
    ) -> None:
        if timer_period_ns < 0:
            raise ValueError(f"timer period: expected at least 0 ns, got {timer_period_ns}")
        self.callback = callback
        self.callback_group = callback_group
        self._period_ns = int(timer_period_ns)
        self._clock = clock
        self._lock = threading.Lock()
        self._canceled = not autostart
        self._destroyed = False
        self._last_ns = clock.now_ns()
        self._next_ns = self._last_ns + self._period_ns
        self._wake: Callable[[], None] = lambda: None
        tick = Duration(nanoseconds=1)
        back = Duration(nanoseconds=-1)
        self._jumps = clock.create_jump_callback(
            JumpThreshold(min_forward=tick, min_backward=back),
            pre_callback=self._before_jump,
            post_callback=self._after_jump,
        )
        self._before_ns = 0

    @property
    def timer_period_ns(self) -> int:
        """The period [ns]."""
        return self._period_ns

    @timer_period_ns.setter
    def timer_period_ns(self, value: int) -> None:
        with self._lock:
            self._next_ns += int(value) - self._period_ns
            self._period_ns = int(value)
        self._wake()

    @property
    def clock(self) -> Clock:
        """The clock of the timer."""
        return self._clock

    def is_ready(self) -> bool:
        """Return whether the period has passed."""
        left = self.time_until_next_call()
        return left is not None and left <= 0 and not self._destroyed

    def is_canceled(self) -> bool:
        """Return whether the timer was cancelled."""
        self._check()
        return self._canceled

    def cancel(self) -> None:
        """Stop calling back until `reset`."""
        self._check()
        self._canceled = True

    def reset(self) -> None:
        """Start (again), with a full period until the next call."""
        self._check()
        with self._lock:
            self._next_ns = self._clock.now_ns() + self._period_ns
            self._canceled = False
        self._wake()

    def time_since_last_call(self) -> int:
        """Return the time since the last call, or the creation [ns]."""
        self._check()
        return self._clock.now_ns() - self._last_ns

    def time_until_next_call(self) -> int | None:
        """Return the time until the next call [ns], None if cancelled."""
        return None if self._canceled else self._next_ns - self._clock.now_ns()

    def steady_timeout_ns(self) -> int | None:
        """Return how long an executor may sleep for this timer, None: until the clock moves."""
        if self._canceled or self._destroyed:
            return None
        left = self._next_ns - self._clock.now_ns()
        if left > 0 and isinstance(self._clock, ROSClock) and self._clock.ros_time_is_active:
            return None
        return left

    def claim(self) -> bool:
        """Take the call that is due, if any, and set the next deadline."""
        with self._lock:
            now = self._clock.now_ns()
            if self._canceled or self._destroyed or now < self._next_ns:
                return False
            self._last_ns = now
            self._next_ns += self._period_ns
            if self._next_ns < now:
                if self._period_ns == 0:
                    self._next_ns = now
                else:  # skip what was missed, keep the phase
                    self._next_ns += -(-(now - self._next_ns) // self._period_ns) * self._period_ns
        return True

    def destroy(self) -> None:
        """End the timer."""
        if not self._destroyed:
            self._destroyed = True
            self._jumps.unregister()

    def _check(self) -> None:
        if self._destroyed:
            raise InvalidHandle("the timer was destroyed")

    def _before_jump(self) -> None:
        self._before_ns = self._clock.now_ns()

    def _after_jump(self, jump: TimeJump) -> None:
        with self._lock:
            now = self._clock.now_ns()
            if jump.clock_change is not ClockChange.ROS_TIME_NO_CHANGE:
                left = min(max(self._next_ns - self._before_ns, 0), self._period_ns)
                self._next_ns = now + left
                self._last_ns = now
            elif jump.delta.nanoseconds < 0:
                self._next_ns = now + self._period_ns
                self._last_ns = now
        self._wake()


class Rate:
    """Sleeps to a period, while another thread spins the node."""

    def __init__(self, timer: Timer, *, context: Context) -> None:
        self._timer = timer
        self._context = context
        self._event = threading.Event()
        self._destroyed = False
        timer.callback = self._event.set
        context.on_shutdown(self._on_shutdown)

    def _on_shutdown(self) -> None:
        self._event.set()

    def sleep(self) -> None:
        """Sleep until the timer fires.

        Raises:
            ROSInterruptException: the context was shut down, or the rate destroyed.
        """
        if self._destroyed:
            raise ROSInterruptException("the rate was destroyed")
        self._event.wait()
        self._event.clear()
        if self._destroyed or not self._context.ok():
            raise ROSInterruptException("shut down while sleeping")

    def destroy(self) -> None:
        """End the rate; who sleeps wakes."""
        self._destroyed = True
        self._timer.destroy()
        self._event.set()
