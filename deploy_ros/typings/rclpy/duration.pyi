# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.ros_time import Duration as Duration
from sim2arm_ros.dds.ros_time import Infinite as Infinite
