"""What a simulated arm shows of its gripper: the action of a gripper controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from control_msgs.action import GripperCommand
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from rclpy.task import Future

from .graph import GripperBinding

if TYPE_CHECKING:
    from .sim_arm_node import SimArmNode


class GripperNode(Node):
    """The gripper controller's face. A goal's position is the distance between the pads [m]."""

    def __init__(self, arm: SimArmNode) -> None:
        """Serve an arm that has a gripper."""
        name, _, action = GripperBinding().name.strip("/").rpartition("/")
        super().__init__(name)
        self._arm = arm
        self._end: Future | None = None
        self._server = ActionServer(
            self, GripperCommand, f"~/{action}", self.on_execute,
            goal_callback=self.on_goal, cancel_callback=self.on_cancel,
        )  # fmt: skip

    def on_goal(self, goal: Any) -> GoalResponse:
        """Take a goal if the gripper is free or may be interrupted."""
        gripper = self._arm.arm.gripper
        width, widest = float(goal.command.position), gripper.gripper.open_width
        if not 0.0 <= width <= widest:
            self.get_logger().error(f"goal refused: expected 0 to {widest} m, got {width}")
            return GoalResponse.REJECT
        if not self._arm.arm.command_gripper(width)[0]:
            return GoalResponse.REJECT
        if self._end is not None:
            self._end.set_result("interrupted")
        self._end = Future()
        return GoalResponse.ACCEPT

    def on_cancel(self, _: Any) -> CancelResponse:
        """Refuse: what is held would fall."""
        return CancelResponse.REJECT

    async def on_execute(self, handle: Any) -> Any:
        """Answer when the fingers have arrived, stand before an object, or have a new goal."""
        end = self._end
        assert end is not None  # `on_goal` made it
        how = await end
        gripper, width = self._arm.arm.gripper, self._arm.arm.gripper_width()[0]
        result = GripperCommand.Result(position=float(width), effort=gripper.gripper.force)
        result.stalled = how == "stalled"
        result.reached_goal = how == "arrived"
        if how == "interrupted":
            handle.abort()
        else:
            handle.succeed()
        return result

    def on_step(self) -> None:
        """Look whether the goal is done; after every control period."""
        gripper = self._arm.arm.gripper
        if self._end is None or bool(gripper.busy[0]):
            return
        self._end.set_result("stalled" if bool(gripper.blocked[0]) else "arrived")
        self._end = None
