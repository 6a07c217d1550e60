# pyright: standard
"""Subscriptions."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, TypedDict

from .codec import CodecError, decoder
from .cyclone import Sample
from .endpoints import Endpoints, new_token
from .event_handler import EventHandlers, SubscriptionEventCallbacks
from .names import dds_topic
from .qos import QoSProfile
from .ros_logging import get_logger


class MessageInfo(TypedDict):
    """What a callback with two arguments gets beside the message."""

    source_timestamp: int
    received_timestamp: int
    publication_sequence_number: int | None
    reception_sequence_number: int | None


class Subscription:
    """Calls back with each message of a topic."""

    class CallbackType(Enum):
        """Whether the callback wants the message info."""

        MessageOnly = 0
        WithMessageInfo = 1

    def __init__(
        self,
        endpoints: Endpoints,
        msg_type: type,
        topic: str,
        callback: Callable[..., Any],
        callback_group: Any,
        qos_profile: QoSProfile,
        raw: bool,
        event_callbacks: SubscriptionEventCallbacks | None = None,
    ) -> None:
        name: str = msg_type._NAME  # type: ignore[attr-defined]
        plain = qos_profile.avoid_ros_namespace_conventions
        self._endpoints = endpoints
        self.msg_type = msg_type
        self.topic = topic
        self.callback_group = callback_group
        self.qos_profile = qos_profile
        self.raw = raw
        self.dropped = 0
        """Samples that were no message of this type."""
        self.callback = callback
        self._decode = decoder(name)
        self.reader = endpoints.reader(dds_topic(topic, plain), name, qos_profile)
        self.condition = self.reader.condition
        self.token = new_token()
        events = (event_callbacks or SubscriptionEventCallbacks()).by_event(topic)
        self.event_handlers = (
            [EventHandlers(self.reader, events, callback_group, endpoints)] if events else []
        )

    @property
    def topic_name(self) -> str:
        """The full name of the topic."""
        return self.topic

    @property
    def callback(self) -> Callable[..., Any]:
        """The callback: `f(message)` or `f(message, info)`."""
        return self._callback

    @callback.setter
    def callback(self, value: Callable[..., Any]) -> None:
        self._callback = value
        self._callback_type = _callback_type(value)

    def take(self) -> Callable[[], Any] | None:
        """Take the next message; return the call to make, None if there is none."""
        samples = self.reader.take(1)
        if not samples:
            return None
        message = self._message(samples[0])
        if message is None:
            return None
        callback = self._callback
        if self._callback_type is Subscription.CallbackType.MessageOnly:
            return lambda: callback(message)
        info = MessageInfo(
            source_timestamp=samples[0].source_timestamp,
            received_timestamp=time.time_ns(),
            publication_sequence_number=None,
            reception_sequence_number=None,
        )
        return lambda: callback(message, info)

    def _message(self, sample: Sample) -> Any:
        if self.raw:
            return sample.data
        try:
            return self._decode(sample.data)
        except CodecError as error:
            self.dropped += 1
            get_logger("rclpy.subscription").warning(
                f"{self.topic}: dropped a malformed sample ({self.dropped} so far): {error}",
                throttle_duration_sec=1.0,
            )
            return None

    def get_publisher_count(self) -> int:
        """Return the number of matched publishers."""
        self._endpoints.check(f"subscription to {self.topic}")
        return self.reader.matched_count()

    def destroy(self) -> None:
        """End the subscription."""
        self._endpoints.close()

    @property
    def closed(self) -> bool:
        """Whether the subscription was destroyed."""
        return self._endpoints.closed

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()


def _callback_type(callback: Callable[..., Any]) -> Subscription.CallbackType:
    """Return how to call it: the first arguments that fit, as rclpy decides."""
    try:
        signature = inspect.signature(callback)
    except ValueError:  # a builtin without one, such as print in Python 3.10
        return Subscription.CallbackType.MessageOnly
    for arguments, kind in (
        ((object(),), Subscription.CallbackType.MessageOnly),
        ((object(), object()), Subscription.CallbackType.WithMessageInfo),
    ):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return kind
    raise RuntimeError(
        "Subscription.__init__(): callback should be either be callable with one argument "
        "(to get only the message) or two (to get message and message info)"
    )
