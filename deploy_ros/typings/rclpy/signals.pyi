# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.context import SignalHandlerOptions as SignalHandlerOptions
from sim2arm_ros.dds.context import (
    get_current_signal_handlers_options as get_current_signal_handlers_options,
)
from sim2arm_ros.dds.context import install_signal_handlers as install_signal_handlers
from sim2arm_ros.dds.context import uninstall_signal_handlers as uninstall_signal_handlers
