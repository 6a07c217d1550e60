"""A lifecycle node in a process of its own, as on a robot."""

import os
import sys

from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from rclpy.clock import Clock  # noqa: E402
from rclpy.clock_type import ClockType  # noqa: E402
from rclpy.executors import ExternalShutdownException  # noqa: E402
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402


class Child(LifecycleNode):
    """Publishes `<pid> <node time in ns>` each 20 ms of steady time while active."""

    def __init__(self) -> None:
        super().__init__("child")
        self.declare_parameter("gain", 1.0)
        self.create_service(Trigger, "~/pid", self.on_pid)
        self.create_subscription(String, "ping", self.on_ping, 100)
        self.pong = self.create_publisher(String, "pong", 100)

    def on_ping(self, message: String) -> None:
        """Send it back."""
        self.pong.publish(message)

    def on_pid(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Answer with the process id."""
        response.success = True
        response.message = str(os.getpid())
        return response

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Create what publishes."""
        self.words = self.create_lifecycle_publisher(String, "words", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.timer = self.create_timer(0.02, self.tick, clock=steady)
        return super().on_configure(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy what publishes."""
        self.destroy_timer(self.timer)
        self.destroy_lifecycle_publisher(self.words)
        return super().on_cleanup(state)

    def tick(self) -> None:
        """Publish."""
        now = self.get_clock().now().nanoseconds
        self.words.publish(String(data=f"{os.getpid()} {now}"))


def main() -> None:
    """Run the node until a signal."""
    rclpy.init(args=sys.argv)
    node = Child()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        print("ended by a signal", flush=True)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
