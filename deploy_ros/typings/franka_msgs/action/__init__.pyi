import action_msgs.msg
import action_msgs.srv
import builtin_interfaces.msg
import franka_msgs.msg
import unique_identifier_msgs.msg

from sim2arm_ros.dds.messages import Message

class Grasp:
    class Goal(Message):
        width: float
        epsilon: franka_msgs.msg.GraspEpsilon
        speed: float
        force: float
        def __init__(
            self,
            *,
            width: float = ...,
            epsilon: franka_msgs.msg.GraspEpsilon = ...,
            speed: float = ...,
            force: float = ...,
        ) -> None: ...

    class Result(Message):
        success: bool
        error: str
        def __init__(self, *, success: bool = ..., error: str = ...) -> None: ...

    class Feedback(Message):
        current_width: float
        def __init__(self, *, current_width: float = ...) -> None: ...

    class Impl:
        class SendGoalService:
            class Request(Message):
                goal_id: unique_identifier_msgs.msg.UUID
                goal: Grasp.Goal
                def __init__(
                    self, *, goal_id: unique_identifier_msgs.msg.UUID = ..., goal: Grasp.Goal = ...
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
                result: Grasp.Result
                def __init__(self, *, status: int = ..., result: Grasp.Result = ...) -> None: ...

        class FeedbackMessage(Message):
            goal_id: unique_identifier_msgs.msg.UUID
            feedback: Grasp.Feedback
            def __init__(
                self,
                *,
                goal_id: unique_identifier_msgs.msg.UUID = ...,
                feedback: Grasp.Feedback = ...,
            ) -> None: ...

        CancelGoalService = action_msgs.srv.CancelGoal
        GoalStatusMessage = action_msgs.msg.GoalStatusArray

class Homing:
    class Goal(Message):
        def __init__(self) -> None: ...

    class Result(Message):
        success: bool
        error: str
        def __init__(self, *, success: bool = ..., error: str = ...) -> None: ...

    class Feedback(Message):
        current_width: float
        def __init__(self, *, current_width: float = ...) -> None: ...

    class Impl:
        class SendGoalService:
            class Request(Message):
                goal_id: unique_identifier_msgs.msg.UUID
                goal: Homing.Goal
                def __init__(
                    self, *, goal_id: unique_identifier_msgs.msg.UUID = ..., goal: Homing.Goal = ...
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
                result: Homing.Result
                def __init__(self, *, status: int = ..., result: Homing.Result = ...) -> None: ...

        class FeedbackMessage(Message):
            goal_id: unique_identifier_msgs.msg.UUID
            feedback: Homing.Feedback
            def __init__(
                self,
                *,
                goal_id: unique_identifier_msgs.msg.UUID = ...,
                feedback: Homing.Feedback = ...,
            ) -> None: ...

        CancelGoalService = action_msgs.srv.CancelGoal
        GoalStatusMessage = action_msgs.msg.GoalStatusArray

class Move:
    class Goal(Message):
        width: float
        speed: float
        def __init__(self, *, width: float = ..., speed: float = ...) -> None: ...

    class Result(Message):
        success: bool
        error: str
        def __init__(self, *, success: bool = ..., error: str = ...) -> None: ...

    class Feedback(Message):
        current_width: float
        def __init__(self, *, current_width: float = ...) -> None: ...

    class Impl:
        class SendGoalService:
            class Request(Message):
                goal_id: unique_identifier_msgs.msg.UUID
                goal: Move.Goal
                def __init__(
                    self, *, goal_id: unique_identifier_msgs.msg.UUID = ..., goal: Move.Goal = ...
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
                result: Move.Result
                def __init__(self, *, status: int = ..., result: Move.Result = ...) -> None: ...

        class FeedbackMessage(Message):
            goal_id: unique_identifier_msgs.msg.UUID
            feedback: Move.Feedback
            def __init__(
                self,
                *,
                goal_id: unique_identifier_msgs.msg.UUID = ...,
                feedback: Move.Feedback = ...,
            ) -> None: ...

        CancelGoalService = action_msgs.srv.CancelGoal
        GoalStatusMessage = action_msgs.msg.GoalStatusArray
