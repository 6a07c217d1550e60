"""QoS events of publishers and subscriptions: what was missed, lost or does not match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .cyclone import Reader, StatusEvent, Writer
from .endpoints import Endpoints, new_token
from .qos import QoSPolicyKind
from .ros_logging import get_logger

# DDS policy ids (DDS specification, table of QosPolicyId) -> rmw kinds
_POLICY_KINDS = {
    2: QoSPolicyKind.DURABILITY,
    4: QoSPolicyKind.DEADLINE,
    8: QoSPolicyKind.LIVELINESS,
    11: QoSPolicyKind.RELIABILITY,
    13: QoSPolicyKind.HISTORY,
    21: QoSPolicyKind.LIFESPAN,
}


class UnsupportedEventTypeError(RuntimeError):
    """The middleware does not report this event."""


@dataclass
class QoSDeadlineMissedInfo:
    """How many deadlines were missed."""

    total_count: int
    total_count_change: int


@dataclass
class QoSLivelinessChangedInfo:
    """How many publishers are alive."""

    alive_count: int
    not_alive_count: int
    alive_count_change: int
    not_alive_count_change: int


@dataclass
class QoSCountInfo:
    """How often something happened."""

    total_count: int
    total_count_change: int


@dataclass
class QoSIncompatibleQoSInfo:
    """How many endpoints do not match, and the policy of the last one."""

    total_count: int
    total_count_change: int
    last_policy_kind: QoSPolicyKind


@dataclass
class QoSMatchedInfo:
    """How many endpoints match."""

    total_count: int
    total_count_change: int
    current_count: int
    current_count_change: int


QoSRequestedDeadlineMissedInfo = QoSOfferedDeadlineMissedInfo = QoSDeadlineMissedInfo
QoSLivelinessLostInfo = QoSMessageLostInfo = IncompatibleTypeInfo = QoSCountInfo
QoSRequestedIncompatibleQoSInfo = QoSOfferedIncompatibleQoSInfo = QoSIncompatibleQoSInfo
QoSSubscriptionMatchedInfo = QoSPublisherMatchedInfo = QoSMatchedInfo

_INFO: dict[StatusEvent, type[Any]] = {
    StatusEvent.REQUESTED_DEADLINE_MISSED: QoSDeadlineMissedInfo,
    StatusEvent.OFFERED_DEADLINE_MISSED: QoSDeadlineMissedInfo,
    StatusEvent.LIVELINESS_CHANGED: QoSLivelinessChangedInfo,
    StatusEvent.LIVELINESS_LOST: QoSCountInfo,
    StatusEvent.SAMPLE_LOST: QoSCountInfo,
    StatusEvent.INCONSISTENT_TOPIC: QoSCountInfo,
    StatusEvent.REQUESTED_INCOMPATIBLE_QOS: QoSIncompatibleQoSInfo,
    StatusEvent.OFFERED_INCOMPATIBLE_QOS: QoSIncompatibleQoSInfo,
    StatusEvent.PUBLICATION_MATCHED: QoSMatchedInfo,
    StatusEvent.SUBSCRIPTION_MATCHED: QoSMatchedInfo,
}


class EventHandlers:
    """All events of one endpoint; the executor runs `take` when one happened."""

    def __init__(
        self,
        endpoint: Reader | Writer,
        callbacks: dict[StatusEvent, Callable[[Any], Any]],
        callback_group: Any,
        endpoints: Endpoints,
    ) -> None:
        self._endpoint = endpoint
        self._endpoints = endpoints
        self._callbacks = callbacks
        self.callback_group = callback_group
        self.condition = endpoint.enable_events(list(callbacks))
        self.token = new_token()

    def take(self) -> Callable[[], Any] | None:
        """Return a function that runs the callbacks of what happened."""
        calls = [
            (self._callbacks[event], _information(event, values))
            for event, values in self._endpoint.take_events(list(self._callbacks))
        ]

        def run() -> None:
            for callback, information in calls:
                callback(information)

        return run if calls else None

    @property
    def closed(self) -> bool:
        """Whether the endpoint was destroyed."""
        return self._endpoints.closed


def _information(event: StatusEvent, values: dict[str, int]) -> Any:
    kind = _INFO[event]
    if kind is QoSIncompatibleQoSInfo:
        policy = _POLICY_KINDS.get(values["last_policy_id"], QoSPolicyKind.INVALID)
        return kind(values["total_count"], values["total_count_change"], policy)
    return kind(**{name: values[name] for name in kind.__dataclass_fields__})


class SubscriptionEventCallbacks:
    """Callbacks for the events of a subscription."""

    def __init__(
        self,
        *,
        deadline: Callable[[QoSDeadlineMissedInfo], Any] | None = None,
        incompatible_qos: Callable[[QoSIncompatibleQoSInfo], Any] | None = None,
        liveliness: Callable[[QoSLivelinessChangedInfo], Any] | None = None,
        message_lost: Callable[[QoSCountInfo], Any] | None = None,
        incompatible_type: Callable[[QoSCountInfo], Any] | None = None,
        matched: Callable[[QoSMatchedInfo], Any] | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        self.deadline = deadline
        self.incompatible_qos = incompatible_qos
        self.liveliness = liveliness
        self.message_lost = message_lost
        self.incompatible_type = incompatible_type
        self.matched = matched
        self.use_default_callbacks = use_default_callbacks

    def by_event(self, topic: str) -> dict[StatusEvent, Callable[[Any], Any]]:
        """Return the callbacks, with the default warning for incompatible QoS."""

        def warn(info: QoSIncompatibleQoSInfo) -> None:
            get_logger("rclpy.qos").warning(
                f"New publisher discovered on topic '{topic}', offering incompatible QoS. No "
                "messages will be received from it. Last incompatible policy: "
                f"{info.last_policy_kind.name}"
            )

        default = warn if self.use_default_callbacks else None
        chosen = {
            StatusEvent.REQUESTED_DEADLINE_MISSED: self.deadline,
            StatusEvent.REQUESTED_INCOMPATIBLE_QOS: self.incompatible_qos or default,
            StatusEvent.LIVELINESS_CHANGED: self.liveliness,
            StatusEvent.SAMPLE_LOST: self.message_lost,
            StatusEvent.SUBSCRIPTION_MATCHED: self.matched,
        }
        return {event: callback for event, callback in chosen.items() if callback}


class PublisherEventCallbacks:
    """Callbacks for the events of a publisher."""

    def __init__(
        self,
        *,
        deadline: Callable[[QoSDeadlineMissedInfo], Any] | None = None,
        liveliness: Callable[[QoSCountInfo], Any] | None = None,
        incompatible_qos: Callable[[QoSIncompatibleQoSInfo], Any] | None = None,
        incompatible_type: Callable[[QoSCountInfo], Any] | None = None,
        matched: Callable[[QoSMatchedInfo], Any] | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        self.deadline = deadline
        self.liveliness = liveliness
        self.incompatible_qos = incompatible_qos
        self.incompatible_type = incompatible_type
        self.matched = matched
        self.use_default_callbacks = use_default_callbacks

    def by_event(self, topic: str) -> dict[StatusEvent, Callable[[Any], Any]]:
        """Return the callbacks, with the default warning for incompatible QoS."""

        def warn(info: QoSIncompatibleQoSInfo) -> None:
            get_logger("rclpy.qos").warning(
                f"New subscription discovered on topic '{topic}', requesting incompatible QoS. "
                "No messages will be sent to it. Last incompatible policy: "
                f"{info.last_policy_kind.name}"
            )

        default = warn if self.use_default_callbacks else None
        chosen = {
            StatusEvent.OFFERED_DEADLINE_MISSED: self.deadline,
            StatusEvent.LIVELINESS_LOST: self.liveliness,
            StatusEvent.OFFERED_INCOMPATIBLE_QOS: self.incompatible_qos or default,
            StatusEvent.PUBLICATION_MATCHED: self.matched,
        }
        return {event: callback for event, callback in chosen.items() if callback}
