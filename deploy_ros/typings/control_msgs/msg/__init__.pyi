from collections.abc import Sequence
from typing import ClassVar

import std_msgs.msg
import trajectory_msgs.msg

from sim2arm_ros.dds.messages import Message

class GripperCommand(Message):
    position: float
    max_effort: float
    def __init__(self, *, position: float = ..., max_effort: float = ...) -> None: ...

class JointComponentTolerance(Message):
    X_AXIS: ClassVar[int]
    Y_AXIS: ClassVar[int]
    Z_AXIS: ClassVar[int]
    TRANSLATION: ClassVar[int]
    ROTATION: ClassVar[int]
    joint_name: str
    component: int
    position: float
    velocity: float
    acceleration: float
    def __init__(
        self,
        *,
        joint_name: str = ...,
        component: int = ...,
        position: float = ...,
        velocity: float = ...,
        acceleration: float = ...,
    ) -> None: ...

class JointTolerance(Message):
    name: str
    position: float
    velocity: float
    acceleration: float
    def __init__(
        self,
        *,
        name: str = ...,
        position: float = ...,
        velocity: float = ...,
        acceleration: float = ...,
    ) -> None: ...

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
