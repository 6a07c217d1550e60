import lifecycle_msgs.msg

from sim2arm_ros.dds.messages import Message

class ChangeState:
    class Request(Message):
        transition: lifecycle_msgs.msg.Transition
        def __init__(self, *, transition: lifecycle_msgs.msg.Transition = ...) -> None: ...

    class Response(Message):
        success: bool
        def __init__(self, *, success: bool = ...) -> None: ...

class GetAvailableStates:
    class Request(Message):
        def __init__(self) -> None: ...

    class Response(Message):
        available_states: list[lifecycle_msgs.msg.State]
        def __init__(self, *, available_states: list[lifecycle_msgs.msg.State] = ...) -> None: ...

class GetAvailableTransitions:
    class Request(Message):
        def __init__(self) -> None: ...

    class Response(Message):
        available_transitions: list[lifecycle_msgs.msg.TransitionDescription]
        def __init__(
            self, *, available_transitions: list[lifecycle_msgs.msg.TransitionDescription] = ...
        ) -> None: ...

class GetState:
    class Request(Message):
        def __init__(self) -> None: ...

    class Response(Message):
        current_state: lifecycle_msgs.msg.State
        def __init__(self, *, current_state: lifecycle_msgs.msg.State = ...) -> None: ...
