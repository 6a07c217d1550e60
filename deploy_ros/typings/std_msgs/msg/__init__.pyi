from collections.abc import Sequence

import builtin_interfaces.msg

from sim2arm_ros.dds.messages import Message

class Bool(Message):
    data: bool
    def __init__(self, *, data: bool = ...) -> None: ...

class Byte(Message):
    data: bytes
    def __init__(self, *, data: bytes = ...) -> None: ...

class ByteMultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[bytes]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[bytes] = ...) -> None: ...

class Char(Message):
    data: int
    def __init__(self, *, data: int = ...) -> None: ...

class ColorRGBA(Message):
    r: float
    g: float
    b: float
    a: float
    def __init__(
        self, *, r: float = ..., g: float = ..., b: float = ..., a: float = ...
    ) -> None: ...

class Empty(Message):
    def __init__(self) -> None: ...

class Float32(Message):
    data: float
    def __init__(self, *, data: float = ...) -> None: ...

class Float32MultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[float]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[float] = ...) -> None: ...

class Float64(Message):
    data: float
    def __init__(self, *, data: float = ...) -> None: ...

class Float64MultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[float]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[float] = ...) -> None: ...

class Header(Message):
    stamp: builtin_interfaces.msg.Time
    frame_id: str
    def __init__(
        self, *, stamp: builtin_interfaces.msg.Time = ..., frame_id: str = ...
    ) -> None: ...

class Int16(Message):
    data: int
    def __init__(self, *, data: int = ...) -> None: ...

class Int16MultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[int]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[int] = ...) -> None: ...

class Int32(Message):
    data: int
    def __init__(self, *, data: int = ...) -> None: ...

class Int32MultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[int]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[int] = ...) -> None: ...

class Int64(Message):
    data: int
    def __init__(self, *, data: int = ...) -> None: ...

class Int64MultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[int]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[int] = ...) -> None: ...

class Int8(Message):
    data: int
    def __init__(self, *, data: int = ...) -> None: ...

class Int8MultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[int]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[int] = ...) -> None: ...

class MultiArrayDimension(Message):
    label: str
    size: int
    stride: int
    def __init__(self, *, label: str = ..., size: int = ..., stride: int = ...) -> None: ...

class MultiArrayLayout(Message):
    dim: list[MultiArrayDimension]
    data_offset: int
    def __init__(self, *, dim: list[MultiArrayDimension] = ..., data_offset: int = ...) -> None: ...

class String(Message):
    data: str
    def __init__(self, *, data: str = ...) -> None: ...

class UInt16(Message):
    data: int
    def __init__(self, *, data: int = ...) -> None: ...

class UInt16MultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[int]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[int] = ...) -> None: ...

class UInt32(Message):
    data: int
    def __init__(self, *, data: int = ...) -> None: ...

class UInt32MultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[int]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[int] = ...) -> None: ...

class UInt64(Message):
    data: int
    def __init__(self, *, data: int = ...) -> None: ...

class UInt64MultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[int]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[int] = ...) -> None: ...

class UInt8(Message):
    data: int
    def __init__(self, *, data: int = ...) -> None: ...

class UInt8MultiArray(Message):
    layout: MultiArrayLayout
    data: Sequence[int]
    def __init__(self, *, layout: MultiArrayLayout = ..., data: Sequence[int] = ...) -> None: ...
