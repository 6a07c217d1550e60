# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.event_handler import IncompatibleTypeInfo as IncompatibleTypeInfo
from sim2arm_ros.dds.event_handler import PublisherEventCallbacks as PublisherEventCallbacks
from sim2arm_ros.dds.event_handler import QoSLivelinessChangedInfo as QoSLivelinessChangedInfo
from sim2arm_ros.dds.event_handler import QoSLivelinessLostInfo as QoSLivelinessLostInfo
from sim2arm_ros.dds.event_handler import QoSMessageLostInfo as QoSMessageLostInfo
from sim2arm_ros.dds.event_handler import (
    QoSOfferedDeadlineMissedInfo as QoSOfferedDeadlineMissedInfo,
)
from sim2arm_ros.dds.event_handler import (
    QoSOfferedIncompatibleQoSInfo as QoSOfferedIncompatibleQoSInfo,
)
from sim2arm_ros.dds.event_handler import QoSPublisherMatchedInfo as QoSPublisherMatchedInfo
from sim2arm_ros.dds.event_handler import (
    QoSRequestedDeadlineMissedInfo as QoSRequestedDeadlineMissedInfo,
)
from sim2arm_ros.dds.event_handler import (
    QoSRequestedIncompatibleQoSInfo as QoSRequestedIncompatibleQoSInfo,
)
from sim2arm_ros.dds.event_handler import QoSSubscriptionMatchedInfo as QoSSubscriptionMatchedInfo
from sim2arm_ros.dds.event_handler import SubscriptionEventCallbacks as SubscriptionEventCallbacks
from sim2arm_ros.dds.event_handler import UnsupportedEventTypeError as UnsupportedEventTypeError
