from typing import ClassVar

from sim2arm_ros.dds.messages import Message

class RobotMode(Message):
    NO_CONTROLLER: ClassVar[int]
    DISCONNECTED: ClassVar[int]
    CONFIRM_SAFETY: ClassVar[int]
    BOOTING: ClassVar[int]
    POWER_OFF: ClassVar[int]
    POWER_ON: ClassVar[int]
    IDLE: ClassVar[int]
    BACKDRIVE: ClassVar[int]
    RUNNING: ClassVar[int]
    UPDATING_FIRMWARE: ClassVar[int]
    mode: int
    def __init__(self, *, mode: int = ...) -> None: ...

class SafetyMode(Message):
    NORMAL: ClassVar[int]
    REDUCED: ClassVar[int]
    PROTECTIVE_STOP: ClassVar[int]
    RECOVERY: ClassVar[int]
    SAFEGUARD_STOP: ClassVar[int]
    SYSTEM_EMERGENCY_STOP: ClassVar[int]
    ROBOT_EMERGENCY_STOP: ClassVar[int]
    VIOLATION: ClassVar[int]
    FAULT: ClassVar[int]
    VALIDATE_JOINT_ID: ClassVar[int]
    UNDEFINED_SAFETY_MODE: ClassVar[int]
    AUTOMATIC_MODE_SAFEGUARD_STOP: ClassVar[int]
    SYSTEM_THREE_POSITION_ENABLING_STOP: ClassVar[int]
    mode: int
    def __init__(self, *, mode: int = ...) -> None: ...
