# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.context import Context as Context
from sim2arm_ros.dds.context import get_default_context as get_default_context
