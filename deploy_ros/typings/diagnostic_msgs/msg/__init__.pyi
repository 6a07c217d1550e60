from typing import ClassVar

import std_msgs.msg

from sim2arm_ros.dds.messages import Message

class DiagnosticArray(Message):
    header: std_msgs.msg.Header
    status: list[DiagnosticStatus]
    def __init__(
        self, *, header: std_msgs.msg.Header = ..., status: list[DiagnosticStatus] = ...
    ) -> None: ...

class DiagnosticStatus(Message):
    OK: ClassVar[bytes]
    WARN: ClassVar[bytes]
    ERROR: ClassVar[bytes]
    STALE: ClassVar[bytes]
    level: bytes
    name: str
    message: str
    hardware_id: str
    values: list[KeyValue]
    def __init__(
        self,
        *,
        level: bytes = ...,
        name: str = ...,
        message: str = ...,
        hardware_id: str = ...,
        values: list[KeyValue] = ...,
    ) -> None: ...

class KeyValue(Message):
    key: str
    value: str
    def __init__(self, *, key: str = ..., value: str = ...) -> None: ...
