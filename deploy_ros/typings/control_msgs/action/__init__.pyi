from collections.abc import Sequence
from typing import ClassVar

import action_msgs.msg
import action_msgs.srv
import builtin_interfaces.msg
import control_msgs.msg
import sensor_msgs.msg
import std_msgs.msg
import trajectory_msgs.msg
import unique_identifier_msgs.msg

from sim2arm_ros.dds.messages import Message

class FollowJointTrajectory:
    class Goal(Message):
        trajectory: trajectory_msgs.msg.JointTrajectory
        multi_dof_trajectory: trajectory_msgs.msg.MultiDOFJointTrajectory
        path_tolerance: list[control_msgs.msg.JointTolerance]
        component_path_tolerance: list[control_msgs.msg.JointComponentTolerance]
        goal_tolerance: list[control_msgs.msg.JointTolerance]
        component_goal_tolerance: list[control_msgs.msg.JointComponentTolerance]
        goal_time_tolerance: builtin_interfaces.msg.Duration
        def __init__(
            self,
            *,
            trajectory: trajectory_msgs.msg.JointTrajectory = ...,
            multi_dof_trajectory: trajectory_msgs.msg.MultiDOFJointTrajectory = ...,
            path_tolerance: list[control_msgs.msg.JointTolerance] = ...,
            component_path_tolerance: list[control_msgs.msg.JointComponentTolerance] = ...,
            goal_tolerance: list[control_msgs.msg.JointTolerance] = ...,
            component_goal_tolerance: list[control_msgs.msg.JointComponentTolerance] = ...,
            goal_time_tolerance: builtin_interfaces.msg.Duration = ...,
        ) -> None: ...

    class Result(Message):
        SUCCESSFUL: ClassVar[int]
        INVALID_GOAL: ClassVar[int]
        INVALID_JOINTS: ClassVar[int]
        OLD_HEADER_TIMESTAMP: ClassVar[int]
        PATH_TOLERANCE_VIOLATED: ClassVar[int]
        GOAL_TOLERANCE_VIOLATED: ClassVar[int]
        error_code: int
        error_string: str
        def __init__(self, *, error_code: int = ..., error_string: str = ...) -> None: ...

    class Feedback(Message):
        header: std_msgs.msg.Header
        joint_names: Sequence[str]
        desired: trajectory_msgs.msg.JointTrajectoryPoint
        actual: trajectory_msgs.msg.JointTrajectoryPoint
        error: trajectory_msgs.msg.JointTrajectoryPoint
        multi_dof_joint_names: Sequence[str]
        multi_dof_desired: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint
        multi_dof_actual: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint
        multi_dof_error: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint
        def __init__(
            self,
            *,
            header: std_msgs.msg.Header = ...,
            joint_names: Sequence[str] = ...,
            desired: trajectory_msgs.msg.JointTrajectoryPoint = ...,
            actual: trajectory_msgs.msg.JointTrajectoryPoint = ...,
            error: trajectory_msgs.msg.JointTrajectoryPoint = ...,
            multi_dof_joint_names: Sequence[str] = ...,
            multi_dof_desired: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint = ...,
            multi_dof_actual: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint = ...,
            multi_dof_error: trajectory_msgs.msg.MultiDOFJointTrajectoryPoint = ...,
        ) -> None: ...

    class Impl:
        class SendGoalService:
            class Request(Message):
                goal_id: unique_identifier_msgs.msg.UUID
                goal: FollowJointTrajectory.Goal
                def __init__(
                    self,
                    *,
                    goal_id: unique_identifier_msgs.msg.UUID = ...,
                    goal: FollowJointTrajectory.Goal = ...,
                ) -> None: ...

            class Response(Message):
                accepted: bool
                stamp: builtin_interfaces.msg.Time
                def __init__(
                    self, *, accepted: bool = ..., stamp: builtin_interfaces.msg.Time = ...
                ) -> None: ...

        class GetResultService:
            class Request(Message):
                goal_id: unique_identifier_msgs.msg.UUID
                def __init__(self, *, goal_id: unique_identifier_msgs.msg.UUID = ...) -> None: ...

            class Response(Message):
                status: int
                result: FollowJointTrajectory.Result
                def __init__(
                    self, *, status: int = ..., result: FollowJointTrajectory.Result = ...
                ) -> None: ...

        class FeedbackMessage(Message):
            goal_id: unique_identifier_msgs.msg.UUID
            feedback: FollowJointTrajectory.Feedback
            def __init__(
                self,
                *,
                goal_id: unique_identifier_msgs.msg.UUID = ...,
                feedback: FollowJointTrajectory.Feedback = ...,
            ) -> None: ...

        CancelGoalService = action_msgs.srv.CancelGoal
        GoalStatusMessage = action_msgs.msg.GoalStatusArray

class GripperCommand:
    class Goal(Message):
        command: control_msgs.msg.GripperCommand
        def __init__(self, *, command: control_msgs.msg.GripperCommand = ...) -> None: ...

    class Result(Message):
        position: float
        effort: float
        stalled: bool
        reached_goal: bool
        def __init__(
            self,
            *,
            position: float = ...,
            effort: float = ...,
            stalled: bool = ...,
            reached_goal: bool = ...,
        ) -> None: ...

    class Feedback(Message):
        position: float
        effort: float
        stalled: bool
        reached_goal: bool
        def __init__(
            self,
            *,
            position: float = ...,
            effort: float = ...,
            stalled: bool = ...,
            reached_goal: bool = ...,
        ) -> None: ...

    class Impl:
        class SendGoalService:
            class Request(Message):
                goal_id: unique_identifier_msgs.msg.UUID
                goal: GripperCommand.Goal
                def __init__(
                    self,
                    *,
                    goal_id: unique_identifier_msgs.msg.UUID = ...,
                    goal: GripperCommand.Goal = ...,
                ) -> None: ...

            class Response(Message):
                accepted: bool
                stamp: builtin_interfaces.msg.Time
                def __init__(
                    self, *, accepted: bool = ..., stamp: builtin_interfaces.msg.Time = ...
                ) -> None: ...

        class GetResultService:
            class Request(Message):
                goal_id: unique_identifier_msgs.msg.UUID
                def __init__(self, *, goal_id: unique_identifier_msgs.msg.UUID = ...) -> None: ...

            class Response(Message):
                status: int
                result: GripperCommand.Result
                def __init__(
                    self, *, status: int = ..., result: GripperCommand.Result = ...
                ) -> None: ...

        class FeedbackMessage(Message):
            goal_id: unique_identifier_msgs.msg.UUID
            feedback: GripperCommand.Feedback
            def __init__(
                self,
                *,
                goal_id: unique_identifier_msgs.msg.UUID = ...,
                feedback: GripperCommand.Feedback = ...,
            ) -> None: ...

        CancelGoalService = action_msgs.srv.CancelGoal
        GoalStatusMessage = action_msgs.msg.GoalStatusArray

class ParallelGripperCommand:
    class Goal(Message):
        command: sensor_msgs.msg.JointState
        def __init__(self, *, command: sensor_msgs.msg.JointState = ...) -> None: ...

    class Result(Message):
        state: sensor_msgs.msg.JointState
        stalled: bool
        reached_goal: bool
        def __init__(
            self,
            *,
            state: sensor_msgs.msg.JointState = ...,
            stalled: bool = ...,
            reached_goal: bool = ...,
        ) -> None: ...

    class Feedback(Message):
        state: sensor_msgs.msg.JointState
        def __init__(self, *, state: sensor_msgs.msg.JointState = ...) -> None: ...

    class Impl:
        class SendGoalService:
            class Request(Message):
                goal_id: unique_identifier_msgs.msg.UUID
                goal: ParallelGripperCommand.Goal
                def __init__(
                    self,
                    *,
                    goal_id: unique_identifier_msgs.msg.UUID = ...,
                    goal: ParallelGripperCommand.Goal = ...,
                ) -> None: ...

            class Response(Message):
                accepted: bool
                stamp: builtin_interfaces.msg.Time
                def __init__(
                    self, *, accepted: bool = ..., stamp: builtin_interfaces.msg.Time = ...
                ) -> None: ...

        class GetResultService:
            class Request(Message):
                goal_id: unique_identifier_msgs.msg.UUID
                def __init__(self, *, goal_id: unique_identifier_msgs.msg.UUID = ...) -> None: ...

            class Response(Message):
                status: int
                result: ParallelGripperCommand.Result
                def __init__(
                    self, *, status: int = ..., result: ParallelGripperCommand.Result = ...
                ) -> None: ...

        class FeedbackMessage(Message):
            goal_id: unique_identifier_msgs.msg.UUID
            feedback: ParallelGripperCommand.Feedback
            def __init__(
                self,
                *,
                goal_id: unique_identifier_msgs.msg.UUID = ...,
                feedback: ParallelGripperCommand.Feedback = ...,
            ) -> None: ...

        CancelGoalService = action_msgs.srv.CancelGoal
        GoalStatusMessage = action_msgs.msg.GoalStatusArray
