from collections.abc import Sequence
from typing import ClassVar

import builtin_interfaces.msg
import controller_manager_msgs.msg

from sim2arm_ros.dds.messages import Message

class ListControllerTypes:
    class Request(Message):
        def __init__(self) -> None: ...

    class Response(Message):
        types: Sequence[str]
        base_classes: Sequence[str]
        def __init__(
            self, *, types: Sequence[str] = ..., base_classes: Sequence[str] = ...
        ) -> None: ...

class ListControllers:
    class Request(Message):
        def __init__(self) -> None: ...

    class Response(Message):
        controller: list[controller_manager_msgs.msg.ControllerState]
        def __init__(
            self, *, controller: list[controller_manager_msgs.msg.ControllerState] = ...
        ) -> None: ...

class SwitchController:
    class Request(Message):
        BEST_EFFORT: ClassVar[int]
        STRICT: ClassVar[int]
        AUTO: ClassVar[int]
        FORCE_AUTO: ClassVar[int]
        activate_controllers: Sequence[str]
        deactivate_controllers: Sequence[str]
        strictness: int
        activate_asap: bool
        timeout: builtin_interfaces.msg.Duration
        def __init__(
            self,
            *,
            activate_controllers: Sequence[str] = ...,
            deactivate_controllers: Sequence[str] = ...,
            strictness: int = ...,
            activate_asap: bool = ...,
            timeout: builtin_interfaces.msg.Duration = ...,
        ) -> None: ...

    class Response(Message):
        ok: bool
        message: str
        def __init__(self, *, ok: bool = ..., message: str = ...) -> None: ...
