"""What a simulated arm shows of ros2_control: its trajectory controller and their manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from controller_manager_msgs.msg import ControllerState
from controller_manager_msgs.srv import ListControllers
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from .controller_facts import JOIN_PARAMETERS
from .convert import to_stamp
from .graph import ControllerBinding
from .node_support import streaming

if TYPE_CHECKING:
    from .sim_arm_node import SimArmNode


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


def _point(q: np.ndarray, dq: np.ndarray) -> JointTrajectoryPoint:
    return JointTrajectoryPoint(positions=q.tolist(), velocities=dq.tolist())
