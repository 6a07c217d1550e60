"""When which message of a log is due once more, and with which stamp. Pure code, no ROS."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal

import numpy as np

from .reader import LogMessage

Stamps = Literal["now", "receipt", "recorded"]
"""now: moved, so that each message is as old as it was; receipt: of the moment in which it is sent;
recorded: those of the log, whose clock is then `/clock`."""
_NS = 1_000_000_000
_SLOWEST_S = 1.0
OLDEST_S = 60.0
"""A message older than this when it was received has a stamp of another clock [s]."""


class Playback:
    """The messages of a log in the order in which they were received, at their times.

    Attributes:
        duration_ns: from the first to the last, at the rate of the log.
        turns: how often the end was passed.
        sent: messages that were due so far.
    """

    def __init__(
        self, messages: Sequence[LogMessage], *, rate: float = 1.0, loop: bool = False
    ) -> None:
        """Prepare.

        Args:
            messages: of the topics that are played, one or more.
            rate: 2 plays twice as fast.
            loop: begin again after the end.

        Raises:
            ValueError: there are none, or the rate is not above 0.
        """
        if not messages:
            raise ValueError("expected one message or more to play, got none")
        if not 0.0 < rate < 1e3:
            raise ValueError(f"rate: expected above 0, got {rate}")
        self.messages = sorted(messages, key=lambda message: message.log_ns)
        self._rate, self._loop = rate, loop
        self._first_ns = self.messages[0].log_ns
        self.duration_ns = self.messages[-1].log_ns - self._first_ns
        # From the last message to the first of the next turn: as between others.
        self._turn_ns = self.duration_ns + max(1, self.duration_ns // max(len(messages) - 1, 1))
        self._at = self.turns = self.sent = 0
        self._start_ns: int | None = None

    def start(self, steady_ns: int, begin_ns: int | None = None) -> None:
        """Let the playback begin now.

        Args:
            steady_ns: now.
            begin_ns: in the log; earlier messages are left out in the first turn.
        """
        self._start_ns = steady_ns
        if begin_ns is not None:
            self._start_ns -= round((begin_ns - self._first_ns) / self._rate)
            self._at = sum(message.log_ns <= begin_ns for message in self.messages)

    @property
    def ended(self) -> bool:
        """Whether all were due."""
        return self._at >= len(self.messages) and not self._loop

    @property
    def next_ns(self) -> int | None:
        """When the next message is due, by the steady clock; none after the end or before it."""
        if self.ended or self._start_ns is None:
            return None
        last = self._at >= len(self.messages)
        turns, at = (self.turns + 1, 0) if last else (self.turns, self._at)
        passed = turns * self._turn_ns + self.messages[at].log_ns - self._first_ns
        return self._start_ns + round(passed / self._rate)

    def take(self, steady_ns: int) -> LogMessage | None:
        """Return the next message if it is due."""
        due = self.next_ns
        if due is None or due > steady_ns:
            return None
        if self._at >= len(self.messages):
            self._at, self.turns = 0, self.turns + 1
        self._at += 1
        self.sent += 1
        return self.messages[self._at - 1]


class HeldStart:
    """The newest message of each topic once all have said something, at the rates of the topics.

    Nodes that wait for their inputs come up on it, and then the playback goes on from there.

    Attributes:
        begin_ns: that moment, by the clock of the log.
    """

    def __init__(self, messages: Sequence[LogMessage], steady_ns: int, rate: float) -> None:
        """Let all be due now; arguments as of `Playback`, messages in order."""
        times: dict[str, list[int]] = {}
        for message in messages:
            times.setdefault(message.topic, []).append(message.log_ns)
        self.begin_ns = max(all_ns[0] for all_ns in times.values())
        self._newest = {m.topic: m for m in messages if m.log_ns <= self.begin_ns}
        self._period = {
            name: round(min(float(np.median(np.diff(all_ns))), _SLOWEST_S * _NS) / rate)
            for name, all_ns in times.items()
            if len(all_ns) > 1
        }
        self._due = dict.fromkeys(self._newest, steady_ns)

    @property
    def next_ns(self) -> int:
        """When the next is due, by the steady clock [ns]."""
        return min(self._due.values())

    def take(self, steady_ns: int) -> LogMessage | None:
        """Return a message that is due."""
        name = min(self._due, key=lambda topic: self._due[topic])
        if self._due[name] > steady_ns:
            return None
        # What comes once, comes seldom: a second is no promise.
        self._due[name] += max(self._period.get(name, round(_SLOWEST_S * _NS)), 1_000_000)
        return self._newest[name]


def restamped(data: bytes, stamp_ns: int) -> bytes:
    """Return a message that begins with a header, with another stamp.

    CDR: 4 bytes that say the order of bytes, then `stamp.sec` and `stamp.nanosec`.
    """
    order = "<" if data[1] & 1 else ">"
    stamp = struct.pack(f"{order}iI", stamp_ns // _NS, stamp_ns % _NS)
    return data[:4] + stamp + data[12:]


def new_stamp(
    log_ns: int, stamp_ns: int, now_ns: int, stamps: Stamps, rate: float = 1.0
) -> int | None:
    """Return the stamp with which a message is sent now; none: as it is.

    Args:
        log_ns: when it was received.
        stamp_ns: its own, 0 if it has none.
        now_ns: ROS time.
        stamps: which.
        rate: of the playback; time passes faster for ages, too.

    Raises:
        ValueError: it was stamped by another clock than it was received by.
    """
    if stamps == "recorded" or stamp_ns == 0:
        return None
    if stamps == "receipt":
        return now_ns
    age = log_ns - stamp_ns
    if abs(age) > OLDEST_S * _NS:
        raise ValueError(
            f"it was {1e-9 * age:.1f} s old when it was received: another clock stamped it than "
            "that of the log; play it with stamps receipt or recorded"
        )
    return now_ns - round(age / rate)
