# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.context import get_default_context as get_default_context
from sim2arm_ros.dds.rclpy_api import shutdown as shutdown
from sim2arm_ros.dds.rclpy_api import try_shutdown as try_shutdown
from sim2arm_ros.dds.utilities import (
    get_rmw_implementation_identifier as get_rmw_implementation_identifier,
)
from sim2arm_ros.dds.utilities import ok as ok
from sim2arm_ros.dds.utilities import remove_ros_args as remove_ros_args
from sim2arm_ros.dds.utilities import timeout_sec_to_nsec as timeout_sec_to_nsec
