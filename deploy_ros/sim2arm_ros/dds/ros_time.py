# pyright: standard
"""Time, Duration and ClockType: nanoseconds that know their clock."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, TypeVar, overload

from .messages import message_class

NS = 1_000_000_000
_MAX_NS = (1 << 63) - 1


class ClockType(IntEnum):
    """Kinds of clock, numbered as in rcl."""

    UNINITIALIZED = 0
    ROS_TIME = 1
    SYSTEM_TIME = 2
    STEADY_TIME = 3


def _total_ns(seconds: float, nanoseconds: int) -> int:
    total = int(seconds * NS) + int(nanoseconds)
    if not -_MAX_NS - 1 <= total <= _MAX_NS:
        raise OverflowError(f"{total} ns does not fit into 64 bits")
    return total


class Duration:
    """A signed difference of times."""

    __slots__ = ("_ns",)

    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        self._ns = _total_ns(seconds, nanoseconds)

    @property
    def nanoseconds(self) -> int:
        """The duration [ns]."""
        return self._ns

    def __repr__(self) -> str:
        return f"Duration(nanoseconds={self._ns})"

    def __eq__(self, other: object) -> bool:
        return self._ns == other._ns if isinstance(other, Duration) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Duration) -> bool:
        return self._ns < other._ns if isinstance(other, Duration) else NotImplemented

    def __le__(self, other: Duration) -> bool:
        return self._ns <= other._ns if isinstance(other, Duration) else NotImplemented

    def __gt__(self, other: Duration) -> bool:
        return self._ns > other._ns if isinstance(other, Duration) else NotImplemented

    def __ge__(self, other: Duration) -> bool:
        return self._ns >= other._ns if isinstance(other, Duration) else NotImplemented

    def to_msg(self) -> Any:
        """Return a builtin_interfaces.msg.Duration."""
        sec, nanosec = divmod(self._ns, NS)
        return message_class("builtin_interfaces/msg/Duration")(sec=sec, nanosec=nanosec)

    @classmethod
    def from_msg(cls, msg: Any) -> Duration:
        """Return the duration of a builtin_interfaces.msg.Duration."""
        if not isinstance(msg, message_class("builtin_interfaces/msg/Duration")):
            raise TypeError(f"expected builtin_interfaces.msg.Duration, got {type(msg).__name__}")
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec)  # type: ignore[attr-defined]


Infinite = Duration(nanoseconds=_MAX_NS)
TimeOrDuration = TypeVar("TimeOrDuration")


class Time:
    """A point in time of one kind of clock."""

    __slots__ = ("_clock_type", "_ns")

    def __init__(
        self,
        *,
        seconds: float = 0,
        nanoseconds: int = 0,
        clock_type: ClockType = ClockType.SYSTEM_TIME,
    ) -> None:
        if not isinstance(clock_type, ClockType):
            raise TypeError("Clock type must be a ClockType enum")
        if seconds < 0 or nanoseconds < 0:
            raise ValueError("Seconds and nanoseconds must not be negative")
        self._ns = _total_ns(seconds, nanoseconds)
        self._clock_type = clock_type

    @property
    def nanoseconds(self) -> int:
        """Time since the epoch of the clock [ns]."""
        return self._ns

    @property
    def clock_type(self) -> ClockType:
        """The kind of clock."""
        return self._clock_type

    def seconds_nanoseconds(self) -> tuple[int, int]:
        """Return whole seconds and the rest [ns]."""
        return divmod(self._ns, NS)

    def __repr__(self) -> str:
        return f"Time(nanoseconds={self._ns}, clock_type={self._clock_type.name})"

    def __add__(self, other: Duration) -> Time:
        if isinstance(other, Duration):
            return Time(nanoseconds=self._ns + other.nanoseconds, clock_type=self._clock_type)
        return NotImplemented

    __radd__ = __add__

    @overload
    def __sub__(self, other: Time) -> Duration: ...
    @overload
    def __sub__(self, other: Duration) -> Time: ...
    def __sub__(self, other: Time | Duration) -> Time | Duration:
        if isinstance(other, Time):
            self._same_clock(other, "subtract")
            return Duration(nanoseconds=self._ns - other._ns)
        if isinstance(other, Duration):
            if self._ns < other.nanoseconds:
                raise ValueError("Subtraction leads to negative time.")
            return Time(nanoseconds=self._ns - other.nanoseconds, clock_type=self._clock_type)
        return NotImplemented

    def _same_clock(self, other: Time, verb: str = "compare") -> None:
        if self._clock_type != other._clock_type:
            raise TypeError(f"Can't {verb} times with different clock types")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Time):
            return NotImplemented
        self._same_clock(other)
        return self._ns == other._ns

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Time) -> bool:
        self._same_clock(other)
        return self._ns < other._ns

    def __le__(self, other: Time) -> bool:
        self._same_clock(other)
        return self._ns <= other._ns

    def __gt__(self, other: Time) -> bool:
        self._same_clock(other)
        return self._ns > other._ns

    def __ge__(self, other: Time) -> bool:
        self._same_clock(other)
        return self._ns >= other._ns

    def to_msg(self) -> Any:
        """Return a builtin_interfaces.msg.Time."""
        sec, nanosec = self.seconds_nanoseconds()
        return message_class("builtin_interfaces/msg/Time")(sec=sec, nanosec=nanosec)

    @classmethod
    def from_msg(cls, msg: Any, clock_type: ClockType = ClockType.ROS_TIME) -> Time:
        """Return the time of a builtin_interfaces.msg.Time."""
        if not isinstance(msg, message_class("builtin_interfaces/msg/Time")):
            raise TypeError(f"expected builtin_interfaces.msg.Time, got {type(msg).__name__}")
        return cls(
            seconds=msg.sec,  # type: ignore[attr-defined]
            nanoseconds=msg.nanosec,  # type: ignore[attr-defined]
            clock_type=clock_type,
        )
