# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.node_graph import TopicEndpointInfo as TopicEndpointInfo
from sim2arm_ros.dds.node_graph import TopicEndpointTypeEnum as TopicEndpointTypeEnum
from sim2arm_ros.dds.node_graph import TypeHash as TypeHash
