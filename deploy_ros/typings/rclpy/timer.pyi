# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.timer import Rate as Rate
from sim2arm_ros.dds.timer import Timer as Timer
