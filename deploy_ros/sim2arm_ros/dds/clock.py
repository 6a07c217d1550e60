# pyright: standard
"""Clocks: system, steady, and ROS time that /clock may override."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from .context import Context, get_default_context
from .exceptions import NotInitializedException
from .ros_time import ClockType, Duration, Time


class ClockChange(IntEnum):
    """What kind of jump a clock made, numbered as in rcl."""

    ROS_TIME_NO_CHANGE = 1
    ROS_TIME_ACTIVATED = 2
    ROS_TIME_DEACTIVATED = 3
    SYSTEM_TIME_NO_CHANGE = 4


class JumpThreshold:
    """Which jumps of a clock are reported."""

    def __init__(
        self,
        *,
        min_forward: Duration | None,
        min_backward: Duration | None,
        on_clock_change: bool = True,
    ) -> None:
        if min_forward is not None and min_forward.nanoseconds <= 0:
            raise ValueError("min_forward must be a positive non-zero duration")
        if min_backward is not None and min_backward.nanoseconds >= 0:
            raise ValueError("min_backward must be a negative non-zero duration")
        if min_forward is None and min_backward is None and not on_clock_change:
            raise ValueError("At least one jump threshold must be enabled")
        self.min_forward = min_forward
        self.min_backward = min_backward
        self.on_clock_change = on_clock_change

    def exceeded(self, jump: TimeJump) -> bool:
        """Return whether the jump is to be reported."""
        if jump.clock_change in (ClockChange.ROS_TIME_ACTIVATED, ClockChange.ROS_TIME_DEACTIVATED):
            return self.on_clock_change
        delta = jump.delta.nanoseconds
        forward = self.min_forward is not None and delta >= self.min_forward.nanoseconds
        backward = self.min_backward is not None and delta <= self.min_backward.nanoseconds
        return forward or backward


class TimeJump:
    """One jump: its kind and the difference of the times after and before."""

    def __init__(self, clock_change: ClockChange, delta: Duration) -> None:
        if not isinstance(clock_change, ClockChange):
            raise TypeError("clock_change must be an instance of rclpy.clock.ClockChange")
        self.clock_change = clock_change
        self.delta = delta


class JumpHandle:
    """A registered jump callback; also a context manager that unregisters it."""

    def __init__(
        self,
        *,
        clock: Clock,
        threshold: JumpThreshold,
        pre_callback: Callable[[], None] | None,
        post_callback: Callable[[TimeJump], None] | None,
    ) -> None:
        if pre_callback is None and post_callback is None:
            raise ValueError("One of pre_callback or post_callback must be callable")
        self._clock: Clock | None = clock
        self.threshold = threshold
        self.pre_callback = pre_callback
        self.post_callback = post_callback
        clock._jump_handles.append(self)

    def unregister(self) -> None:
        """Remove the callback from the clock."""
        if self._clock is not None:
            self._clock._jump_handles.remove(self)
            self._clock = None

    def __enter__(self) -> JumpHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()


class Clock:
    """A clock of one kind; `Clock(clock_type=ClockType.ROS_TIME)` is a ROSClock."""

    _clock_type: ClockType
    _jump_handles: list[JumpHandle]

    def __new__(cls, *, clock_type: ClockType = ClockType.SYSTEM_TIME) -> Clock:
        """Create the clock; ROS time makes a ROSClock."""
        if not isinstance(clock_type, ClockType):
            raise TypeError("Clock type must be a ClockType enum")
        kind: Any = ROSClock if clock_type is ClockType.ROS_TIME else cls
        self = super().__new__(kind)
        self._clock_type = clock_type
        self._jump_handles = []
        if isinstance(self, ROSClock):
            self._override_ns = 0
            self._override_active = False
            self._lock = threading.Lock()
        return self

    @property
    def clock_type(self) -> ClockType:
        """The kind of clock."""
        return self._clock_type

    def __repr__(self) -> str:
        return f"Clock(clock_type={self._clock_type.name})"

    def now_ns(self) -> int:
        """Return the current time [ns]."""
        if self._clock_type is ClockType.STEADY_TIME:
            return time.monotonic_ns()
        return time.time_ns()

    def now(self) -> Time:
        """Return the current time."""
        return Time(nanoseconds=self.now_ns(), clock_type=self._clock_type)

    def create_jump_callback(
        self,
        threshold: JumpThreshold,
        *,
        pre_callback: Callable[[], None] | None = None,
        post_callback: Callable[[TimeJump], None] | None = None,
    ) -> JumpHandle:
        """Call back when the clock jumps (only ROS time does); callbacks must be quick."""
        return JumpHandle(
            clock=self,
            threshold=threshold,
            pre_callback=pre_callback,
            post_callback=post_callback,
        )

    def sleep_until(self, until: Time, context: Context | None = None) -> bool:
        """Sleep until the clock shows `until`.

        Returns:
            Whether the time was reached; False after a shutdown or a change of time source.
        """
        context = context or get_default_context()
        if not context.ok():
            raise NotInitializedException("rclpy is not initialised: call rclpy.init() first")
        if until.clock_type != self._clock_type:
            raise ValueError("until's clock type does not match this clock's type")
        wake = threading.Event()
        changed: list[bool] = []

        def on_jump(jump: TimeJump) -> None:
            if jump.clock_change is not ClockChange.ROS_TIME_NO_CHANGE:
                changed.append(True)
            wake.set()

        forward = Duration(nanoseconds=1)
        threshold = JumpThreshold(min_forward=forward, min_backward=None)
        context.on_shutdown(wake.set)
        with self.create_jump_callback(threshold, post_callback=on_jump):
            while context.ok() and not changed:
                left_ns = until.nanoseconds - self.now_ns()
                if left_ns <= 0:
                    break
                overridden = isinstance(self, ROSClock) and self.ros_time_is_active
                wake.wait(None if overridden else left_ns * 1e-9)
                wake.clear()
        context._forget_on_shutdown(wake.set)
        return context.ok() and not changed and self.now_ns() >= until.nanoseconds

    def sleep_for(self, rel_time: Duration, context: Context | None = None) -> bool:
        """Sleep for a duration of this clock; see `sleep_until`."""
        return self.sleep_until(self.now() + rel_time, context)


class ROSClock(Clock):
    """System time, or what /clock says while simulated time is active."""

    _override_ns: int
    _override_active: bool
    _lock: Any

    def __new__(cls) -> ROSClock:
        """Create the clock, with simulated time inactive."""
        return super().__new__(cls, clock_type=ClockType.ROS_TIME)  # type: ignore[return-value]

    @property
    def ros_time_is_active(self) -> bool:
        """Whether simulated time overrides system time."""
        return self._override_active

    def now_ns(self) -> int:
        """Return the current time [ns]."""
        return self._override_ns if self._override_active else time.time_ns()

    def _set_ros_time_is_active(self, enabled: bool) -> None:
        if enabled == self._override_active:
            return
        change = ClockChange.ROS_TIME_ACTIVATED if enabled else ClockChange.ROS_TIME_DEACTIVATED

        def apply() -> None:
            self._override_active = enabled

        self._jump(change, apply)

    def set_ros_time_override(self, time: Time) -> None:
        """Set the simulated time; it shows while simulated time is active."""
        if not isinstance(time, Time) or time.clock_type is not ClockType.ROS_TIME:
            raise TypeError(f"expected a Time of ROS_TIME, got {time!r}")

        def apply() -> None:
            self._override_ns = time.nanoseconds

        if self._override_active:
            self._jump(ClockChange.ROS_TIME_NO_CHANGE, apply)
        else:
            apply()

    def _jump(self, change: ClockChange, apply: Callable[[], None]) -> None:
        with self._lock:
            before = self.now_ns()
            if change is ClockChange.ROS_TIME_NO_CHANGE:
                old = self._override_ns
                apply()
                delta, self._override_ns = self._override_ns - old, old
            else:
                delta = 0
            jump = TimeJump(change, Duration(nanoseconds=delta))
            reported = [h for h in list(self._jump_handles) if h.threshold.exceeded(jump)]
            for handle in reported:
                if handle.pre_callback is not None:
                    handle.pre_callback()
            apply()
            if change is not ClockChange.ROS_TIME_NO_CHANGE:
                jump = TimeJump(change, Duration(nanoseconds=self.now_ns() - before))
            for handle in reported:
                if handle.post_callback is not None:
                    handle.post_callback(jump)
