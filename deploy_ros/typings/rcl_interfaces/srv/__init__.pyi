from collections.abc import Sequence
from typing import ClassVar

import rcl_interfaces.msg

from sim2arm_ros.dds.messages import Message

class DescribeParameters:
    class Request(Message):
        names: Sequence[str]
        def __init__(self, *, names: Sequence[str] = ...) -> None: ...

    class Response(Message):
        descriptors: list[rcl_interfaces.msg.ParameterDescriptor]
        def __init__(
            self, *, descriptors: list[rcl_interfaces.msg.ParameterDescriptor] = ...
        ) -> None: ...

class GetLoggerLevels:
    class Request(Message):
        names: Sequence[str]
        def __init__(self, *, names: Sequence[str] = ...) -> None: ...

    class Response(Message):
        levels: list[rcl_interfaces.msg.LoggerLevel]
        def __init__(self, *, levels: list[rcl_interfaces.msg.LoggerLevel] = ...) -> None: ...

class GetParameterTypes:
    class Request(Message):
        names: Sequence[str]
        def __init__(self, *, names: Sequence[str] = ...) -> None: ...

    class Response(Message):
        types: Sequence[int]
        def __init__(self, *, types: Sequence[int] = ...) -> None: ...

class GetParameters:
    class Request(Message):
        names: Sequence[str]
        def __init__(self, *, names: Sequence[str] = ...) -> None: ...

    class Response(Message):
        values: list[rcl_interfaces.msg.ParameterValue]
        def __init__(self, *, values: list[rcl_interfaces.msg.ParameterValue] = ...) -> None: ...

class ListParameters:
    class Request(Message):
        DEPTH_RECURSIVE: ClassVar[int]
        prefixes: Sequence[str]
        depth: int
        def __init__(self, *, prefixes: Sequence[str] = ..., depth: int = ...) -> None: ...

    class Response(Message):
        result: rcl_interfaces.msg.ListParametersResult
        def __init__(self, *, result: rcl_interfaces.msg.ListParametersResult = ...) -> None: ...

class SetLoggerLevels:
    class Request(Message):
        levels: list[rcl_interfaces.msg.LoggerLevel]
        def __init__(self, *, levels: list[rcl_interfaces.msg.LoggerLevel] = ...) -> None: ...

    class Response(Message):
        results: list[rcl_interfaces.msg.SetLoggerLevelsResult]
        def __init__(
            self, *, results: list[rcl_interfaces.msg.SetLoggerLevelsResult] = ...
        ) -> None: ...

class SetParameters:
    class Request(Message):
        parameters: list[rcl_interfaces.msg.Parameter]
        def __init__(self, *, parameters: list[rcl_interfaces.msg.Parameter] = ...) -> None: ...

    class Response(Message):
        results: list[rcl_interfaces.msg.SetParametersResult]
        def __init__(
            self, *, results: list[rcl_interfaces.msg.SetParametersResult] = ...
        ) -> None: ...

class SetParametersAtomically:
    class Request(Message):
        parameters: list[rcl_interfaces.msg.Parameter]
        def __init__(self, *, parameters: list[rcl_interfaces.msg.Parameter] = ...) -> None: ...

    class Response(Message):
        result: rcl_interfaces.msg.SetParametersResult
        def __init__(self, *, result: rcl_interfaces.msg.SetParametersResult = ...) -> None: ...
