from typing import ClassVar

import builtin_interfaces.msg
import unique_identifier_msgs.msg

from sim2arm_ros.dds.messages import Message

class GoalInfo(Message):
    goal_id: unique_identifier_msgs.msg.UUID
    stamp: builtin_interfaces.msg.Time
    def __init__(
        self,
        *,
        goal_id: unique_identifier_msgs.msg.UUID = ...,
        stamp: builtin_interfaces.msg.Time = ...,
    ) -> None: ...

class GoalStatus(Message):
    STATUS_UNKNOWN: ClassVar[int]
    STATUS_ACCEPTED: ClassVar[int]
    STATUS_EXECUTING: ClassVar[int]
    STATUS_CANCELING: ClassVar[int]
    STATUS_SUCCEEDED: ClassVar[int]
    STATUS_CANCELED: ClassVar[int]
    STATUS_ABORTED: ClassVar[int]
    goal_info: GoalInfo
    status: int
    def __init__(self, *, goal_info: GoalInfo = ..., status: int = ...) -> None: ...

class GoalStatusArray(Message):
    status_list: list[GoalStatus]
    def __init__(self, *, status_list: list[GoalStatus] = ...) -> None: ...
