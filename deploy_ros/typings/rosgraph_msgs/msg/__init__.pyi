import builtin_interfaces.msg

from sim2arm_ros.dds.messages import Message

class Clock(Message):
    clock: builtin_interfaces.msg.Time
    def __init__(self, *, clock: builtin_interfaces.msg.Time = ...) -> None: ...
