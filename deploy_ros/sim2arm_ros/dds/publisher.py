# pyright: standard
"""Publishers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .codec import encoder
from .cyclone import INFINITE_NS, WriteTimeoutError
from .endpoints import Endpoints
from .event_handler import EventHandlers, PublisherEventCallbacks
from .names import dds_topic
from .qos import QoSProfile
from .ros_logging import get_logger
from .ros_time import Duration


class Publisher:
    """Sends messages on a topic."""

    def __init__(
        self,
        endpoints: Endpoints,
        msg_type: type,
        topic: str,
        qos_profile: QoSProfile,
        group: Any,
        event_callbacks: PublisherEventCallbacks | None = None,
    ) -> None:
        name: str = msg_type._NAME  # type: ignore[attr-defined]
        plain = qos_profile.avoid_ros_namespace_conventions
        self._endpoints = endpoints
        self.msg_type = msg_type
        self.topic = topic
        self.qos_profile = qos_profile
        self.callback_group = group
        self.dropped = 0
        """Messages that were not sent because a reliable subscription did not keep up."""
        self._encode: Callable[..., bytearray] = encoder(name)
        self.writer = endpoints.writer(dds_topic(topic, plain), name, qos_profile)
        events = (event_callbacks or PublisherEventCallbacks()).by_event(topic)
        self.event_handlers = (
            [EventHandlers(self.writer, events, group, endpoints)] if events else []
        )

    @property
    def topic_name(self) -> str:
        """The full name of the topic."""
        return self.topic

    def publish(self, msg: Any) -> None:
        """Send a message (or its CDR bytes)."""
        self._endpoints.check(f"publisher of {self.topic}")
        if type(msg) is self.msg_type:
            data = self._encode(msg)
        elif isinstance(msg, bytes):
            data = bytearray(msg)
        else:
            raise TypeError(f"Expected {self.msg_type}, got {type(msg)}")
        try:
            self.writer.write(data)
        except WriteTimeoutError as error:
            self.dropped += 1
            get_logger("rclpy.publisher").warning(
                f"{self.topic}: {error} ({self.dropped} so far)", throttle_duration_sec=1.0
            )

    def get_subscription_count(self) -> int:
        """Return the number of matched subscriptions."""
        self._endpoints.check(f"publisher of {self.topic}")
        return self.writer.matched_count()

    def assert_liveliness(self) -> None:
        """Say that the publisher is alive (for MANUAL_BY_TOPIC)."""
        self.writer.assert_liveliness()

    def wait_for_all_acked(self, timeout: Duration | None = None) -> bool:
        """Wait until all reliable subscriptions have all messages; None or negative: for ever."""
        ns = -1 if timeout is None else timeout.nanoseconds
        return self.writer.wait_for_acks(INFINITE_NS if ns < 0 else ns)

    def destroy(self) -> None:
        """End the publisher."""
        self._endpoints.close()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()
