"""Definitions of messages, services and actions: rosbags' Jazzy store, and `definitions/`.

rosbags ships the messages of the common interface packages, no services and no actions. What it
lacks lies in `definitions/<package>/<msg|srv|action>/<Name>.<msg|srv|action>` as the public text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

DEFINITIONS = Path(__file__).parent / "definitions"
EMPTY_MEMBER = "structure_needs_at_least_one_member"

# rosbags drops default values. These are all messages of its Jazzy store whose .msg files have
# any (geometry_msgs/msg/Quaternion.msg: x 0, y 0, z 0, w 1), and of `definitions/`.
FIELD_DEFAULTS: dict[tuple[str, str], Any] = {
    ("geometry_msgs/msg/Quaternion", "w"): 1.0,
    ("franka_msgs/msg/GraspEpsilon", "inner"): 0.005,  # [m]
    ("franka_msgs/msg/GraspEpsilon", "outer"): 0.005,  # [m]
}


@dataclass(frozen=True)
class FieldSpec:
    """One field of a message."""

    name: str
    """Field name."""
    base: str
    """Primitive name such as `float64`, or full message name such as `std_msgs/msg/Header`."""
    kind: str
    """`value`, `array` (fixed length) or `sequence`."""
    size: int
    """Length of the array, or bound of the sequence (0: unbounded)."""
    string_bound: int
    """Bound of a string (0: unbounded)."""
    default: Any
    """Default of a single value, None: zero."""

    @property
    def is_message(self) -> bool:
        """Whether the element is itself a message."""
        return "/" in self.base

    def type_text(self) -> str:
        """Return the type as `get_fields_and_field_types` of ROS writes it."""
        base = self.base
        if self.is_message:
            package, _, name = base.split("/")
            base = f"{package}/{name}"
        base = {"bool": "boolean", "float32": "float", "float64": "double", "byte": "octet"}.get(
            base, base
        )
        if self.string_bound:
            base = f"string<{self.string_bound}>"
        if self.kind == "array":
            return f"{base}[{self.size}]"
        if self.kind == "sequence":
            return f"sequence<{base}, {self.size}>" if self.size else f"sequence<{base}>"
        return base


@dataclass(frozen=True)
class MessageSpec:
    """One message: full name `package/msg/Name`, its fields and its constants."""

    name: str
    fields: tuple[FieldSpec, ...]
    constants: tuple[tuple[str, Any], ...]


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """Return rosbags' Jazzy store, extended by the text definitions of this package."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for path in sorted(DEFINITIONS.glob("*/*/*")):
        package, kind, name = path.parts[-3], path.parts[-2], path.stem
        text = path.read_text(encoding="utf-8")
        parse = {"msg": parse_text, "srv": _parse_service, "action": parse_action}[kind]
        store.register(parse(text, f"{package}/{kind}/{name}"))
    return store


def _parse_service(text: str, name: str) -> dict[str, Any]:
    return _parse_sections(text, name, ("Request", "Response"))


def _parse_sections(text: str, name: str, parts: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, section in zip(parts, f"\n{text}".split("\n---"), strict=True):
        found.update(parse_text(section, f"{name}_{part}"))
    return found


def parse_action(text: str, name: str) -> dict[str, Any]:
    """Parse one .action text: goal, result, feedback, and what carries them with the goal's id."""
    uuid = ("goal_id", _message("unique_identifier_msgs/msg/UUID"))
    stamp = ("stamp", _message("builtin_interfaces/msg/Time"))
    fields: dict[str, list[tuple[str, Any]]] = {
        "SendGoal_Request": [uuid, ("goal", _message(f"{name}_Goal"))],
        "SendGoal_Response": [("accepted", (Nodetype.BASE, ("bool", 0))), stamp],
        "GetResult_Request": [uuid],
        "GetResult_Response": [
            ("status", (Nodetype.BASE, ("int8", 0))),
            ("result", _message(f"{name}_Result")),
        ],
        "FeedbackMessage": [uuid, ("feedback", _message(f"{name}_Feedback"))],
    }
    found = _parse_sections(text, name, ("Goal", "Result", "Feedback"))
    found.update({f"{name}_{part}": ([], members) for part, members in fields.items()})
    return found


def _message(name: str) -> tuple[Any, str]:
    return (Nodetype.NAME, name)


def parse_text(text: str, name: str) -> dict[str, Any]:
    """Parse one .msg text into rosbags' form under its full name `package/kind/Name`."""
    package, _, short = name.split("/")
    (parsed,) = get_types_from_msg(text, f"{package}/msg/{short}").values()
    return {name: parsed}


@lru_cache(maxsize=1)
def packages() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return per package the names of its messages, services and actions, by kind."""
    found: dict[str, dict[str, set[str]]] = {}
    for full in typestore().fielddefs:
        package, kind, name = full.split("/")
        short = name if kind == "msg" else name.partition("_")[0]
        found.setdefault(package, {}).setdefault(kind, set()).add(short)
    return {p: {k: tuple(sorted(v)) for k, v in kinds.items()} for p, kinds in found.items()}


@cache
def message_spec(name: str) -> MessageSpec:
    """Return the definition of a message, or of what a service or action sends.

    Args:
        name: Full name, such as `sensor_msgs/msg/JointState`, `std_srvs/srv/Trigger_Request` or
            `control_msgs/action/GripperCommand_Goal`.

    Raises:
        KeyError: the type is neither in rosbags' store nor in `definitions/`.
    """
    if name not in typestore().fielddefs:
        raise KeyError(
            f"unknown message type {name!r}: add its .msg, .srv or .action to dds/definitions/"
        )
    constants, fields = typestore().fielddefs[name]
    return MessageSpec(
        name,
        tuple(_field(name, n, d) for n, d in fields if n != EMPTY_MEMBER),
        tuple((n, _constant(str(kind), value)) for n, kind, value in constants),
    )


@cache
def type_hash(name: str) -> str:
    """Return the `RIHS01_...` hash of a message, or of what a service or action sends."""
    return typestore().hash_rihs01(name)


def _field(owner: str, name: str, desc: Any) -> FieldSpec:
    kind, size = "value", 0
    if desc[0] in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        kind = "array" if desc[0] == Nodetype.ARRAY else "sequence"
        desc, size = desc[1]
    if desc[0] == Nodetype.NAME:
        base, bound = desc[1], 0
    else:
        base, bound = desc[1]
    base = {"octet": "byte", "char": "uint8"}.get(str(base), str(base))
    return FieldSpec(name, base, kind, size, bound, FIELD_DEFAULTS.get((owner, name)))


def _constant(kind: str, value: Any) -> Any:
    """Return a constant as ROS has it in Python: those of type byte are bytes."""
    return bytes([value]) if kind in ("octet", "byte") else value
