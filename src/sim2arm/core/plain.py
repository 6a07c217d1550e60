"""Typed records (frozen dataclasses) to and from plain data, YAML and canonical JSON.

Reading is strict: unknown and missing keys, wrong types, numbers that are not finite, repeated
keys and YAML aliases are errors that name the key path. What is read was written by `to_plain`
or edited by a person; nothing is guessed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any, Literal, TypeVar, Union, cast

import yaml

Record = TypeVar("Record")


def to_plain(value: Any) -> Any:
    """Return a record as dictionaries, lists, strings and numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value)
        return {str(key): to_plain(item) for key, item in items.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in cast(list[Any], value)]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) + 0.0  # -0.0 becomes 0.0: equal records have equal bytes
    raise TypeError(
        f"plain data has no {type(value).__name__} ({value!r}): convert it to numbers first"
    )


def from_plain(
    kind: type[Record], data: Any, path: str = "", given: Mapping[str, Any] | None = None
) -> Record:
    """Return the record of a dataclass that plain data describes.

    Args:
        kind: the dataclass.
        data: a mapping by field name.
        path: of the data in its file, for errors.
        given: values of fields that the data does not describe.

    Raises:
        ValueError: one line with the path of the key, what was expected and what came.
    """
    where = path or kind.__name__
    if not isinstance(data, Mapping):
        raise ValueError(f"{where}: expected a mapping with named fields, got {_short(data)}")
    told, values = cast(Mapping[Any, Any], data), dict(given or {})
    fields = {field.name: field for field in dataclasses.fields(cast(Any, kind)) if field.init}
    fields = {name: field for name, field in fields.items() if name not in values}
    prefix = f"{path}." if path else ""
    for key in told:
        if key not in fields:
            raise ValueError(f"{prefix}{key}: unknown key. Known keys: {sorted(fields)}")
    hints = _hints(kind)
    for name, field in fields.items():
        if name in told:
            values[name] = _decode(hints[name], told[name], f"{prefix}{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{prefix}{name}: missing key")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}" if path else str(error)) from error


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def canonical_json(data: Any) -> str:
    """Return plain data as JSON with sorted keys and without spaces: equal data, equal bytes."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Return one line `path: a != b` for every leaf in which two plain values differ."""
    same = type(a) is type(b) and a == b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        left, right = cast(Mapping[str, Any], a), cast(Mapping[str, Any], b)
        lines: list[str] = []
        for key in sorted({*left, *right}):
            name = f"{path}.{key}" if path else key
            if key not in left or key not in right:
                side = "second" if key not in left else "first"
                lines.append(f"{name}: only in the {side}")
            else:
                lines += differences(left[key], right[key], name)
        return lines
    if isinstance(a, list) and isinstance(b, list):
        first, second = cast(list[Any], a), cast(list[Any], b)
        if len(first) == len(second):
            pairs = enumerate(zip(first, second, strict=True))
            return [line for i, (x, y) in pairs for line in differences(x, y, f"{path}[{i}]")]
        return [f"{path}: {len(first)} entries != {len(second)} entries"]
    return [] if same else [f"{path}: {_short(a)} != {_short(b)}"]


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML without aliases (they can explode) and without repeated keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if cast(Any, self).check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key: Any = key_node.value
            if key in seen:
                raise yaml.YAMLError(f"key {key!r} twice, line {key_node.start_mark.line + 1}")
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str, source: str) -> Any:
    """Return the plain data of a YAML text.

    Args:
        text: the text.
        source: name for errors, usually that of the file.

    Raises:
        ValueError: not YAML, with an alias, or with a key twice; one line.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error


def load_steps(text: str, source: str, kind: type[Record], example: str) -> tuple[Record, ...]:
    """Return the steps of a YAML text that is a list of them.

    Args:
        text: the text.
        source: name for errors, usually that of the file.
        kind: dataclass of a step.
        example: of the list, for errors.

    Raises:
        ValueError: it is none, or has no step; one line with the number of the step.
    """
    data = load_yaml(text, source)
    if not isinstance(data, list) or not data:
        raise ValueError(f"{source}: expected a list of steps, {example}")
    steps: list[Record] = []
    for number, step in enumerate(cast(list[Any], data)):
        try:
            steps.append(from_plain(kind, step))
        except ValueError as error:
            raise ValueError(f"{source}: step {number}: {error}") from error
    return tuple(steps)


def dump_yaml(data: Any) -> str:
    """Return plain data as YAML; lists of numbers stay on one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_flat(self, data: Any) -> yaml.Node:
        flat = not any(isinstance(item, list | dict) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flat)


_Dumper.add_representer(list, _Dumper.represent_flat)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _decode(hint: Any, data: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        _check_finite(data, path)
        return data
    if origin in (Union, types.UnionType):
        if data is None and type(None) in arguments:
            return None
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return _decode(inner, data, path)
    if origin is Literal:
        # By type too: YAML's `true` equals 1, and 1.0 does.
        if not any(type(data) is type(known) and data == known for known in arguments):
            raise ValueError(f"{path}: expected one of {list(arguments)}, got {_short(data)}")
        return data
    if origin is tuple:
        return _decode_tuple(arguments, data, path)
    if origin in (dict, Mapping):
        if not isinstance(data, Mapping):
            raise ValueError(f"{path}: expected a mapping, got {_short(data)}")
        items = cast(Mapping[Any, Any], data)
        for key in items:
            if not isinstance(key, str):
                raise ValueError(f"{path}: keys must be strings, got {_short(key)}")
        return {key: _decode(arguments[1], item, f"{path}.{key}") for key, item in items.items()}
    if dataclasses.is_dataclass(hint):
        return from_plain(cast(type[Any], hint), data, path)
    return _decode_scalar(hint, data, path)


def _check_finite(data: Any, path: str) -> None:
    if isinstance(data, Mapping):
        for key, item in cast(Mapping[Any, Any], data).items():
            _check_finite(item, f"{path}.{key}")
    elif isinstance(data, list):
        for i, item in enumerate(cast(list[Any], data)):
            _check_finite(item, f"{path}[{i}]")
    elif isinstance(data, float):
        _decode_scalar(float, data, path)


def _decode_tuple(arguments: tuple[Any, ...], data: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(data, list | tuple):
        raise ValueError(f"{path}: expected a list, got {_short(data)}")
    items = cast(list[Any], data)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        hints = [arguments[0]] * len(items)
    else:
        hints = list(arguments)
    if len(hints) != len(items):
        raise ValueError(f"{path}: expected {len(hints)} entries, got {len(items)}")
    pairs = enumerate(zip(hints, items, strict=True))
    return tuple(_decode(hint, item, f"{path}[{i}]") for i, (hint, item) in pairs)


def _decode_scalar(hint: Any, data: Any, path: str) -> Any:
    if hint is float and isinstance(data, int | float) and not isinstance(data, bool):
        # Python integers have no bound; a float of one beyond 1e308 is an OverflowError.
        if not (abs(data) < 1e300 and math.isfinite(data)):
            raise ValueError(f"{path}: expected a finite number, got {_short(data)}")
        return float(data)
    if hint is int and isinstance(data, int) and not isinstance(data, bool):
        return data
    if (hint is bool and isinstance(data, bool)) or (hint is str and isinstance(data, str)):
        return data
    if hint is Path and isinstance(data, str) and data:
        return Path(data)
    names = {float: "a number (in YAML 1.0e-3, not 1e-3)", int: "a whole number"}
    names |= {bool: "true or false", str: "a string", Path: "a path"}
    raise ValueError(f"{path}: expected {names.get(hint, repr(hint))}, got {_short(data)}")
