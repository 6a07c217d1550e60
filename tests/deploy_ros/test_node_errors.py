# pyright: standard, reportMissingModuleSource=false
"""Each node's error paths: one line in the log, and no publisher of commands."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.plain import dump_yaml, to_plain
from sim2arm.core.robots import FR3
from sim2arm.core.trajectory import Trajectory
from sim2arm.policies.signature import make_key, sign
from sim2arm.sim.cameras import scene_camera
from sim2arm.sim.vision import Sight, Vision
from sim2arm_ros.dds import backend, install
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401

install()

import rclpy  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from sim2arm_ros import gate_node, healthy, policy_node, sim_arm_node  # noqa: E402
from sim2arm_ros.asker import Phase  # noqa: E402
from sim2arm_ros.convert import change_message, status_message  # noqa: E402
from sim2arm_ros.gate_machine import HELD  # noqa: E402
from sim2arm_ros.gate_state import Command, GateState  # noqa: E402
from sim2arm_ros.graph_file import DEFAULT_GRAPH  # noqa: E402
from sim2arm_ros.launcher import private_domain  # noqa: E402
from sim2arm_ros.node_support import streaming  # noqa: E402
from sim2arm_ros.requests import Request  # noqa: E402
from tests.tables import Table  # noqa: E402

from .rig import COMMANDS  # noqa: E402
from .swinging import swinging_contract, swinging_files, write_swinging  # noqa: E402

HOME = np.asarray(FR3.home)
OK, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR
WALKS = 1000


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A domain of its own, of rclpy's default context."""
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture(params=["gate", "policy"])
def node(request: pytest.FixtureRequest, domain: None) -> Iterator[Any]:
    made = gate_node.GateNode() if request.param == "gate" else policy_node.PolicyNode()
    yield made
    made.destroy_node()


@pytest.fixture
def lines(node: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the node logs as an error."""
    seen: list[str] = []
    monkeypatch.setattr(node.get_logger(), "error", lambda text, **_: seen.append(text))
    logger = node.get_logger()
    monkeypatch.setattr(node, "get_logger", lambda: logger)
    return seen


def set_parameters(node: Any, **values: Any) -> None:
    if node.has_parameter("real_hardware"):
        values = {"real_hardware": False} | values
    for name, value in values.items():
        assert node.set_parameters([Parameter(name, value=value)])[0].successful


def publishers(node: Any, count: int) -> bool:
    """Return whether there are so many publishers of commands; the graph is told within 5 s."""
    end = time.monotonic() + 5.0
    while node.count_publishers(COMMANDS) != count and time.monotonic() < end:
        time.sleep(0.001)
    return node.count_publishers(COMMANDS) == count


def assert_publishers(node: Any, count: int) -> None:
    """Assert how many publishers of commands there are."""
    assert publishers(node, count)


def assert_refused(node: Any, lines: list[str], text: str) -> None:
    assert node.trigger_configure() is FAILURE
    assert len(lines) == 1 and lines[0].startswith("not configured: ") and text in lines[0]
    assert "\n" not in lines[0]
    assert_publishers(node, 0)
    assert node.trigger_shutdown() is OK  # from unconfigured


def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> str:
    """Return the one line with which a gate with these parameters is not configured."""
    gate, said = gate_node.GateNode(), list[str]()
    logger = gate.get_logger()
    monkeypatch.setattr(logger, "error", lambda text, **_: said.append(text))
    monkeypatch.setattr(gate, "get_logger", lambda: logger)
    set_parameters(gate, bundle=str(write_swinging(tmp_path / "bundle")), **parameters)
    assert gate.trigger_configure() is FAILURE
    gate.destroy_node()
    (line,) = said
    return line


@pytest.mark.parametrize(
    ("name", "value"),
    [("request_timeout_s", float("nan")), ("request_timeout_s", float("inf")),
     ("request_timeout_s", 0.0), ("request_timeout_s", 1.5), ("clock_freeze_s", float("nan"))],
)  # fmt: skip
def test_a_budget_that_switches_a_watchdog_off_is_refused(
    domain: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    said = refusal(tmp_path, monkeypatch, **{name: value})
    assert said == f"not configured: {name}: expected more than 0, at most 1 s, got {value}"


@pytest.mark.parametrize(
    ("text", "line"),
    [("low: [0.9, -1, 0], high: [0.5, 1, 1], table_height: 0.0", "the least first"),
     ("low: [0, -1, 0], high: [.nan, 1, 1], table_height: 0.0", "high[0]: expected a finite"),
     ("low: [0, -1, 0], high: [1, 1, 1], table_height: .inf", "height: expected a finite")],
)  # fmt: skip
def test_a_workspace_that_holds_everything_is_refused(
    domain: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: str
) -> None:
    graph = tmp_path / "graph.yaml"
    graph.write_text(DEFAULT_GRAPH.read_text() + f"\nworkspace: {{{text}}}\n")
    assert line in refusal(tmp_path, monkeypatch, graph=str(graph))


def test_a_hold_outlives_a_gate_that_could_not_be_configured(
    domain: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("a name that ROS does not take")

    gate = gate_node.GateNode()
    set_parameters(gate, bundle=str(write_swinging(tmp_path / "bundle")))
    assert gate.trigger_configure() is OK
    assert gate._flight is not None
    gate._flight.operator_hold()
    assert gate.trigger_cleanup() is OK
    with monkeypatch.context() as patch:
        patch.setattr(gate, "_connect", broken)
        assert gate.trigger_configure() is FAILURE
    assert gate.trigger_configure() is OK
    assert gate.machine is not None and gate.machine.stops == {HELD: HELD}
    gate.destroy_node()


class Deciding:
    """A flight whose machine is active; says what was withheld."""

    def __init__(self) -> None:
        self.machine = SimpleNamespace(state=GateState.ACTIVE, session="s", stops=set[str]())
        self.withheld, self.answers = list[float](), list[Any]()

    def withhold(self, waited: float, steady_ns: int) -> None:
        self.withheld.append(waited)
        both, still = np.stack([HOME, HOME])[None], np.zeros((1, 2, 7))
        way = Trajectory(times=np.array([[0.0, 1 / 60]]), q=both, dq=still)
        self.answers.append(("s", 1, way, np.zeros(7)))

    def answer(self) -> Any:
        return self.answers.pop() if self.answers else None


@pytest.mark.parametrize("width", [None, 0.04])
@pytest.mark.parametrize(("waited_s", "sent"), [(0.0, 1), (0.03, 0)])
def test_what_waited_too_long_moves_neither_arm_nor_gripper(
    domain: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    waited_s: float, sent: int, width: float | None,
) -> None:  # fmt: skip
    """The process stood still between the decision and the write; the policy is told."""
    gate, published, told, widths = gate_node.GateNode(), list[Any](), list[Any](), list[float]()
    set_parameters(gate, bundle=str(write_swinging(tmp_path / "bundle")))
    assert gate.trigger_configure() is OK
    flight = Deciding()
    monkeypatch.setattr(gate._command, "publish", published.append)
    monkeypatch.setattr(gate._changed, "publish", told.append)
    monkeypatch.setattr(gate, "_publish_state", lambda **_: None)
    monkeypatch.setattr(gate, "_flight", flight)

    def command(wanted: float, then: Callable[[], None]) -> None:
        widths.append(wanted)
        then()

    hand = SimpleNamespace(begin=lambda width: None, command=command)
    monkeypatch.setattr(gate, "_gripper", hand)
    both, still = np.stack([HOME, HOME])[None], np.zeros((1, 2, 7))
    way = Trajectory(times=np.array([[0.0, 1 / 60]]), q=both, dq=still)
    request = Request(session="s", tick=1, stamp_ns=1, q=HOME, dq=0 * HOME, width=width)
    one = Command(trajectory=way, stamp_ns=1, elapsed=0.0, request=request, spare_s=0.02)
    gate._send(one, time.monotonic_ns() - round(waited_s * 1e9))
    assert len(published) == sent and len(widths) == (sent if width is not None else 0)
    assert len(flight.withheld) == len(told) == 1 - sent
    assert all(waited > 0.03 for waited in flight.withheld)
    flight.machine.session = "another"  # it ended while the gripper was asked
    gate._send(one, time.monotonic_ns())
    assert len(published) == sent
    monkeypatch.undo()
    gate.destroy_node()


def test_no_bundle(node: Any, lines: list[str]) -> None:
    assert_refused(node, lines, "expected the folder of a policy bundle")


def test_bundle_that_does_not_exist(node: Any, lines: list[str], tmp_path: Path) -> None:
    set_parameters(node, bundle=str(tmp_path / "none"))
    assert_refused(node, lines, "none: expected the folder of a policy bundle, found none")


@pytest.mark.parametrize("build", [gate_node.GateNode, policy_node.PolicyNode])
def test_only_bundles_of_trusted_keys_are_configured(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_swinging(tmp_path / "bundle")
    for name in ("ada", "eve"):
        make_key(tmp_path / name, name)
    for variable, value in private_domain().items():
        monkeypatch.setenv(variable, value)
    rclpy.init(args=["--ros-args", "-p", f"trusted_keys:={tmp_path / 'ada.pub'}"])
    node = build()
    try:
        set_parameters(node, bundle=str(folder))
        assert node.trigger_configure() is FAILURE
        assert_publishers(node, 0)
        signature = folder / "manifest.yaml.sig"
        signature.write_bytes(sign((folder / "manifest.yaml").read_bytes(), tmp_path / "eve"))
        assert node.trigger_configure() is FAILURE
        # Nobody in the domain may ask for less than the start did.
        assert not node.set_parameters([Parameter("trusted_keys", value="")])[0].successful
        assert node.trigger_configure() is FAILURE
        signature.write_bytes(sign((folder / "manifest.yaml").read_bytes(), tmp_path / "ada"))
        assert node.trigger_configure() is OK
        assert [item.measured for item in node.report() if item.name == "bundle"] == [
            "verified, with a trusted signature"
        ]
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def test_trusted_keys_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in private_domain().items():
        monkeypatch.setenv(variable, value)
    rclpy.init(args=["--ros-args", "-p", "trusted_keys:=nowhere"])
    node = gate_node.GateNode()
    said: list[str] = []
    logger = node.get_logger()
    monkeypatch.setattr(logger, "error", lambda text, **_: said.append(text))
    monkeypatch.setattr(node, "get_logger", lambda: logger)
    try:
        set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")))
        assert node.trigger_configure() is FAILURE
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    (line,) = said
    assert "not configured: nowhere: the file of trusted keys cannot be read" in line


def test_a_run_whose_first_request_was_lost_begins_again(domain: None, tmp_path: Path) -> None:
    """Two machines that have just met: the gate never heard of tick 0, and ignores the others."""
    node = policy_node.PolicyNode()
    set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")))
    assert node.trigger_configure() is OK
    asker, sessions = node._asker, []
    assert asker is not None
    asker.wait()
    for _ in range(2):
        start = time.monotonic_ns()
        asker.ready = (np.zeros(7), 1, start)
        assert asker.due(start) == 0 and asker.phase is Phase.RUNNING
        sessions.append(asker.requests.session)
        assert asker.due(start + 400_000_000) == 23  # 24 periods of 1/60 s: 0.4 s are patience
        assert asker.due(start + 600_000_000) is None and asker.phase is Phase.WAITING
    assert sessions[0] != sessions[1]
    values = {"state": "HOLD", "session": sessions[0]}  # it heard after all: the arm has moved
    asker.on_gate_state(status_message(DiagnosticStatus.WARN, "gate", "", values))
    assert asker.phase is Phase.STOPPED
    node.destroy_node()


@pytest.mark.parametrize(("lock_step", "heard"), [(False, True), (True, False)])
def test_in_lock_step_what_the_gate_said_of_a_tick_before_the_last_is_no_news(
    domain: None, tmp_path: Path, lock_step: bool, heard: bool
) -> None:
    """The gate has judged the last one wherever it went on from, and said nothing of it."""
    node = policy_node.PolicyNode()
    set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")), lock_step=lock_step)
    assert node.trigger_configure() is OK
    asker = node._asker
    assert asker is not None
    requests, names = asker.requests, asker._names
    asker.ready = (HOME, 1, time.monotonic_ns())
    asker.begin()
    for stamp in range(3):
        requests.ask(np.zeros(6), HOME, stamp)
    way = Trajectory(
        times=np.array([[0.0, 1e-3]]), q=np.tile(HOME, (1, 2, 1)), dq=np.zeros((1, 2, 7))
    )
    for session, tick in (("another", 1), (requests.session, 1)):
        tag = f"{session}/{tick}"
        asker.on_changed(change_message(way, np.zeros(7), names, tag))
        assert requests.ask(np.zeros(6), HOME, 4).told is (heard and session == requests.session)
    message = change_message(way, np.zeros(7), names, f"{requests.session}/3")
    message.points[0].accelerations = [0.0]
    asker.on_changed(message)
    assert asker.phase is Phase.STOPPED  # what the gate says is no way: nobody goes on
    node.destroy_node()


def test_a_node_that_does_not_answer_is_not_healthy(
    domain: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(healthy, "_PATIENCE_S", 0.3)
    assert healthy.ask("nobody") == 1
    assert "nobody does not answer within 0.3 s" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["healthy", "two words"])
    assert healthy.main() == 2


def test_graph_with_an_unknown_key(node: Any, lines: list[str], tmp_path: Path) -> None:
    graph = tmp_path / "graph.yaml"
    graph.write_text(DEFAULT_GRAPH.read_text() + "\nspeling: 1\n")
    set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")), graph=str(graph))
    assert_refused(node, lines, "speling")


def test_graph_without_an_input(node: Any, lines: list[str], tmp_path: Path) -> None:
    graph = tmp_path / "graph.yaml"
    graph.write_text(DEFAULT_GRAPH.read_text().replace("goal_pose:", "other_pose:"))
    set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")), graph=str(graph))
    assert_refused(node, lines, "'goal_pose' has no binding")


def test_graph_with_a_topic_that_ros_does_not_accept(
    node: Any, lines: list[str], tmp_path: Path
) -> None:
    graph = tmp_path / "graph.yaml"
    graph.write_text(DEFAULT_GRAPH.read_text().replace("joint_states", "joint states"))
    set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")), graph=str(graph))
    assert_refused(node, lines, "joint states")


def test_robot_that_is_not_known(node: Any, lines: list[str], tmp_path: Path) -> None:
    files = swinging_files(swinging_contract(robot="hal"))
    set_parameters(node, bundle=str(files.write(tmp_path / "bundle")))
    assert_refused(node, lines, "robot 'hal' is not known")


def test_lifecycle_of_a_good_bundle_leaves_nothing_behind(node: Any, tmp_path: Path) -> None:
    set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")))
    before = (len(list(node.publishers)), len(list(node.subscriptions)), len(list(node.timers)))
    for _ in range(3):
        assert node.trigger_configure() is OK
        assert node.trigger_activate() is FAILURE  # nothing is published here: red
        assert node.trigger_cleanup() is OK
        now = (len(list(node.publishers)), len(list(node.subscriptions)), len(list(node.timers)))
        assert now == before
    assert_publishers(node, 0)


def test_a_transition_that_raises_leaves_no_publisher(
    node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")))

    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(node._endpoints, "timer", fail)
    assert node.trigger_configure() is ERROR
    assert_publishers(node, 0)
    monkeypatch.undo()
    assert node.trigger_configure() is OK  # error processing ended in unconfigured


GOALS = {
    ("unconfigured", "configure"): "inactive",
    ("inactive", "cleanup"): "unconfigured",
    ("inactive", "activate"): "inactive",  # red here
}


def walk(node: Any, steps: int, random: np.random.Generator) -> int:
    """Make transitions at random from unconfigured and back; return in how many all was not well.

    Where the state does not allow one, rclpy raises. A gate has its publisher of commands while it
    is configured, and it is silent while it is not active.
    """
    state, wrong = "unconfigured", 0
    labels = ["configure", "cleanup", "activate", "deactivate"]
    for label in [str(random.choice(labels)) for _ in range(steps)] + ["cleanup"]:
        if label == "cleanup" and state == "unconfigured":
            break
        trigger = getattr(node, f"trigger_{label}")
        if (state, label) in GOALS:
            trigger()
            state = GOALS[state, label]
        else:
            with pytest.raises(Exception, match=r"not possible|not registered|Invalid"):
                trigger()
        gate = isinstance(node, gate_node.GateNode)
        wrong += publishers(node, int(state == "inactive" and gate)) is False
    return wrong


def test_random_transitions_never_publish_outside_of_active(node: Any, tmp_path: Path) -> None:
    set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")))
    assert walk(node, 40, np.random.default_rng(0)) == 0


@pytest.mark.faults
def test_a_thousand_random_walks_through_the_lifecycle(
    node: Any, tmp_path: Path, table: Table
) -> None:
    set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")))
    random = np.random.default_rng(1)
    wrong = sum(walk(node, 8, random) > 0 for _ in range(WALKS))
    case = f"lifecycle of {node.get_name()}"
    table.none_of(case, "walks in which a publisher was there or was not", wrong, WALKS, seed=1)
    assert wrong == 0


def test_gate_refuses_real_hardware_on_the_fallback_and_in_lock_step(
    domain: None, tmp_path: Path
) -> None:
    gate = gate_node.GateNode()
    set_parameters(gate, bundle=str(write_swinging(tmp_path / "bundle")), real_hardware=True)
    if "fallback" in backend():
        assert gate.trigger_configure() is FAILURE
        set_parameters(gate, allow_fallback_on_hardware=True, real_hardware=True)
    assert gate.trigger_configure() is OK
    assert gate.trigger_cleanup() is OK
    set_parameters(gate, lock_step=True, real_hardware=True)
    assert gate.trigger_configure() is FAILURE
    gate.destroy_node()


def test_qos_that_does_not_match_is_in_the_report_within_2_s(node: Any, tmp_path: Path) -> None:
    set_parameters(node, bundle=str(write_swinging(tmp_path / "bundle")))
    other = Node("driver")
    other.create_publisher(JointState, "/joint_states", streaming(10, reliable=False))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(other)
    assert node.trigger_configure() is OK
    for _ in range(100):  # 2 s
        executor.spin_once(0.02)
    items = {item.name: item for item in node.report()}
    item = items["QoS of all topics"]
    assert not item.ok and "/joint_states from driver" in item.measured
    assert "est effort" in item.measured
    executor.shutdown()
    other.destroy_node()


# -- executables -------------------------------------------------------------------------------


def run_executable(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sim2arm_ros.executables", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [(), ("gate",), ("--help",)])
def test_an_unknown_executable_is_one_line(arguments: tuple[str, ...]) -> None:
    result = run_executable(*arguments)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "expected one of policy_node" in result.stderr


@pytest.mark.parametrize(
    ("parameter", "text"),
    [("task:=juggle", "task 'juggle' is not known"), ("robot:=hal", "robot 'hal' is not known"),
     ("control_hz:=61.0", "control_hz must be one of")],
)  # fmt: skip
def test_a_simulated_arm_that_cannot_be_built_is_one_line(parameter: str, text: str) -> None:
    result = run_executable("sim_arm_node", "--ros-args", "-p", parameter)
    assert result.returncode == 2
    assert text in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "vision: .*No such file"),
        ("sights: []", "vision: sights: expected at least one"),
        (dump_yaml(to_plain(Vision(sights=(Sight(camera=scene_camera(body="no body")),)))),
         "camera 'scene': .*'no body'"),
    ],
)  # fmt: skip
def test_cameras_that_a_simulated_arm_cannot_have_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "vision.yaml"
    if text is not None:
        path.write_text(text)
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    rclpy.init(args=["--ros-args", "-p", f"vision:={path}", "-p", "task:=reach"])
    try:
        with pytest.raises(ValueError, match=said) as error:
            sim_arm_node.SimArmNode()
        assert "\n" not in str(error.value)
    finally:
        rclpy.try_shutdown()
