"""Messages of a raw log by topic, as objects when they are asked for."""

# Messages have other types on each backend.
# pyright: standard, reportMissingModuleSource=false

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from rclpy.serialization import deserialize_message

from .bag.reader import LogMessage
from .recorder_topics import message_class

_BACK_NS = 500_000_000
"""A ROS clock that goes back by more began again: an arm in simulation was started again."""


class Era:
    """Messages between two starts of the ROS clock, by topic, in the order of their receipt.

    Attributes:
        problems: messages that could not be read, by reason.
        numbered: whether missing numbers are missing messages.
    """

    def __init__(self, messages: Iterable[LogMessage], *, numbered: bool) -> None:
        """Sort them by topic.

        Args:
            messages: of the era.
            numbered: whether missing numbers are missing messages, as in our own logs.
        """
        self.numbered = numbered
        self._by_topic: dict[str, list[LogMessage]] = {}
        for message in messages:
            self._by_topic.setdefault(message.topic, []).append(message)
        self.problems: Counter[str] = Counter()

    def of(self, topic: str) -> Sequence[LogMessage]:
        """Return the messages of a topic."""
        return self._by_topic.get(topic, ())

    def read(self, message: LogMessage, kind: str) -> Any:
        """Return a message as an object, None if it is none of a type: then that is noted."""
        try:
            if message.type != kind:
                raise ValueError(f"expected {kind}, the log has {message.type}")
            return deserialize_message(message.data, message_class(kind))
        except Exception as error:  # each backend has its own
            self.problems[f"{message.topic}: {error}"] += 1
            return None

    def missing(self, topic: str) -> tuple[tuple[int, int], ...]:
        """Return log times between which messages of a topic are missing, by their numbers [ns]."""
        messages = self.of(topic) if self.numbered else ()
        return tuple(
            (a.log_ns, b.log_ns) for a, b in pairwise(messages) if b.sequence != a.sequence + 1
        )


def eras(messages: Iterable[LogMessage], *, numbered: bool) -> list[Era]:
    """Return the messages of a log, cut where the ROS clock began again."""
    groups, last = list[list[LogMessage]](), 0
    for message in messages:
        if not groups or message.log_ns < last - _BACK_NS:
            groups.append([])
            last = message.log_ns
        last = max(last, message.log_ns)
        groups[-1].append(message)
    return [Era(group, numbered=numbered) for group in groups]
