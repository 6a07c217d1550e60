from collections.abc import Sequence
from typing import ClassVar

import builtin_interfaces.msg

from sim2arm_ros.dds.messages import Message

class FloatingPointRange(Message):
    from_value: float
    to_value: float
    step: float
    def __init__(
        self, *, from_value: float = ..., to_value: float = ..., step: float = ...
    ) -> None: ...

class IntegerRange(Message):
    from_value: int
    to_value: int
    step: int
    def __init__(self, *, from_value: int = ..., to_value: int = ..., step: int = ...) -> None: ...

class ListParametersResult(Message):
    names: Sequence[str]
    prefixes: Sequence[str]
    def __init__(self, *, names: Sequence[str] = ..., prefixes: Sequence[str] = ...) -> None: ...

class Log(Message):
    DEBUG: ClassVar[int]
    INFO: ClassVar[int]
    WARN: ClassVar[int]
    ERROR: ClassVar[int]
    FATAL: ClassVar[int]
    stamp: builtin_interfaces.msg.Time
    level: int
    name: str
    msg: str
    file: str
    function: str
    line: int
    def __init__(
        self,
        *,
        stamp: builtin_interfaces.msg.Time = ...,
        level: int = ...,
        name: str = ...,
        msg: str = ...,
        file: str = ...,
        function: str = ...,
        line: int = ...,
    ) -> None: ...

class LoggerLevel(Message):
    LOG_LEVEL_UNKNOWN: ClassVar[int]
    LOG_LEVEL_DEBUG: ClassVar[int]
    LOG_LEVEL_INFO: ClassVar[int]
    LOG_LEVEL_WARN: ClassVar[int]
    LOG_LEVEL_ERROR: ClassVar[int]
    LOG_LEVEL_FATAL: ClassVar[int]
    name: str
    level: int
    def __init__(self, *, name: str = ..., level: int = ...) -> None: ...

class Parameter(Message):
    name: str
    value: ParameterValue
    def __init__(self, *, name: str = ..., value: ParameterValue = ...) -> None: ...

class ParameterDescriptor(Message):
    name: str
    type: int
    description: str
    additional_constraints: str
    read_only: bool
    dynamic_typing: bool
    floating_point_range: list[FloatingPointRange]
    integer_range: list[IntegerRange]
    def __init__(
        self,
        *,
        name: str = ...,
        type: int = ...,
        description: str = ...,
        additional_constraints: str = ...,
        read_only: bool = ...,
        dynamic_typing: bool = ...,
        floating_point_range: list[FloatingPointRange] = ...,
        integer_range: list[IntegerRange] = ...,
    ) -> None: ...

class ParameterEvent(Message):
    stamp: builtin_interfaces.msg.Time
    node: str
    new_parameters: list[Parameter]
    changed_parameters: list[Parameter]
    deleted_parameters: list[Parameter]
    def __init__(
        self,
        *,
        stamp: builtin_interfaces.msg.Time = ...,
        node: str = ...,
        new_parameters: list[Parameter] = ...,
        changed_parameters: list[Parameter] = ...,
        deleted_parameters: list[Parameter] = ...,
    ) -> None: ...

class ParameterEventDescriptors(Message):
    new_parameters: list[ParameterDescriptor]
    changed_parameters: list[ParameterDescriptor]
    deleted_parameters: list[ParameterDescriptor]
    def __init__(
        self,
        *,
        new_parameters: list[ParameterDescriptor] = ...,
        changed_parameters: list[ParameterDescriptor] = ...,
        deleted_parameters: list[ParameterDescriptor] = ...,
    ) -> None: ...

class ParameterType(Message):
    PARAMETER_NOT_SET: ClassVar[int]
    PARAMETER_BOOL: ClassVar[int]
    PARAMETER_INTEGER: ClassVar[int]
    PARAMETER_DOUBLE: ClassVar[int]
    PARAMETER_STRING: ClassVar[int]
    PARAMETER_BYTE_ARRAY: ClassVar[int]
    PARAMETER_BOOL_ARRAY: ClassVar[int]
    PARAMETER_INTEGER_ARRAY: ClassVar[int]
    PARAMETER_DOUBLE_ARRAY: ClassVar[int]
    PARAMETER_STRING_ARRAY: ClassVar[int]
    def __init__(self) -> None: ...

class ParameterValue(Message):
    type: int
    bool_value: bool
    integer_value: int
    double_value: float
    string_value: str
    byte_array_value: Sequence[bytes]
    bool_array_value: Sequence[bool]
    integer_array_value: Sequence[int]
    double_array_value: Sequence[float]
    string_array_value: Sequence[str]
    def __init__(
        self,
        *,
        type: int = ...,
        bool_value: bool = ...,
        integer_value: int = ...,
        double_value: float = ...,
        string_value: str = ...,
        byte_array_value: Sequence[bytes] = ...,
        bool_array_value: Sequence[bool] = ...,
        integer_array_value: Sequence[int] = ...,
        double_array_value: Sequence[float] = ...,
        string_array_value: Sequence[str] = ...,
    ) -> None: ...

class SetLoggerLevelsResult(Message):
    successful: bool
    reason: str
    def __init__(self, *, successful: bool = ..., reason: str = ...) -> None: ...

class SetParametersResult(Message):
    successful: bool
    reason: str
    def __init__(self, *, successful: bool = ..., reason: str = ...) -> None: ...
