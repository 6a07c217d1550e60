"""Exceptions of rclpy that node code may catch."""

from __future__ import annotations

from typing import Any


class NotInitializedException(Exception):  # noqa: N818 - rclpy's name
    """rclpy.init() was not called, or the context is shut down."""


class InvalidHandle(Exception):  # noqa: N818 - rclpy's name
    """An entity was used after it was destroyed."""


class RCLError(RuntimeError):
    """A failure of the middleware."""


class UnknownROSArgsError(Exception):
    """Arguments after --ros-args that nobody knows."""


class ROSInterruptException(Exception):  # noqa: N818 - rclpy's name
    """A sleep was interrupted by the shutdown."""


class NameValidationException(Exception):  # noqa: N818 - rclpy's name
    """A topic, service, node or parameter name is not valid."""

    def __init__(self, name_type: str, name: str, error_msg: str, invalid_index: int = 0) -> None:
        super().__init__(f"Invalid {name_type}: {error_msg}: {name!r}")
        self.name_type = name_type
        self.name = name
        self.error_msg = error_msg
        self.invalid_index = invalid_index


class InvalidNodeNameException(NameValidationException):
    """A node name is not valid."""

    def __init__(self, name: str, error_msg: str, invalid_index: int = 0) -> None:
        super().__init__("node name", name, error_msg, invalid_index)


class InvalidNamespaceException(NameValidationException):
    """A namespace is not valid."""

    def __init__(self, name: str, error_msg: str, invalid_index: int = 0) -> None:
        super().__init__("namespace", name, error_msg, invalid_index)


class InvalidTopicNameException(NameValidationException):
    """A topic name is not valid."""

    def __init__(self, name: str, error_msg: str, invalid_index: int = 0) -> None:
        super().__init__("topic name", name, error_msg, invalid_index)


class InvalidServiceNameException(NameValidationException):
    """A service name is not valid."""

    def __init__(self, name: str, error_msg: str, invalid_index: int = 0) -> None:
        super().__init__("service name", name, error_msg, invalid_index)


class ParameterException(Exception):  # noqa: N818 - rclpy's name
    """Base of the parameter exceptions."""

    def __init__(self, error_msg: str, parameters: Any) -> None:
        super().__init__(error_msg, parameters)


class ParameterNotDeclaredException(ParameterException):
    """A parameter was used before it was declared."""

    def __init__(self, parameters: Any) -> None:
        super().__init__("Parameter(s) not declared", parameters)


class ParameterAlreadyDeclaredException(ParameterException):
    """A parameter was declared twice."""

    def __init__(self, parameters: Any) -> None:
        super().__init__("Parameter(s) already declared", parameters)


class InvalidParameterException(ParameterException):
    """A parameter name is not valid."""

    def __init__(self, name: str, *_: Any) -> None:
        super().__init__("Invalid parameter name", name)


class InvalidParameterTypeException(ParameterException):
    """A value has another type than the declared one."""

    def __init__(self, desired_parameter: Any, expected_type: str) -> None:
        super().__init__(
            f"Trying to set parameter '{desired_parameter.name}' to "
            f"'{desired_parameter.value}' of type '{desired_parameter.type_.name}', "
            f"expecting type '{expected_type}'",
            desired_parameter.name,
        )


class InvalidParameterValueException(ParameterException):
    """A callback or a range refused the value."""

    def __init__(self, parameter: str, value: Any, reason: str) -> None:
        super().__init__(
            f"Invalid parameter value ({value}) for parameter. Reason: {reason}", parameter
        )


class ParameterImmutableException(ParameterException):
    """A read-only parameter cannot be changed or undeclared."""

    def __init__(self, parameter: str) -> None:
        super().__init__("Attempted to modify read-only parameter", parameter)


class ParameterUninitializedException(ParameterException):
    """A statically typed parameter has no value yet."""

    def __init__(self, parameter: str) -> None:
        super().__init__("The parameter is not initialized", parameter)


class NodeNameNonExistentError(RCLError):
    """The graph has no node of this name."""
