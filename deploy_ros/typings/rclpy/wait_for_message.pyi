# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.utilities import wait_for_message as wait_for_message
