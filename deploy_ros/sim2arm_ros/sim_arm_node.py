"""sim_arm_node: a simulated arm that looks like a ros2_control robot.

Three nodes in one process, as on a robot: `sim_arm` (joint states, `/clock`,
`/robot_description`, the task's inputs, `~/reset`, `~/episode`), `joint_trajectory_controller`
(trajectories in, its state and gains out) and `controller_manager` (`list_controllers`).

In lock step it waits for a command with the stamp of its last observation and then advances by
one control period; while it waits it sends that observation again. In real time it advances with
the steady clock, a few physics substeps at a time, whether commands come or not.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from controller_manager_msgs.msg import ControllerState
from controller_manager_msgs.srv import ListControllers
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Header, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from sim2arm.core.trajectory import Trajectory
from sim2arm.core.urdf import urdf_from_robot
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.robots.actuators import find_actuators
from sim2arm.sim.tasks.table import make_task

from .controller_facts import JOIN_PARAMETERS
from .convert import (
    joint_state_message,
    pose_message,
    status_message,
    to_ns,
    to_stamp,
    trajectory_from,
)
from .graph import ControllerBinding
from .latency import LatencyMeter
from .node_support import STEADY, latched, run_nodes, streaming
from .requests import REQUEST_TOPIC, parse_tag

_FIRST_NS = 1_000_000_000  # a stamp of 0 means none
_AGAIN_S = 0.02
_MOST_BEHIND = 120  # substeps that are made up for at once; beyond that simulated time slips


class SimArmNode(Node):
    """The arm: physics, sensors and episodes."""

    def __init__(self) -> None:
        """Build the world.

        Raises:
            ValueError: an unknown task, robot or actuator model, or a rate without a physics step.
        """
        super().__init__("sim_arm")
        self.declare_parameter("task", "peg-insertion")
        self.declare_parameter("task_settings", "")
        self.declare_parameter("robot", "fr3")
        self.declare_parameter("actuators", "ideal")
        self.declare_parameter("control_hz", 60.0)
        self.declare_parameter("lock_step", False)
        self.declare_parameter("episode_seed", 0)
        self.declare_parameter("substeps_per_state", 0)  # 0: 2, and 3 at the end of an odd period
        value = {name: self.get_parameter(name).value for name in ("task", "robot", "control_hz")}
        self.lock_step = bool(self.get_parameter("lock_step").value)
        task = make_task(str(value["task"]), str(value["robot"]), self._settings())
        robot, actuators = str(value["robot"]), str(self.get_parameter("actuators").value)
        self.arm = SimulatedArm(
            task,
            robot,
            control_hz=float(value["control_hz"]),
            actuators=find_actuators(actuators, robot),
        )
        self.names = list(self.arm.robot.chain.joint_names)
        chosen = 0 if self.lock_step else int(self.get_parameter("substeps_per_state").value)
        self._ends = state_times(self.arm.substeps, chosen, lock_step=self.lock_step)
        self._substep_ns = self.arm.period * 1e9 / self.arm.substeps
        self._substeps_done = 0  # physics substeps since the start
        self.ignored = 0
        self._waiting: tuple[Trajectory, int] | None = None  # the newest command
        self._commander = self._barred = ""  # session of the last command; one that ended by reset
        self._meter = LatencyMeter()
        self._open_topics()
        self.controller = ControllerNode(self)
        self.manager = ManagerNode()
        self.begin_episode()
        shared = math.gcd(*np.diff(self._ends, prepend=0).tolist())
        period = _AGAIN_S if self.lock_step else shared * self._substep_ns / 1e9
        self._start_steady, self._start_done = time.monotonic_ns(), self._substeps_done
        self.create_timer(period, self.on_timer, clock=STEADY)

    def _settings(self) -> str:
        """Return the text of the YAML file with the task's settings, empty without one."""
        path = str(self.get_parameter("task_settings").value)
        try:
            return Path(path).read_text(encoding="utf-8") if path else ""
        except OSError as error:
            raise ValueError(f"task_settings: {path}: {error.strerror}") from error

    def _open_topics(self) -> None:
        self._clock_topic = self.create_publisher(Clock, "/clock", streaming(10))
        self._joints = self.create_publisher(JointState, "/joint_states", streaming(10))
        self._goals = {
            spec.name: (spec, self.create_publisher(PoseStamped, f"~/{spec.name}", streaming(10)))
            for spec in self.arm.task.goals
        }
        self._episode = self.create_publisher(DiagnosticStatus, "~/episode", latched())
        self._latency = self.create_publisher(Float64MultiArray, "~/latency", streaming(1000))
        self._description = self.create_publisher(String, "/robot_description", latched())
        self._description.publish(String(data=urdf_from_robot(self.arm.robot)))
        if not self.lock_step:
            self.create_subscription(JointTrajectory, REQUEST_TOPIC, self.on_request, streaming(10))
        self.create_service(Trigger, "~/reset", self.on_reset)

    @property
    def stamp_ns(self) -> int:
        """Simulated time now [ns]."""
        return _FIRST_NS + round(self._substeps_done * self._substep_ns)

    # -- episodes ------------------------------------------------------------------------------

    def begin_episode(self) -> None:
        """Start the episode of the parameter `episode_seed`; simulated time goes on."""
        self.seed = int(self.get_parameter("episode_seed").value)
        self.arm.reset(self.seed)
        self._substeps_done += self.arm.substeps - self._substeps_done % self.arm.substeps
        self._announced = False
        self.publish_state()
        self._publish_episode()

    def on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Begin the episode of `episode_seed`; answer with the stamp of its first observation."""
        self._barred, self._waiting = self._commander, None
        self.begin_episode()
        self._start_steady, self._start_done = time.monotonic_ns(), self._substeps_done
        response.success, response.message = True, f"stamp_ns={self.stamp_ns}"
        return response

    def _publish_episode(self) -> None:
        arm = self.arm
        done = bool(arm.done[0])
        words = "running" if not done else "success" if arm.success[0] else "failure"
        values = {
            "seed": self.seed, "done": done, "success": bool(arm.success[0]),
            "steps": int(arm.steps[0]), "ended": arm.endings()[0], "stamp_ns": self.stamp_ns,
        }  # fmt: skip
        level = DiagnosticStatus.OK
        self._episode.publish(status_message(level, "episode", words, values))

    # -- time ----------------------------------------------------------------------------------

    def on_timer(self) -> None:
        """Lock step: send the observation again. Real time: catch up with the steady clock."""
        if self.lock_step:
            self.publish_state()
            return
        elapsed = time.monotonic_ns() - self._start_steady
        due = int(elapsed / self._substep_ns) + self._start_done
        behind = due - self._substeps_done
        if behind > _MOST_BEHIND:
            slipped = (behind - _MOST_BEHIND) * self._substep_ns
            self._start_steady += round(slipped)
            self.get_logger().warning(f"simulated time slipped by {slipped / 1e9:.3f} s")
            due = self._substeps_done + _MOST_BEHIND
        self._take_over()
        while self._substeps_done + (group := self._next_group()) <= due:
            self._advance(group)
            self.publish_state()

    def _next_group(self) -> int:
        """Return the substeps until the next joint states."""
        done = self._substeps_done % self.arm.substeps
        return next(end for end in self._ends if end > done) - done

    def _advance(self, substeps: int) -> None:
        self.arm.advance(substeps)
        self._substeps_done += substeps
        if self._substeps_done % self.arm.substeps == 0:
            self._controller_tick()

    def _controller_tick(self) -> None:
        if self.arm.done[0] and not self._announced:
            self._announced = True
            self._publish_episode()

    def publish_state(self) -> None:
        """Publish time, then what the controller commands, joint states and goals of that time.

        Goals come once per control period. Time goes first: a stamp ahead of the clock is refused.
        """
        stamp = self.stamp_ns
        self._clock_topic.publish(Clock(clock=to_stamp(stamp)))
        self.controller.publish_state(stamp)
        q, dq = self.arm.joint_state()
        self._meter.sent(stamp, time.monotonic_ns())
        self._joints.publish(joint_state_message(self.names, q[0], dq[0], stamp))
        if self._substeps_done % self.arm.substeps == 0:
            self.publish_goals()

    def publish_goals(self) -> None:
        """Publish the inputs that the task gives."""
        if self._goals:
            measured = self.arm.measured()
            for name, (spec, topic) in self._goals.items():
                topic.publish(pose_message(measured[name][0], spec.frame or "", self.stamp_ns))

    # -- commands ------------------------------------------------------------------------------

    def on_command(self, message: JointTrajectory) -> None:
        """Execute a trajectory as a joint trajectory controller does."""
        try:
            trajectory = trajectory_from(message, self.names)
        except ValueError as error:
            self.ignored += 1
            self.get_logger().error(f"command ignored: {error}", throttle_duration_sec=1.0)
            return
        self._commander = message.header.frame_id.rpartition("/")[0]
        if self._commander and self._commander == self._barred:
            self.ignored += 1  # it was under way when the arm was put elsewhere
            return
        start = to_ns(message.header.stamp)
        if self.lock_step:
            if start != self.stamp_ns or self.arm.done[0]:
                self.ignored += 1
                return
            self.arm.command(trajectory, 0.0)
            self._advance(self.arm.substeps)
            self.publish_state()
            return
        tag = message.header.frame_id
        self._publish_latency(tag, self._meter.arrived(tag, time.monotonic_ns()))
        self._waiting = (trajectory, start)

    def _take_over(self) -> None:
        """Follow the newest command from the next physics step on, as a controller's update does.

        Of several that came at once the older ones are dropped, and so is one that is over.
        """
        if self._waiting is None:
            return
        trajectory, start = self._waiting
        self._waiting = None
        elapsed = 0.0 if start == 0 else (self.stamp_ns - start) / 1e9
        if elapsed >= trajectory.times[0, -1]:
            self.ignored += 1
            self.get_logger().error("command ignored: it ends in the past")
            return
        self.arm.command(trajectory, elapsed)

    def on_request(self, message: JointTrajectory) -> None:
        """Note which observation the policy answers; the arm obeys commands only."""
        tag = message.header.frame_id
        self._publish_latency(tag, self._meter.asked(tag, to_ns(message.header.stamp)))

    def _publish_latency(self, tag: str, seconds: float | None) -> None:
        """Publish tick and time from sending an observation until its command came [s]."""
        if seconds is None:
            return
        try:
            _, tick = parse_tag(tag)
        except ValueError:
            return
        self._latency.publish(Float64MultiArray(data=[float(tick), seconds]))


class ControllerNode(Node):
    """The joint trajectory controller's face: its topics and its gains as parameters."""

    def __init__(self, arm: SimArmNode) -> None:
        """Serve an arm."""
        name = ControllerBinding().name.strip("/")
        super().__init__(name)
        self._arm = arm
        self._gains = {f"gains.{joint}.{g}": (g, i)
                       for i, joint in enumerate(arm.names) for g in ("p", "d")}  # fmt: skip
        self.declare_parameter("joints", arm.names)
        self.declare_parameter(JOIN_PARAMETERS[0], True)  # as `join` does
        for key, (gain, i) in self._gains.items():
            values = arm.arm.kp if gain == "p" else arm.arm.kd
            self.declare_parameter(key, float(values[i]))
        self._use_gains([])
        self.add_on_set_parameters_callback(self.on_parameters)
        self._state_topic = self.create_publisher(
            JointTrajectoryControllerState, "~/controller_state", streaming(10)
        )
        self.create_subscription(
            JointTrajectory, "~/joint_trajectory", arm.on_command, streaming(10)
        )

    def on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Take new gains: the physics has them from the next substep on."""
        for parameter in parameters:
            if parameter.name in self._gains and not (
                parameter.type_ is Parameter.Type.DOUBLE and 0.0 < parameter.value < 1e5
            ):
                return SetParametersResult(
                    successful=False, reason=f"{parameter.name}: expected a number above 0"
                )
        self._use_gains(parameters)
        return SetParametersResult(successful=True)

    def _use_gains(self, changed: list[Parameter]) -> None:
        new = {p.name: p.value for p in changed}
        gains = {"p": np.zeros(len(self._arm.names)), "d": np.zeros(len(self._arm.names))}
        for key, (gain, i) in self._gains.items():
            gains[gain][i] = new.get(key, self.get_parameter(key).value)
        self._arm.arm.set_gains(gains["p"], gains["d"])

    def publish_state(self, stamp_ns: int) -> None:
        """Publish commanded and measured joint state."""
        arm = self._arm.arm
        q, dq = arm.desired()
        measured_q, measured_dq = arm.joint_state()
        self._state_topic.publish(
            JointTrajectoryControllerState(
                header=Header(stamp=to_stamp(stamp_ns)),
                joint_names=self._arm.names,
                reference=_point(q[0], dq[0]),
                feedback=_point(measured_q[0], measured_dq[0]),
                error=_point(q[0] - measured_q[0], dq[0] - measured_dq[0]),
                speed_scaling_factor=1.0,
            )
        )


class ManagerNode(Node):
    """The controller manager's face: which controllers run."""

    def __init__(self) -> None:
        """Serve the list."""
        binding = ControllerBinding()
        super().__init__(binding.manager.strip("/"))
        self._controller_name = binding.name.strip("/")
        self.create_service(ListControllers, "~/list_controllers", self.on_list)

    def on_list(self, _: ListControllers.Request, response: Any) -> Any:
        """Answer with the two controllers of a usual robot."""
        response.controller = [
            ControllerState(
                name=self._controller_name,
                state="active",
                type="joint_trajectory_controller/JointTrajectoryController",
            ),
            ControllerState(
                name="joint_state_broadcaster",
                state="active",
                type="joint_state_broadcaster/JointStateBroadcaster",
            ),
        ]
        return response


def state_times(substeps: int, chosen: int, *, lock_step: bool) -> tuple[int, ...]:
    """Return after which physics substeps of a control period joint states are published.

    Args:
        substeps: of a control period.
        chosen: substeps between joint states; 0 for 2, with 3 at the end of an odd period.
        lock_step: only at the end.

    Raises:
        ValueError: `chosen` does not divide the period.
    """
    if lock_step:
        return (substeps,)
    if chosen == 0:
        return (*range(2, substeps - 1, 2), substeps)
    if chosen < 0 or substeps % chosen:
        raise ValueError(f"substeps_per_state: expected a divisor of {substeps}, got {chosen}")
    return tuple(range(chosen, substeps + 1, chosen))


def _point(q: np.ndarray, dq: np.ndarray) -> JointTrajectoryPoint:
    return JointTrajectoryPoint(positions=q.tolist(), velocities=dq.tolist())


def build() -> list[Node]:
    """Return the three nodes of the process."""
    arm = SimArmNode()
    return [arm, arm.controller, arm.manager]


def main() -> int:
    """Run the nodes until a signal."""
    return run_nodes(build)
