# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.callback_groups import CallbackGroup as CallbackGroup
from sim2arm_ros.dds.callback_groups import (
    MutuallyExclusiveCallbackGroup as MutuallyExclusiveCallbackGroup,
)
from sim2arm_ros.dds.callback_groups import ReentrantCallbackGroup as ReentrantCallbackGroup
