# pyright: standard
"""The parameters of a node: declare, get, set, describe, and the callbacks around them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .clock import Clock
from .exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from .messages import Message, message_class
from .names import validate_parameter_name
from .parameter import PARAMETER_SEPARATOR_STRING, Parameter
from .publisher import Publisher

_NOT_SET = Parameter.Type.NOT_SET
_RELATIVE_TOLERANCE = 1e-6  # of ranges of floating point parameters, as in rclpy


def _message(name: str, **fields: Any) -> Any:
    return message_class(f"rcl_interfaces/msg/{name}")(**fields)


def _result(reason: str = "") -> Any:
    return _message("SetParametersResult", successful=not reason, reason=reason)


class NodeParameters:
    """Mixin of Node."""

    PARAM_REL_TOL = _RELATIVE_TOLERANCE
    _clock: Clock
    _parameter_event_publisher: Publisher | None
    get_fully_qualified_name: Callable[[], str]

    def _init_parameters(self, overrides: dict[str, Any], allow_undeclared: bool) -> None:
        self._parameters: dict[str, Parameter] = {}
        self._descriptors: dict[str, Any] = {}
        self._parameter_overrides = {n: Parameter(n, value=v) for n, v in overrides.items()}
        self._allow_undeclared_parameters = allow_undeclared
        self._pre_set_parameters_callbacks: list[Callable[[Any], Any]] = []
        self._on_set_parameters_callbacks: list[Callable[[Any], Any]] = []
        self._post_set_parameters_callbacks: list[Callable[[Any], Any]] = []

    # --- declare ---

    def declare_parameter(
        self,
        name: str,
        value: Any = None,
        descriptor: Message | None = None,
        ignore_override: bool = False,
    ) -> Parameter:
        """Declare a parameter with a default value, or with a `Parameter.Type`.

        The override from the command line wins over the default.
        """
        if value is None and descriptor is None:
            arguments: tuple[Any, ...] = (name,)
        else:
            arguments = (name, value, descriptor or _message("ParameterDescriptor"))
        return self.declare_parameters("", [arguments], ignore_override)[0]

    def declare_parameters(
        self,
        namespace: str,
        parameters: Sequence[tuple[Any, ...]],
        ignore_override: bool = False,
    ) -> list[Parameter]:
        """Declare several: tuples of name, value and descriptor."""
        declared: list[tuple[Parameter, Any]] = []
        for item in parameters:
            if not 1 <= len(item) <= 3:
                raise TypeError(f"expected (name, value, descriptor), got {item!r}")
            if not isinstance(item[0], str):
                raise TypeError(f"First element {item[0]!r} is not a str.")
            name = f"{namespace}.{item[0]}" if namespace else item[0]
            validate_parameter_name(name)
            value, descriptor = _default_of(name, item)
            if not ignore_override and name in self._parameter_overrides:
                value = self._parameter_overrides[name].value
            if value == [] and descriptor.type > Parameter.Type.BYTE_ARRAY:
                kind = Parameter.Type(descriptor.type)  # an empty list fits any array type
                declared.append((Parameter(name, kind, value), descriptor))
            else:
                declared.append((Parameter(name, value=value), descriptor))
        known = [p.name for p, _ in declared if p.name in self._parameters]
        if known:
            raise ParameterAlreadyDeclaredException(known)
        for parameter, descriptor in declared:
            result = self._apply([parameter], {parameter.name: descriptor}, keep_unset=True)
            if result.successful:
                continue
            if result.reason.startswith("Wrong parameter type"):
                raise InvalidParameterTypeException(parameter, Parameter.Type(descriptor.type).name)
            raise InvalidParameterValueException(parameter.name, parameter.value, result.reason)
        return [self._parameters[p.name] for p, _ in declared]

    def undeclare_parameter(self, name: str) -> None:
        """Forget a parameter."""
        if name not in self._parameters:
            raise ParameterNotDeclaredException(name)
        if self._descriptors[name].read_only:
            raise ParameterImmutableException(name)
        del self._parameters[name], self._descriptors[name]

    # --- get ---

    def has_parameter(self, name: str) -> bool:
        """Return whether the parameter is declared."""
        return name in self._parameters

    def get_parameter(self, name: str) -> Parameter:
        """Return a parameter."""
        if name in self._parameters:
            parameter = self._parameters[name]
            if parameter.type_ is not _NOT_SET or self._descriptors[name].dynamic_typing:
                return parameter
            raise ParameterUninitializedException(name)
        if self._allow_undeclared_parameters:
            return Parameter(name)
        raise ParameterNotDeclaredException(name)

    def get_parameters(self, names: Sequence[str]) -> list[Parameter]:
        """Return several parameters."""
        if not all(isinstance(name, str) for name in names):
            raise TypeError("All names must be instances of type str")
        return [self.get_parameter(name) for name in names]

    def get_parameter_or(self, name: str, alternative_value: Parameter | None = None) -> Parameter:
        """Return a parameter, or the alternative where it has no value."""
        found = self._parameters.get(name)
        if found is not None and found.type_ is not _NOT_SET:
            return found
        return Parameter(name) if alternative_value is None else alternative_value

    def get_parameter_type(self, name: str) -> Parameter.Type:
        """Return the type of a parameter."""
        if name in self._parameters:
            return self._parameters[name].type_
        if self._allow_undeclared_parameters:
            return _NOT_SET
        raise ParameterNotDeclaredException(name)

    def get_parameter_types(self, names: Sequence[str]) -> list[Parameter.Type]:
        """Return the types of several parameters."""
        return [self.get_parameter_type(name) for name in names]

    def get_parameters_by_prefix(self, prefix: str) -> dict[str, Parameter]:
        """Return the parameters below a prefix, by the rest of their names."""
        start = f"{prefix}{PARAMETER_SEPARATOR_STRING}" if prefix else ""
        return {n[len(start) :]: p for n, p in self._parameters.items() if n.startswith(start)}

    def list_parameters(self, prefixes: list[str], depth: int) -> Any:
        """Return a ListParametersResult; depth 0 goes all the way down."""
        if not isinstance(prefixes, list) or not all(isinstance(p, str) for p in prefixes):
            raise TypeError("The prefixes argument must be a list of str")
        if not isinstance(depth, int):
            raise TypeError("The depth must be instance of type int")
        if depth < 0:
            raise ValueError("The depth must be greater than or equal to zero")

        def shallow(rest: str) -> bool:
            return depth == 0 or rest.count(PARAMETER_SEPARATOR_STRING) < depth

        def listed(name: str) -> bool:
            if not prefixes:
                return shallow(name)
            return any(
                name == p or (name.startswith(f"{p}.") and shallow(name[len(p) + 1 :]))
                for p in prefixes
            )

        names = [name for name in self._parameters if listed(name)]
        above = {n.rpartition(".")[0]: None for n in names if "." in n}
        return _message("ListParametersResult", names=names, prefixes=list(above))

    # --- set ---

    def set_parameters(self, parameter_list: Sequence[Parameter]) -> list[Any]:
        """Set parameters one by one; return a SetParametersResult each."""
        return [self.set_parameters_atomically([p]) for p in parameter_list]

    def set_parameters_atomically(self, parameter_list: Sequence[Parameter]) -> Any:
        """Set all parameters or none; return one SetParametersResult."""
        parameters = list(parameter_list)
        if self._pre_set_parameters_callbacks:
            for before in self._pre_set_parameters_callbacks:
                parameters = before(parameters)
            if not parameters:
                return _result(
                    "parameter list cannot be empty, this might be due to "
                    "pre_set_parameters_callback modifying the original parameters list."
                )
        if not all(isinstance(p, Parameter) for p in parameters):
            raise TypeError(f"parameter must be instance of type '{Parameter!r}'")
        unknown = [p.name for p in parameters if p.name not in self._parameters]
        if unknown and not self._allow_undeclared_parameters:
            raise ParameterNotDeclaredException(unknown)
        return self._apply(parameters, None)

    def _apply(
        self,
        parameters: list[Parameter],
        descriptors: dict[str, Any] | None,
        keep_unset: bool = False,
    ) -> Any:
        """Check, ask the callbacks, store and publish the event."""
        using = self._descriptors if descriptors is None else descriptors
        for parameter in parameters:
            if parameter.name in using:
                result = self._check_descriptor(
                    parameter, using[parameter.name], check_read_only=descriptors is None
                )
                if not result.successful:
                    return result
        for callback in list(self._on_set_parameters_callbacks):
            result = callback(parameters)
            if not result.successful:
                return result
        event = _message("ParameterEvent", node=self.get_fully_qualified_name())
        for parameter in parameters:
            self._store(parameter, descriptors, keep_unset, event)
        event.stamp = self._clock.now().to_msg()
        if self._parameter_event_publisher is not None:
            self._parameter_event_publisher.publish(event)
        for after in list(self._post_set_parameters_callbacks):
            after(parameters)
        return _result()

    def _store(
        self,
        parameter: Parameter,
        descriptors: dict[str, Any] | None,
        keep_unset: bool,
        event: Any,
    ) -> None:
        name = parameter.name
        if not keep_unset and parameter.type_ is _NOT_SET:
            event.deleted_parameters.append(parameter.to_parameter_msg())
            self._parameters.pop(name, None)
            self._descriptors.pop(name, None)
            return
        if descriptors is not None:
            self._descriptors[name] = descriptors[name]
        elif name not in self._descriptors:
            self._descriptors[name] = _message("ParameterDescriptor", dynamic_typing=True)
        new = self.get_parameter_or(name).type_ is _NOT_SET
        changes = event.new_parameters if new else event.changed_parameters
        changes.append(parameter.to_parameter_msg())
        self._parameters[name] = parameter

    def _check_descriptor(
        self, parameter: Parameter, descriptor: Any, check_read_only: bool
    ) -> Any:
        descriptor.name = parameter.name
        kind = parameter.type_
        if check_read_only and descriptor.read_only:
            return _result(f"Trying to set a read-only parameter: {parameter.name}.")
        if descriptor.dynamic_typing:
            descriptor.type = int(kind)
        elif kind is _NOT_SET and parameter.name in self._parameters:
            return _result("Static parameter cannot be undeclared")
        elif kind is not _NOT_SET and kind != descriptor.type:
            return _result(
                f"Wrong parameter type, expected '{Parameter.Type(descriptor.type)!r}' "
                f"got '{kind!r}'"
            )
        if kind is Parameter.Type.INTEGER and descriptor.integer_range:
            return _check_range(parameter, descriptor.integer_range[0], 0.0)
        if kind is Parameter.Type.DOUBLE and descriptor.floating_point_range:
            return _check_range(parameter, descriptor.floating_point_range[0], self.PARAM_REL_TOL)
        return _result()

    # --- callbacks and descriptors ---

    def add_pre_set_parameters_callback(self, callback: Callable[[Any], Any]) -> None:
        """Let the callback change the list before it is checked."""
        self._pre_set_parameters_callbacks.insert(0, callback)

    def add_on_set_parameters_callback(self, callback: Callable[[Any], Any]) -> None:
        """Let the callback refuse values: it returns a SetParametersResult."""
        self._on_set_parameters_callbacks.insert(0, callback)

    def add_post_set_parameters_callback(self, callback: Callable[[Any], Any]) -> None:
        """Tell the callback what was set."""
        self._post_set_parameters_callbacks.insert(0, callback)

    def remove_pre_set_parameters_callback(self, callback: Callable[[Any], Any]) -> None:
        """Remove a callback."""
        self._pre_set_parameters_callbacks.remove(callback)

    def remove_on_set_parameters_callback(self, callback: Callable[[Any], Any]) -> None:
        """Remove a callback."""
        self._on_set_parameters_callbacks.remove(callback)

    def remove_post_set_parameters_callback(self, callback: Callable[[Any], Any]) -> None:
        """Remove a callback."""
        self._post_set_parameters_callbacks.remove(callback)

    def describe_parameter(self, name: str) -> Any:
        """Return the ParameterDescriptor."""
        if name in self._descriptors:
            return self._descriptors[name]
        if self._allow_undeclared_parameters:
            return _message("ParameterDescriptor")
        raise ParameterNotDeclaredException(name)

    def describe_parameters(self, names: Sequence[str]) -> list[Any]:
        """Return several ParameterDescriptors."""
        return [self.describe_parameter(name) for name in names]


def _default_of(name: str, item: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return default value and descriptor of one tuple of `declare_parameters`."""
    descriptor: Any = item[2] if len(item) > 2 else _message("ParameterDescriptor")
    expected: Any = message_class("rcl_interfaces/msg/ParameterDescriptor")
    if not isinstance(descriptor, expected):
        raise TypeError(f"Third element {descriptor!r} is not a ParameterDescriptor.")
    if len(item) == 1:
        warnings.warn(
            f"declaring parameter {name!r} by its name only is deprecated: pass a default value, "
            "a Parameter.Type, or a descriptor with dynamic_typing=True",
            stacklevel=4,
        )
        descriptor.dynamic_typing = True
        return None, descriptor
    value = item[1] if len(item) > 1 else None
    if isinstance(value, Parameter.Type):
        if value is _NOT_SET or descriptor.dynamic_typing:
            raise ValueError(f"parameter {name!r}: cannot be statically typed as {value!r}")
        descriptor.type = int(value)
        return None, descriptor
    if not descriptor.dynamic_typing:
        descriptor.type = int(Parameter.Type.from_parameter_value(value))
        if descriptor.type == _NOT_SET:
            raise ValueError(
                "Cannot declare a statically typed parameter with default value of type "
                "PARAMETER_NOT_SET"
            )
    return value, descriptor


def _check_range(parameter: Parameter, allowed: Any, tolerance: float) -> Any:
    value = parameter.value
    low = min(allowed.from_value, allowed.to_value)
    high = max(allowed.from_value, allowed.to_value)
    if any(math.isclose(value, edge, rel_tol=tolerance) for edge in (low, high)):
        return _result()
    if not low < value < high:
        return _result(
            f"Parameter {parameter.name} out of range Min: {low}, Max: {high}, value: {value}"
        )
    if allowed.step:
        nearest = low + round((value - low) / allowed.step) * allowed.step
        if not math.isclose(nearest, value, rel_tol=tolerance):
            return _result(
                f"The parameter value for {parameter.name} is not a valid step. Min: {low}, "
                f"max: {high}, value: {value}, step: {allowed.step}"
            )
    return _result()
