from sim2arm_ros.dds.messages import Message

class Duration(Message):
    sec: int
    nanosec: int
    def __init__(self, *, sec: int = ..., nanosec: int = ...) -> None: ...

class Time(Message):
    sec: int
    nanosec: int
    def __init__(self, *, sec: int = ..., nanosec: int = ...) -> None: ...
