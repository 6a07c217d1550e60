# pyright: standard
"""Message, service and action classes with the behaviour of the generated ROS Python classes."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from .codec import LIST_PRIMITIVES, PRIMITIVES
from .definitions import FieldSpec, message_spec, packages

_INTEGERS = {
    f"{sign}int{bits}": (
        0 if sign else -(1 << (bits - 1)),
        (1 << bits) - 1 if sign else (1 << (bits - 1)) - 1,
    )
    for bits in (8, 16, 32, 64)
    for sign in ("", "u")
}
_FLOAT32_MAX = 3.402823466e38  # largest finite IEEE 754 binary32
Checker = Callable[[Any], Any]


class FieldError(AssertionError, TypeError):
    """A value that the field cannot hold (rclpy's classes raise AssertionError)."""


class Message:
    """Base of all message classes; fields are slots, and assignments are checked."""

    __slots__ = ()
    _NAME: ClassVar[str]
    _CHECKS: ClassVar[dict[str, Checker]]
    _DEFAULTS: ClassVar[dict[str, Callable[[], Any]]]

    def __init__(self, **kwargs: Any) -> None:
        for name, default in self._DEFAULTS.items():
            if name in kwargs:
                setattr(self, name, kwargs.pop(name))
            else:
                object.__setattr__(self, name, default())
        if kwargs:
            raise FieldError(
                f"{self._NAME} has no field {next(iter(kwargs))!r}. Fields: {list(self._DEFAULTS)}"
            )

    def __setattr__(self, name: str, value: Any) -> None:
        check = self._CHECKS.get(name)
        if check is None:
            raise AttributeError(
                f"{self._NAME} has no field {name!r}. Fields: {list(self._DEFAULTS)}"
            )
        object.__setattr__(self, name, check(value))

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        return all(_equal(getattr(self, n), getattr(other, n)) for n in self._DEFAULTS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        cls = type(self)
        body = ", ".join(f"{n}={_text(getattr(self, n))}" for n in self._DEFAULTS)
        return f"{cls.__module__}.{cls.__qualname__}({body})"

    @classmethod
    def get_fields_and_field_types(cls) -> dict[str, str]:
        """Return the fields and their types as text, in order."""
        return {f.name: f.type_text() for f in message_spec(cls._NAME).fields}


class _ServiceMeta(type):
    """Services are names for a pair of messages; they have no instances."""

    Request: type[Message]
    Response: type[Message]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"{cls.__name__} is a service: use {cls.__name__}.Request or .Response"
        )


class Service(metaclass=_ServiceMeta):
    """Base of all service classes."""

    _NAME: ClassVar[str]


class _ActionMeta(type):
    """Actions are names for three messages; they have no instances."""

    Goal: type[Message]
    Result: type[Message]
    Feedback: type[Message]
    Impl: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"{cls.__name__} is an action: use {cls.__name__}.Goal, .Result or .Feedback"
        )


class Action(metaclass=_ActionMeta):
    """Base of all action classes."""

    _NAME: ClassVar[str]


@cache
def message_class(name: str) -> type[Message]:
    """Return the class of `package/msg/Name`, `package/srv/Name_Request` and the like."""
    spec = message_spec(name)
    package, kind, short = name.split("/")
    names = [f.name for f in spec.fields]
    namespace: dict[str, Any] = {
        "__slots__": tuple(names),
        "__module__": f"{package}.{kind}",
        "__qualname__": short,
        "_NAME": name,
        "_CHECKS": {f.name: _checker(f) for f in spec.fields},
        "_DEFAULTS": {f.name: _default(f) for f in spec.fields},
    }
    cls = type(short, (Message,), namespace)
    for constant, value in spec.constants:
        setattr(cls, constant, value)
    return cls


@cache
def service_class(name: str) -> type[Service]:
    """Return the class of `package/srv/Name`, with `Request` and `Response`."""
    package, kind, short = name.split("/")
    namespace = {
        "__module__": f"{package}.{kind}",
        "_NAME": name,
        "Request": message_class(f"{name}_Request"),
        "Response": message_class(f"{name}_Response"),
    }
    return _ServiceMeta(short, (Service,), namespace)  # type: ignore[return-value]


@cache
def action_class(name: str) -> type[Action]:
    """Return the class of `package/action/Name`: goal, result, feedback, and what carries them."""
    package, kind, short = name.split("/")
    carriers = {
        "__module__": f"{package}.{kind}",
        "SendGoalService": service_class(f"{name}_SendGoal"),
        "GetResultService": service_class(f"{name}_GetResult"),
        "FeedbackMessage": message_class(f"{name}_FeedbackMessage"),
        "CancelGoalService": service_class("action_msgs/srv/CancelGoal"),
        "GoalStatusMessage": message_class("action_msgs/msg/GoalStatusArray"),
    }
    namespace = {
        "__module__": f"{package}.{kind}",
        "_NAME": name,
        "Goal": message_class(f"{name}_Goal"),
        "Result": message_class(f"{name}_Result"),
        "Feedback": message_class(f"{name}_Feedback"),
        "Impl": type("Impl", (), carriers),
    }
    return _ActionMeta(short, (Action,), namespace)  # type: ignore[return-value]


@cache
def raw_constructor(name: str) -> Callable[..., Message]:
    """Return a positional constructor without checks, for the decoder."""
    cls = message_class(name)
    new = object.__new__
    names = [f.name for f in message_spec(name).fields]
    arguments = ", ".join(f"_a{i}" for i in range(len(names)))
    lines = [f"def build({arguments}):", "    m = new(cls)"]
    lines += [f"    set_{n}(m, _a{i})" for i, n in enumerate(names)]
    namespace: dict[str, Any] = {"cls": cls, "new": new}
    namespace.update({f"set_{n}": cls.__dict__[n].__set__ for n in names})
    exec("\n".join([*lines, "    return m"]), namespace)
    return namespace["build"]


def package_module(package: str, kind: str | None = None) -> ModuleType:
    """Return the module `package`, or its `msg`, `srv` or `action` with the classes."""
    name = package if kind is None else f"{package}.{kind}"
    module = ModuleType(name, f"ROS {name}, from definitions.")
    if kind is None:
        module.__path__ = []
        return module
    make = {"msg": message_class, "srv": service_class, "action": action_class}[kind]
    for short in packages()[package][kind]:
        setattr(module, short, make(f"{package}/{kind}/{short}"))
    return module


# --- fields ---------------------------------------------------------------------------------


def _default(field: FieldSpec) -> Callable[[], Any]:
    if field.is_message:
        cls = message_class(field.base)
        if field.kind == "array":
            return lambda: [cls() for _ in range(field.size)]
        return cls if field.kind == "value" else list
    if field.kind == "value":
        zero: Any = {"string": "", "bool": False, "byte": b"\0"}.get(field.base, 0)
        if field.default is not None:
            zero = field.default
        elif field.base.startswith("float"):
            zero = 0.0
        return lambda: zero
    if field.base == "string" or field.base in LIST_PRIMITIVES:
        element: Any = {"string": "", "bool": False, "byte": b"\0"}[field.base]
        return list if field.kind == "sequence" else lambda: [element] * field.size
    _, _, code, dtype = PRIMITIVES[field.base]
    if field.kind == "array":
        return lambda: np.zeros(field.size, dtype)
    return lambda: array(code)


def _checker(field: FieldSpec) -> Checker:
    check = _value_checker(field)
    if field.kind == "value":
        return check
    if field.is_message or field.base == "string" or field.base in LIST_PRIMITIVES:
        return _list_checker(field, check)
    return _array_checker(field) if field.kind == "array" else _sequence_checker(field, check)


def _value_checker(field: FieldSpec) -> Checker:
    def fail(value: Any, expected: str) -> FieldError:
        return FieldError(f"field {field.name!r}: expected {expected}, got {value!r}")

    if field.is_message:
        cls = message_class(field.base)

        def check_message(value: Any) -> Any:
            if type(value) is cls:
                return value
            raise fail(value, f"a {field.base}")

        return check_message
    if field.base in _INTEGERS:
        low, high = _INTEGERS[field.base]

        def check_integer(value: Any) -> Any:
            if not isinstance(value, int):
                raise fail(value, field.base)
            if not low <= value <= high:
                raise fail(value, f"{field.base} in [{low}, {high}]")
            return value

        return check_integer
    if field.base in ("float32", "float64"):
        single = field.base == "float32"

        def check_float(value: Any) -> Any:
            if not isinstance(value, float):
                raise fail(value, f"{field.base} (a Python float, as rclpy demands)")
            if single and abs(value) > _FLOAT32_MAX and not math.isinf(value):
                raise fail(value, "a value in the range of float32")
            return value

        return check_float
    expected = {"string": str, "bool": bool, "byte": bytes}[field.base]

    def check_other(value: Any) -> Any:
        if not isinstance(value, expected) or (expected is bytes and len(value) != 1):
            raise fail(value, "one byte" if expected is bytes else expected.__name__)
        if field.string_bound and len(value) > field.string_bound:
            raise fail(value, f"at most {field.string_bound} characters")
        return value

    return check_other


def _check_size(field: FieldSpec, value: Any) -> None:
    if field.kind == "array" and len(value) != field.size:
        raise FieldError(f"field {field.name!r}: expected {field.size} values, got {len(value)}")
    if field.kind == "sequence" and field.size and len(value) > field.size:
        raise FieldError(
            f"field {field.name!r}: expected at most {field.size} values, got {len(value)}"
        )


def _check_sequence(field: FieldSpec, value: Any) -> None:
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, set, frozenset)):
        hint = ": pass .tolist(), rclpy takes no ndarray here" if hasattr(value, "tolist") else ""
        raise FieldError(
            f"field {field.name!r}: expected a sequence of {field.base}, "
            f"got {type(value).__name__}{hint}"
        )
    _check_size(field, value)


def _list_checker(field: FieldSpec, check: Checker) -> Checker:
    def check_list(value: Any) -> Any:
        _check_sequence(field, value)
        for element in value:
            check(element)
        return value if isinstance(value, list) else list(value)

    return check_list


def _sequence_checker(field: FieldSpec, check: Checker) -> Checker:
    _, _, code, _ = PRIMITIVES[field.base]

    def check_numbers(value: Any) -> Any:
        if isinstance(value, array):
            if value.typecode != code:
                raise FieldError(
                    f"field {field.name!r}: expected array({code!r}), got array({value.typecode!r})"
                )
            _check_size(field, value)
            return value
        if code == "B" and isinstance(value, (bytes, bytearray)):
            _check_size(field, value)
            return array("B", value)
        _check_sequence(field, value)
        for element in value:
            check(element)
        return array(code, value)

    return check_numbers


def _array_checker(field: FieldSpec) -> Checker:
    _, _, _, dtype = PRIMITIVES[field.base]
    element = _value_checker(field)

    def check_array(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype != np.dtype(dtype) or value.shape != (field.size,):
                raise FieldError(
                    f"field {field.name!r}: expected ({field.size},) {np.dtype(dtype)}, got "
                    f"{value.shape} {value.dtype}"
                )
            return value
        if not isinstance(value, array):
            _check_sequence(field, value)
            for item in value:
                element(item)
        _check_size(field, value)
        return np.array(value, dtype)

    return check_array


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    return bool(a == b)


def _text(value: Any) -> str:
    return repr(value.tolist()) if isinstance(value, (array, np.ndarray)) else repr(value)
