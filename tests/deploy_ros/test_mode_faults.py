# pyright: standard, reportMissingModuleSource=false
"""A robot's own modes between real processes: any change and silence stop the arm, for good."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from franka_msgs.msg import FrankaRobotState  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import LifecycleNode  # noqa: E402
from rclpy.node import Node  # noqa: E402
from std_msgs.msg import Bool, Float64  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from ur_dashboard_msgs.msg import RobotMode, SafetyMode  # noqa: E402

from sim2arm_ros.graph_file import ROBOT_FILES, read_graph  # noqa: E402
from sim2arm_ros.launcher import private_domain  # noqa: E402
from sim2arm_ros.mode_topics import ModeTopics  # noqa: E402
from sim2arm_ros.node_support import Endpoints, latched, streaming  # noqa: E402

from .rig import (  # noqa: E402
    Rig,
    assert_no_command_since,
    assert_speed,
    assert_stopped,
)
from .swinging import write_swinging  # noqa: E402
from .test_faults import REACTION  # noqa: E402
from .witness import assert_fine  # noqa: E402

pytestmark = pytest.mark.timeout(120)
STATE = "/franka_robot_state_broadcaster/robot_state"


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An arm with the names of an FR3; its modes may be silent for longer, as machines are busy."""
    folder = tmp_path_factory.mktemp("modes")
    text = (ROBOT_FILES / "fr3.yaml").read_text()
    (folder / "fr3.yaml").write_text(text.replace("timeout_s: 0.1", "timeout_s: 0.3"))
    rig = Rig(
        write_swinging(folder / "bundle"), folder / "logs", robot=str(folder / "fr3.yaml"),
        joints="/franka/joint_states", more={STATE: FrankaRobotState},
    )  # fmt: skip
    yield rig
    rig.close()


@pytest.fixture
def rig(processes: Rig) -> Iterator[Rig]:
    processes.relay.states.clear()
    yield processes
    assert_speed(processes)
    assert_fine([message for _, message in processes.relay.commands], processes.relay.references)


def reset(rig: Rig) -> Any:
    return rig.operator.call(Trigger, "/gate_node/reset", Trigger.Request())


def _reflex(message: FrankaRobotState) -> FrankaRobotState:
    message.robot_mode = FrankaRobotState.ROBOT_MODE_REFLEX
    message.current_errors.cartesian_reflex = True
    return message


def test_the_report_tells_the_modes_and_a_robot_that_is_not_well_keeps_it_red(rig: Rig) -> None:
    rig.relay.changes[STATE] = _reflex
    assert rig.operator.transition("gate_node", "configure")
    rig.wait(lambda: rig.operator.gate.get("robot mode") == "REFLEX", "diagnostics")
    assert not rig.operator.transition("gate_node", "activate")
    rig.wait(lambda: "robot mode" in rig.red("gate_node"), "red report")
    assert "errors of the robot" in rig.red("gate_node")
    assert rig.state() == "HOLD"  # it was never well: no fault yet
    rig.relay.changes.clear()
    rig.bring_up()
    measured = {i.name: i.measured for i in rig.operator.reports["gate_node"]}
    assert measured["robot mode"] == "MOVE"
    assert measured["controller franka_robot_state_broadcaster"] == "active"


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_reflex, "robot mode: expected MOVE, got REFLEX"), (lambda _: None, "robot_state is silent")],
    ids=["reflex", "silence"],
)
def test_a_robot_that_stops_itself_stops_the_gate_until_somebody_resets_it(
    rig: Rig, change: Callable[[FrankaRobotState], Any], reason: str
) -> None:
    rig.swing()
    rig.relay.changes[STATE] = change
    since = time.monotonic()
    rig.wait(lambda: rig.state() == "FAULT", "FAULT")
    assert reason in rig.reason()
    assert_stopped(rig, since)
    assert_no_command_since(rig, since, grace=REACTION)
    assert not reset(rig).success
    rig.relay.changes.clear()
    rig.wait(rig.policy_stopped, "policy that stops")
    assert rig.operator.transition("policy_node", "deactivate")
    rig.operator.activate("policy_node")  # the robot is well again, and somebody starts the policy
    rig.pause(0.5)
    assert rig.state() == "FAULT"
    assert_no_command_since(rig, since, grace=REACTION)
    assert rig.operator.transition("policy_node", "deactivate")
    assert reset(rig).success
    rig.swing()


# -- latched topics ----------------------------------------------------------------------------


class _Robot(Node):
    """What ur_robot_driver publishes of its state."""

    def __init__(self) -> None:
        super().__init__("driver")
        modes = read_graph(robot="ur5e").modes
        assert modes is not None
        kinds: dict[str, Any] = {
            "robot_mode": RobotMode, "safety_mode": SafetyMode, "program_running": Bool,
        }  # fmt: skip
        self.latched = {
            name: self.create_publisher(kind, modes.topics[name], latched())
            for name, kind in kinds.items()
        }
        self.speed = self.create_publisher(Float64, modes.topics["speed_scaling"], streaming(10))


def test_what_is_said_once_holds_while_somebody_publishes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    rclpy.init(args=[])
    robot = _Robot()
    robot.latched["robot_mode"].publish(RobotMode(mode=RobotMode.RUNNING))
    robot.latched["safety_mode"].publish(SafetyMode(mode=SafetyMode.NORMAL))
    robot.latched["program_running"].publish(Bool(data=True))
    node, heard = LifecycleNode("gate"), dict[str, Any]()
    endpoints, modes = Endpoints(node), read_graph(robot="ur5e").modes
    assert modes is not None
    calls: list[str] = []

    def hear(topic: str, values: Any, steady_ns: int) -> None:
        heard[topic] = values
        calls.append(topic)

    topics = ModeTopics(node, endpoints, modes, 0.05, hear)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(robot)

    def spin(until: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 10.0
        while not until():
            assert time.monotonic() < end, f"no {what}: {heard}"
            robot.speed.publish(Float64(data=100.0))
            executor.spin_once(0.002)
            topics.look()

    try:
        spin(lambda: len(heard) == 4, "modes")
        well = {
            "robot_mode": {"mode": 7}, "safety_mode": {"mode": 1},
            "program_running": {"data": True}, "speed_scaling": {"data": 100.0},
        }  # fmt: skip
        assert heard == well
        calls.clear()
        end = time.monotonic() + 0.5
        spin(lambda: time.monotonic() > end, "time")
        # Streams are handed on once per period of 0.05 s, though they come much more often.
        assert calls.count("speed_scaling") == len(calls) <= 11
        robot.latched["safety_mode"].publish(SafetyMode(mode=SafetyMode.PROTECTIVE_STOP))
        spin(lambda: heard["safety_mode"] == {"mode": 3}, "protective stop")
        robot.destroy_publisher(robot.latched["safety_mode"])
        spin(lambda: heard["safety_mode"] is None, "publisher that is gone")
    finally:
        executor.shutdown()
        endpoints.close()
        node.destroy_node()
        robot.destroy_node()
        rclpy.try_shutdown()
