"""The topics on which a robot tells its own state: from messages to what `robot_modes` judges.

Messages may come at 1 kHz. What they say is handed on at once when it is news, and else once per
control period, which is as often as silence is looked for.
"""

# Messages have other types on each backend.
# pyright: standard, reportMissingModuleSource=false

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode

from .node_support import Endpoints, latched, streaming
from .recorder_topics import message_class
from .robot_modes import KINDS, ModesCfg, Values

Hear = Callable[[str, "Values | None", int], None]
"""(topic by what the kind calls it, what it says or None, steady time [ns])."""


def mode_values(message: Any, kind: str) -> dict[str, Any]:
    """Return what a message of a type `package/msg/Name` says of the robot, as plain data."""
    if kind == "franka_msgs/msg/FrankaRobotState":
        return {
            "robot_mode": int(message.robot_mode),
            "current_errors": _set_flags(message.current_errors),
            "last_motion_errors": _set_flags(message.last_motion_errors),
        }
    if kind.startswith("ur_dashboard_msgs/msg/"):
        return {"mode": int(message.mode)}
    if kind == "diagnostic_msgs/msg/DiagnosticStatus":
        return {"level": int.from_bytes(message.level, "little"), "message": str(message.message)}
    if kind == "std_msgs/msg/Bool":
        return {"data": bool(message.data)}
    assert kind == "std_msgs/msg/Float64"  # no other is in KINDS
    return {"data": round(float(message.data), 1)}  # [%]; less than that is noise, and no news


def _set_flags(errors: Any) -> list[str]:
    """Return the names of the errors that a franka_msgs/Errors has."""
    return [name for name in errors.get_fields_and_field_types() if getattr(errors, name)]


class ModeTopics:
    """Listens to the modes of one robot."""

    def __init__(
        self, node: LifecycleNode, endpoints: Endpoints, cfg: ModesCfg, period_s: float, hear: Hear
    ) -> None:
        """Open the subscriptions.

        Args:
            node: for whom.
            endpoints: of the node.
            cfg: where the robot tells what.
            period_s: of control [s].
            hear: takes what is said.

        Raises:
            ValueError: a message type is not installed; one line.
        """
        self._node, self._cfg, self._hear = node, cfg, hear
        self._period_ns = period_s * 1e9
        self._last: dict[str, tuple[dict[str, Any], int]] = {}
        self._latched: dict[str, str] = {}
        for name, topic in KINDS[cfg.kind].topics.items():
            kind = message_class(topic.type)
            qos = latched() if topic.latched else streaming(1, reliable=False)
            take = partial(self._on_message, name, topic.type)
            subscription = endpoints.subscription(kind, cfg.topics[name], take, qos)
            if topic.latched:
                self._latched[name] = subscription.topic_name

    def _on_message(self, name: str, kind: str, message: Any) -> None:
        values, steady = mode_values(message, kind), time.monotonic_ns()
        before, told_ns = self._last.get(name, ({}, 0))
        if values == before and steady - told_ns < self._period_ns:
            return
        self._last[name] = (values, steady)
        self._hear(name, values, steady)

    def look(self) -> None:
        """See whether somebody still publishes what is said once; what it said holds no longer."""
        for name, topic in self._latched.items():
            if name in self._last and self._node.count_publishers(topic) == 0:
                del self._last[name]
                self._hear(name, None, time.monotonic_ns())
