"""The topics on which forces and a heartbeat are told: from messages to what is watched."""

# Messages have other types on each backend.
# pyright: standard, reportMissingModuleSource=false

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import WrenchStamped
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool

from .convert import joint_field, to_ns
from .forces import (
    EFFORTS,
    FIELD,
    ForceCfg,
    ForceWatch,
    size_of_efforts,
    size_of_field,
    size_of_wrench,
)
from .graph import Graph
from .heartbeat import Heartbeat
from .node_support import Endpoints, streaming


def size_of(message: Any, cfg: ForceCfg, joints: Sequence[str]) -> tuple[float, float]:
    """Return force [N] (effort [N m]) and torque [N m] of a message.

    Raises:
        ValueError: it lacks a joint, or is no field.
    """
    if cfg.type == EFFORTS:
        return size_of_efforts(joint_field(message, "effort", joints))
    if cfg.type == FIELD:
        if message.encoding != "32FC3" or message.step != 12 * message.width:
            raise ValueError(f"expected a field in 32FC3 without gaps, got {message.encoding!r}")
        order = ">f4" if message.is_bigendian else "<f4"
        field = np.frombuffer(message.data, dtype=order)
        if not field.size or field.size != 3 * message.width * message.height:
            raise ValueError(
                f"expected {3 * message.width * message.height} numbers, got {field.size}"
            )
        return size_of_field(field.astype(np.float64))
    force, torque = message.wrench.force, message.wrench.torque
    return size_of_wrench(
        np.array([force.x, force.y, force.z]), np.array([torque.x, torque.y, torque.z])
    )


class StopTopics:
    """Listens to what must stop one robot, however well it follows.

    Attributes:
        forces: that are watched.
        heartbeat: that is watched.
    """

    def __init__(
        self, endpoints: Endpoints, graph: Graph, joints: Sequence[str], changed: Callable[[], None]
    ) -> None:
        """Open the subscriptions.

        Args:
            endpoints: of the node.
            graph: what is told where.
            joints: names of the joints whose efforts count.
            changed: called after each message.
        """
        self.forces, self.heartbeat = ForceWatch(graph.forces), Heartbeat(graph.heartbeat)
        self._joints, self._changed = tuple(joints), changed
        self._stamps: dict[str, int] = {}
        kinds = {EFFORTS: JointState, FIELD: Image}
        newest = streaming(1, reliable=False)
        for cfg in graph.forces:
            take = partial(self._on_force, cfg)
            endpoints.subscription(kinds.get(cfg.type, WrenchStamped), cfg.topic, take, newest)
        if graph.heartbeat is not None:
            endpoints.subscription(Bool, graph.heartbeat.topic, self._on_heartbeat, newest)

    def problems(self, steady_ns: int, *, timed: bool) -> dict[str, str | None]:
        """Return by name why the arm must not move, or None where it may.

        Args:
            steady_ns: steady time [ns].
            timed: whether silence counts.
        """
        return {
            "forces": self.forces.problem(steady_ns, timed=timed),
            "heartbeat": self.heartbeat.problem(steady_ns, timed=timed),
        }

    def _on_force(self, cfg: ForceCfg, message: Any) -> None:
        if cfg.type == EFFORTS and not set(message.name) & set(self._joints):
            return  # another publisher, of a gripper for example; silence is watched elsewhere
        stamp = to_ns(message.header.stamp)
        if stamp and stamp == self._stamps.get(cfg.name):
            return  # the same once more, by a driver that hangs: that is silence
        self._stamps[cfg.name] = stamp
        try:
            size = size_of(message, cfg, self._joints)
        except ValueError:
            size = (np.nan, np.nan)
        self.forces.hear(cfg.name, size, time.monotonic_ns())
        self._changed()

    def _on_heartbeat(self, message: Bool) -> None:
        self.heartbeat.hear(bool(message.data), time.monotonic_ns())
        self._changed()
