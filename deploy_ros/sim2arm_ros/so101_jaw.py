"""The gripper action of an SO-101's jaw."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from control_msgs.action import GripperCommand
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from rclpy.task import Future

from sim2arm.core.robots import SO101

from .graph import GripperBinding
from .sim_gripper import end_goal

if TYPE_CHECKING:
    from .so101_node import So101Node

_NEAR = 0.03
"""How far from its goal the jaw has arrived [rad]."""
_SETTLE_S = 0.3
"""From a goal until a jaw that does not move is said to be stalled [s]."""


class JawNode(Node):
    """The gripper controller's face. A newer goal takes the place of the one before."""

    def __init__(self, arm: So101Node, binding: GripperBinding) -> None:
        """Serve the jaw of an arm.

        Raises:
            ValueError: the graph means another kind of gripper.
        """
        if binding.position != "finger":
            raise ValueError("graph: gripper.position: expected finger, the jaw's angle, got width")
        name, _, action = binding.name.strip("/").rpartition("/")
        super().__init__(name)
        self._arm = arm
        self._end: Future | None = None
        self._begun_s = 0.0
        self._server = ActionServer(
            self, GripperCommand, f"~/{action}", self.on_execute,
            goal_callback=self.on_goal, cancel_callback=self.on_cancel,
        )  # fmt: skip

    def on_goal(self, goal: Any) -> GoalResponse:
        """Take a goal: where the jaw should be [rad]."""
        gripper, position = SO101.gripper, float(goal.command.position)
        low, high = gripper.closed, gripper.position(gripper.open_width)
        if not (self._arm.arm.held and low - 1e-6 <= position <= high + 1e-6):
            self.get_logger().error(f"goal refused: expected {low:g} to {high:g}, got {position}")
            return GoalResponse.REJECT
        if self._end is not None:
            self._end.set_result("interrupted")
        self._end, self._begun_s = Future(), time.monotonic()
        self._arm.jaw_goal = position
        return GoalResponse.ACCEPT

    def on_cancel(self, _: Any) -> CancelResponse:
        """Stand where the jaw is; refuse where it has arrived: what is held would fall."""
        if self._end is None:
            return CancelResponse.REJECT
        self._arm.jaw_goal = float(self._arm.state.q[-1])
        end, self._end = self._end, None
        end.set_result("canceled")
        return CancelResponse.ACCEPT

    async def on_execute(self, handle: Any) -> Any:
        """Answer when the jaw has arrived, stands before an object, or has a new goal."""
        end = self._end
        assert end is not None  # `on_goal` made it
        how = await end
        result = GripperCommand.Result(position=float(self._arm.state.q[-1]))
        result.stalled, result.reached_goal = how == "stalled", how == "arrived"
        end_goal(handle, how)
        return result

    def on_step(self) -> None:
        """Look whether the goal is done; after every reading."""
        if self._end is None:
            return
        near = abs(self._arm.state.q[-1] - self._arm.jaw_goal) < _NEAR
        waited = time.monotonic() - self._begun_s > _SETTLE_S
        if near or (waited and not self._arm.state.moving):
            self._end.set_result("arrived" if near else "stalled")
            self._end = None
