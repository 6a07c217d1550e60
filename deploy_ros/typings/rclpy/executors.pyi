# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.executors import Executor as Executor
from sim2arm_ros.dds.executors import ExternalShutdownException as ExternalShutdownException
from sim2arm_ros.dds.executors import MultiThreadedExecutor as MultiThreadedExecutor
from sim2arm_ros.dds.executors import ShutdownException as ShutdownException
from sim2arm_ros.dds.executors import SingleThreadedExecutor as SingleThreadedExecutor
from sim2arm_ros.dds.executors import TimeoutException as TimeoutException
from sim2arm_ros.dds.task import await_or_execute as await_or_execute
