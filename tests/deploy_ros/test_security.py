# pyright: standard, reportMissingModuleSource=false
"""The policy of a secured domain: only the gate commands, and every node may do what it does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from sim2arm.core.spec import ArraySpec, Reading, StaleReading  # noqa: E402
from sim2arm.sim.arm import SimulatedArm  # noqa: E402
from sim2arm.sim.tasks.table import make_task  # noqa: E402
from sim2arm_ros.executables import NODES  # noqa: E402
from sim2arm_ros.gate_node import GateNode  # noqa: E402
from sim2arm_ros.graph import FRANKA, ControllerBinding, GripperBinding  # noqa: E402
from sim2arm_ros.graph_file import DEFAULT_GRAPH, read_graph  # noqa: E402
from sim2arm_ros.launcher import enclave_of, private_domain  # noqa: E402
from sim2arm_ros.policy_node import PolicyNode  # noqa: E402
from sim2arm_ros.recorder_node import RecorderNode  # noqa: E402
from sim2arm_ros.security import commanders, enclaves, matches, policy_xml  # noqa: E402
from sim2arm_ros.sensor_node import SensorNode  # noqa: E402
from sim2arm_ros.sim_arm_node import SimArmNode  # noqa: E402
from sim2arm_ros.supervisor import Supervisor  # noqa: E402
from sim2arm_ros.teleop_node import TeleopNode  # noqa: E402

from .rig import COMMANDS  # noqa: E402
from .test_gripper_chain import write_gripping  # noqa: E402

FOLLOW = f"/{ControllerBinding().name}/follow_joint_trajectory"
GRIP = f"/{GripperBinding().name}"
ALLOWED = {"publish": "topic", "subscribe": "topic", "reply": "service", "request": "service",
           "execute": "action", "call": "action"}  # fmt: skip


def of_xml(text: str) -> dict[str, dict[str, list[str]]]:
    """Return what the enclaves of a policy may do: by enclave, then by kind."""
    found: dict[str, dict[str, list[str]]] = {}
    for enclave in ElementTree.fromstring(text).iter("enclave"):
        kinds = found.setdefault(enclave.attrib["path"], {kind: [] for kind in ALLOWED})
        for group in (g for profile in enclave.iter("profile") for g in profile):
            for kind, qualifier in group.attrib.items():
                assert qualifier == "ALLOW"
                kinds[kind] += [str(e.text) for e in group.iter(ALLOWED[kind])]
    return found


@pytest.fixture(scope="module")
def policy() -> dict[str, dict[str, list[str]]]:
    return of_xml(policy_xml(read_graph()))


def test_every_executable_has_an_enclave_and_the_operator_too(policy: dict[str, Any]) -> None:
    # Recordings are played in a domain of their own: there is none for their player.
    nodes = set(NODES) - {"bag_node"}
    assert set(policy) == {enclave_of(name) for name in (*nodes, "operator")}


def test_only_the_gate_may_command_the_arm(policy: dict[str, dict[str, list[str]]]) -> None:
    def may(kind: str, name: str) -> set[str]:
        return {e for e, kinds in policy.items() if any(matches(p, name) for p in kinds[kind])}

    gate, arm = enclave_of("gate_node"), enclave_of("sim_arm_node")
    assert may("publish", COMMANDS) == {gate}
    assert may("subscribe", COMMANDS) == {arm, enclave_of("recorder_node")}
    assert may("call", FOLLOW) == set()
    assert may("call", GRIP) == {gate}
    assert may("execute", GRIP) == {arm}
    # Requests: who asks. The e-stop of the gate: the operator; nobody sets a controller's gains.
    assert may("publish", "/sim2arm/request") == {enclave_of(n) for n in
                                                  ("policy_node", "teleop_node")}  # fmt: skip
    page = enclave_of("operator_node")
    assert may("request", "/gate_node/change_state") == {enclave_of("operator"), page}
    assert may("request", f"/{ControllerBinding().name}/set_parameters") == set()
    assert may("publish", "/gate_node/state") == {gate}
    assert may("publish", "/clock") == {arm}


def test_a_franka_hand_has_two_actions() -> None:
    graph = replace(read_graph(), gripper=GripperBinding(name="/fr3_gripper", type=FRANKA))
    found = of_xml(policy_xml(graph))
    assert found[enclave_of("gate_node")]["call"] == ["/fr3_gripper/grasp", "/fr3_gripper/move"]
    assert commanders(graph, enclaves(graph)) == ["gate_node"]


def test_names_with_which_others_could_command_are_refused() -> None:
    """Below the manager's name lies what the arm's own enclave may publish."""
    control = ControllerBinding(name="/controller_manager/arm")
    with pytest.raises(ValueError, match="arm could publish there as well as the gate"):
        policy_xml(replace(read_graph(), controller=control))


def test_the_module_prints_it_and_refuses_a_broken_graph(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sim2arm_ros.security"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, policy_xml(read_graph()))
    (tmp_path / "graph.yaml").write_text("version: 1\n")
    done = subprocess.run([*command, str(tmp_path / "graph.yaml")], capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


# -- what nodes really open --------------------------------------------------------------------


class Dark:
    """A gel's camera that gives nothing."""

    @property
    def spec(self) -> dict[str, ArraySpec]:
        spec = ArraySpec(
            name="touch_left_rgb", kind="sensor", shape=(8, 8, 3), dtype="uint8", unit="1",
            rate_hz=10.0,
        )  # fmt: skip
        return {spec.name: spec}

    def read(self) -> Reading:
        raise StaleReading("nothing came")


def configured(node: Any, **parameters: Any) -> Any:
    for name, value in parameters.items():
        assert node.set_parameters([Parameter(name, value=value)])[0].successful
    assert node.trigger_configure().name == "SUCCESS"
    return node


def lift_arm() -> SimulatedArm:
    return SimulatedArm(make_task("lift-cube", "fr3", ""), "fr3", control_hz=60.0)


@pytest.fixture(scope="module")
def graph_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph in which a camera is a sensor node's."""
    path = tmp_path_factory.mktemp("graph") / "graph.yaml"
    text = DEFAULT_GRAPH.read_text()
    path.write_text(text.replace("/sim_arm/touch_left_rgb", "/sensor/touch_left_rgb"))
    return path


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory, graph_file: Path
) -> Iterator[list[tuple[str, Any]]]:
    """One node of each kind with the executable that it belongs to; the policy grips."""
    folder = tmp_path_factory.mktemp("security")
    bundle = str(write_gripping(folder / "bundle", lift_arm()))
    (folder / "script.yaml").write_text("- {seconds: 1.0}\n")
    context = pytest.MonkeyPatch()
    for name, value in private_domain().items():
        context.setenv(name, value)
    values = {"recorder_node:folder": folder / "log", "recorder_node:graph": graph_file,
              "sim_arm:task": "lift-cube"}  # fmt: skip
    words = [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    rclpy.init(args=["--ros-args", *words])
    arm: Any = SimArmNode()
    operator = Supervisor(env={})
    for name in ("/sim_arm/reset", "/gate_node/reset", "/gate_node/estop"):
        operator._clients[name] = operator.node.create_client(Trigger, name)
    for name in ("gate_node", "policy_node", "teleop_node"):
        service = f"/{name}/change_state"
        operator._clients[service] = operator.node.create_client(ChangeState, service)
    given = {"bundle": bundle, "graph": str(graph_file)}
    device = f"script:{folder / 'script.yaml'}"
    found: list[tuple[str, Any]] = [
        ("gate_node", configured(GateNode(), **given, real_hardware=False)),
        ("policy_node", configured(PolicyNode(), **given)),
        ("teleop_node", configured(TeleopNode(), **given, device=device)),
        ("recorder_node", RecorderNode()),
        ("sensor_node", SensorNode(lambda node: (Dark(), {}))),
        *(("sim_arm_node", node) for node in (arm, arm.controller, arm.manager, arm.fingers)),
        ("operator", operator.node),
    ]
    yield found
    operator.close()
    for _, node in found[:-1]:
        node.destroy_node()
    rclpy.try_shutdown()
    context.undo()


def opened(node: Any) -> dict[str, set[str]]:
    """Return what a node opens in the graph, by what it needs a permission for."""
    looked = node.get_name(), node.get_namespace()
    lists = {
        "publish": node.get_publisher_names_and_types_by_node,
        "subscribe": node.get_subscriber_names_and_types_by_node,
        "reply": node.get_service_names_and_types_by_node,
        "request": node.get_client_names_and_types_by_node,
    }
    found = {kind: {name for name, _ in look(*looked)} for kind, look in lists.items()}
    actions = {"execute": set[str](), "call": set[str]()}
    for kind, action in (("publish", "execute"), ("subscribe", "call"), ("reply", "execute"),
                         ("request", "call")):  # fmt: skip
        hidden = {name for name in found[kind] if "/_action/" in name}
        actions[action] |= {name.partition("/_action/")[0] for name in hidden}
        found[kind] -= hidden
    return found | actions


def test_every_node_may_do_what_it_does(nodes: list[tuple[str, Any]], graph_file: Path) -> None:
    """Asked of the ROS graph itself: a topic that is added without its permission shows here."""
    policy = of_xml(policy_xml(read_graph(graph_file)))
    end = time.monotonic() + 10.0
    while time.monotonic() < end and not all(opened(node)["publish"] for _, node in nodes):
        time.sleep(0.05)
    for executable, node in nodes:
        allowed = policy[enclave_of(executable)]
        for kind, names in opened(node).items():
            for name in names:
                assert any(matches(p, name) for p in allowed[kind]), (executable, kind, name)
    does = {executable: opened(node) for executable, node in nodes if executable != "sim_arm_node"}
    assert COMMANDS in does["gate_node"]["publish"]
    assert does["gate_node"]["call"] == {GRIP}
    assert "/sim2arm/request" in does["policy_node"]["publish"]
    assert "/sensor/touch_left_rgb/image_raw" in does["sensor_node"]["publish"]
    assert "/gate_node/state" in does["teleop_node"]["subscribe"]
    assert len(does["recorder_node"]["subscribe"]) > 20


def test_the_fallback_refuses_a_secured_domain() -> None:
    """It has no DDS security: nodes that seemed secured would be open."""
    env = {**os.environ, "ROS_SECURITY_ENABLE": "true"}
    command = [sys.executable, "-m", "sim2arm_ros.executables", "gate_node"]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "ROS_SECURITY_ENABLE is set, and the fallback over Cyclone DDS knows no" in line
