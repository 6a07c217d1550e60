# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.facade import deserialize_message as deserialize_message
from sim2arm_ros.dds.facade import serialize_message as serialize_message
