# pyright: standard, reportMissingModuleSource=false
"""Real processes with a wire that the tests can cut: arm -> relay -> policy, gate -> arm.

The simulated arm publishes its topics under /raw; a relay in the test process passes them on,
and can stop, change or poison them. A witness hears every command and every joint state of the
arm itself.
"""

from __future__ import annotations

import contextlib
import copy
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from control_msgs.msg import JointTrajectoryControllerState
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from sim2arm.core.robots import FR3
from sim2arm_ros.convert import to_ns, to_stamp
from sim2arm_ros.graph import ControllerBinding
from sim2arm_ros.launcher import Launch, NodeProcess, Place, private_domain, simulated_arm
from sim2arm_ros.node_support import streaming
from sim2arm_ros.supervisor import OperationError, Supervisor

from .witness import assert_fine

COMMANDS = f"/{ControllerBinding().command_topic}"
STREAMS: dict[str, Any] = {
    "/joint_states": JointState,
    "/clock": Clock,
    "/sim_arm/goal_pose": PoseStamped,
}
"""What the relay passes on; the arm publishes it under /raw."""
POLICY_CLOCK = "/policy/clock"
"""What the policy takes for `/clock`: it may run on a machine with a clock of its own."""
PATIENCE = 20.0
"""Longest wait for something that takes well under a second on an idle machine [s]."""


class Relay(Node):
    """Passes messages on, and is the witness."""

    def __init__(self, context: Context, streams: dict[str, Any], joints: str) -> None:
        super().__init__("relay", context=context)
        self._joint_states = joints
        self.changes: dict[str, Callable[[Any], Any]] = {}
        """By topic: what a message becomes; None drops it."""
        self.commands: list[tuple[float, JointTrajectory]] = []
        """(steady time of arrival, message)"""
        self.references: list[tuple[int, np.ndarray]] = []
        """(stamp [ns], position that the controller commands)"""
        self.states: list[tuple[float, int, np.ndarray, np.ndarray]] = []
        """(steady time, stamp [ns], q, dq) of the arm itself, in the order of the robot."""
        self.policy_ahead = 0.0
        """How far the clock of the policy's machine is ahead of the others' [s]."""
        self.delays: dict[str, Callable[[], float | None]] = {}
        """By topic: how much later a message is passed on [s]; None drops it."""
        self._waiting: deque[tuple[float, str, Any]] = deque()
        self._passing: Any = None  # a timer, only where something waits: it costs time
        self._policy_clock = self.create_publisher(Clock, POLICY_CLOCK, streaming(10))
        self._outputs: dict[str, Any] = {}
        for topic, kind in streams.items():
            self._outputs[topic] = self.create_publisher(kind, topic, streaming(10))
            self.create_subscription(
                kind, f"/raw{topic}", lambda m, t=topic: self.on_message(t, m), streaming(100)
            )
        self.create_subscription(JointTrajectory, COMMANDS, self.on_command, streaming(100))
        state = ControllerBinding().state_topic
        self.create_subscription(
            JointTrajectoryControllerState, state, self.on_reference, streaming(100)
        )

    def on_message(self, topic: str, message: Any) -> None:
        if topic == self._joint_states:
            arm = [message.name.index(name) for name in FR3.joint_names if name in message.name]
            values = (np.array(message.position)[arm], np.array(message.velocity)[arm])
            self.states.append((time.monotonic(), to_ns(message.header.stamp), *values))
        change = self.changes.get(topic)
        passed = message if change is None else change(copy.deepcopy(message))
        if passed is None:
            return
        if topic in self.delays:
            late = self.delays[topic]()
            if late is not None:  # in their order
                before = self._waiting[-1][0] if self._waiting else 0.0
                due = max(before, time.monotonic() + late)
                self._waiting.append((due, topic, passed))
                if self._passing is None:
                    self._passing = self.create_timer(0.002, self._pass_due)
            return
        self._outputs[topic].publish(passed)
        if topic == "/clock":
            there = to_ns(passed.clock) + round(self.policy_ahead * 1e9)
            self._policy_clock.publish(Clock(clock=to_stamp(max(0, there))))

    def _pass_due(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, topic, message = self._waiting.popleft()
            self._outputs[topic].publish(message)
        if not self.delays and not self._waiting:
            self.destroy_timer(self._passing)
            self._passing = None

    def on_command(self, message: JointTrajectory) -> None:
        self.commands.append((time.monotonic(), message))

    def on_reference(self, message: JointTrajectoryControllerState) -> None:
        stamp = to_ns(message.header.stamp)
        self.references.append((stamp, np.array(message.reference.positions)))


class Rig:
    """Arm, gate and policy as processes, the relay in a thread, an operator.

    Attributes:
        operator: brings nodes up and watches their states.
        relay: the wire and the witness.
        most_speed: highest measured speed that is fine, in units of the limits.
    """

    def __init__(
        self,
        bundle: Path,
        logs: Path,
        *,
        lock_step: bool = False,
        task: str = "reach",
        vision: Path | None = None,
        touch: Path | None = None,
        more: dict[str, Any] | None = None,
        device: str = "",
        intervene: str = "",
        robot: str = "",
        joints: str = "/joint_states",
        graph: Path | None = None,
    ) -> None:
        """Start everything.

        Args:
            bundle: of the policy.
            logs: folder for the output of the processes.
            lock_step: the arm waits for commands.
            task: what the arm is set up for.
            vision: file with the cameras of the arm.
            touch: file with its gels.
            more: topics of these types that the relay passes on beside `STREAMS`.
            device: of a hand that asks in place of the policy, under its name.
            intervene: of a person who may take over from the policy.
            robot: file of a robot whose names the arm has.
            joints: topic of its joint states.
            graph: another graph.yaml than that of the package.
        """
        self.place = Place(robot=robot, graph=graph)
        self.bundle, self.lock_step = bundle, lock_step
        self.task, self.vision, self.touch = task, vision, touch
        moved = {joints if topic == "/joint_states" else topic: t for topic, t in STREAMS.items()}
        self.streams = moved | (more or {})
        self.most_speed, self.device, self.intervene = 1.0, device, intervene
        self.env = {**private_domain(), "PYTHONFAULTHANDLER": "1"}
        self.launch = Launch([self._arm()], log_folder=logs, env=self.env)
        try:
            for name in ("gate_node", "policy_node"):
                self.start(name)
            self.operator = Supervisor(env=self.env)
            self._context = Context()
            rclpy.init(args=[], context=self._context)
            self.relay = Relay(self._context, self.streams, joints)
            self._executor = SingleThreadedExecutor(context=self._context)
            self._executor.add_node(self.relay)
            self._thread = threading.Thread(target=self._spin, daemon=True)
            self._thread.start()
        except BaseException:
            self.launch.close()
            raise

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _arm(self) -> NodeProcess:
        arm = simulated_arm(
            self.task, "fr3", 60.0, lock_step=self.lock_step, vision=self.vision, touch=self.touch,
            place=self.place,
        )  # fmt: skip
        parameters = dict(arm.parameters)
        if not self.lock_step:
            parameters["substeps_per_state"] = 4  # 120 Hz: kind to a busy machine
        remaps = {topic: f"/raw{topic}" for topic in self.streams}
        return NodeProcess(executable=arm.executable, parameters=parameters, remaps=remaps)

    def start(self, name: str) -> None:
        """Start a process; budgets are generous, because test machines are busy."""
        if name == "sim_arm_node":
            self.judge()  # stamps begin again with a new arm
            self.relay.references.clear()
            self.launch.start(self._arm(), self.env)
            return
        parameters: dict[str, object] = {
            "bundle": str(self.bundle), "use_sim_time": True, "lock_step": self.lock_step,
            **self.place.parameters(),
        }  # fmt: skip
        if name == "gate_node":
            parameters |= {
                "request_timeout_s": 0.3, "clock_freeze_s": 0.3, "real_hardware": False,
            }  # fmt: skip
        if name == "policy_node":
            parameters["device"] = self.intervene
        remaps = {"/clock": POLICY_CLOCK} if name == "policy_node" else {}
        node = NodeProcess(executable=name, parameters=parameters, remaps=remaps)
        if name == "policy_node" and self.device:
            node = NodeProcess(
                executable="teleop_node", label=name, remaps=remaps | {"__node": name},
                parameters=parameters | {"device": self.device},
            )  # fmt: skip
        self.launch.start(node, self.env)

    def close(self) -> None:
        self._executor.shutdown()
        rclpy.try_shutdown(context=self._context)
        self._thread.join(5.0)
        self.relay.destroy_node()
        self.operator.close()
        self.launch.close()

    # -- operating -----------------------------------------------------------------------------

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = PATIENCE) -> None:
        """Run the operator's callbacks until the condition holds."""
        self.operator.spin_until(condition, timeout, what)

    def pause(self, seconds: float) -> None:
        """Let time pass while everything goes on."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end, "time", seconds + PATIENCE)

    def state(self) -> str:
        """Return what the gate said last: HOLD, ACTIVE or FAULT."""
        return self.operator.gate.get("state", "")

    def reason(self) -> str:
        """Return why the gate holds."""
        return self.operator.gate.get("reason", "")

    def red(self, node: str) -> list[str]:
        """Return the names of the red items of the last activation report."""
        return [item.name for item in self.operator.reports.get(node, []) if not item.ok]

    def lifecycle(self, node: str) -> str:
        """Return the lifecycle state of a node.

        A process that was killed stays in the graph for 10 s: a request may go to it alone.
        """
        service = f"/{node}/get_state"
        client = self.operator.node.create_client(GetState, service)
        try:
            for _ in range(15):
                self.wait(client.service_is_ready, f"service {service}")
                future = client.call_async(GetState.Request())
                with contextlib.suppress(OperationError):
                    self.wait(future.done, f"answer of {service}", 1.0)
                    return future.result().current_state.label
            raise AssertionError(f"no answer of {service}")
        finally:
            self.operator.node.destroy_client(client)

    def bring_up(self) -> None:
        """Bring gate and policy up to HOLD, with an inactive policy and a clean wire."""
        self.relay.changes.clear()
        self.relay.delays.clear()
        self.relay.policy_ahead = 0.0
        for name in ("sim_arm_node", "gate_node", "policy_node"):
            if self.launch.processes[name].poll() is not None:
                self.start(name)
        for node in ("gate_node", "policy_node"):
            state = self.lifecycle(node)
            if state == "finalized":
                self.end(node)
                self.start(node)
                state = self.lifecycle(node)
            if state == "unconfigured":
                assert self.operator.transition(node, "configure"), self.launch.tail(node)
            elif state == "active" and node == "policy_node":
                assert self.operator.transition(node, "deactivate")
        if self.lifecycle("gate_node") == "inactive":
            self.operator.activate("gate_node")
        self.wait(self._holding, "gate in HOLD that is ready")

    def _holding(self) -> bool:
        if self.state() == "FAULT":
            self.operator.call(Trigger, "/gate_node/reset", Trigger.Request())
        return self.state() == "HOLD" and self.operator.gate.get("ready") == "True"

    def judge(self) -> None:
        """Let the witness judge every command that was heard, then forget them."""
        heard, self.relay.commands = self.relay.commands, []
        assert_fine([message for _, message in heard], self.relay.references)

    def swing(self) -> None:
        """Bring everything up until the arm swings under the policy; judge what was before.

        A busy machine may make the gate hold before the fault of the test: then once more.
        """
        for _ in range(5):
            self.bring_up()
            self.judge()
            self.operator.policy.clear()
            self.operator.activate("policy_node")
            self.wait(lambda: self._swings() or self.policy_stopped(), "arm that swings")
            if not self.policy_stopped():
                return
        raise AssertionError(f"the arm never swung: {self.state()} {self.reason()}")

    def policy_stopped(self) -> bool:
        """Return whether the policy says that it stopped."""
        return self.operator.policy.get("phase") == "STOPPED"

    def _swings(self) -> bool:
        recent = self.relay.states[-30:]  # a quarter of a second
        fast = bool(recent) and max(float(np.abs(dq).max()) for *_, dq in recent) > 0.1
        return self.state() == "ACTIVE" and len(self.relay.commands) > 25 and fast

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process; wait for its end if it kills."""
        process = self.launch.processes[name]
        process.send_signal(number)
        if number is signal.SIGKILL:
            process.wait(5.0)

    def end(self, name: str) -> None:
        """End a process in order."""
        self.end_process(self.launch.processes[name], name)

    def end_process(self, process: subprocess.Popen[bytes], name: str) -> None:
        """End a process in order; one that stays writes where it hangs, dies and fails the test."""
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait(5.0)
            text = self.launch.tail(name, 60)
            raise AssertionError(f"{name} did not end within 10 s of SIGINT:\n{text}") from None

    def set_parameter(self, node: str, name: str, value: Any) -> None:
        """Set a parameter of a node."""
        message = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[message])
        answer = self.operator.call(SetParameters, f"{node}/set_parameters", request)
        assert answer.results[0].successful, answer.results[0].reason

    def command_publishers(self) -> int:
        """Return how many publishers of commands the graph shows."""
        return self.relay.count_publishers(COMMANDS)


# -- what must always hold ---------------------------------------------------------------------


def assert_stopped(rig: Rig, since: float, within: float = 1.0, stays: float = 0.5) -> None:
    """Assert that the arm came to rest in time and stayed there.

    Args:
        rig: the processes.
        since: steady time of the fault [s].
        within: longest time until every joint is slower than 0.01 rad/s [s], by the arm's clock.
        stays: how long it must stay so [s].
    """
    start = [stamp for at, stamp, *_ in rig.relay.states if at <= since][-1]
    end = start + (within + stays) * 1e9
    rig.wait(lambda: rig.relay.states[-1][1] > end, "joint states of the arm")
    late = [s for s in rig.relay.states if s[0] > since and s[1] > start + within * 1e9]
    worst = max(float(np.abs(dq).max()) for *_, dq in late)
    assert worst < 0.01, f"{worst:.4f} rad/s more than {within} s after the fault"


def assert_speed(rig: Rig) -> None:
    """Assert that the arm was never measured faster than its limits."""
    speed = np.array([np.abs(dq) for *_, dq in rig.relay.states])
    share = (speed / np.array(FR3.limits.dq_max)).max(axis=1)
    assert share.max() < rig.most_speed, f"{share.max():.2f} times the limit"


def assert_no_command_since(rig: Rig, steady: float, grace: float = 0.0) -> None:
    """Assert that no command came more than `grace` seconds after a moment (steady time)."""
    late = [at - steady for at, _ in rig.relay.commands if at > steady + grace]
    assert not late, f"{len(late)} commands, the last {late[-1]:.3f} s after"


def assert_nothing_to_follow_since(rig: Rig, steady: float, grace: float) -> None:
    """Assert that at most one command came since a moment (steady time), and that it was over.

    A process may be stopped between its last look at the clock and the write: then what it was
    about to write comes when it goes on.
    """
    late = [(at, message) for at, message in rig.relay.commands if at > steady + grace]
    assert len(late) <= 1, f"{len(late)} commands, the last {late[-1][0] - steady:.3f} s after"
    for at, message in late:
        ends = message.points[-1].time_from_start
        end_ns = to_ns(message.header.stamp) + ends.sec * 10**9 + ends.nanosec
        now_ns = [stamp for heard, stamp, *_ in rig.relay.states if heard <= at][-1]
        assert now_ns > end_ns, f"it goes on for {(end_ns - now_ns) / 1e9:.3f} s"


def order() -> list[str]:
    """Return the joints of the robot in its order."""
    return list(FR3.joint_names)


def assert_stopped_by_age(
    rig: Rig, inputs: str, begin: Callable[[], None], stop: Callable[[], None]
) -> None:
    """Begin, let the policy run, stop its pictures, and see it stop because of them.

    `inputs` are their names, as a regular expression. A busy machine may make the gate hold before:
    then once more.
    """

    def moves() -> bool:
        return rig.state() == "ACTIVE" and len(rig.relay.commands) > 10

    told: list[str] = []
    for _ in range(5):
        rig.bring_up()
        rig.judge()
        begin()
        rig.operator.policy.clear()
        rig.operator.activate("policy_node")
        try:
            rig.wait(lambda: moves() or rig.policy_stopped(), "arm that moves")
        except OperationError as error:  # seen once: say how it stood, and try again
            said = (
                f"{error}: gate {rig.state()} {rig.reason()!r}, {len(rig.relay.commands)} commands"
            )
            told.append(f"{said}, policy {rig.operator.policy_message!r}")
            rig.operator.transition("policy_node", "deactivate")
            assert len(told) < 2, told
            continue
        if rig.policy_stopped():
            continue
        stop()
        rig.wait(rig.policy_stopped, "policy that stops")
        if re.search(rf"input '({inputs})': (stamp|receipt) age", rig.operator.policy_message):
            rig.wait(lambda: rig.state() == "HOLD", "HOLD")
            rig.judge()
            return
    raise AssertionError(f"the policy stopped because of {rig.operator.policy_message!r}")
