"""What each node may do in a secured ROS domain (SROS 2): a policy made of the graph.

One enclave per process. What is not listed is denied: the enclave of the gate alone may publish on
the controller's command topic, and no enclave may call the controller's action, which would be
another way to command the arm. `docker/scripts/make_keystore` makes keys and signed permissions:

    python -m sim2arm_ros.security [GRAPH] [--robot fr3] [--namespace left] > policy.xml

The words are those of the nodes, as their names are. A policy is of one arm: another one in the
domain has a keystore of its own, and neither hears the other.

The enclave `arm` stands for the simulated arm, for our own driver of a robot and for ros2_control;
of the latter it lists what its documentation (Jazzy) and that of the robots' drivers say that it
opens: what lies below their own names.
"""

from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import NoReturn

from .forces import FIELD
from .graph import FRANKA, JOINT_STATE, Graph, is_name
from .graph_file import read_graph
from .launcher import ENCLAVES
from .log_about import SIM_EPISODE, About, recorded_topics
from .requests import IN_ITS_PLACE, REQUEST_TOPIC, WIDTH
from .trial_topics import REFERENCE, TRIAL, VERDICT

_PARAMETERS = (
    "describe_parameters", "get_parameter_types", "get_parameters", "list_parameters",
    "set_parameters", "set_parameters_atomically",
)  # fmt: skip
_LIFECYCLE = (
    "change_state", "get_available_states", "get_available_transitions", "get_state",
    "get_transition_graph",
)  # fmt: skip
_CONTROLLERS = ("joint_state_broadcaster", "joint_state_publisher", "robot_state_publisher")
_DRIVERS = {"so101_node": ("so101", ("hold", "release"))}
"""Of executables of ours that drive an arm: name of the node, and services of the operator."""
_OURS = ("gate_node", "policy_node", "teleop_node")
_GATE = ("estop", "hold", "reset")


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """What one node may do, by names; `*` stands for any letters, slashes too.

    Those without a leading slash lie in the namespace of the arm, as in the graph.
    """

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
    namespace: str
    """In which it lies, with a leading slash."""
    may: Permissions
    """By full names."""


def enclaves(graph: Graph, namespace: str = "") -> dict[str, list[Profile]]:
    """Return the nodes of every enclave and what they may do, by the enclave's last name.

    Args:
        graph: of the arm, with the file of its robot.
        namespace: of its nodes, with a leading slash; the root without one.
    """

    def here(path: str, may: Permissions, more: Sequence[str] = ()) -> Profile:
        return _profile(path, may, namespace, more)

    def managed(name: str, may: Permissions) -> Profile:
        events = replace(may, publish=(f"{name}/transition_event", *may.publish))
        return here(name, events, _LIFECYCLE)

    taken = (_sensor_path(topic, namespace) for topic in _pictures(graph))
    sensors = sorted({"/sensor", *taken} - {"/sim_arm", "sim_arm"})
    return {
        "gate_node": [managed("gate_node", _gate(graph))],
        "policy_node": [managed("policy_node", _policy(graph))],
        "teleop_node": [managed("teleop_node", _teleop(graph))],
        "recorder_node": [here("recorder_node", _recorder(graph))],
        # Of sensors, and of who asks whether a node is healthy, no arm is the owner.
        "sensor_node": [here(path, _sensor(graph, path)) for path in sensors],
        "arm": [here(path, may, more) for path, may, more in _arm(graph)],
        "operator_node": [here("operator_node", _page(graph))],
        "operator": [here("supervisor", _operator(graph)), here("/healthy", Permissions())],
    }


def _first(name: str) -> str:
    return name.strip("/").partition("/")[0]


def _sensor_path(topic: str, namespace: str) -> str:
    """Return the node below whose name a picture is published, as graphs call nodes."""
    full = _full(topic, namespace)
    if namespace and full.startswith(f"{namespace}/"):
        return _first(full.removeprefix(namespace))
    return f"/{_first(full)}"


def _full(name: str, namespace: str) -> str:
    return name if name.startswith("/") else f"{namespace}/{name}"


def _profile(path: str, may: Permissions, namespace: str, more: Sequence[str] = ()) -> Profile:
    """Return a profile with what every node opens, by full names.

    Args:
        path: of the node, as the graph or a node calls it.
        may: what it does itself.
        namespace: of the arm.
        more: services of its own beside those for its parameters.
    """
    own = (*_PARAMETERS, "get_type_description", *more)
    clock = "/clock" if path.startswith("/") else "clock"
    every = replace(
        may,
        publish=("/rosout", "/parameter_events", *may.publish),
        subscribe=(clock, "/parameter_events", *may.subscribe),
        reply=(*(f"{path}/{service}" for service in own), *may.reply),
    )
    full = {
        field.name: tuple(
            dict.fromkeys(_full(name, namespace) for name in getattr(every, field.name))
        )
        for field in fields(Permissions)
    }
    place, _, node = _full(path, namespace).rpartition("/")
    return Profile(node=node, namespace=place or "/", may=Permissions(**full))


# -- ours --------------------------------------------------------------------------------------


def _gate(graph: Graph) -> Permissions:
    control, inputs = graph.controller, graph.inputs
    heard = [inputs[name].topic for name in ("joint_position", WIDTH) if name in inputs]
    return Permissions(
        publish=(
            control.command_topic,
            *(f"gate_node/{topic}" for topic in ("state", "commanded", "changed", "activation")),
            "/diagnostics",
        ),
        subscribe=(
            *dict.fromkeys(heard), control.state_topic, graph.robot_description, REQUEST_TOPIC,
            "gate_node/estop", *(graph.modes.topics.values() if graph.modes else ()),
            *(force.topic for force in graph.forces),
            *((graph.heartbeat.topic,) if graph.heartbeat else ()),
        ),
        reply=tuple(f"gate_node/{name}" for name in _GATE),
        request=(f"{control.name}/get_parameters", f"{control.manager}/list_controllers"),
        call=grip_actions(graph),
    )  # fmt: skip


def _asker(name: str, graph: Graph, topics: Sequence[str]) -> Permissions:
    return Permissions(
        publish=(
            REQUEST_TOPIC, *(f"{name}/{topic}" for topic in ("action", "activation", "state")),
        ),
        subscribe=(
            *dict.fromkeys(topics), graph.robot_description, "gate_node/commanded",
            "gate_node/changed", "gate_node/state",
        ),
    )  # fmt: skip


def _policy(graph: Graph) -> Permissions:
    infos = [b.camera_info for b in graph.inputs.values() if b.camera_info]
    topics = [binding.topic for binding in graph.inputs.values()]
    may = _asker("policy_node", graph, [*topics, *infos, graph.observation])
    others = (f"policy_node/{topic}" for topic in IN_ITS_PLACE.values())
    return replace(may, publish=(*may.publish, *others), reply=("policy_node/report",))


def _teleop(graph: Graph) -> Permissions:
    inputs = graph.inputs
    topics = [inputs[name].topic for name in ("joint_position", WIDTH) if name in inputs]
    return _asker("teleop_node", graph, topics)


def _recorder(graph: Graph) -> Permissions:
    topics = recorded_topics(About(graph=graph))
    marks = tuple(f"recorder_node/{topic}" for topic in ("episode", "state"))
    return Permissions(
        publish=marks,
        subscribe=("recorder_node/episode", *(topic.name for topic in topics)),
        reply=tuple(f"recorder_node/{event}" for event in ("start", "keep", "discard")),
    )


def _pictures(graph: Graph) -> list[str]:
    """Return the topics of pictures and their intrinsics."""
    found = [b for b in graph.inputs.values() if b.is_picture]
    topics = [topic for b in found for topic in (b.topic, b.camera_info) if topic]
    return list(dict.fromkeys(topics))


def _sensor(graph: Graph, path: str) -> Permissions:
    """What lies below its own name (compressed pictures, intrinsics), and how it does."""
    felt = [force.topic for force in graph.forces if force.type == FIELD]
    return Permissions(publish=(*_pictures(graph), *felt, f"{path}/*", "/diagnostics"))


def _page(graph: Graph) -> Permissions:
    bound = [b.topic for b in graph.inputs.values()]
    states = [f"{node}/{topic}" for node in _OURS for topic in ("state", "activation")]
    return Permissions(
        publish=(VERDICT,),
        subscribe=(
            *dict.fromkeys(bound), *states, graph.robot_description, "recorder_node/state", TRIAL,
            REFERENCE,
        ),
        request=(
            *(f"{node}/{name}" for node in _OURS for name in ("change_state", "get_state")),
            "gate_node/hold", "gate_node/reset", "sim_arm/reset", "sim_arm/set_parameters",
            *(f"recorder_node/{event}" for event in ("start", "keep", "discard")),
        ),
    )  # fmt: skip


def _operator(graph: Graph) -> Permissions:
    states = [f"{node}/{topic}" for node in _OURS for topic in ("state", "activation")]
    actions = [f"{node}/action" for node in _OURS[1:]]
    services = [
        *(f"{node}/{name}" for node in _OURS for name in (*_LIFECYCLE, *_PARAMETERS)),
        *(f"gate_node/{name}" for name in _GATE), "policy_node/report",
        *(f"recorder_node/{event}" for event in ("start", "keep", "discard")),
        "sim_arm/reset", "sim_arm/go_on", "sim_arm/set_parameters",
        f"{graph.controller.manager}/list_controllers", *_driver(graph).reply,
    ]  # fmt: skip
    return Permissions(
        publish=(
            "gate_node/estop", TRIAL, REFERENCE,
            *((graph.heartbeat.topic,) if graph.heartbeat else ()),  # the switch is a person's
        ),
        subscribe=(
            *states, *actions, "gate_node/commanded", "recorder_node/state", SIM_EPISODE,
            VERDICT, *_pictures(graph),
            "sim_arm/latency", "/rosout", *(f"{node}/transition_event" for node in _OURS),
        ),
        # Nodes of the `ros2` command line, which are called _ros2cli_<number>.
        reply=("/_ros2cli*",),
        request=tuple(services),
    )  # fmt: skip


# -- the arm -----------------------------------------------------------------------------------


def _arm(graph: Graph) -> Iterator[tuple[str, Permissions, Sequence[str]]]:
    """Yield the nodes of the simulated arm, of our own driver, and of ros2_control.

    Of each its name, what it may do, and the services that it has besides.
    """
    control, told = graph.controller, _told(graph)
    arm = Permissions(
        publish=(
            *told, *_pictures(graph), graph.robot_description, graph.observation,
            SIM_EPISODE, "sim_arm/latency", "clock", "/tf", "/tf_static",
        ),
        subscribe=(REQUEST_TOPIC,),
        reply=("sim_arm/reset", "sim_arm/go_on"),
    )  # fmt: skip
    yield "sim_arm", arm, ()
    if graph.driver:
        yield _DRIVERS[graph.driver][0], _driver(graph), ()
    ours = Permissions(
        publish=(control.state_topic, f"{control.name}/transition_event"),
        subscribe=(control.command_topic,),
        reply=(f"{control.name}/query_state",),
        execute=(f"{control.name}/follow_joint_trajectory",),
    )
    yield control.name, ours, _LIFECYCLE
    managing = Permissions(
        publish=(f"{control.manager}/*", "/diagnostics", "dynamic_joint_states"),
        subscribe=(graph.robot_description, "joint_states"),
        reply=(f"{control.manager}/*",),
        request=(f"{control.manager}/*",),  # spawners
    )
    yield control.manager, managing, ()
    joints = [b.topic for b in graph.inputs.values() if b.type == JOINT_STATE]
    for name in dict.fromkeys((*_CONTROLLERS, *control.also_active)):
        telling = Permissions(
            publish=(f"{name}/*", "joint_states", "dynamic_joint_states"),
            subscribe=("joint_states", *joints),
            reply=(f"{name}/*",),
        )
        yield name, telling, _LIFECYCLE
    yield _gripper(graph)


def _told(graph: Graph) -> tuple[str, ...]:
    """Return what an arm tells: inputs that are no pictures, forces, its modes."""
    inputs = [b.topic for b in graph.inputs.values() if not b.is_picture]
    modes = graph.modes.topics.values() if graph.modes else ()
    return tuple(dict.fromkeys((*inputs, *(force.topic for force in graph.forces), *modes)))


def _driver(graph: Graph) -> Permissions:
    """Return what our own driver of the robot does beside the controllers; nothing without one."""
    if not graph.driver:
        return Permissions()
    name, services = _DRIVERS[graph.driver]
    return Permissions(
        publish=(*_told(graph), graph.robot_description, f"{name}/status"),
        reply=tuple(f"{name}/{service}" for service in services),
    )


def _gripper(graph: Graph) -> tuple[str, Permissions, Sequence[str]]:
    """Return the node of the gripper; a Franka hand has more below its name than is used here."""
    name = graph.gripper.name
    if graph.gripper.type == FRANKA:
        below = (f"{name}/*",)
        return name, Permissions(publish=below, reply=below, execute=below), ()
    return name.rpartition("/")[0] or name, Permissions(execute=(name,)), _LIFECYCLE


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


def policy_xml(graph: Graph, namespace: str = "") -> str:
    """Return the policy that `ros2 security create_permission` takes.

    Args:
        graph: of the arm, with the file of its robot.
        namespace: of its nodes, with a leading slash; the root without one.

    Raises:
        ValueError: with the names of this graph somebody else than the gate could command the arm.

    Source: the schema sros2/policy/schemas/policy.xsd, version 0.2.0, of ros2/sros2.
    """
    found = enclaves(graph, namespace)
    _check_alone(graph, found, namespace)
    policy = ElementTree.Element("policy", version="0.2.0")
    every = ElementTree.SubElement(policy, "enclaves")
    for name, profiles in found.items():
        enclave = ElementTree.SubElement(every, "enclave", path=f"{ENCLAVES}/{name}")
        listed = ElementTree.SubElement(enclave, "profiles")
        for profile in profiles:
            place = {"ns": profile.namespace, "node": profile.node}
            node = ElementTree.SubElement(listed, "profile", place)
            for field in fields(Permissions):
                names = getattr(profile.may, field.name)
                if names:
                    outer, inner = _ELEMENTS[field.name]
                    group = ElementTree.SubElement(node, outer, {field.name: "ALLOW"})
                    for each in names:
                        ElementTree.SubElement(group, inner).text = each
    ElementTree.indent(policy)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(policy, "unicode")}\n'


def matches(pattern: str, name: str) -> bool:
    """Return whether a permission covers a name, as DDS security compares them."""
    return fnmatchcase(name, pattern)


def commanders(
    graph: Graph, found: Mapping[str, Sequence[Profile]], namespace: str = ""
) -> list[str]:
    """Return the enclaves that may command the arm, by topic, action or gripper."""
    topic = _full(graph.controller.command_topic, namespace)
    actions = [
        _full(action, namespace)
        for action in (f"{graph.controller.name}/follow_joint_trajectory", *grip_actions(graph))
    ]
    return [
        name
        for name, profiles in found.items()
        if any(
            any(matches(pattern, topic) for pattern in profile.may.publish)
            or any(matches(p, action) for p in profile.may.call for action in actions)
            for profile in profiles
        )
    ]


def _check_alone(graph: Graph, found: Mapping[str, Sequence[Profile]], namespace: str) -> None:
    others = [name for name in commanders(graph, found, namespace) if name != "gate_node"]
    if others:
        raise ValueError(
            f"{graph.controller.command_topic}: {', '.join(others)} could publish there as well as "
            "the gate; give the controller of graph.yaml a name of its own"
        )


class _Words(argparse.ArgumentParser):
    """Answers what it does not know with one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong; exit with 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main() -> int:
    """Print the policy of the arm that the words name."""
    words = _Words(prog="sim2arm_ros.security", allow_abbrev=False, description=main.__doc__)
    add = words.add_argument
    add("graph", nargs="?", default="", help="graph.yaml; that of the package without it")
    add("--robot", default="", help="fr3, so101, ur5e, or the path of such a file")
    add("--prefix", default="", help="of its joints and frames; no topic has it")
    add("--namespace", default="", help="of its nodes, `left` for example")
    given = words.parse_args()
    namespace = f"/{given.namespace.strip('/')}" if given.namespace else ""
    try:
        if namespace and not is_name(namespace):
            raise ValueError(f"--namespace: expected a name such as left, got {given.namespace!r}")
        text = policy_xml(read_graph(given.graph, given.robot, given.prefix), namespace)
    except ValueError as error:
        print(f"sim2arm_ros.security: {error}", file=sys.stderr)
        return 2
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
