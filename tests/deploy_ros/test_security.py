# pyright: standard, reportMissingModuleSource=false
"""The policy of a secured domain: only the gate commands, and every node may do what it does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from sim2arm.core.spec import ArraySpec, Reading, StaleReading  # noqa: E402
from sim2arm.sim.arm import SimulatedArm  # noqa: E402
from sim2arm.sim.tasks.table import make_task  # noqa: E402
from sim2arm_ros.executables import NODES  # noqa: E402
from sim2arm_ros.forces import FIELD, WRENCH  # noqa: E402
from sim2arm_ros.gate_node import GateNode  # noqa: E402
from sim2arm_ros.graph import FRANKA, ControllerBinding, Graph, GripperBinding  # noqa: E402
from sim2arm_ros.graph_file import (  # noqa: E402
    DEFAULT_GRAPH,
    ROBOT_FILES,
    read_graph,
    robot_names,
)
from sim2arm_ros.launcher import _text, enclave_of, private_domain  # noqa: E402
from sim2arm_ros.operator_node import OperatorNode  # noqa: E402
from sim2arm_ros.policy_node import PolicyNode  # noqa: E402
from sim2arm_ros.recorder_node import RecorderNode  # noqa: E402
from sim2arm_ros.security import (  # noqa: E402
    commanders,
    enclaves,
    grip_actions,
    matches,
    policy_xml,
)
from sim2arm_ros.sensor_node import SensorNode  # noqa: E402
from sim2arm_ros.sim_arm_node import SimArmNode  # noqa: E402
from sim2arm_ros.so101_node import So101Node  # noqa: E402
from sim2arm_ros.supervisor import Supervisor  # noqa: E402
from sim2arm_ros.teleop_node import TeleopNode  # noqa: E402

from .servos import FakeServos  # noqa: E402
from .test_gripper_chain import write_gripping  # noqa: E402
from .test_servo_arm import HOME  # noqa: E402

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


@dataclass(frozen=True, kw_only=True)
class Arm:
    """An arm whose domain is secured."""

    robot: str = ""
    """Name of a robot; that of graph.yaml alone without it."""
    side: str = ""
    """Its namespace without a slash, and what its joints are called after."""
    servos: bool = False
    """Our own driver on a bus, in place of the simulated arm."""

    @property
    def namespace(self) -> str:
        return f"/{self.side}" if self.side else ""

    @property
    def prefix(self) -> str:
        return f"{self.side}_" if self.side else ""

    def graph(self, path: Path | None = None) -> Graph:
        return read_graph(path, self.robot, self.prefix)

    def name(self, name: str) -> str:
        """Return the full name of what the graph names."""
        return name if name.startswith("/") else f"{self.namespace}/{name}"

    def policy(self, path: Path | None = None) -> dict[str, dict[str, list[str]]]:
        return of_xml(policy_xml(self.graph(path), self.namespace))

    def __str__(self) -> str:
        words = (self.side, self.robot or "graph.yaml", "servos" if self.servos else "")
        return " ".join(filter(None, words))


ARMS = [Arm(), *(Arm(robot=robot) for robot in robot_names()), Arm(robot="fr3", side="left")]
DRIVEN = [*ARMS, Arm(robot="so101", servos=True), Arm(robot="so101", side="left", servos=True)]
GATE, ARM, OPERATOR = (enclave_of(name) for name in ("gate_node", "sim_arm_node", "operator"))


def test_every_executable_has_an_enclave_and_the_operator_too() -> None:
    # Recordings are played in a domain of their own: there is none for their player.
    nodes = set(NODES) - {"bag_node"}
    assert set(Arm().policy()) == {enclave_of(name) for name in (*nodes, "operator")}


@pytest.mark.parametrize("arm", ARMS, ids=str)
def test_only_the_gate_may_command_the_arm(arm: Arm) -> None:
    policy, graph = arm.policy(), arm.graph()

    def may(kind: str, name: str) -> set[str]:
        full = arm.name(name)
        return {e for e, kinds in policy.items() if any(matches(p, full) for p in kinds[kind])}

    control = graph.controller
    assert may("publish", control.command_topic) == {GATE}
    assert may("subscribe", control.command_topic) == {ARM, enclave_of("recorder_node")}
    assert may("call", f"{control.name}/follow_joint_trajectory") == set()
    assert len(grip_actions(graph)) == (2 if arm.robot == "fr3" else 1)
    for action in grip_actions(graph):
        assert may("call", action) == {GATE}
        assert may("execute", action) == {ARM}
    assert commanders(graph, enclaves(graph, arm.namespace), arm.namespace) == ["gate_node"]
    # Requests: who asks. The e-stop of the gate: the operator; nobody sets a controller's gains.
    askers = {enclave_of(name) for name in ("policy_node", "teleop_node")}
    assert may("publish", "sim2arm/request") == askers
    page = enclave_of("operator_node")
    assert may("request", "gate_node/change_state") == {OPERATOR, page}
    assert may("request", f"{control.name}/set_parameters") == set()
    assert may("publish", "gate_node/state") == {GATE}
    assert may("publish", "clock") == {ARM}


@pytest.mark.parametrize("arm", ARMS, ids=str)
def test_what_a_robot_tells_of_itself_only_its_own_enclave_may_tell(arm: Arm) -> None:
    """A gate that may not hear the modes is never activated; who could forge them, disarms it."""
    policy, graph = arm.policy(), arm.graph()
    assert (graph.modes is None) == (not arm.robot)
    for topic in graph.modes.topics.values() if graph.modes else ():
        told = {e for e, may in policy.items()
                if any(matches(p, arm.name(topic)) for p in may["publish"])}  # fmt: skip
        heard = {e for e, may in policy.items() if arm.name(topic) in may["subscribe"]}
        assert told == {ARM}
        assert {GATE, enclave_of("recorder_node")} <= heard
    services = {arm.name(f"so101/{name}") for name in ("hold", "release")}
    for enclave, may in policy.items():
        asked, offered = (services & set(may[kind]) for kind in ("request", "reply"))
        assert asked == (services if (arm.robot, enclave) == ("so101", OPERATOR) else set())
        assert offered == (services if (arm.robot, enclave) == ("so101", ARM) else set())


@pytest.mark.parametrize("arm", ARMS, ids=str)
def test_what_is_heard_and_called_somebody_may_tell_and_offer(arm: Arm, tmp_path: Path) -> None:
    """Goals and cameras of graph.yaml stay, with the file of a robot over it; so does the rest."""
    path = tmp_path / "graph.yaml"
    wrench = {"name": "wrist", "topic": "ft/wrench", "type": WRENCH, "most": 40.0}
    field = {"name": "gel", "topic": "/gels/field/image_raw", "type": FIELD, "most": 20.0}
    more = {"forces": [wrench, field], "heartbeat": {"topic": "dead_man"}}
    path.write_text(DEFAULT_GRAPH.read_text() + yaml.safe_dump(more))
    policy, graph = arm.policy(path), arm.graph(path)
    allowed = {kind: {p for may in policy.values() for p in may[kind]} for kind in ALLOWED}
    # Beside an arm in a namespace nobody of it gives the root's time; actions of a player are none.
    others = {arm.name("replay_node/action"), *(["/clock"] if arm.side else [])}
    for needs, gives in (("subscribe", "publish"), ("request", "reply"), ("call", "execute")):
        for name in allowed[needs] - others:
            assert any(matches(p, name) for p in allowed[gives]), (needs, name)
    seen = {arm.name(b.topic) for b in graph.inputs.values()}
    assert {arm.name(name) for name in ("sim_arm/goal_pose", "sim_arm/scene_rgb/image_raw")} < seen
    assert seen <= set(policy[enclave_of("policy_node")]["subscribe"])
    assert {arm.name("ft/wrench"), arm.name("dead_man")} < set(policy[GATE]["subscribe"])


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
    mine = tmp_path / "mine.yaml"
    mine.write_text((ROBOT_FILES / "ur5e.yaml").read_text().replace("io_and_status", "my_status"))
    words = ["--robot", str(mine), "--prefix", "left_", "--namespace", "left"]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    graph = read_graph(robot=mine, prefix="left_")
    assert (done.returncode, done.stdout) == (0, policy_xml(graph, "/left"))
    assert "<topic>/left/my_status_controller/robot_mode</topic>" in done.stdout
    (tmp_path / "graph.yaml").write_text("version: 1\n")
    for wrong, said in (
        ([str(tmp_path / "graph.yaml")], "inputs"),
        (["--robot", "so100"], "robot: expected one of"),
        (["--robot"], "--robot: expected one argument"),
        (["--robto", "fr3"], "unrecognized arguments: --robto"),
        (["--namespace", "left arm"], "--namespace: expected a name such as left, got 'left arm'"),
        (["--prefix", "left arm"], "prefix: expected letters, digits and _"),
    ):
        done = subprocess.run([*command, *wrong], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, ""), wrong
        (line,) = done.stderr.splitlines()
        assert said in line


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


LOW = """
start_low: [0.16, -0.001, 0.06, 3.1415, 0.0, 0.0]
start_high: [0.162, 0.001, 0.062, 3.1425, 0.001, 0.001]
cube_low: [0.16, -0.001, 0.0]
cube_high: [0.162, 0.001, 0.01]
edge: 0.02
"""
"""Starts that an SO-101 reaches."""


def lift_arm(robot: str) -> SimulatedArm:
    settings = LOW if robot == "so101" else ""
    return SimulatedArm(make_task("lift-cube", robot, settings), robot, control_hz=60.0)


@pytest.fixture(scope="module")
def graph_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph in which a camera is a sensor node's."""
    path = tmp_path_factory.mktemp("graph") / "graph.yaml"
    text, ours = DEFAULT_GRAPH.read_text(), "topic: sim_arm/touch_left_rgb"
    assert ours in text
    path.write_text(text.replace(ours, "topic: /sensor/touch_left_rgb"))
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def operator(arm: Arm) -> Supervisor:
    """Return who has called what an operator calls."""
    found = Supervisor(env={}, namespace=arm.namespace)
    kinds: dict[str, Any] = {
        name: Trigger for name in ("sim_arm/reset", "gate_node/reset", "gate_node/estop")
    }
    if arm.servos:
        kinds |= {"so101/hold": Trigger, "so101/release": Trigger}
    for node in ("gate_node", "policy_node", "teleop_node"):
        kinds[f"{node}/change_state"] = ChangeState
    for name, kind in kinds.items():
        found._clients[name] = found.node.create_client(kind, name)
    return found


def arm_nodes(arm: Arm) -> list[tuple[str, Any]]:
    """Return the nodes of the arm itself."""
    if arm.servos:
        driver: Any = So101Node()
        parts = (driver, driver.controller, driver.manager, driver.jaw)
        return [("so101_node", node) for node in parts]
    simulated: Any = SimArmNode()
    parts = (simulated, simulated.controller, simulated.manager, simulated.fingers)
    return [("sim_arm_node", node) for node in parts]


@pytest.fixture(scope="module", params=DRIVEN, ids=str)
def secured(request: pytest.FixtureRequest) -> Arm:
    return request.param


@pytest.fixture(scope="module")
def nodes(
    secured: Arm, tmp_path_factory: pytest.TempPathFactory, graph_file: Path
) -> Iterator[list[tuple[str, Any]]]:
    """One node of each kind with the executable that it belongs to; the policy grips."""
    folder, robot = tmp_path_factory.mktemp("security"), secured.robot or "fr3"
    bundle = str(write_gripping(folder / "bundle", lift_arm(robot)))
    (folder / "script.yaml").write_text("- {seconds: 1.0}\n")
    (folder / "low.yaml").write_text(LOW if robot == "so101" else "")
    context, bus = pytest.MonkeyPatch(), FakeServos(HOME)
    for name, value in private_domain().items():
        context.setenv(name, value)
    given = {"graph": str(graph_file), "robot": secured.robot, "prefix": secured.prefix}
    as_robot = given | {"as_robot": secured.robot, "robot": robot}
    values = {
        "recorder_node": given | {"folder": str(folder / "log")},
        "sim_arm": as_robot | {"task": "lift-cube", "task_settings": str(folder / "low.yaml")},
        "so101": given | {"port": bus.path},
        "operator_node": given | {"bundle": bundle, "port": free_port(), "simulated": True},
    }
    moved = ["-r", f"__ns:={secured.namespace}", "-r", f"/clock:={secured.namespace}/clock"]
    parameters = [
        word
        for node, of_it in values.items()
        for name, value in of_it.items()
        for word in ("-p", f"{secured.namespace}/{node}:{name}:={_text(value)}")
    ]
    rclpy.init(args=["--ros-args", *(moved if secured.side else ()), *parameters])
    outside = Context()  # a sensor is nobody's arm's
    rclpy.init(args=[], context=outside)
    given["bundle"] = bundle
    device = f"script:{folder / 'script.yaml'}"
    found: list[tuple[str, Any]] = []
    asked = operator(secured)
    try:
        found += all_nodes(secured, given, device, outside)
        yield [*found, ("operator", asked.node)]
    finally:
        asked.close()
        for _, node in found:
            node.destroy_node()
        rclpy.try_shutdown()
        rclpy.try_shutdown(context=outside)
        bus.close()
        context.undo()


def all_nodes(
    arm: Arm, given: dict[str, str], device: str, outside: Context
) -> list[tuple[str, Any]]:
    """Return the nodes beside that of the operator."""
    return [
        ("gate_node", configured(GateNode(), **given, real_hardware=False)),
        ("policy_node", configured(PolicyNode(), **given)),
        ("teleop_node", configured(TeleopNode(), **given, device=device)),
        ("recorder_node", RecorderNode()),
        ("sensor_node", SensorNode(lambda node: (Dark(), {}), context=outside)),
        *arm_nodes(arm),
        *([] if arm.side else [("operator_node", OperatorNode())]),  # it sees one arm
    ]


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


def test_every_node_may_do_what_it_does(
    secured: Arm, nodes: list[tuple[str, Any]], graph_file: Path
) -> None:
    """Asked of the ROS graph itself: a topic that is added without its permission shows here."""
    policy, graph = secured.policy(graph_file), secured.graph(graph_file)
    end = time.monotonic() + 10.0
    while time.monotonic() < end and not all(opened(node)["publish"] for _, node in nodes):
        time.sleep(0.05)
    does: dict[str, dict[str, set[str]]] = {}
    for executable, node in nodes:
        allowed, names = policy[enclave_of(executable)], opened(node)
        all_of_it = does.setdefault(executable, {kind: set() for kind in ALLOWED})
        for kind in ALLOWED:
            all_of_it[kind] |= names[kind]
            for name in names[kind]:
                assert any(matches(p, name) for p in allowed[kind]), (executable, kind, name)
    command = secured.name(graph.controller.command_topic)
    gate, arm = does["gate_node"], does["so101_node" if secured.servos else "sim_arm_node"]
    assert {executable for executable in does if command in does[executable]["publish"]} == {
        "gate_node"
    }
    assert command in arm["subscribe"]
    grips = {secured.name(name) for name in grip_actions(graph)}
    assert gate["call"] == grips <= arm["execute"]
    modes = {secured.name(name) for name in graph.modes.topics.values()} if graph.modes else set()
    assert modes <= gate["subscribe"] & does["recorder_node"]["subscribe"] & arm["publish"]
    assert secured.name("sim2arm/request") in does["policy_node"]["publish"]
    assert "/sensor/touch_left_rgb/image_raw" in does["sensor_node"]["publish"]
    assert "/sensor/touch_left_rgb/image_raw" in does["recorder_node"]["subscribe"]
    assert secured.name("gate_node/state") in does["teleop_node"]["subscribe"]
    assert len(does["recorder_node"]["subscribe"]) > 20
    services = {secured.name(f"so101/{name}") for name in ("hold", "release")}
    assert (services <= arm["reply"]) is secured.servos


def test_the_fallback_refuses_a_secured_domain() -> None:
    """It has no DDS security: nodes that seemed secured would be open."""
    env = {**os.environ, "ROS_SECURITY_ENABLE": "true"}
    command = [sys.executable, "-m", "sim2arm_ros.executables", "gate_node"]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "ROS_SECURITY_ENABLE is set, and the fallback over Cyclone DDS knows no" in line
