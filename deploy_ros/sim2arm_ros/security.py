"""What each node may do in a secured ROS domain (SROS 2): a policy made of the graph.

One enclave per process. What is not listed is denied: the enclave of the gate alone may publish on
the controller's command topic, and no enclave may call the controller's action, which would be
another way to command the arm. `docker/scripts/make_keystore` makes keys and signed permissions:

    python -m sim2arm_ros.security [GRAPH] > policy.xml

The enclave `arm` stands for the simulated arm and for ros2_control on a robot; of the latter it
lists what its documentation (Jazzy) says that it opens.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase

from .graph import FRANKA, Graph
from .graph_file import read_graph
from .launcher import ENCLAVES
from .log_about import SIM_EPISODE, About, recorded_topics
from .requests import IN_ITS_PLACE, REQUEST_TOPIC, WIDTH
from .trial_topics import REFERENCE, TRIAL, VERDICT

REQUEST = f"/{REQUEST_TOPIC}"
_PARAMETERS = (
    "describe_parameters", "get_parameter_types", "get_parameters", "list_parameters",
    "set_parameters", "set_parameters_atomically",
)  # fmt: skip
_LIFECYCLE = (
    "change_state", "get_available_states", "get_available_transitions", "get_state",
    "get_transition_graph",
)  # fmt: skip
_CONTROLLERS = ("joint_state_broadcaster", "robot_state_publisher")
_OURS = ("gate_node", "policy_node", "teleop_node")
_GATE = ("estop", "hold", "reset")


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """What one node may do, by full names; `*` stands for any letters, slashes too."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    """Services that it offers."""
    request: tuple[str, ...] = ()
    """Services that it calls."""
    execute: tuple[str, ...] = ()
    """Actions that it offers."""
    call: tuple[str, ...] = ()
    """Actions that it calls."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One node of an enclave."""

    node: str
    """Its name without a namespace."""
    may: Permissions


def enclaves(graph: Graph) -> dict[str, list[Profile]]:
    """Return the nodes of every enclave and what they may do, by the enclave's last name."""
    sensors = sorted({"sensor", *(_first(t) for t in _pictures(graph))} - {"sim_arm"})
    return {
        "gate_node": [_managed("gate_node", _gate(graph))],
        "policy_node": [_managed("policy_node", _policy(graph))],
        "teleop_node": [_managed("teleop_node", _teleop(graph))],
        "recorder_node": [_node("recorder_node", _recorder(graph))],
        "sensor_node": [_node(name, _sensor(graph, name)) for name in sensors],
        "arm": list(_arm(graph)),
        "operator_node": [_node("operator_node", _page(graph))],
        "operator": [_node("supervisor", _operator(graph)), _node("healthy", Permissions())],
    }


def _first(name: str) -> str:
    return name.strip("/").partition("/")[0]


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _node(name: str, may: Permissions, more: Sequence[str] = ()) -> Profile:
    """Return a profile with what every node opens, and more services of its own."""
    own = (*_PARAMETERS, "get_type_description", *more)
    return Profile(
        node=name,
        may=Permissions(
            publish=_rooted("/rosout", "/parameter_events", *may.publish),
            subscribe=_rooted("/clock", "/parameter_events", *may.subscribe),
            reply=_rooted(*(f"/{name}/{service}" for service in own), *may.reply),
            request=_rooted(*may.request), execute=_rooted(*may.execute),
            call=_rooted(*may.call),
        ),
    )  # fmt: skip


def _rooted(*names: str) -> tuple[str, ...]:
    """Return names in full: those of a graph lie in the namespace of the nodes, here the root."""
    return tuple(name if name.startswith("/") else f"/{name}" for name in names)


def _managed(name: str, may: Permissions) -> Profile:
    """Return the profile of a lifecycle node."""
    events = Permissions(
        publish=(f"/{name}/transition_event", *may.publish), subscribe=may.subscribe,
        reply=may.reply, request=may.request, execute=may.execute, call=may.call,
    )  # fmt: skip
    return _node(name, events, _LIFECYCLE)


# -- ours --------------------------------------------------------------------------------------


def _gate(graph: Graph) -> Permissions:
    control, inputs = graph.controller, graph.inputs
    heard = [inputs[name].topic for name in ("joint_position", WIDTH) if name in inputs]
    return Permissions(
        publish=(
            control.command_topic,
            *(f"/gate_node/{topic}" for topic in ("state", "commanded", "changed", "activation")),
        ),
        subscribe=(
            *dict.fromkeys(heard), control.state_topic, graph.robot_description, REQUEST,
            "/gate_node/estop", *(graph.modes.topics.values() if graph.modes else ()),
            *(force.topic for force in graph.forces),
            *((graph.heartbeat.topic,) if graph.heartbeat else ()),
        ),
        reply=tuple(f"/gate_node/{name}" for name in _GATE),
        request=(f"{control.name}/get_parameters", f"{control.manager}/list_controllers"),
        call=grip_actions(graph),
    )  # fmt: skip


def _asker(name: str, graph: Graph, topics: Sequence[str]) -> Permissions:
    return Permissions(
        publish=(REQUEST, *(f"/{name}/{topic}" for topic in ("action", "activation", "state"))),
        subscribe=(
            *dict.fromkeys(topics), graph.robot_description, "/gate_node/commanded",
            "/gate_node/changed", "/gate_node/state",
        ),
    )  # fmt: skip


def _policy(graph: Graph) -> Permissions:
    infos = [b.camera_info for b in graph.inputs.values() if b.camera_info]
    topics = [binding.topic for binding in graph.inputs.values()]
    may = _asker("policy_node", graph, [*topics, *infos, graph.observation])
    others = (f"/policy_node/{topic}" for topic in IN_ITS_PLACE.values())
    return replace(may, publish=(*may.publish, *others), reply=("/policy_node/report",))


def _teleop(graph: Graph) -> Permissions:
    inputs = graph.inputs
    topics = [inputs[name].topic for name in ("joint_position", WIDTH) if name in inputs]
    return _asker("teleop_node", graph, topics)


def _recorder(graph: Graph) -> Permissions:
    about = About(graph=graph)
    topics = recorded_topics(about)
    marks = tuple(f"/recorder_node/{topic}" for topic in ("episode", "state"))
    return Permissions(
        publish=marks,
        subscribe=("/recorder_node/episode", *(about.name(topic.name) for topic in topics)),
        reply=tuple(f"/recorder_node/{event}" for event in ("start", "keep", "discard")),
    )


def _pictures(graph: Graph) -> list[str]:
    """Return the topics of pictures and their intrinsics."""
    found = [b for b in graph.inputs.values() if b.is_picture]
    topics = [topic for b in found for topic in (b.topic, b.camera_info) if topic]
    return list(dict.fromkeys(topics))


def _sensor(graph: Graph, name: str) -> Permissions:
    """What lies below its own name (compressed pictures, intrinsics), and how it does."""
    return Permissions(publish=(*_pictures(graph), f"/{name}/*", "/diagnostics"))


def _page(graph: Graph) -> Permissions:
    bound = [b.topic for b in graph.inputs.values()]
    states = [f"/{node}/{topic}" for node in _OURS for topic in ("state", "activation")]
    return Permissions(
        publish=(VERDICT,),
        subscribe=(
            *dict.fromkeys(bound), *states, graph.robot_description, "/recorder_node/state", TRIAL,
            REFERENCE,
        ),
        request=(
            *(f"/{node}/{name}" for node in _OURS for name in ("change_state", "get_state")),
            "/gate_node/hold", "/gate_node/reset", "/sim_arm/reset", "/sim_arm/set_parameters",
            *(f"/recorder_node/{event}" for event in ("start", "keep", "discard")),
        ),
    )  # fmt: skip


def _operator(graph: Graph) -> Permissions:
    states = [f"/{node}/{topic}" for node in _OURS for topic in ("state", "activation")]
    actions = [f"/{node}/action" for node in _OURS[1:]]
    services = [
        *(f"/{node}/{name}" for node in _OURS for name in (*_LIFECYCLE, *_PARAMETERS)),
        *(f"/gate_node/{name}" for name in _GATE), "/policy_node/report",
        *(f"/recorder_node/{event}" for event in ("start", "keep", "discard")),
        "/sim_arm/reset", "/sim_arm/set_parameters",
        f"{graph.controller.manager}/list_controllers",
    ]  # fmt: skip
    return Permissions(
        publish=("/gate_node/estop", TRIAL, REFERENCE),
        subscribe=(
            *states, *actions, "/gate_node/commanded", "/recorder_node/state", SIM_EPISODE,
            VERDICT, *_pictures(graph),
            "/sim_arm/latency", "/rosout", *(f"/{node}/transition_event" for node in _OURS),
        ),
        # Nodes of the `ros2` command line, which are called _ros2cli_<number>.
        reply=("/_ros2cli*",),
        request=tuple(services),
    )  # fmt: skip


# -- the arm -----------------------------------------------------------------------------------


def _arm(graph: Graph) -> Iterator[Profile]:
    """Yield the nodes of the simulated arm, or of ros2_control."""
    control, manager = graph.controller, graph.controller.manager
    given = [b.topic for b in graph.inputs.values() if not b.is_picture]
    arm = Permissions(
        publish=(
            *dict.fromkeys(given), *_pictures(graph), graph.robot_description, graph.observation,
            SIM_EPISODE, "/sim_arm/latency", "/clock", "/tf", "/tf_static",
        ),
        subscribe=(REQUEST,),
        reply=("/sim_arm/reset",),
    )  # fmt: skip
    yield _node("sim_arm", arm)
    ours = Permissions(
        publish=(control.state_topic, f"{control.name}/transition_event"),
        subscribe=(control.command_topic,),
        reply=(f"{control.name}/query_state",),
        execute=(f"{control.name}/follow_joint_trajectory",),
    )
    yield _node(_last(control.name), ours, _LIFECYCLE)
    managing = Permissions(
        publish=(f"{manager}/*", "/diagnostics", "/dynamic_joint_states"),
        subscribe=(graph.robot_description, "/joint_states"),
        reply=(f"{manager}/*",),
        request=(f"{manager}/*",),  # spawners
    )
    yield _node(_last(manager), managing)
    for name in _CONTROLLERS:
        events = Permissions(
            publish=(f"/{name}/transition_event", "/joint_states", "/dynamic_joint_states"),
            subscribe=("/joint_states",),
        )
        yield _node(name, events, _LIFECYCLE)
    grip = Permissions(execute=grip_actions(graph))
    yield _node(_first(graph.gripper.name), grip, _LIFECYCLE)


def grip_actions(graph: Graph) -> tuple[str, ...]:
    """Return the actions that work the gripper."""
    name = graph.gripper.name
    return (f"{name}/grasp", f"{name}/move") if graph.gripper.type == FRANKA else (name,)


# -- policy.xml --------------------------------------------------------------------------------

_ELEMENTS = {
    "publish": ("topics", "topic"), "subscribe": ("topics", "topic"),
    "reply": ("services", "service"), "request": ("services", "service"),
    "execute": ("actions", "action"), "call": ("actions", "action"),
}  # fmt: skip


def policy_xml(graph: Graph) -> str:
    """Return the policy that `ros2 security create_permission` takes.

    Raises:
        ValueError: with the names of this graph somebody else than the gate could command the arm.

    Source: the schema sros2/policy/schemas/policy.xsd, version 0.2.0, of ros2/sros2.
    """
    found = enclaves(graph)
    _check_alone(graph, found)
    policy = ElementTree.Element("policy", version="0.2.0")
    every = ElementTree.SubElement(policy, "enclaves")
    for name, profiles in found.items():
        enclave = ElementTree.SubElement(every, "enclave", path=f"{ENCLAVES}/{name}")
        listed = ElementTree.SubElement(enclave, "profiles")
        for profile in profiles:
            node = ElementTree.SubElement(listed, "profile", ns="/", node=profile.node)
            for field in fields(Permissions):
                names = getattr(profile.may, field.name)
                if names:
                    outer, inner = _ELEMENTS[field.name]
                    group = ElementTree.SubElement(node, outer, {field.name: "ALLOW"})
                    for each in dict.fromkeys(names):
                        ElementTree.SubElement(group, inner).text = each
    ElementTree.indent(policy)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(policy, "unicode")}\n'


def matches(pattern: str, name: str) -> bool:
    """Return whether a permission covers a name, as DDS security compares them."""
    return fnmatchcase(name, pattern)


def commanders(graph: Graph, found: Mapping[str, Sequence[Profile]]) -> list[str]:
    """Return the enclaves that may command the arm, by topic, action or gripper."""
    (topic,) = _rooted(graph.controller.command_topic)
    follow = f"{graph.controller.name}/follow_joint_trajectory"
    actions = _rooted(follow, *grip_actions(graph))
    return [
        name
        for name, profiles in found.items()
        if any(
            any(matches(pattern, topic) for pattern in profile.may.publish)
            or any(matches(p, action) for p in profile.may.call for action in actions)
            for profile in profiles
        )
    ]


def _check_alone(graph: Graph, found: Mapping[str, Sequence[Profile]]) -> None:
    others = [name for name in commanders(graph, found) if name != "gate_node"]
    if others:
        raise ValueError(
            f"{graph.controller.command_topic}: {', '.join(others)} could publish there as well as "
            "the gate; give the controller of graph.yaml a name of its own"
        )


def main() -> int:
    """Print the policy of the graph that the first argument names; that of the package without."""
    try:
        text = policy_xml(read_graph(sys.argv[1] if len(sys.argv) > 1 else None))
    except ValueError as error:
        print(f"sim2arm_ros.security: {error}", file=sys.stderr)
        return 2
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
