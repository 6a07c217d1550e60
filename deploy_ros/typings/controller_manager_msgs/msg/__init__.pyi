from collections.abc import Sequence

from sim2arm_ros.dds.messages import Message

class ChainConnection(Message):
    name: str
    reference_interfaces: Sequence[str]
    def __init__(self, *, name: str = ..., reference_interfaces: Sequence[str] = ...) -> None: ...

class ControllerState(Message):
    name: str
    state: str
    type: str
    is_async: bool
    update_rate: int
    claimed_interfaces: Sequence[str]
    required_command_interfaces: Sequence[str]
    required_state_interfaces: Sequence[str]
    is_chainable: bool
    is_chained: bool
    exported_state_interfaces: Sequence[str]
    reference_interfaces: Sequence[str]
    chain_connections: list[ChainConnection]
    def __init__(
        self,
        *,
        name: str = ...,
        state: str = ...,
        type: str = ...,
        is_async: bool = ...,
        update_rate: int = ...,
        claimed_interfaces: Sequence[str] = ...,
        required_command_interfaces: Sequence[str] = ...,
        required_state_interfaces: Sequence[str] = ...,
        is_chainable: bool = ...,
        is_chained: bool = ...,
        exported_state_interfaces: Sequence[str] = ...,
        reference_interfaces: Sequence[str] = ...,
        chain_connections: list[ChainConnection] = ...,
    ) -> None: ...
