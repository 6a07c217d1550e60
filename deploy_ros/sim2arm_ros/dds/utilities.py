# pyright: standard
"""Small helpers of rclpy: waiting for one message, and process-wide state."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .arguments import parse_arguments
from .context import Context, get_default_context
from .node import Node
from .qos import QoSProfile

__all__ = [
    "get_default_context",
    "get_rmw_implementation_identifier",
    "ok",
    "remove_ros_args",
    "timeout_sec_to_nsec",
    "wait_for_message",
]


def wait_for_message(
    msg_type: type,
    node: Node,
    topic: str,
    *,
    qos_profile: QoSProfile | int = 1,
    time_to_wait: float = -1,
) -> tuple[bool, Any]:
    """Wait for one message; the node must not be spinning.

    Returns:
        Whether it came in `time_to_wait` [s] (negative: for ever), and the message.
    """
    from .executors import SingleThreadedExecutor

    received: list[Any] = []
    subscription = node.create_subscription(msg_type, topic, received.append, qos_profile)
    executor = SingleThreadedExecutor(context=node.context)
    end = time.monotonic() + time_to_wait
    executor._attach(subscription)
    try:
        while node.context.ok() and not received:
            left = end - time.monotonic() if time_to_wait >= 0 else None
            if left is not None and left <= 0:
                break
            executor.spin_once(left)
    finally:
        executor._detach(subscription)
        node.destroy_subscription(subscription)
        executor.shutdown()
    return (True, received[0]) if received else (False, None)


def ok(*, context: Context | None = None) -> bool:
    """Return whether the context is initialised and not shut down."""
    return (get_default_context() if context is None else context).ok()


def remove_ros_args(args: Sequence[str]) -> list[str]:
    """Return the arguments that are not for ROS."""
    return list(parse_arguments(args).rest)


def get_rmw_implementation_identifier() -> str:
    """Return the name of the middleware: the wire format is that of rmw_cyclonedds."""
    return "rmw_cyclonedds_cpp"


def timeout_sec_to_nsec(timeout_sec: float | None) -> int:
    """Return a timeout [ns], -1 for ever."""
    return -1 if timeout_sec is None or timeout_sec < 0 else int(timeout_sec * 1e9)
