# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.action_goal import CancelResponse as CancelResponse
from sim2arm_ros.dds.action_goal import GoalEvent as GoalEvent
from sim2arm_ros.dds.action_goal import GoalResponse as GoalResponse
from sim2arm_ros.dds.action_goal import ServerGoalHandle as ServerGoalHandle
from sim2arm_ros.dds.action_server import ActionServer as ActionServer
from sim2arm_ros.dds.action_server import default_cancel_callback as default_cancel_callback
from sim2arm_ros.dds.action_server import default_goal_callback as default_goal_callback
from sim2arm_ros.dds.action_server import (
    default_handle_accepted_callback as default_handle_accepted_callback,
)
from sim2arm_ros.dds.exceptions import RCLError as RCLError
