# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.parameter import PARAMETER_SEPARATOR_STRING as PARAMETER_SEPARATOR_STRING
from sim2arm_ros.dds.parameter import Parameter as Parameter
from sim2arm_ros.dds.parameter import get_parameter_value as get_parameter_value
from sim2arm_ros.dds.parameter import parameter_value_to_python as parameter_value_to_python
