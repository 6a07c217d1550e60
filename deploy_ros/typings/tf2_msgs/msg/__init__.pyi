from typing import ClassVar

import geometry_msgs.msg

from sim2arm_ros.dds.messages import Message

class TF2Error(Message):
    NO_ERROR: ClassVar[int]
    LOOKUP_ERROR: ClassVar[int]
    CONNECTIVITY_ERROR: ClassVar[int]
    EXTRAPOLATION_ERROR: ClassVar[int]
    INVALID_ARGUMENT_ERROR: ClassVar[int]
    TIMEOUT_ERROR: ClassVar[int]
    TRANSFORM_ERROR: ClassVar[int]
    error: int
    error_string: str
    def __init__(self, *, error: int = ..., error_string: str = ...) -> None: ...

class TFMessage(Message):
    transforms: list[geometry_msgs.msg.TransformStamped]
    def __init__(self, *, transforms: list[geometry_msgs.msg.TransformStamped] = ...) -> None: ...
