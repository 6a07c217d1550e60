"""Who is there before gate and policy start: of each topic of the graph who sends it, and how.

ROS says nothing of a topic that nobody publishes, of one with another type, or with QoS that does
not match: there is just no data. Here each is a line with its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rclpy.node import Node
from rclpy.qos import QoSProfile

from sim2arm.core.contract import Contract

from .activation import Item
from .graph import Graph, InputBinding
from .node_support import incompatible, latched, streaming
from .robot_modes import KINDS

STATE = "control_msgs/msg/JointTrajectoryControllerState"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
OURS = ("gate_node", "policy_node", "teleop_node")
_SHOWN = 3  # topics that are named where one is missing


@dataclass(frozen=True, kw_only=True)
class Need:
    """A topic that somebody else must have opened."""

    topic: str
    type: str
    why: str
    """What it is for."""
    qos: QoSProfile
    """Of our side."""
    heard: bool = True
    """Whether the others publish it; else they listen."""


def needs(graph: Graph, contract: Contract) -> list[Need]:
    """Return the topics that gate and policy need.

    Args:
        graph: of the arm.
        contract: with the names of the arm.

    Raises:
        ValueError: an input has no binding.
    """
    best, control, found = streaming(1, reliable=False), graph.controller, list[Need]()
    for topic, group in by_topic(graph.bindings(contract)).items():
        first = next(iter(group.values()))
        qos = streaming(first.depth, reliable=first.reliability == "reliable")
        found.append(Need(topic=topic, type=first.type, why=", ".join(group), qos=qos))
        for name, binding in group.items():
            if binding.camera_info:
                found.append(
                    Need(topic=binding.camera_info, type="sensor_msgs/msg/CameraInfo",
                         why=f"lens of {name}", qos=best)
                )  # fmt: skip
    found += [
        Need(topic=graph.robot_description, type="std_msgs/msg/String", why="description",
             qos=latched()),
        Need(topic=control.state_topic, type=STATE, why="state of the controller",
             qos=streaming(10)),
        Need(topic=control.command_topic, type=TRAJECTORY, why="controller", qos=streaming(1),
             heard=False),
    ]  # fmt: skip
    if graph.modes is not None:
        for name, topic in KINDS[graph.modes.kind].topics.items():
            qos = latched() if topic.latched else best
            where = graph.modes.topics[name]
            found.append(Need(topic=where, type=topic.type, why=f"mode: {name}", qos=qos))
    for force in graph.forces:
        found.append(Need(topic=force.topic, type=force.type, why=f"force: {force.name}", qos=best))
    if graph.heartbeat is not None:
        beat = graph.heartbeat.topic
        found.append(Need(topic=beat, type="std_msgs/msg/Bool", why="heartbeat", qos=best))
    return found


def by_topic(bindings: Mapping[str, InputBinding]) -> dict[str, dict[str, InputBinding]]:
    """Return bindings by their topics, which several may share."""
    found: dict[str, dict[str, InputBinding]] = {}
    for name, binding in bindings.items():
        found.setdefault(binding.topic, {})[name] = binding
    return found


def peer_items(node: Node, graph: Graph, wanted: Sequence[Need]) -> list[Item]:
    """Return the items of the domain as a node sees it now, before gate and policy are there."""
    return [
        _alone_item(node),
        *(_need_item(node, need) for need in wanted),
        _commanders_item(node, graph),
        *(_service_item(node, name, why) for name, why in _services(graph).items()),
    ]


def _alone_item(node: Node) -> Item:
    mine = (node.get_name(), node.get_namespace())
    names = [name for name, space in node.get_node_names_and_namespaces() if (name, space) != mine]
    ours = [name for name in names if name in OURS]
    return Item(
        name="nodes", expected=f"others than {', '.join(OURS)}", ok=bool(names) and not ours,
        measured=", ".join(sorted(names)),
        note=f"end what started {', '.join(ours)} before" if ours
        else "is the driver up, in this ROS_DOMAIN_ID, on this network (--peers)?",
    )  # fmt: skip


def _need_item(node: Node, need: Need) -> Item:
    full = node.resolve_topic_name(need.topic)
    look = node.get_publishers_info_by_topic if need.heard else node.get_subscriptions_info_by_topic
    peers = [peer for peer in look(full) if peer.node_name != node.get_name()]
    verb = "publishes" if need.heard else "listens on"
    name, expected = f"{full} ({need.why})", need.type
    if not peers:
        return Item(name=name, expected=expected, measured="", ok=False,
                    note=f"nobody {verb} {full}{_alike(node, need, full)}")  # fmt: skip
    others = sorted({peer.topic_type for peer in peers} - {need.type})
    if others:
        return Item(name=name, expected=expected, measured=", ".join(others), ok=False,
                    note="name a topic of this type in graph.yaml or the robot's file")  # fmt: skip
    for peer in peers:
        pair = (peer.qos_profile, need.qos) if need.heard else (need.qos, peer.qos_profile)
        if why := incompatible(*pair):
            return Item(
                name=name, expected=f"{expected}, QoS that matches", ok=False,
                measured=f"{peer.node_name}: {why}",
                note="change reliability in graph.yaml, or the QoS of the other node",
            )  # fmt: skip
    who = ", ".join(sorted({peer.node_name for peer in peers}))
    return Item(name=name, expected=expected, measured=who, ok=True)


def _alike(node: Node, need: Need, full: str) -> str:
    """Return which topics of that type there are, in words."""
    known = [
        topic
        for topic, types in node.get_topic_names_and_types()
        if need.type in types and topic != full and node.count_publishers(topic)
    ]
    if not known or not need.heard:
        return ""
    more = ", ..." if len(known) > _SHOWN else ""
    return f"; of this type there are {', '.join(sorted(known)[:_SHOWN])}{more}"


def _commanders_item(node: Node, graph: Graph) -> Item:
    full = node.resolve_topic_name(graph.controller.command_topic)
    others = sorted(peer.node_name for peer in node.get_publishers_info_by_topic(full))
    return Item(
        name=f"publishers of {full}", expected="none", measured=", ".join(others) or "none",
        ok=not others, note="stop every other publisher: the gate must be the only one",
    )  # fmt: skip


def _services(graph: Graph) -> dict[str, str]:
    """Return the services that the gate asks, with what offers them."""
    control = graph.controller
    return {
        f"{control.name}/get_parameters": "the controller",
        f"{control.manager}/list_controllers": "the controller manager",
    }


def _service_item(node: Node, name: str, why: str) -> Item:
    full = node.resolve_service_name(name)
    there = full in [service for service, _ in node.get_service_names_and_types()]
    return Item(
        name=f"service {full}", expected=f"offered by {why}",
        measured="offered" if there else "", ok=there, note=f"start {why}",
    )  # fmt: skip
