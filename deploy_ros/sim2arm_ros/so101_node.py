"""so101_node: drives an SO-101 over its serial bus, and looks like a ros2_control robot.

Several nodes in one process, with the names that the graph gives them: `so101` (joint states,
`/robot_description`, `~/status`, the services `~/release` and `~/hold`), a trajectory controller
(trajectories in, its state and gains out), its manager, and the gripper's action.

It holds where the arm stands as soon as it starts, with the torque limited, and follows only what
ends at rest inside of the limits; silence is a stop. When it ends the servos hold their last goal:
an arm that is let go falls, so that is asked for with `~/release`. `~/status` says at every reading
whether all is well (DiagnosticStatus): the gate leaves ACTIVE when it is not.

Parameters: `port`, `servos` (YAML, fields of `servo_arm.ServosCfg`), `rate_hz`, `graph`, `robot`,
`prefix`. It has been run on a fake bus only, never on servos.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from sim2arm.core.robots import SO101
from sim2arm.core.urdf import urdf_from_robot
from sim2arm.sensors.teleop.serial_port import SerialPort

from .controller_face import ControllerNode, ManagerNode
from .convert import joint_state_message, status_message, to_ns, trajectory_from
from .graph import prefixed_chain
from .graph_file import read_graph
from .node_support import STEADY, latched, run_nodes, streaming
from .servo_arm import ServoArm, ServosCfg, ServoState, load_servos
from .so101_jaw import JawNode
from .trajectory_follower import TrajectoryFollower

_MISSED = 3
"""Readings in a row without which the arm is not well."""


class So101Node(Node):
    """The arm: its bus, read and written at one rate."""

    def __init__(self) -> None:
        """Open the port, check the servos, and hold the arm where it stands.

        Raises:
            ValueError: a parameter or the set-up of a servo is wrong; one line.
            OSError: the port does not open or servos do not answer; one line.
        """
        super().__init__("so101")
        for name, value in (("port", ""), ("servos", ""), ("graph", ""), ("robot", "so101"),
                            ("prefix", ""), ("rate_hz", 100.0)):  # fmt: skip
            self.declare_parameter(name, value)
        graph = read_graph(*(self._text(name) for name in ("graph", "robot", "prefix")))
        rate = float(self.get_parameter("rate_hz").value)
        if not 10.0 <= rate <= 200.0:
            raise ValueError(f"parameter rate_hz: expected 10 to 200, got {rate:g}")
        if not self._text("port"):
            raise ValueError("parameter port: expected the serial port of the arm, got nothing")
        path = self._text("servos")
        cfg = load_servos(Path(path)) if path else ServosCfg()
        self.arm = ServoArm(SerialPort(self._text("port"), cfg.baud), cfg)
        self.robot = replace(SO101, chain=prefixed_chain(SO101.chain, graph.prefix))
        self.names = list(self.robot.chain.joint_names)
        jaw = graph.prefix if graph.gripper.prefixed else ""
        self._all_names = [*self.names, *(jaw + name for name in SO101.gripper.joint_names)]
        self.follower, self._missed, self.ignored = TrajectoryFollower(SO101.limits), 0, 0
        self.state = self._hold()
        self._joints = self.create_publisher(
            JointState, graph.inputs["joint_position"].topic, streaming(10)
        )
        self._status = self.create_publisher(DiagnosticStatus, "~/status", streaming(10))
        self._description = self.create_publisher(String, graph.robot_description, latched())
        self._description.publish(String(data=urdf_from_robot(self.robot)))
        self.create_service(Trigger, "~/release", self.on_release)
        self.create_service(Trigger, "~/hold", self.on_hold)
        gains, control = (self.arm.kp, self.arm.kd), graph.controller
        self.controller = ControllerNode(control, self.names, gains, self.on_command)
        self.manager = ManagerNode(control)
        self.jaw = JawNode(self, graph.gripper)
        self.create_timer(1.0 / rate, self.on_timer, clock=STEADY)

    def _text(self, name: str) -> str:
        return str(self.get_parameter(name).value)

    def _hold(self) -> ServoState:
        state = self.arm.hold()
        self.follower.stand(state.q[:-1])
        self.jaw_goal = float(state.q[-1])
        self._missed = 0
        return state

    # -- ticks ---------------------------------------------------------------------------------

    def on_timer(self) -> None:
        """Read, say what was read, and write what is due."""
        state = self.arm.read()
        stamp, now = self.get_clock().now().nanoseconds, time.monotonic()
        if isinstance(state, str):
            self._missed += 1
            problem = state if self._missed >= _MISSED else ""
        else:
            if self._missed >= _MISSED:  # the arm stood meanwhile, what it follows went on
                self.follower.stand(state.q[:-1])
            self.state, self._missed = state, 0
            problem = state.problem
        q, dq = self.follower.desired(now)
        if not self.arm.held:
            q, dq, problem = self.state.q[:-1], np.zeros_like(q), "the arm was released"
        elif not self._missed:
            self.arm.write(np.append(q, self.jaw_goal))
        level = DiagnosticStatus.ERROR if problem else DiagnosticStatus.OK
        self._status.publish(status_message(level, "so101", problem or "OK", {}))
        if not self._missed:
            names, measured = self._all_names, self.state
            self._joints.publish(joint_state_message(names, measured.q, measured.dq, stamp))
            arm = (measured.q[:-1], measured.dq[:-1])
            self.controller.publish_state(stamp, (q, dq), arm)
            self.jaw.on_step()

    def on_command(self, message: JointTrajectory) -> None:
        """Follow a trajectory from now on."""
        start, now = to_ns(message.header.stamp), self.get_clock().now().nanoseconds
        try:
            if not self.arm.held:
                raise ValueError("the arm was released")
            trajectory = trajectory_from(message, self.names)
            elapsed = 0.0 if start == 0 else (now - start) / 1e9
            self.follower.take(trajectory, elapsed, time.monotonic())
        except ValueError as error:
            self.ignored += 1
            self.get_logger().error(f"command ignored: {error}", throttle_duration_sec=1.0)

    # -- operator ------------------------------------------------------------------------------

    def on_release(self, _: Trigger.Request, response: Any) -> Any:
        """Let go of the arm: it falls, unless somebody holds it."""
        self.arm.release()
        response.success, response.message = True, "released"
        return response

    def on_hold(self, _: Trigger.Request, response: Any) -> Any:
        """Hold the arm where it stands."""
        try:
            self.state = self._hold()
            response.success, response.message = True, "held"
        except (OSError, ValueError) as error:
            response.success, response.message = False, str(error)
        return response


def build() -> list[Node]:
    """Return the nodes of the process."""
    arm = So101Node()
    return [arm, arm.controller, arm.manager, arm.jaw]


def main() -> int:
    """Run the nodes until a signal, or until the port is gone."""
    try:
        return run_nodes(build)
    except OSError as error:
        print(f"so101_node: {error}", file=sys.stderr)
        return 2
