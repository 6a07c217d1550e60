# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.names import expand_topic_name as expand_topic_name
