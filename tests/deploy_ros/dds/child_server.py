"""The server of a gripper's action in a process of its own: 0.01 m each 20 ms, with feedback."""

import sys
from typing import Any

from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from control_msgs.action import GripperCommand  # noqa: E402
from rclpy.action import ActionServer, CancelResponse, GoalResponse  # noqa: E402
from rclpy.executors import ExternalShutdownException  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.task import Future  # noqa: E402


class Gripper(Node):
    """Opens to a position >= 0 [m]; other goals are rejected."""

    def __init__(self) -> None:
        super().__init__("gripper")
        self.position = 0.0
        self.server = ActionServer(
            self,
            GripperCommand,
            "~/grip",
            self.execute,
            goal_callback=self.decide,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def decide(self, goal: GripperCommand.Goal) -> GoalResponse:
        """Accept what can be reached."""
        reachable = goal.command.position >= 0.0
        return GoalResponse.ACCEPT if reachable else GoalResponse.REJECT

    def pause(self) -> Any:
        """Return the future of 20 ms later."""
        future = Future()

        def over() -> None:
            self.destroy_timer(timer)
            future.set_result(None)

        timer = self.create_timer(0.02, over)
        return future

    async def execute(self, handle: Any) -> GripperCommand.Result:
        """Move until the goal is reached or a client cancels it."""
        goal = handle.request.command.position
        while self.position < goal:
            if handle.is_cancel_requested:
                handle.canceled()
                return GripperCommand.Result(position=self.position)
            self.position = min(goal, self.position + 0.01)
            handle.publish_feedback(GripperCommand.Feedback(position=self.position))
            await self.pause()
        handle.succeed()
        return GripperCommand.Result(position=self.position, reached_goal=True)


def main() -> None:
    """Run the node until a signal."""
    rclpy.init(args=sys.argv)
    node = Gripper()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        print("ended by a signal", flush=True)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
