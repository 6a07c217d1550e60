"""What a simulated arm shows of its gripper: the actions of a gripper controller or Franka hand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from control_msgs.action import GripperCommand
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from rclpy.task import Future

from .graph import FRANKA, GripperBinding

if TYPE_CHECKING:
    from .sim_arm_node import SimArmNode


class GripperNode(Node):
    """The gripper driver's face, as the graph says: one action, or grasp and move of a hand."""

    def __init__(self, arm: SimArmNode, binding: GripperBinding) -> None:
        """Serve an arm that has a gripper."""
        path = binding.name.strip("/")
        franka = binding.type == FRANKA
        name, _, action = (path, "", "") if franka else path.rpartition("/")
        super().__init__(name)
        self._arm, self._binding = arm, binding
        self._end: Future | None = None
        kinds = _hand_actions() if franka else {action: GripperCommand}
        self._servers = [
            ActionServer(
                self, kind, f"~/{name}", partial(self.on_execute, kind),
                goal_callback=self.on_goal, cancel_callback=self.on_cancel,
            )
            for name, kind in kinds.items()
        ]  # fmt: skip

    def _width(self, goal: Any) -> float:
        """Return the distance between the pads that a goal asks for [m]."""
        if self._binding.type == FRANKA:
            return float(goal.width)
        position = float(goal.command.position)
        if self._binding.position == "width":
            return position
        gripper = self._arm.arm.robot.gripper
        return float(gripper.width(np.full(len(gripper.joint_names), position)))

    def on_goal(self, goal: Any) -> GoalResponse:
        """Take a goal if the gripper is free or may be interrupted."""
        gripper = self._arm.arm.gripper
        width, widest = self._width(goal), gripper.gripper.open_width
        if not -1e-9 <= width <= widest + 1e-9:
            self.get_logger().error(f"goal refused: expected 0 to {widest} m, got {width}")
            return GoalResponse.REJECT
        if not self._arm.arm.command_gripper(min(max(width, 0.0), widest))[0]:
            return GoalResponse.REJECT
        if self._end is not None:
            self._end.set_result("interrupted")
        self._end = Future()
        return GoalResponse.ACCEPT

    def on_cancel(self, _: Any) -> CancelResponse:
        """Stand where the fingers are; refuse where they have arrived: what is held would fall."""
        if self._end is None or not self._arm.arm.gripper.stop()[0]:
            return CancelResponse.REJECT
        end, self._end = self._end, None
        end.set_result("canceled")
        return CancelResponse.ACCEPT

    async def on_execute(self, kind: Any, handle: Any) -> Any:
        """Answer when the fingers have arrived, stand before an object, or have a new goal."""
        end = self._end
        assert end is not None  # `on_goal` made it
        how = await end
        end_goal(handle, how)
        if self._binding.type == FRANKA:
            said = {"interrupted": "interrupted by another goal", "canceled": "stopped"}.get(
                how, ""
            )
            return kind.Result(success=not said, error=said)
        gripper, width = self._arm.arm.gripper, float(self._arm.arm.gripper_width()[0])
        position = width
        if self._binding.position == "finger":
            position = float(self._arm.arm.robot.gripper.position(width))
        result = GripperCommand.Result(position=position, effort=gripper.gripper.force)
        result.stalled = how == "stalled"
        result.reached_goal = how == "arrived"
        return result

    def on_step(self) -> None:
        """Look whether the goal is done; after every control period."""
        gripper = self._arm.arm.gripper
        if self._end is None or bool(gripper.busy[0]):
            return
        self._end.set_result("stalled" if bool(gripper.blocked[0]) else "arrived")
        self._end = None


def end_goal(handle: Any, how: str) -> None:
    """End a goal that arrived, stalled, was interrupted or canceled."""
    if how == "interrupted":
        handle.abort()
    elif how == "canceled":
        handle.canceled()
    else:
        handle.succeed()


def _hand_actions() -> dict[str, Any]:
    """Return the actions of a Franka hand; their package need not be there for other grippers."""
    from franka_msgs.action import Grasp, Move

    return {"grasp": Grasp, "move": Move}
