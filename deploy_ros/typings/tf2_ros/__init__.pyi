# The part of tf2_ros that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.tf2_buffer import Buffer as Buffer
from sim2arm_ros.dds.tf2_core import BufferCore as BufferCore
from sim2arm_ros.dds.tf2_core import ConnectivityException as ConnectivityException
from sim2arm_ros.dds.tf2_core import ExtrapolationException as ExtrapolationException
from sim2arm_ros.dds.tf2_core import InvalidArgumentException as InvalidArgumentException
from sim2arm_ros.dds.tf2_core import LookupException as LookupException
from sim2arm_ros.dds.tf2_core import TimeoutException as TimeoutException
from sim2arm_ros.dds.tf2_core import TransformException as TransformException
from sim2arm_ros.dds.tf2_topics import StaticTransformBroadcaster as StaticTransformBroadcaster
from sim2arm_ros.dds.tf2_topics import TransformBroadcaster as TransformBroadcaster
from sim2arm_ros.dds.tf2_topics import TransformListener as TransformListener
