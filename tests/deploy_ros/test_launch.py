# pyright: standard, reportMissingModuleSource=false
"""The launch file starts what exists, as the stand-alone launcher does, and in the right order."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from rclpy.node import Node  # noqa: E402

from sim2arm_ros import executables  # noqa: E402
from sim2arm_ros.gate_node import GateNode  # noqa: E402
from sim2arm_ros.launcher import (  # noqa: E402
    NodeProcess,
    policy_graph,
    private_domain,
    recorder,
    simulated_arm,
)
from sim2arm_ros.policy_node import PolicyNode  # noqa: E402
from sim2arm_ros.recorder_node import RecorderNode  # noqa: E402
from sim2arm_ros.sim_arm_node import SimArmNode  # noqa: E402

from .launch_standin import Recorded, describe  # noqa: E402

FILE = Path(__file__).resolve().parents[2] / "deploy_ros" / "launch" / "policy.launch.py"
CLASSES: dict[str, Callable[[], Node]] = {
    "policy_node": PolicyNode,
    "gate_node": GateNode,
    "sim_arm_node": SimArmNode,
    "recorder_node": RecorderNode,
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
    log = tmp_path_factory.mktemp("launch") / "log"
    rclpy.init(args=["--ros-args", "-p", f"folder:={log}"])
    made = {name: build() for name, build in CLASSES.items()}
    arm: Any = made["sim_arm_node"]
    try:
        yield (
            lambda node, name: (
                type(made[node].get_parameter(name).value)
                if made[node].has_parameter(name)
                else None
            )
        )
    finally:
        for node in [*made.values(), arm.controller, arm.manager]:
            node.destroy_node()
        rclpy.try_shutdown()


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
    # A robot starts a sensor_node for each of its own sensors; a hand and the page are started
    # by whoever uses them.
    others = {"sensor_node", "teleop_node", "operator_node"}
    assert set(nodes) == set(executables.NODES) - others == set(CLASSES)
    for name, node in nodes.items():
        assert node.package == "sim2arm_ros"
        assert callable(getattr(executables, name))


def test_lifecycle_nodes_have_the_names_that_others_call(nodes: dict[str, Recorded]) -> None:
    for name in ("policy_node", "gate_node"):
        assert (nodes[name].kind, nodes[name].name) == ("LifecycleNode", name)
    # A name would be given to all three nodes of the process.
    assert nodes["sim_arm_node"].kind == "Node"
    assert "name" not in nodes["sim_arm_node"].kwargs


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
    assert {"robot", "bundle", "graph", "sim", "task", "lock_step"} <= set(arguments)
    for node in nodes.values():
        for value in parameters(node).values():
            assert source(value)[0] in arguments
    # A default that is another argument must be declared after it.
    for e in entities:
        if e.kind == "DeclareLaunchArgument" and isinstance(e.default_value, Recorded):
            assert arguments.index(e.default_value.args[0]) < arguments.index(e.args[0])


def test_real_hardware_is_what_is_not_simulated(nodes: dict[str, Recorded]) -> None:
    gate = parameters(nodes["gate_node"])
    assert source(gate["real_hardware"]) == ("sim", True)
    assert source(gate["use_sim_time"]) == ("sim", False)
    assert nodes["sim_arm_node"].condition.args[0].args[0] == "sim"


def test_the_stand_alone_launcher_gives_no_other_parameters(nodes: dict[str, Recorded]) -> None:
    both: list[NodeProcess] = policy_graph(Path("bundle"), graph=Path("graph.yaml"))
    both.append(simulated_arm("reach", "fr3", 60.0, lock_step=False))
    both.append(recorder(Path("log"), Path("bundle"), graph=None))
    alone = {node.executable: set(node.parameters) for node in both}
    for name in ("policy_node", "gate_node"):
        assert set(parameters(nodes[name])) - {"allow_fallback_on_hardware"} == alone[name]
    assert set(parameters(nodes["recorder_node"])) <= alone["recorder_node"]
    assert set(parameters(nodes["sim_arm_node"])) <= alone["sim_arm_node"]


class Play:
    """Plays the events of the launch file: transitions in, requested transitions out."""

    def __init__(self, entities: list[Recorded], nodes: dict[str, Recorded], run: bool) -> None:
        self.names = {id(node): name for name, node in nodes.items()}
        self.handlers = [e.args[0] for e in entities if e.kind == "RegisterEventHandler"]
        self.run = run
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
            assert action.condition.args[0].args[0] == "run"
            if not self.run:
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
