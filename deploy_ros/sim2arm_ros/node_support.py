"""What the nodes share: running until a signal, QoS, steady timers."""

from __future__ import annotations

import sys
from collections.abc import Callable

import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

STEADY = Clock(clock_type=ClockType.STEADY_TIME)


def latched(depth: int = 1) -> QoSProfile:
    """Return reliable, transient local QoS: late subscribers get the last message."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def streaming(depth: int = 10, *, reliable: bool = True) -> QoSProfile:
    """Return volatile QoS for streams."""
    reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability)


def run_nodes(build: Callable[[], list[Node]]) -> int:
    """Spin nodes of this process until a signal; return the exit code."""
    rclpy.init(args=sys.argv)
    nodes: list[Node] = []
    executor = SingleThreadedExecutor()
    try:
        nodes = build()
        for node in nodes:
            executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except ValueError as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        return 2
    finally:
        executor.shutdown()
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
