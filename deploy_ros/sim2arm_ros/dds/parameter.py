# pyright: standard
"""Parameters: a name, a type and a value."""

from __future__ import annotations

import array
from enum import IntEnum
from typing import Any

import yaml

from .messages import message_class

PARAMETER_SEPARATOR_STRING = "."
_VALUE_FIELDS = (
    None,
    "bool_value",
    "integer_value",
    "double_value",
    "string_value",
    "byte_array_value",
    "bool_array_value",
    "integer_array_value",
    "double_array_value",
    "string_array_value",
)
_SCALARS = {1: bool, 2: int, 3: float, 4: str}
_ELEMENTS = {5: bytes, 6: bool, 7: int, 8: float, 9: str}


class Parameter:
    """One parameter; immutable."""

    class Type(IntEnum):
        """Types, numbered as in rcl_interfaces/msg/ParameterType."""

        NOT_SET = 0
        BOOL = 1
        INTEGER = 2
        DOUBLE = 3
        STRING = 4
        BYTE_ARRAY = 5
        BOOL_ARRAY = 6
        INTEGER_ARRAY = 7
        DOUBLE_ARRAY = 8
        STRING_ARRAY = 9

        @classmethod
        def from_parameter_value(cls, parameter_value: Any) -> Parameter.Type:
            """Return the type of a Python value; an empty list is a BYTE_ARRAY, as in rclpy."""
            if parameter_value is None:
                return cls.NOT_SET
            for number, kind in _SCALARS.items():
                if isinstance(parameter_value, kind):
                    return cls(number)
            if not isinstance(parameter_value, (list, tuple, array.array)):
                raise TypeError(
                    f"The given value is not one of the allowed types '{parameter_value}'."
                )
            for number, kind in _ELEMENTS.items():
                if all(isinstance(v, kind) for v in parameter_value):
                    return cls(number)
            raise TypeError(
                f"The given value is not a list of one of the allowed types '{parameter_value}'."
            )

        def check(self, parameter_value: Any) -> bool:
            """Return whether a value has this type."""
            if self == 0:
                return parameter_value is None
            if self in _SCALARS:
                return isinstance(parameter_value, _SCALARS[self])
            allowed = (list, tuple, array.array) if self in (7, 8) else (list, tuple)
            return isinstance(parameter_value, allowed) and all(
                isinstance(v, _ELEMENTS[self]) and (self != 5 or len(v) == 1)
                for v in parameter_value
            )

    def __init__(self, name: str, type_: Parameter.Type | None = None, value: Any = None) -> None:
        if type_ is None:
            type_ = Parameter.Type.from_parameter_value(value)
        if not isinstance(type_, Parameter.Type):
            raise TypeError(f"type must be an instance of '{Parameter.Type!r}'")
        if not type_.check(value):
            raise ValueError(f"Type '{type_!r}' and value '{value}' do not agree")
        self._name = name
        self._type_ = type_
        self._value = value

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    @property
    def type_(self) -> Parameter.Type:
        """The type."""
        return self._type_

    @property
    def value(self) -> Any:
        """The value, None where it is not set."""
        return self._value

    def __repr__(self) -> str:
        return f"Parameter({self._name!r}, {self._type_.name}, {self._value!r})"

    @classmethod
    def from_parameter_msg(cls, param_msg: Any) -> Parameter:
        """Return the parameter of a rcl_interfaces/msg/Parameter."""
        kind = Parameter.Type(param_msg.value.type)
        return cls(param_msg.name, kind, _value_of(param_msg.value))

    def to_parameter_msg(self) -> Any:
        """Return the rcl_interfaces/msg/Parameter."""
        kind = message_class("rcl_interfaces/msg/Parameter")
        return kind(name=self._name, value=self.get_parameter_value())

    def get_parameter_value(self) -> Any:
        """Return the rcl_interfaces/msg/ParameterValue."""
        message = message_class("rcl_interfaces/msg/ParameterValue")(type=int(self._type_))
        field = _VALUE_FIELDS[self._type_]
        if field is not None:
            setattr(message, field, self._value)
        return message


def _value_of(message: Any) -> Any:
    if not 0 <= message.type < len(_VALUE_FIELDS):
        raise RuntimeError(f"unexpected parameter type {message.type}")
    field = _VALUE_FIELDS[message.type]
    return None if field is None else getattr(message, field)


def parameter_value_to_python(parameter_value: Any) -> Any:
    """Return the Python value of a ParameterValue message, arrays as lists."""
    value = _value_of(parameter_value)
    return list(value) if parameter_value.type >= Parameter.Type.BYTE_ARRAY else value


def get_parameter_value(string_value: str) -> Any:
    """Return the ParameterValue that a text on the command line means."""
    try:
        value = yaml.safe_load(string_value)
    except yaml.YAMLError:
        value = string_value
    try:
        return Parameter("", value=string_value if value is None else value).get_parameter_value()
    except TypeError:
        return Parameter("", value=string_value).get_parameter_value()
