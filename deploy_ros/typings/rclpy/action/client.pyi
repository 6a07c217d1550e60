# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.action_client import ActionClient as ActionClient
from sim2arm_ros.dds.action_client import ClientGoalHandle as ClientGoalHandle
