from sim2arm_ros.dds.messages import Message

class GraspEpsilon(Message):
    inner: float
    outer: float
    def __init__(self, *, inner: float = ..., outer: float = ...) -> None: ...
