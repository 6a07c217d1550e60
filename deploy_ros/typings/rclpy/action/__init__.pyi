# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.action_client import ActionClient as ActionClient
from sim2arm_ros.dds.action_goal import CancelResponse as CancelResponse
from sim2arm_ros.dds.action_goal import GoalResponse as GoalResponse
from sim2arm_ros.dds.action_graph import (
    get_action_client_names_and_types_by_node as get_action_client_names_and_types_by_node,
)
from sim2arm_ros.dds.action_graph import get_action_names_and_types as get_action_names_and_types
from sim2arm_ros.dds.action_graph import (
    get_action_server_names_and_types_by_node as get_action_server_names_and_types_by_node,
)
from sim2arm_ros.dds.action_server import ActionServer as ActionServer
