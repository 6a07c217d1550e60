"""What ros2_control shows of an arm that is none of its own: a trajectory controller, its manager.

The gate asks the same questions of every arm: which gains, does it join from what it commands, does
it run. Arms that we drive ourselves, the simulated one and the SO-101, answer them here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from controller_manager_msgs.msg import ControllerState
from controller_manager_msgs.srv import ListControllers
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from sim2arm.core.trajectory import FloatArray

from .controller_facts import JOIN_PARAMETERS
from .convert import to_stamp
from .graph import ControllerBinding
from .node_support import streaming

_GAINS: dict[str, str] = {"kp": "gains.{joint}.p", "kd": "gains.{joint}.d"}


class ControllerNode(Node):
    """The joint trajectory controller's face: its topics and its gains as parameters."""

    def __init__(
        self,
        binding: ControllerBinding,
        names: Sequence[str],
        gains: tuple[FloatArray, FloatArray],
        on_command: Callable[[JointTrajectory], None],
        use_gains: Callable[[FloatArray, FloatArray], None] | None = None,
    ) -> None:
        """Serve an arm.

        Args:
            binding: what the controller and its parameters are called.
            names: of the joints, n.
            gains: kp (n,) [N m/rad] and kd (n,) [N m s/rad].
            on_command: takes trajectories.
            use_gains: takes others that somebody set; without it they cannot be set.
        """
        super().__init__(binding.name.strip("/"))
        self._names, self._use = list(names), use_gains
        parameters = binding.gain_parameters or _GAINS
        self._gains: dict[str, tuple[str, int]] = {parameters[gain].format(joint=joint): (gain, i)
                       for i, joint in enumerate(names) for gain in ("kp", "kd")}  # fmt: skip
        values: dict[str, FloatArray] = {"kp": gains[0], "kd": gains[1]}
        self.declare_parameter("joints", self._names)
        self.declare_parameter(JOIN_PARAMETERS[0], True)  # as `join` does
        for key, (gain, i) in self._gains.items():
            self.declare_parameter(key, float(values[gain][i]))
        self._use_gains([])
        self.add_on_set_parameters_callback(self.on_parameters)
        self._state_topic = self.create_publisher(
            JointTrajectoryControllerState, "~/controller_state", streaming(10)
        )
        self.create_subscription(JointTrajectory, "~/joint_trajectory", on_command, streaming(10))

    def on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Take new gains, if the arm can have others."""
        for parameter in parameters:
            if parameter.name not in self._gains:
                continue
            if self._use is None:
                return SetParametersResult(
                    successful=False, reason=f"{parameter.name}: this arm tells its gains only"
                )
            if not (parameter.type_ is Parameter.Type.DOUBLE and 0.0 < parameter.value < 1e5):
                return SetParametersResult(
                    successful=False, reason=f"{parameter.name}: expected a number above 0"
                )
        self._use_gains(parameters)
        return SetParametersResult(successful=True)

    def _use_gains(self, changed: list[Parameter]) -> None:
        if self._use is None:
            return
        new = {p.name: p.value for p in changed}
        gains: dict[str, FloatArray] = {k: np.zeros(len(self._names)) for k in ("kp", "kd")}
        for key, (gain, i) in self._gains.items():
            gains[gain][i] = new.get(key, self.get_parameter(key).value)
        self._use(gains["kp"], gains["kd"])

    def publish_state(
        self,
        stamp_ns: int,
        desired: tuple[FloatArray, FloatArray],
        measured: tuple[FloatArray, FloatArray],
    ) -> None:
        """Publish commanded and measured joint state, each q (n,) [rad] and dq (n,) [rad/s]."""
        error = (desired[0] - measured[0], desired[1] - measured[1])
        self._state_topic.publish(
            JointTrajectoryControllerState(
                header=Header(stamp=to_stamp(stamp_ns)),
                joint_names=self._names,
                reference=_point(*desired),
                feedback=_point(*measured),
                error=_point(*error),
                speed_scaling_factor=1.0,
            )
        )


class ManagerNode(Node):
    """The controller manager's face: which controllers run."""

    def __init__(self, binding: ControllerBinding) -> None:
        """Serve the list."""
        super().__init__(binding.manager.strip("/"))
        name, kind = (
            binding.name.strip("/"),
            "joint_trajectory_controller/JointTrajectoryController",
        )
        broadcasters = dict.fromkeys(("joint_state_broadcaster", *binding.also_active))
        self._controllers = {name: kind} | {other: other for other in broadcasters}
        self.create_service(ListControllers, "~/list_controllers", self.on_list)

    def on_list(self, _: ListControllers.Request, response: Any) -> Any:
        """Answer with the controllers of a usual robot."""
        response.controller = [
            ControllerState(name=name, state="active", type=kind)
            for name, kind in self._controllers.items()
        ]
        return response


def _point(q: FloatArray, dq: FloatArray) -> JointTrajectoryPoint:
    return JointTrajectoryPoint(positions=q.tolist(), velocities=dq.tolist())
