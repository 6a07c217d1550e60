# The part of tf2_py that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.tf2_core import BufferCore as BufferCore
from sim2arm_ros.dds.tf2_core import ConnectivityException as ConnectivityException
from sim2arm_ros.dds.tf2_core import ExtrapolationException as ExtrapolationException
from sim2arm_ros.dds.tf2_core import InvalidArgumentException as InvalidArgumentException
from sim2arm_ros.dds.tf2_core import LookupException as LookupException
from sim2arm_ros.dds.tf2_core import TimeoutException as TimeoutException
from sim2arm_ros.dds.tf2_core import TransformException as TransformException
