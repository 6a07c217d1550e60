from sim2arm_ros.dds.messages import Message

class Empty:
    class Request(Message):
        def __init__(self) -> None: ...

    class Response(Message):
        def __init__(self) -> None: ...

class SetBool:
    class Request(Message):
        data: bool
        def __init__(self, *, data: bool = ...) -> None: ...

    class Response(Message):
        success: bool
        message: str
        def __init__(self, *, success: bool = ..., message: str = ...) -> None: ...

class Trigger:
    class Request(Message):
        def __init__(self) -> None: ...

    class Response(Message):
        success: bool
        message: str
        def __init__(self, *, success: bool = ..., message: str = ...) -> None: ...
