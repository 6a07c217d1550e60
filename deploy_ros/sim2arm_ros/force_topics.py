"""The topics on which forces are told: from messages to what `forces` watches."""

# Messages have other types on each backend.
# pyright: standard

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import WrenchStamped
from sensor_msgs.msg import Image, JointState

from .convert import joint_field
from .forces import EFFORTS, FIELD, ForceCfg, size_of_efforts, size_of_field, size_of_wrench
from .node_support import Endpoints, streaming

Hear = Callable[[str, tuple[float, float], int], None]
"""(name of the limit, force and torque, steady time [ns])."""


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
        if field.size != 3 * message.width * message.height:
            raise ValueError(
                f"expected {3 * message.width * message.height} numbers, got {field.size}"
            )
        return size_of_field(field.astype(np.float64))
    force, torque = message.wrench.force, message.wrench.torque
    return size_of_wrench(
        np.array([force.x, force.y, force.z]), np.array([torque.x, torque.y, torque.z])
    )


class ForceTopics:
    """Listens to the forces of one robot."""

    def __init__(
        self, endpoints: Endpoints, cfgs: Sequence[ForceCfg], joints: Sequence[str], hear: Hear
    ) -> None:
        """Open the subscriptions.

        Args:
            endpoints: of the node.
            cfgs: what is told where.
            joints: names of the joints whose efforts count.
            hear: takes what is told; what cannot be read is told as not a number.
        """
        self._joints, self._hear = tuple(joints), hear
        kinds = {EFFORTS: JointState, FIELD: Image}
        for cfg in cfgs:
            take = partial(self._on_message, cfg)
            kind = kinds.get(cfg.type, WrenchStamped)
            endpoints.subscription(kind, cfg.topic, take, streaming(1, reliable=False))

    def _on_message(self, cfg: ForceCfg, message: Any) -> None:
        try:
            size = size_of(message, cfg, self._joints)
        except ValueError:
            size = (np.nan, np.nan)
        self._hear(cfg.name, size, time.monotonic_ns())
