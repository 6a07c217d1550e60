from collections.abc import Sequence

import builtin_interfaces.msg
import geometry_msgs.msg
import std_msgs.msg

from sim2arm_ros.dds.messages import Message

class JointTrajectory(Message):
    header: std_msgs.msg.Header
    joint_names: Sequence[str]
    points: list[JointTrajectoryPoint]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        joint_names: Sequence[str] = ...,
        points: list[JointTrajectoryPoint] = ...,
    ) -> None: ...

class JointTrajectoryPoint(Message):
    positions: Sequence[float]
    velocities: Sequence[float]
    accelerations: Sequence[float]
    effort: Sequence[float]
    time_from_start: builtin_interfaces.msg.Duration
    def __init__(
        self,
        *,
        positions: Sequence[float] = ...,
        velocities: Sequence[float] = ...,
        accelerations: Sequence[float] = ...,
        effort: Sequence[float] = ...,
        time_from_start: builtin_interfaces.msg.Duration = ...,
    ) -> None: ...

class MultiDOFJointTrajectory(Message):
    header: std_msgs.msg.Header
    joint_names: Sequence[str]
    points: list[MultiDOFJointTrajectoryPoint]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        joint_names: Sequence[str] = ...,
        points: list[MultiDOFJointTrajectoryPoint] = ...,
    ) -> None: ...

class MultiDOFJointTrajectoryPoint(Message):
    transforms: list[geometry_msgs.msg.Transform]
    velocities: list[geometry_msgs.msg.Twist]
    accelerations: list[geometry_msgs.msg.Twist]
    time_from_start: builtin_interfaces.msg.Duration
    def __init__(
        self,
        *,
        transforms: list[geometry_msgs.msg.Transform] = ...,
        velocities: list[geometry_msgs.msg.Twist] = ...,
        accelerations: list[geometry_msgs.msg.Twist] = ...,
        time_from_start: builtin_interfaces.msg.Duration = ...,
    ) -> None: ...
