"""sim_arm_node: a simulated arm that looks like a ros2_control robot.

Several nodes in one process, as on a robot: `sim_arm` (joint states, `/clock`,
`/robot_description`, the task's inputs, pictures, `~/reset`, `~/go_on`, `~/episode`),
`joint_trajectory_controller` (trajectories in, its state and gains out), `controller_manager`
(`list_controllers`) and, of an arm that has a gripper, `gripper_controller` (its action). With the
parameters `graph`, `as_robot` and `prefix` it has the names, types and modes of a robot's file, so
that what runs beside it cannot tell the two apart.

In lock step it waits for a command with the stamp of its last observation and then advances by
one control period; while it waits it sends that observation again. In real time it advances with
the steady clock, a few physics substeps at a time, whether commands come or not.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from sim2arm.core import plain
from sim2arm.core.trajectory import Trajectory
from sim2arm.core.urdf import urdf_from_robot
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.robots.actuators import find_actuators
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.visuals import seen_urdf
from sim2arm.sim.worlds.compiled import UnknownNameError

from .controller_face import ControllerNode, ManagerNode
from .convert import (
    joint_state_message,
    pose_message,
    status_message,
    to_ns,
    to_stamp,
    trajectory_from,
)
from .graph import prefixed_chain, prefixed_spec
from .graph_file import read_graph
from .latency import LatencyMeter
from .node_support import STEADY, latched, run_nodes, streaming
from .picture_topics import PictureTopics
from .requests import REQUEST_TOPIC, WIDTH, make_tag, parse_request_tag, parse_tag
from .sim_gripper import GripperNode
from .sim_modes import SimModes

_FIRST_NS = 1_000_000_000  # a stamp of 0 means none
_AGAIN_S = 0.02
_MOST_BEHIND = 120  # substeps that are made up for at once; beyond that simulated time slips


class SimArmNode(Node):
    """The arm: physics, sensors and episodes."""

    def __init__(self) -> None:
        """Build the world.

        Raises:
            ValueError: an unknown task, robot or actuator model, a rate without a physics step, or
                cameras or gels that do not fit.
        """
        super().__init__("sim_arm")
        self.declare_parameter("task", "peg-insertion")
        self.declare_parameter("task_settings", "")
        self.declare_parameter("vision", "")
        self.declare_parameter("touch", "")
        self.declare_parameter("robot", "fr3")
        self.declare_parameter("graph", "")
        self.declare_parameter("as_robot", "")
        self.declare_parameter("prefix", "")
        self.declare_parameter("actuators", "ideal")
        self.declare_parameter("control_hz", 60.0)
        self.declare_parameter("lock_step", False)
        self.declare_parameter("episode_seed", 0)
        self.declare_parameter("substeps_per_state", 0)  # 0: 2, and 3 at the end of an odd period
        value = {name: self.get_parameter(name).value for name in (
            "task", "robot", "control_hz", "graph", "as_robot", "prefix", "actuators",
        )}  # fmt: skip
        self.graph = read_graph(*(str(value[name]) for name in ("graph", "as_robot", "prefix")))
        self.lock_step = bool(self.get_parameter("lock_step").value)
        robot, actuators = self.graph.robot or str(value["robot"]), str(value["actuators"])
        task = make_task(str(value["task"]), robot, self._text("task_settings"))
        try:
            self.arm = SimulatedArm(
                task,
                robot,
                control_hz=float(value["control_hz"]),
                actuators=find_actuators(actuators, robot),
                vision=self._vision(),
                beside=not self.lock_step,
                touch=self._touch(),
            )
        except UnknownNameError as error:  # a camera is on no body of the scene
            raise ValueError(str(error)) from error
        self.chain = prefixed_chain(self.arm.robot.chain, self.graph.prefix)
        self.names = list(self.chain.joint_names)
        chosen = 0 if self.lock_step else int(self.get_parameter("substeps_per_state").value)
        self._ends = state_times(self.arm.substeps, chosen, lock_step=self.lock_step)
        self._substep_ns = self.arm.period * 1e9 / self.arm.substeps
        self._substeps_done = 0  # physics substeps since the start
        self.ignored = 0
        self._waiting: tuple[Trajectory, int] | None = None  # the newest command
        self._commander = self._barred = ""  # session of the last command; one that ended by reset
        self._meter = LatencyMeter()
        self._open_topics()
        control, gains = self.graph.controller, (self.arm.kp, self.arm.kd)
        self.controller = ControllerNode(
            control, self.names, gains, self.on_command, self.arm.set_gains
        )
        self.manager = ManagerNode(control)
        self.fingers: GripperNode | None = None
        if self.arm.robot.gripper.joint_names:
            self.fingers = GripperNode(self, self.graph.gripper)
        modes = self.graph.modes
        self._modes = None if modes is None else SimModes(self, modes)
        self.begin_episode()
        shared = math.gcd(*np.diff(self._ends, prepend=0).tolist())
        period = _AGAIN_S if self.lock_step else shared * self._substep_ns / 1e9
        self._start_steady, self._start_done = time.monotonic_ns(), self._substeps_done
        self.create_timer(period, self.on_timer, clock=STEADY)

    def _text(self, parameter: str) -> str:
        """Return the text of the YAML file that a parameter names, empty without one."""
        path = str(self.get_parameter(parameter).value)
        try:
            return Path(path).read_text(encoding="utf-8") if path else ""
        except OSError as error:
            raise ValueError(f"{parameter}: {path}: {error.strerror}") from error

    def _vision(self) -> Any:
        """Return the cameras of the YAML file `vision`, None without one: no camera code then."""
        text = self._text("vision")
        if not text:
            return None
        from sim2arm.sim.vision import Vision

        return plain.from_plain(Vision, plain.load_yaml(text, "vision"), "vision")

    def _touch(self) -> Any:
        """Return the gels of the YAML file `touch`, None without one: no code of theirs then."""
        text = self._text("touch")
        if not text:
            return None
        from sim2arm.sim.touch import Touch

        return plain.from_plain(Touch, plain.load_yaml(text, "touch"), "touch")

    def _open_topics(self) -> None:
        self._clock_topic = self.create_publisher(Clock, "/clock", streaming(10))
        self._open_joint_states()
        robot, prefix, inputs = self.arm.robot, self.graph.prefix, self.graph.inputs
        topics = {name: f"~/{name}" for name in (spec.name for spec in self.arm.task.goals)}
        topics |= {name: inputs[name].topic for name in topics if name in inputs}
        self._goals = {
            spec.name: (
                prefixed_spec(spec, robot.chain, prefix),
                self.create_publisher(PoseStamped, topics[spec.name], streaming(10)),
            )
            for spec in self.arm.task.goals
        }
        specs, lenses = self.arm.organs.specs, self.arm.intrinsics
        self._pictures = PictureTopics(self, specs, lenses, lock_step=self.lock_step)
        self._episode = self.create_publisher(DiagnosticStatus, "~/episode", latched())
        self._latency = self.create_publisher(Float64MultiArray, "~/latency", streaming(1000))
        self._description = self.create_publisher(String, self.graph.robot_description, latched())
        described = replace(robot, chain=self.chain)  # an arm with other names has no shapes
        named = self.chain.joint_names != robot.joint_names
        text = urdf_from_robot(described) if named else seen_urdf(self.arm)
        self._description.publish(String(data=text))
        if not self.lock_step:
            self.create_subscription(JointTrajectory, REQUEST_TOPIC, self.on_request, streaming(10))
        self.create_service(Trigger, "~/reset", self.on_reset)
        self.create_service(Trigger, "~/go_on", partial(self.on_reset, moved=False))

    def _open_joint_states(self) -> None:
        """Open the topics of joint states: the fingers may have one of their own."""
        inputs, names = self.graph.inputs, self.arm.robot.gripper.joint_names
        topic = inputs["joint_position"].topic
        self._joints = self.create_publisher(JointState, topic, streaming(10))
        prefix = self.graph.prefix if self.graph.gripper.prefixed else ""
        self._finger_names, self._finger_joints = [prefix + name for name in names], None
        other = inputs[WIDTH].topic if WIDTH in inputs else topic
        if names and other != topic:
            self._finger_joints = self.create_publisher(JointState, other, streaming(10))

    @property
    def stamp_ns(self) -> int:
        """Simulated time now [ns]."""
        return _FIRST_NS + round(self._substeps_done * self._substep_ns)

    # -- episodes ------------------------------------------------------------------------------

    def begin_episode(self, *, moved: bool = True) -> None:
        """Start the episode of the parameter `episode_seed`; simulated time goes on.

        It goes on by so much that the first pictures, which are as old as pictures are, are not
        older than those before.

        Args:
            moved: arm and things are put at its start; else they stay, and goals alone are drawn.
        """
        self.seed = int(self.get_parameter("episode_seed").value)
        (self.arm.reset if moved else self.arm.go_on)(self.seed)
        oldest = max((age for _, age in self.arm.organs.newest().values()), default=0.0)
        periods = 1 + math.ceil(oldest / self.arm.period)
        self._substeps_done += periods * self.arm.substeps
        self._substeps_done -= self._substeps_done % self.arm.substeps
        self._announced = False
        self.publish_state()
        self._publish_episode()

    def on_reset(
        self, _: Trigger.Request, response: Trigger.Response, *, moved: bool = True
    ) -> Trigger.Response:
        """Begin the episode of `episode_seed`; answer with the stamp of its first observation."""
        self._barred, self._waiting = self._commander, None
        self.begin_episode(moved=moved)
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
            self.publish_state(again=True)
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
        if self.fingers is not None:
            self.fingers.on_step()
        if self.arm.done[0] and not self._announced:
            self._announced = True
            self._publish_episode()

    def publish_state(self, *, again: bool = False) -> None:
        """Publish time, then what the controller commands, joint states and goals of that time.

        Goals come once per control period, pictures when there are new ones, or `again`. Time goes
        first: a stamp ahead of the clock is refused.
        """
        stamp = self.stamp_ns
        self._clock_topic.publish(Clock(clock=to_stamp(stamp)))
        q, dq = (part[0] for part in self.arm.joint_state())
        desired_q, desired_dq = (part[0] for part in self.arm.desired())
        self.controller.publish_state(stamp, (desired_q, desired_dq), (q, dq))
        if self._modes is not None:
            self._modes.publish()
        self._meter.sent(stamp, time.monotonic_ns())
        self._publish_joints(q, dq, stamp)
        if self._substeps_done % self.arm.substeps == 0:
            self.publish_goals()
            self._pictures.publish(self.arm.organs.newest(), stamp, again=again)

    def _publish_joints(self, q: np.ndarray, dq: np.ndarray, stamp: int) -> None:
        names, (finger_q, finger_dq) = self.names, (part[0] for part in self.arm.finger_state())
        if self._finger_joints is None:
            names = [*names, *self._finger_names]
            q, dq = np.concatenate([q, finger_q]), np.concatenate([dq, finger_dq])
        else:
            message = joint_state_message(self._finger_names, finger_q, finger_dq, stamp)
            self._finger_joints.publish(message)
        self._joints.publish(joint_state_message(names, q, dq, stamp))

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
        try:
            session, tick, *_ = parse_request_tag(message.header.frame_id)
        except ValueError:
            return  # the gate says so
        tag = make_tag(session, tick)
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


def build() -> list[Node]:
    """Return the nodes of the process."""
    arm = SimArmNode()
    return [arm, arm.controller, arm.manager, *([arm.fingers] if arm.fingers else [])]


def main() -> int:
    """Run the nodes until a signal."""
    return run_nodes(build)
