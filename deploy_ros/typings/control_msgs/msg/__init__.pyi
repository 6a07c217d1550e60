from collections.abc import Sequence

import std_msgs.msg
import trajectory_msgs.msg

from sim2arm_ros.dds.messages import Message

class JointTrajectoryControllerState(Message):
    header: std_msgs.msg.Header
    joint_names: Sequence[str]
    reference: trajectory_msgs.msg.JointTrajectoryPoint
    feedback: trajectory_msgs.msg.JointTrajectoryPoint
    error: trajectory_msgs.msg.JointTrajectoryPoint
    output: trajectory_msgs.msg.JointTrajectoryPoint
    multi_dof_joint_names: Sequence[str]
    multi_dof_reference: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint
    multi_dof_feedback: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint
    multi_dof_error: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint
    multi_dof_output: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint
    speed_scaling_factor: float
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        joint_names: Sequence[str] = ...,
        reference: trajectory_msgs.msg.JointTrajectoryPoint = ...,
        feedback: trajectory_msgs.msg.JointTrajectoryPoint = ...,
        error: trajectory_msgs.msg.JointTrajectoryPoint = ...,
        output: trajectory_msgs.msg.JointTrajectoryPoint = ...,
        multi_dof_joint_names: Sequence[str] = ...,
        multi_dof_reference: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint = ...,
        multi_dof_feedback: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint = ...,
        multi_dof_error: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint = ...,
        multi_dof_output: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint = ...,
        speed_scaling_factor: float = ...,
    ) -> None: ...
