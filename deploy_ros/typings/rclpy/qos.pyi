# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.qos import DurabilityPolicy as DurabilityPolicy
from sim2arm_ros.dds.qos import HistoryPolicy as HistoryPolicy
from sim2arm_ros.dds.qos import InvalidQoSProfileException as InvalidQoSProfileException
from sim2arm_ros.dds.qos import LivelinessPolicy as LivelinessPolicy
from sim2arm_ros.dds.qos import QoSCompatibility as QoSCompatibility
from sim2arm_ros.dds.qos import QoSDurabilityPolicy as QoSDurabilityPolicy
from sim2arm_ros.dds.qos import QoSHistoryPolicy as QoSHistoryPolicy
from sim2arm_ros.dds.qos import QoSLivelinessPolicy as QoSLivelinessPolicy
from sim2arm_ros.dds.qos import QoSPolicyKind as QoSPolicyKind
from sim2arm_ros.dds.qos import QoSPresetProfiles as QoSPresetProfiles
from sim2arm_ros.dds.qos import QoSProfile as QoSProfile
from sim2arm_ros.dds.qos import QoSReliabilityPolicy as QoSReliabilityPolicy
from sim2arm_ros.dds.qos import ReliabilityPolicy as ReliabilityPolicy
from sim2arm_ros.dds.qos import qos_check_compatible as qos_check_compatible
from sim2arm_ros.dds.qos import (
    qos_profile_action_status_default as qos_profile_action_status_default,
)
from sim2arm_ros.dds.qos import qos_profile_best_available as qos_profile_best_available
from sim2arm_ros.dds.qos import qos_profile_default as qos_profile_default
from sim2arm_ros.dds.qos import qos_profile_parameter_events as qos_profile_parameter_events
from sim2arm_ros.dds.qos import qos_profile_parameters as qos_profile_parameters
from sim2arm_ros.dds.qos import qos_profile_sensor_data as qos_profile_sensor_data
from sim2arm_ros.dds.qos import qos_profile_services_default as qos_profile_services_default
from sim2arm_ros.dds.qos import qos_profile_system_default as qos_profile_system_default
from sim2arm_ros.dds.qos import qos_profile_unknown as qos_profile_unknown
