# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.ros_logging import LoggingSeverity as LoggingSeverity
from sim2arm_ros.dds.ros_logging import get_logger as get_logger
from sim2arm_ros.dds.ros_logging import get_logger_effective_level as get_logger_effective_level
from sim2arm_ros.dds.ros_logging import get_logger_level as get_logger_level
from sim2arm_ros.dds.ros_logging import set_logger_level as set_logger_level
