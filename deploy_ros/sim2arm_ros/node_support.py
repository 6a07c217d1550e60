"""What the nodes share: running until a signal, QoS, steady timers."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import rclpy
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.action import ActionClient
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from sim2arm.policies.signature import TrustedKeys, read_trusted_keys

from .graph import Graph
from .graph_file import read_graph
from .launcher import PARENT_VARIABLE

STEADY = Clock(clock_type=ClockType.STEADY_TIME)
READ_ONLY = ParameterDescriptor(read_only=True)
"""Of a parameter that nobody in the ROS domain may change after the start."""


def declare_set_up(node: Node) -> None:
    """Declare the parameters that say which policy runs on which arm, and who signed it."""
    for name in ("bundle", "graph", "robot", "prefix"):
        node.declare_parameter(name, "")
    node.declare_parameter("trusted_keys", "", READ_ONLY)


def keep_parameters(node: Node, configured: Callable[[], bool]) -> None:
    """Refuse changes of parameters while a node is configured: they would change nothing."""

    def on_set(parameters: Sequence[Parameter]) -> SetParametersResult:
        if not configured():
            return SetParametersResult(successful=True)
        names = ", ".join(parameter.name for parameter in parameters)
        reason = f"{names}: the node is configured: clean it up first"
        return SetParametersResult(successful=False, reason=reason)

    node.add_on_set_parameters_callback(on_set)


def graph_parameter(node: Node) -> Graph:
    """Return the graph of the parameters `graph`, `robot` and `prefix`.

    Raises:
        ValueError: a file cannot be read, or there is no such robot; one line.
    """
    path, robot, prefix = (str(node.get_parameter(p).value) for p in ("graph", "robot", "prefix"))
    return read_graph(path, robot, prefix)


def bundle_parameters(node: Node) -> tuple[str, TrustedKeys | None]:
    """Return the folder of the bundle that a node was given, and keys that must have signed it.

    Raises:
        ValueError: no folder was given, or the file of trusted keys has none; one line.
    """
    path, keys = (str(node.get_parameter(name).value) for name in ("bundle", "trusted_keys"))
    if not path:
        raise ValueError("parameter bundle: expected the folder of a policy bundle, got nothing")
    return path, read_trusted_keys(keys) if keys else None


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


class Endpoints:
    """What a lifecycle node opens when it is configured, to be closed together."""

    def __init__(self, node: LifecycleNode) -> None:
        """Own nothing yet."""
        self._node = node
        self._open: list[tuple[Callable[[Any], object], Any]] = []
        self._heard: dict[str, list[QoSProfile]] = {}
        self._sent: dict[str, list[QoSProfile]] = {}

    def _keep(self, entity: Any, destroy: Callable[[Any], object]) -> Any:
        self._open.append((destroy, entity))
        return entity

    def publisher(self, kind: Any, topic: str, qos: QoSProfile) -> Any:
        """Open a publisher that sends in every state."""
        return self._keep(
            self._node.create_publisher(kind, topic, qos), self._node.destroy_publisher
        )

    def lifecycle_publisher(self, kind: Any, topic: str, qos: QoSProfile) -> Any:
        """Open a publisher that sends only while the node is active."""
        publisher = self._node.create_lifecycle_publisher(kind, topic, qos)
        self._sent.setdefault(publisher.topic_name, []).append(qos)
        return self._keep(publisher, self._node.destroy_lifecycle_publisher)

    def subscription(
        self, kind: Any, topic: str, callback: Callable[[Any], None], qos: QoSProfile
    ) -> Any:
        """Open a subscription."""
        subscription = self._node.create_subscription(kind, topic, callback, qos)
        self._heard.setdefault(subscription.topic_name, []).append(qos)
        return self._keep(subscription, self._node.destroy_subscription)

    def service(self, kind: Any, name: str, callback: Callable[[Any, Any], Any]) -> Any:
        """Open a service."""
        return self._keep(
            self._node.create_service(kind, name, callback), self._node.destroy_service
        )

    def client(self, kind: Any, name: str) -> Any:
        """Open a client."""
        return self._keep(self._node.create_client(kind, name), self._node.destroy_client)

    def action_client(self, kind: Any, name: str) -> Any:
        """Open the client of an action."""
        client = ActionClient(self._node, kind, name)
        return self._keep(client, lambda each: each.destroy())

    def timer(self, period: float, callback: Callable[[], None]) -> Any:
        """Start a timer on the steady clock; period in [s]."""
        timer = self._node.create_timer(period, callback, clock=STEADY)
        return self._keep(timer, self._node.destroy_timer)

    def mismatches(self) -> list[str]:
        """Return one line per peer whose QoS keeps it from talking with this node.

        ROS itself says little about these: there is just no data.
        """
        lines: list[str] = []
        for topic, ours in self._heard.items():
            for peer in self._node.get_publishers_info_by_topic(topic):
                reasons = [incompatible(peer.qos_profile, qos) for qos in ours]
                if all(reasons):
                    lines.append(f"{topic} from {peer.node_name}: {reasons[0]}")
        for topic, ours in self._sent.items():
            for peer in self._node.get_subscriptions_info_by_topic(topic):
                reasons = [incompatible(qos, peer.qos_profile) for qos in ours]
                if all(reasons):
                    lines.append(f"{topic} to {peer.node_name}: {reasons[0]}")
        return lines

    def close(self) -> None:
        """Close everything, the newest first."""
        self._heard.clear()
        self._sent.clear()
        while self._open:
            destroy, entity = self._open.pop()
            destroy(entity)


def incompatible(publisher: QoSProfile, subscription: QoSProfile) -> str:
    """Return why two endpoints do not match, or an empty string."""
    level, reason = qos_check_compatible(publisher, subscription)
    return reason if level == QoSCompatibility.ERROR else ""


_Transition = TypeVar(
    "_Transition", bound=Callable[[Any, LifecycleState], TransitionCallbackReturn]
)


def logged(transition: _Transition) -> _Transition:
    """Decorate a transition callback: what it raises is logged; rclpy swallows it silently."""

    @wraps(transition)
    def wrapped(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            node.get_logger().error(
                f"{transition.__name__} failed: {type(error).__name__}: {error}"
            )
            raise

    return cast(_Transition, wrapped)


def _end_with(parent: int) -> None:
    """End this process in order when the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)


def forget_garbage() -> None:
    """Let collections leave alone what there is now: modules, classes, all that was imported.

    To look through all of that takes a process tens of milliseconds, some seconds after its start:
    longer, on a busy computer, than the gate waits for a request.
    """
    gc.collect()
    gc.freeze()


def run_nodes(
    build: Callable[[], list[Node]],
    spin: Callable[[SingleThreadedExecutor, list[Any]], None] = lambda executor, _: executor.spin(),
) -> int:
    """Spin nodes of this process until a signal; return the exit code.

    Args:
        build: makes the nodes.
        spin: takes their messages; with each as it comes by default.
    """
    rclpy.init(args=sys.argv)
    parent = os.environ.get(PARENT_VARIABLE, "")
    if parent.isdigit():
        threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    nodes: list[Node] = []
    executor = SingleThreadedExecutor()
    try:
        nodes = build()
        for node in nodes:
            executor.add_node(node)
        forget_garbage()
        spin(executor, nodes)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except ValueError as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        return 2
    except Exception:
        if rclpy.ok():
            raise  # else a callback was under way when the signal came, and could not publish
    finally:
        executor.shutdown()
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
