"""What a simulated arm says of its state, where the graph has a robot that tells: all is well."""

# Messages have other types on each backend.
# pyright: standard, reportMissingModuleSource=false

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from .node_support import latched, streaming
from .recorder_topics import message_class
from .robot_modes import FRANKA_MODES, KINDS, UR_ROBOT_MODES, UR_SAFETY_MODES, ModesCfg

_WELL: dict[str, dict[str, Any]] = {
    "robot_state": {"robot_mode": FRANKA_MODES.index("MOVE")},
    "robot_mode": {"mode": {name: mode for mode, name in UR_ROBOT_MODES.items()}["RUNNING"]},
    "safety_mode": {"mode": {name: mode for mode, name in UR_SAFETY_MODES.items()}["NORMAL"]},
    "program_running": {"data": True},
    "speed_scaling": {"data": 100.0},
    "status": {"level": b"\x00", "name": "simulated arm", "message": "OK"},
}
"""Fields of the message of each topic of `KINDS`."""


class SimModes:
    """The topics of a robot that is well."""

    def __init__(self, node: Node, cfg: ModesCfg) -> None:
        """Open the topics; what is latched is said now."""
        self._streams: list[tuple[Any, Any]] = []
        for name, topic in KINDS[cfg.kind].topics.items():
            kind = message_class(topic.type)
            qos = latched() if topic.latched else streaming(10)
            publisher, message = node.create_publisher(kind, cfg.topics[name], qos), kind()
            for field, value in _WELL[name].items():
                setattr(message, field, value)
            if topic.latched:
                publisher.publish(message)
            else:
                self._streams.append((publisher, message))

    def publish(self) -> None:
        """Say it again, as streams do."""
        for publisher, message in self._streams:
            publisher.publish(message)
