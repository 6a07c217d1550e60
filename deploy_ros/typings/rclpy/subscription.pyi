# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.subscription import MessageInfo as MessageInfo
from sim2arm_ros.dds.subscription import Subscription as Subscription
