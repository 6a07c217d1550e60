# pyright: standard, reportMissingModuleSource=false
"""The launch file starts what exists, as the stand-alone launcher does, and in the right order."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sim2arm.cli import ros
from sim2arm.core.spec import ArraySpec
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from rclpy.node import Node  # noqa: E402

from sim2arm_ros import executables  # noqa: E402
from sim2arm_ros.gate_node import GateNode  # noqa: E402
from sim2arm_ros.graph_file import read_graph  # noqa: E402
from sim2arm_ros.launcher import (  # noqa: E402
    NodeProcess,
    Place,
    driver,
    policy_graph,
    private_domain,
    recorder,
    sensor,
    simulated_arm,
)
from sim2arm_ros.policy_node import PolicyNode  # noqa: E402
from sim2arm_ros.recorder_node import RecorderNode  # noqa: E402
from sim2arm_ros.sensor_node import SensorNode  # noqa: E402
from sim2arm_ros.sim_arm_node import SimArmNode  # noqa: E402
from sim2arm_ros.so101_node import So101Node  # noqa: E402

from .launch_standin import Recorded, describe, evaluated  # noqa: E402
from .servos import FakeServos  # noqa: E402
from .swinging import swinging_contract  # noqa: E402
from .test_servo_arm import HOME  # noqa: E402

FILE = Path(__file__).resolve().parents[2] / "deploy_ros" / "launch" / "policy.launch.py"
RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
CLASSES: dict[str, Callable[[], Node]] = {
    "policy_node": PolicyNode,
    "gate_node": GateNode,
    "sim_arm_node": SimArmNode,
    "recorder_node": RecorderNode,
    "so101_node": So101Node,
}
Declared = Callable[[str, str], type | None]


@pytest.fixture(scope="module")
def entities() -> list[Recorded]:
    return describe(FILE)


@pytest.fixture(scope="module")
def nodes(entities: list[Recorded]) -> dict[str, Recorded]:
    return {e.executable: e for e in entities if e.kind in ("Node", "LifecycleNode")}


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Declared]:
    """Tells the type of a parameter that a node has declared, None without one."""
    os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 101))
    log, bus = tmp_path_factory.mktemp("launch") / "log", FakeServos(HOME)
    rclpy.init(args=["--ros-args", "-p", f"folder:={log}", "-p", f"port:={bus.path}"])
    made = {name: build() for name, build in CLASSES.items()}
    arm: Any = made["sim_arm_node"]
    servo_arm: Any = made["so101_node"]
    try:
        yield (
            lambda node, name: (
                type(made[node].get_parameter(name).value)
                if made[node].has_parameter(name)
                else None
            )
        )
    finally:
        others = [each for a in (arm, servo_arm) for each in (a.controller, a.manager)]
        for node in [*made.values(), *others, servo_arm.jaw]:
            node.destroy_node()
        rclpy.try_shutdown()
        bus.close()


def parameters(node: Recorded) -> dict[str, Any]:
    (values,) = node.parameters
    return values


def source(value: Recorded) -> tuple[str, bool]:
    """Return the launch argument behind a parameter, and whether it is negated."""
    inner = value.args[0]
    if inner.kind == "NotSubstitution":
        return inner.args[0].args[0], True
    return inner.args[0], False


def test_every_executable_exists(nodes: dict[str, Recorded]) -> None:
    # A robot starts a sensor_node for each of its own sensors; a hand and the page are started by
    # whoever uses them; recordings have a verb.
    others = {"sensor_node", "teleop_node", "bag_node", "operator_node"}
    assert set(nodes) == set(executables.NODES) - others == set(CLASSES)
    for name, node in nodes.items():
        assert node.package == "sim2arm_ros"
        assert callable(getattr(executables, name))


def test_lifecycle_nodes_have_the_names_that_others_call(nodes: dict[str, Recorded]) -> None:
    for name in ("policy_node", "gate_node"):
        assert (nodes[name].kind, nodes[name].name) == ("LifecycleNode", name)
    for name in ("sim_arm_node", "so101_node"):
        # A name would be given to all nodes of the process.
        assert nodes[name].kind == "Node"
        assert "name" not in nodes[name].kwargs


def test_every_parameter_is_declared_by_its_node_with_the_same_type(
    nodes: dict[str, Recorded], declared: Declared
) -> None:
    for name, node in nodes.items():
        for parameter, value in parameters(node).items():
            assert declared(name, parameter) is value.value_type, f"{name}: {parameter}"
    assert declared("gate_node", "no_such_parameter") is None


def test_every_parameter_comes_from_a_declared_argument(
    entities: list[Recorded], nodes: dict[str, Recorded]
) -> None:
    arguments = [e.args[0] for e in entities if e.kind == "DeclareLaunchArgument"]
    assert {"robot", "prefix", "namespace", "bundle", "graph", "sim", "task"} <= set(arguments)
    for node in nodes.values():
        for value in parameters(node).values():
            assert source(value)[0] in arguments
    # A default that is another argument must be declared after it.
    for e in entities:
        default = e.default_value if e.kind == "DeclareLaunchArgument" else None
        if isinstance(default, Recorded) and default.kind == "LaunchConfiguration":
            assert arguments.index(default.args[0]) < arguments.index(e.args[0])


def test_real_hardware_is_what_is_not_simulated(nodes: dict[str, Recorded]) -> None:
    gate = parameters(nodes["gate_node"])
    assert source(gate["real_hardware"]) == ("sim", True)
    assert source(gate["use_sim_time"]) == ("sim", False)


def test_the_stand_alone_launcher_gives_no_other_parameters(nodes: dict[str, Recorded]) -> None:
    both: list[NodeProcess] = policy_graph(
        Path("bundle"), place=Place(graph=Path("graph.yaml")), trusted_keys=Path("trusted")
    )
    both.append(simulated_arm("reach", "fr3", 60.0, lock_step=False))
    both.append(recorder(Path("log"), Path("bundle")))
    both.append(driver("so101_node", Place(robot="so101"), port="/dev/x", servos=""))
    alone = {node.executable: set(node.parameters) for node in both}
    enclaves = {node.executable: node.command()[4:7] for node in both}
    for name, words in enclaves.items():
        assert words == ["--ros-args", *nodes[name].ros_arguments]
    for name in ("policy_node", "gate_node"):
        assert set(parameters(nodes[name])) - {"allow_fallback_on_hardware"} == alone[name]
    assert set(parameters(nodes["recorder_node"])) <= alone["recorder_node"]
    assert set(parameters(nodes["sim_arm_node"])) <= alone["sim_arm_node"]
    assert set(parameters(nodes["so101_node"])) == alone["so101_node"]


def test_a_simulated_arm_changes_nothing_but_the_arm(nodes: dict[str, Recorded]) -> None:
    arms = {
        name for name, node in nodes.items() if "sim" in conditions_of(node.kwargs.get("condition"))
    }
    assert arms == {"sim_arm_node", "so101_node"}
    for name in set(nodes) - arms:
        told = {key for key, value in parameters(nodes[name]).items() if source(value)[0] == "sim"}
        assert told <= {"use_sim_time", "real_hardware"}, name
    names = {"graph": "graph", "as_robot": "robot", "prefix": "prefix"}
    arm = parameters(nodes["sim_arm_node"])
    assert {key: source(arm[key])[0] for key in names} == names


@pytest.mark.parametrize("robot", ["fr3", "ur5e", "so101"])
def test_nor_does_it_for_the_stand_alone_launcher(robot: str) -> None:
    graph, contract = read_graph(robot=robot), replace(swinging_contract(), robot=robot)
    bundle = Path("bundle")
    cfg = ros.RosUpCfg(bundle=bundle, robot=robot, prefix="left_", namespace="left")
    real = ros.nodes(replace(cfg, port="/dev/x"), bundle, contract, graph)
    sim = ros.nodes(replace(cfg, sim="reach"), bundle, contract, graph)
    arms = {"sim_arm_node", "so101_node"}
    assert [n.executable for n in real if n.executable in arms] == [graph.driver] * bool(
        graph.driver
    )
    assert [n.executable for n in sim if n.executable in arms] == ["sim_arm_node"]
    told = ("use_sim_time", "real_hardware", "allow_fallback_on_hardware")

    def others(found: list[NodeProcess]) -> list[NodeProcess]:
        return [
            replace(n, parameters={k: v for k, v in n.parameters.items() if k not in told})
            for n in found
            if n.executable not in arms
        ]

    assert others(real) == others(sim) and len(others(sim)) == 2
    assert {node.namespace for node in [*real, *sim]} == {"/left"}


@pytest.mark.parametrize(
    ("robot", "sim", "gate", "starts"),
    [
        ("so101", "false", "true", "so101_node"),
        ("so101", "true", "true", "sim_arm_node"),
        ("so101", "True", "1", "sim_arm_node"),
        ("fr3", "false", "true", ""),
        ("", "1", "True", "sim_arm_node"),
        # The policy alone: the arm, and the one port of its servos, is the other machine's.
        ("so101", "false", "false", ""),
        ("so101", "true", "false", ""),
        ("fr3", "true", "false", ""),
    ],
)
def test_the_arm_is_where_its_gate_is_and_is_one(
    nodes: dict[str, Recorded], robot: str, sim: str, gate: str, starts: str
) -> None:
    given = {"robot": robot, "sim": sim, "gate": gate}
    for name in ("so101_node", "sim_arm_node"):
        condition = nodes[name].condition
        assert condition.kind == "IfCondition"
        assert evaluated(condition.args[0], given, {}) == str(name == starts)


@pytest.mark.parametrize(
    ("env", "words", "expected"),
    [
        ({}, {}, "LOCALHOST"),
        ({RANGE: ""}, {}, "LOCALHOST"),
        ({RANGE: "SUBNET"}, {}, "SUBNET"),
        ({RANGE: "SUBNET"}, {"discovery": "LOCALHOST"}, "LOCALHOST"),
    ],
)
def test_nodes_are_found_on_this_machine_alone_unless_somebody_says_so(
    entities: list[Recorded], env: dict[str, str], words: dict[str, str], expected: str
) -> None:
    (argument,) = [e for e in entities if e.kind == "DeclareLaunchArgument"
                   and e.args[0] == "discovery"]  # fmt: skip
    assert "LOCALHOST" in argument.description and "ROS_STATIC_PEERS" in argument.description
    given = {"discovery": evaluated(argument.default_value, {}, env)} | words
    (change,) = [e for e in entities if e.kind == "SetEnvironmentVariable" and e.args[0] == RANGE]
    assert "condition" not in change.kwargs
    assert evaluated(change.args[1], given, env) == expected
    kinds = [entity.kind for entity in entities]
    assert entities.index(change) < min(kinds.index("Node"), kinds.index("LifecycleNode"))


def conditions_of(value: Any) -> set[str]:
    """Return the launch arguments in a described thing."""
    if isinstance(value, Recorded):
        if value.kind == "LaunchConfiguration":
            return {value.args[0]}
        return conditions_of([*value.args, *value.kwargs.values()])
    if isinstance(value, dict):
        return conditions_of([*value.values()])
    if isinstance(value, list | tuple):
        return {name for each in value for name in conditions_of(each)}
    return set()


class Play:
    """Plays the events of the launch file: transitions in, requested transitions out."""

    def __init__(
        self, entities: list[Recorded], nodes: dict[str, Recorded], run: bool, policy: bool = True
    ) -> None:
        self.names = {id(node): name for name, node in nodes.items()}
        self.handlers = [e.args[0] for e in entities if e.kind == "RegisterEventHandler"]
        self.given = {"run": run, "policy": policy}
        self.asked: list[tuple[str, int, float]] = []
        for entity in entities:
            self.execute(entity)

    def execute(self, action: Recorded, delay: float = 0.0) -> None:
        if action.kind == "TimerAction":
            for inner in action.actions:
                self.execute(inner, delay + action.period)
        if action.kind != "EmitEvent":
            return
        if "condition" in action.kwargs:
            value = self.given[action.condition.args[0].args[0]]
            if value is (action.condition.kind == "UnlessCondition"):
                return
        event = action.event
        node = self.names[id(event.lifecycle_node_matcher.args[0])]
        self.asked.append((node, event.transition_id, delay))

    def happens(self, node: str, start: str, goal: str) -> list[tuple[str, int, float]]:
        """Return what is asked for after a node changed its state."""
        self.asked = []
        for handler in self.handlers:
            target = self.names[id(handler.target_lifecycle_node)]
            if (target, handler.start_state, handler.goal_state) == (node, start, goal):
                for action in handler.entities:
                    self.execute(action)
        return self.asked


CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE


def test_policy_is_configured_then_the_gate_comes_up_then_the_policy_runs(
    entities: list[Recorded], nodes: dict[str, Recorded]
) -> None:
    play = Play(entities, nodes, run=True)
    assert play.asked == [("policy_node", CONFIGURE, 0.0)]
    assert play.happens("policy_node", "configuring", "inactive") == [("gate_node", CONFIGURE, 0.0)]
    assert play.happens("gate_node", "configuring", "inactive") == [("gate_node", ACTIVATE, 0.0)]
    assert play.happens("gate_node", "activating", "active") == [("policy_node", ACTIVATE, 0.0)]


def test_each_side_of_two_machines_configures_its_own(
    entities: list[Recorded], nodes: dict[str, Recorded]
) -> None:
    for name in ("policy", "gate"):
        condition = nodes[f"{name}_node"].condition
        assert (condition.kind, condition.args[0].args[0]) == ("IfCondition", name)
    play = Play(entities, nodes, run=False, policy=False)
    assert play.asked == [("gate_node", CONFIGURE, 0.0)]
    assert play.happens("gate_node", "configuring", "inactive") == [("gate_node", ACTIVATE, 0.0)]


def test_a_keystore_secures_the_domain_of_all_nodes(entities: list[Recorded]) -> None:
    kinds = [entity.kind for entity in entities]
    found = [e for e in entities if e.kind == "SetEnvironmentVariable" and e.args[0] != RANGE]
    values = {e.args[0]: e.args[1] for e in found}
    assert values.pop("ROS_SECURITY_KEYSTORE").args == ("keystore",)
    assert values == {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}
    for entity in found:
        assert entity.condition.kind == "LaunchConfigurationNotEquals"
        assert entity.condition.args == ("keystore", "")
    last = len(kinds) - 1 - kinds[::-1].index("SetEnvironmentVariable")
    assert last < min(kinds.index("Node"), kinds.index("LifecycleNode"))  # they inherit it


def test_a_bundle_that_is_refused_starts_nothing(
    entities: list[Recorded], nodes: dict[str, Recorded]
) -> None:
    play = Play(entities, nodes, run=True)
    assert play.happens("policy_node", "configuring", "unconfigured") == []


@pytest.mark.parametrize("name", ["gate_node", "policy_node"])
def test_a_red_report_is_asked_for_again(
    entities: list[Recorded], nodes: dict[str, Recorded], name: str
) -> None:
    play = Play(entities, nodes, run=False)
    assert play.happens(name, "activating", "inactive") == [(name, ACTIVATE, 1.0)]
    # The operator's deactivation is not undone.
    assert play.happens(name, "deactivating", "inactive") == []


def test_without_run_the_policy_waits_for_the_operator(
    entities: list[Recorded], nodes: dict[str, Recorded]
) -> None:
    assert Play(entities, nodes, run=False).happens("gate_node", "activating", "active") == []


def test_when_a_node_ends_all_end_but_for_the_recorder(nodes: dict[str, Recorded]) -> None:
    for name, node in nodes.items():
        if name == "recorder_node":
            assert "on_exit" not in node.kwargs
            assert node.condition.args[0].args[0] == "record"
        else:
            assert [action.kind for action in node.on_exit] == ["Shutdown"]


def test_a_private_domain_is_one_in_which_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    first = int(private_domain()["ROS_DOMAIN_ID"])  # nodes of other tests may have any other
    order = [first, *(domain for domain in range(1, 102) if domain != first)]
    monkeypatch.setattr(random.SystemRandom, "sample", lambda *_: order)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 7410 + 250 * first))
        assert int(private_domain()["ROS_DOMAIN_ID"]) != first
    assert int(private_domain()["ROS_DOMAIN_ID"]) == first


# -- sensors -----------------------------------------------------------------------------------


class NoPictures:
    """A sensor that never has one."""

    spec: ClassVar[dict[str, Any]] = {
        "rgb": ArraySpec(name="rgb", kind="sensor", shape=(2, 3, 3), dtype="uint8")
    }


def test_a_sensor_is_started_by_a_file_of_its_own(declared: Declared) -> None:
    found = describe(FILE.with_name("sensor.launch.py"))
    arguments = [e.args[0] for e in found if e.kind == "DeclareLaunchArgument"]
    (node,) = [e for e in found if e.kind == "Node"]
    assert (node.package, node.executable) == ("sim2arm_ros", "sensor_node")
    assert node.name.args[0] == "name"

    def open_sensor(node: SensorNode) -> Any:
        node.declare_parameter("sensor", "")
        return NoPictures(), {}

    made = SensorNode(open_sensor)
    for name, value in parameters(node).items():
        assert source(value)[0] == name and name in arguments
        assert type(made.get_parameter(name).value) is value.value_type, name
    made.destroy_node()
    alone = sensor(Path("scene.yaml"))
    assert alone.called == "scene" and alone.remaps == {"__node": "scene"}
    assert set(alone.parameters) <= set(parameters(node))
    assert node.ros_arguments == alone.command()[5:7]
    reach = node.additional_env[RANGE]
    assert evaluated(reach, {}, {}) == evaluated(reach, {}, {RANGE: ""}) == "LOCALHOST"
    assert evaluated(reach, {}, {RANGE: "SUBNET"}) == "SUBNET"
