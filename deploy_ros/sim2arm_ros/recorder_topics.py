"""Topics as the recorder hears them: classes by name, QoS, and stamps in raw bytes."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Sequence
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from .node_support import latched, streaming

LATCHED_DEPTH = 100
"""Messages that are kept of a latched topic: several nodes may send on one."""
_HEADER = ("header", "std_msgs/Header")


_ROOMY = (
    '<CycloneDDS><Domain><Internal><SocketReceiveBufferSize max="8MB"/></Internal></Domain>'
    "</CycloneDDS>"
)
"""Configuration of Cyclone DDS: as much room for what arrives as the system grants, up to this.
Pictures come in bursts; one of 640 x 480 fills four times what Linux gives unasked (208 KiB)."""


def with_room(config: str) -> str:
    """Return a configuration of Cyclone DDS (or none) with room for what arrives."""
    return ",".join(part for part in (config, _ROOMY) if part)


def is_stamped(message: Any) -> bool:
    """Return whether messages of a class begin with a header."""
    return next(iter(message.get_fields_and_field_types().items()), None) == _HEADER


def offered_qos(offered: Sequence[QoSProfile], *, reliable: bool) -> QoSProfile:
    """Return QoS that hears all publishers of a topic.

    Args:
        offered: by the publishers.
        reliable: ask for lost messages again where all offer it.
    """
    every = all(each.reliability == ReliabilityPolicy.RELIABLE for each in offered)
    kept = all(each.durability == DurabilityPolicy.TRANSIENT_LOCAL for each in offered)
    if kept and every:
        return latched(LATCHED_DEPTH)
    return streaming(1000, reliable=every and reliable)


def stamp_of(data: bytes) -> int:
    """Return the stamp of a message that begins with a header [ns], 0 if it has none.

    CDR: 4 bytes that say the order of bytes, then `stamp.sec` and `stamp.nanosec`.
    """
    if len(data) < 12:
        return 0
    order = "<" if data[1] & 1 else ">"
    sec, nanosec = struct.unpack_from(f"{order}iI", data, 4)
    return max(0, sec) * 1_000_000_000 + nanosec


def message_class(kind: str) -> Any:
    """Return the class of messages `package/msg/Name`.

    Raises:
        ValueError: it is not installed.
    """
    package, _, short = kind.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), short)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"message type {kind!r} is not installed") from error


def plain_qos(qos: QoSProfile) -> dict[str, Any]:
    """Return a profile as rosbag2 stores it."""
    never = {"sec": 0, "nsec": 0}
    return {
        "history": qos.history.name.lower(), "depth": qos.depth,
        "reliability": qos.reliability.name.lower(), "durability": qos.durability.name.lower(),
        "deadline": never, "lifespan": never, "liveliness": "automatic",
        "liveliness_lease_duration": never, "avoid_ros_namespace_conventions": False,
    }  # fmt: skip
