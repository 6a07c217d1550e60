from typing import ClassVar

import action_msgs.msg

from sim2arm_ros.dds.messages import Message

class CancelGoal:
    class Request(Message):
        goal_info: action_msgs.msg.GoalInfo
        def __init__(self, *, goal_info: action_msgs.msg.GoalInfo = ...) -> None: ...

    class Response(Message):
        ERROR_NONE: ClassVar[int]
        ERROR_REJECTED: ClassVar[int]
        ERROR_UNKNOWN_GOAL_ID: ClassVar[int]
        ERROR_GOAL_TERMINATED: ClassVar[int]
        return_code: int
        goals_canceling: list[action_msgs.msg.GoalInfo]
        def __init__(
            self, *, return_code: int = ..., goals_canceling: list[action_msgs.msg.GoalInfo] = ...
        ) -> None: ...
