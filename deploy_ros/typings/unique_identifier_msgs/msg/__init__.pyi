from collections.abc import Sequence

from sim2arm_ros.dds.messages import Message

class UUID(Message):
    uuid: Sequence[int]
    def __init__(self, *, uuid: Sequence[int] = ...) -> None: ...
