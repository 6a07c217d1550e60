# pyright: standard
"""What client and server of an action share: types, names of the hidden entities, goal ids."""

from __future__ import annotations

from typing import Any

from .messages import Action, message_class

GOAL_STATUS: Any = message_class("action_msgs/msg/GoalStatus")
ENDED = (GOAL_STATUS.STATUS_SUCCEEDED, GOAL_STATUS.STATUS_CANCELED, GOAL_STATUS.STATUS_ABORTED)


def check_action_type(action_type: Any) -> None:
    """Raise where it is no action class."""
    if not (isinstance(action_type, type) and issubclass(action_type, Action)):
        raise TypeError(
            "expected an action class such as control_msgs.action.GripperCommand, got "
            f"{action_type!r}"
        )


def hidden_name(action_name: str, part: str) -> str:
    """Return the name of a service or topic of an action, before it is expanded and remapped."""
    return f"{action_name}/_action/{part}"


def goal_key(goal_id: Any) -> bytes:
    """Return the 16 bytes of a unique_identifier_msgs.msg.UUID."""
    return bytes(goal_id.uuid)
