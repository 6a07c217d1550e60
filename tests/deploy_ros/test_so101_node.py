# pyright: standard, reportMissingModuleSource=false
"""so101_node as a process on a fake bus: what the gate asks of an arm, motion, silence, faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.core.contract import LowLevelSpec
from sim2arm.core.robots import SO101
from sim2arm.core.trajectory import Trajectory
from sim2arm.sensors.teleop.servo_packets import TICK
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from control_msgs.action import GripperCommand  # noqa: E402
from control_msgs.msg import JointTrajectoryControllerState  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import LifecycleNode  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from sim2arm_ros.activation import chain_items, problems  # noqa: E402
from sim2arm_ros.controller_facts import ControllerFacts  # noqa: E402
from sim2arm_ros.convert import command_message  # noqa: E402
from sim2arm_ros.graph import prefixed_chain  # noqa: E402
from sim2arm_ros.graph_file import read_graph  # noqa: E402
from sim2arm_ros.launcher import Launch, Place, driver, private_domain  # noqa: E402
from sim2arm_ros.node_support import Endpoints, latched, streaming  # noqa: E402

from .servos import FakeServos  # noqa: E402
from .swinging import swinging_contract  # noqa: E402
from .test_servo_arm import HOME  # noqa: E402

pytestmark = pytest.mark.timeout(60)
PLACE = Place(robot="so101", prefix="left_", namespace="/left")
GRAPH = read_graph(robot="so101", prefix="left_")
NAMES = tuple(f"left_{name}" for name in SO101.joint_names)


def make_contract() -> Any:
    """Return what of a contract the gate asks the controller for."""
    low = LowLevelSpec(
        kind="joint_impedance", kp=SO101.kp, kd=SO101.kd,
        kp_range=tuple((0.9 * k, 1.1 * k) for k in SO101.kp),
        kd_range=tuple((0.9 * k, 1.1 * k) for k in SO101.kd),
    )  # fmt: skip
    contract = swinging_contract()
    chain = prefixed_chain(SO101.chain, "left_")
    return replace(
        contract, robot="so101", joint_names=NAMES, chain=chain.to_dict(), low_level=low,
        limits=SO101.limits, inputs=(replace(contract.inputs[0], element_names=NAMES, shape=(5,),
                                             low=None, high=None),), states=(),
    )  # fmt: skip


class Watcher(LifecycleNode):
    """Stands where the gate stands: hears the arm, and commands it."""

    def __init__(self) -> None:
        super().__init__("watcher", namespace="/left")
        self.endpoints = Endpoints(self)
        self.joints: list[tuple[float, JointState]] = []
        self.status, self.description = "", ""
        self.reference: Any = None
        listen = self.create_subscription
        listen(JointState, "joint_states", self._on_joints, streaming(10))
        listen(DiagnosticStatus, "so101/status", self._on_status, streaming(10))
        listen(String, "robot_description", self._on_description, latched())
        state = GRAPH.controller.state_topic
        listen(JointTrajectoryControllerState, state, self._on_reference, streaming(10))
        self.command = self.create_publisher(
            JointTrajectory, GRAPH.controller.command_topic, streaming(1)
        )
        self.facts = ControllerFacts(self.endpoints, GRAPH.controller, make_contract())
        self.endpoints.timer(0.2, self.facts.ask)
        self.jaw = ActionClient(self, GripperCommand, GRAPH.gripper.name)

    def _on_joints(self, message: JointState) -> None:
        self.joints.append((time.monotonic(), message))

    def _on_status(self, message: DiagnosticStatus) -> None:
        self.status = message.message

    def _on_description(self, message: String) -> None:
        self.description = message.data

    def _on_reference(self, message: JointTrajectoryControllerState) -> None:
        self.reference = message.reference

    def q(self) -> np.ndarray:
        return np.array(self.joints[-1][1].position)


class Arm:
    """The process, the bus behind it, and who watches."""

    def __init__(self, folder: Path) -> None:
        self.bus = FakeServos(HOME)
        node = driver("so101_node", PLACE, port=self.bus.path)
        self.launch = Launch([node], log_folder=folder)
        self.watcher = Watcher()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.watcher)

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = 15.0) -> None:
        end = time.monotonic() + timeout
        while not condition():
            log = self.launch.tail("left_so101_node", 20)
            assert time.monotonic() < end, f"no {what}: {log}"
            self._executor.spin_once(0.02)

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end, "time")

    def ask(self, name: str) -> Any:
        client = self.watcher.create_client(Trigger, f"so101/{name}")
        self.wait(client.service_is_ready, name)
        future = client.call_async(Trigger.Request())
        self.wait(future.done, name)
        return future.result()

    def close(self) -> None:
        self._executor.shutdown()
        self.watcher.endpoints.close()
        self.watcher.destroy_node()
        self.launch.close()
        self.bus.close()


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arm]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in private_domain().items():
            patch.setenv(name, value)
        rclpy.init(args=[])
        made = Arm(tmp_path_factory.mktemp("so101"))
        yield made
        made.close()
        rclpy.try_shutdown()


def send(arm: Arm, goal: np.ndarray, seconds: float = 0.5) -> None:
    start = arm.watcher.q()[:5]
    both = Trajectory(
        times=np.array([[0.0, seconds]]), q=np.stack([start, goal])[None], dq=np.zeros((1, 2, 5))
    )
    arm.watcher.command.publish(command_message(both, 0.0, NAMES, 0, ""))


def test_it_answers_what_the_gate_asks(arm: Arm) -> None:
    watcher = arm.watcher
    arm.wait(lambda: watcher.joints and watcher.description, "joint states")
    arm.wait(lambda: not problems(watcher.facts.items()), "facts of the controller")
    chain = chain_items(make_contract(), watcher.description, GRAPH.chain)[0]
    assert not problems(chain)
    assert watcher.joints[-1][1].name == [*NAMES, "left_gripper"]
    assert watcher.status == "OK"
    arm.wait(lambda: len(watcher.joints) > 40, "more joint states")
    rate = 20 / (watcher.joints[-1][0] - watcher.joints[-21][0])
    assert 60.0 < rate < 140.0  # 100 Hz, on a machine that does other things too


def test_it_follows_a_trajectory_and_holds_its_end_when_all_is_silent(arm: Arm) -> None:
    goal = np.array([0.3, -0.2, 0.1, 0.0, 0.0])
    arm.wait(lambda: arm.watcher.joints, "joint states")
    arm.wait(lambda: arm.watcher.command.get_subscription_count() == 1, "controller")
    send(arm, goal)
    arm.wait(lambda: np.abs(arm.watcher.q()[:5] - goal).max() < 2 * TICK, "arm at its goal")
    arm.pause(0.3)  # nobody says anything
    assert np.abs(arm.watcher.q()[:5] - goal).max() < 2 * TICK
    assert arm.watcher.reference.positions == pytest.approx(goal.tolist(), abs=1e-9)
    assert arm.watcher.reference.velocities == pytest.approx([0.0] * 5, abs=1e-9)


def test_the_jaw_is_a_gripper_action(arm: Arm) -> None:
    arm.wait(arm.watcher.jaw.server_is_ready, "action")
    goal = GripperCommand.Goal()
    goal.command.position = 1.0
    sent = arm.watcher.jaw.send_goal_async(goal)
    arm.wait(sent.done, "answer")
    assert sent.result().accepted
    result = sent.result().get_result_async()
    arm.wait(result.done, "result")
    assert result.result().result.reached_goal
    assert arm.watcher.q()[5] == pytest.approx(1.0, abs=0.05)
    goal.command.position = 3.0
    sent = arm.watcher.jaw.send_goal_async(goal)
    arm.wait(sent.done, "answer")
    assert not sent.result().accepted


def test_a_servo_that_falls_silent_is_told_and_nothing_is_written(arm: Arm) -> None:
    arm.bus.servos[3].silent = True
    arm.wait(lambda: "servos [3] did not answer" in arm.watcher.status, "status")
    heard, written = len(arm.watcher.joints), len(arm.bus.written)
    arm.pause(0.2)
    assert (len(arm.watcher.joints), len(arm.bus.written)) == (heard, written)
    arm.bus.servos[3].silent = False
    arm.wait(lambda: arm.watcher.status == "OK", "status OK")


def test_after_a_silence_in_motion_it_stands_and_does_not_jump(arm: Arm) -> None:
    start = arm.watcher.q()[:5]
    send(arm, start + np.array([0.9, 0.0, 0.0, 0.0, 0.0]), seconds=1.5)
    arm.wait(lambda: abs(arm.watcher.q()[0] - start[0]) > 0.2, "arm on its way")
    begun = len(arm.bus.written)
    arm.bus.servos[3].silent = True
    arm.wait(lambda: "servos [3] did not answer" in arm.watcher.status, "status")
    arm.pause(0.5)
    arm.bus.servos[3].silent = False
    arm.wait(lambda: arm.watcher.status == "OK", "status OK")
    arm.pause(0.3)
    goals = np.array([v for at, id, v in arm.bus.written[begun:] if (at, id) == (42, 1)])
    assert len(goals) > 20
    assert np.abs(np.diff(goals)).max() * TICK < 0.1  # half a second of its way is 0.3 rad
    assert abs(arm.watcher.q()[0] - start[0]) < 0.7  # it stands where it was
    assert arm.watcher.reference.velocities == pytest.approx([0.0] * 5, abs=1e-9)


def test_released_it_follows_nothing_until_it_is_told_to_hold(arm: Arm) -> None:
    assert arm.ask("release").success
    arm.wait(lambda: arm.watcher.status == "the arm was released", "status")
    assert not any(servo.memory[40] for servo in arm.bus.servos.values())
    arm.bus.servos[1].position = 2100.0  # it is moved by hand
    send(arm, np.zeros(5))
    arm.pause(0.3)
    assert arm.bus.servos[1].position == 2100.0
    assert arm.ask("hold").success
    arm.wait(lambda: arm.watcher.status == "OK", "status OK")
    arm.pause(0.2)
    assert arm.bus.servos[1].position == pytest.approx(2100.0, abs=1.0)


def test_when_it_is_killed_the_servos_hold_and_an_unplugged_port_is_one_line(arm: Arm) -> None:
    process = arm.launch.processes["left_so101_node"]
    process.kill()
    process.wait(5.0)
    before = [servo.position for servo in arm.bus.servos.values()]
    assert all(servo.memory[40] == 1 for servo in arm.bus.servos.values())
    again = arm.launch.start(driver("so101_node", PLACE, port=arm.bus.path), {})
    count = len(arm.watcher.joints)
    arm.wait(lambda: len(arm.watcher.joints) > count, "joint states of the new process")
    assert [servo.position for servo in arm.bus.servos.values()] == pytest.approx(before, abs=1.0)
    arm.bus.unplug()
    assert again.wait(10.0) == 2
    last = arm.launch.tail("left_so101_node", 1)
    assert last.startswith("so101_node: ") and "Traceback" not in arm.launch.tail(
        "left_so101_node", 50
    )
