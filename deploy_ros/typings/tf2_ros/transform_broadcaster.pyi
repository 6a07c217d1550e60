# The part of tf2_ros that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.tf2_topics import TransformBroadcaster as TransformBroadcaster
