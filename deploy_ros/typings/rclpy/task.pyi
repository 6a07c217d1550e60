# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.task import Future as Future
from sim2arm_ros.dds.task import Task as Task
