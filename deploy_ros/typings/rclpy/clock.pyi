# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.clock import Clock as Clock
from sim2arm_ros.dds.clock import ClockChange as ClockChange
from sim2arm_ros.dds.clock import JumpHandle as JumpHandle
from sim2arm_ros.dds.clock import JumpThreshold as JumpThreshold
from sim2arm_ros.dds.clock import ROSClock as ROSClock
from sim2arm_ros.dds.clock import TimeJump as TimeJump
