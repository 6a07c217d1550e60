from sim2arm_ros.dds.messages import Message

class FrameGraph:
    class Request(Message):
        def __init__(self) -> None: ...

    class Response(Message):
        frame_yaml: str
        def __init__(self, *, frame_yaml: str = ...) -> None: ...
