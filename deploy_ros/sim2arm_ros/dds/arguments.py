# pyright: standard
"""Command line after --ros-args: remaps, parameters, parameter files, log levels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .exceptions import RCLError, UnknownROSArgsError
from .names import expand_topic_name, full_node_name

_IGNORED_FLAGS = re.compile(r"--(enable|disable)-(stdout|external-lib)-logs")
_ROSOUT_FLAGS = {"--enable-rosout-logs": True, "--disable-rosout-logs": False}
_IGNORED_OPTIONS = ("--log-config-file", "--log-file-name", "-e", "--enclave")
LEVELS = ("unset", "debug", "info", "warn", "error", "fatal")


class _Loader(yaml.SafeLoader):
    """YAML as rcl reads it: 1e-3 is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)$"),
    list("-+0123456789."),
)


@dataclass(frozen=True)
class Remap:
    """One rule `[node:]from:=to`."""

    node: str | None
    kind: str
    """`topic`, `service` or `any`; `node` and `ns` for __node and __ns."""
    source: str
    target: str


@dataclass(frozen=True)
class RosArguments:
    """What stood between --ros-args and --."""

    remaps: tuple[Remap, ...] = ()
    parameters: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Node pattern and its parameters, in order of increasing priority."""
    log_levels: tuple[tuple[str, str], ...] = ()
    """Logger name ('' for all) and level."""
    rest: tuple[str, ...] = ()
    """Arguments that are not for ROS."""
    rosout: bool = True
    """Whether nodes publish what they log."""

    def before(self, other: RosArguments) -> RosArguments:
        """Return both together; these have priority."""
        return RosArguments(
            (*self.remaps, *other.remaps),
            (*other.parameters, *self.parameters),
            (*other.log_levels, *self.log_levels),
            (*self.rest, *other.rest),
            self.rosout and other.rosout,
        )

    def node_name(self, original: str, namespace: str, name: str) -> tuple[str, str]:
        """Return the node's name and namespace after `__node` and `__ns`.

        Args:
            original: Name in the source, which rules for one node refer to.
            namespace: Namespace where no rule changes it.
            name: Name where no rule changes it.
        """
        for remap in self.remaps:
            if remap.node in (None, original) and remap.kind == "node":
                name = remap.target
                break
        for remap in self.remaps:
            if remap.node in (None, original, name) and remap.kind == "ns":
                namespace = remap.target
                break
        return name, namespace

    def remap(self, full: str, node: str, namespace: str, service: bool) -> str:
        """Return the name of a topic or service after the first rule that matches."""
        for rule in self.remaps:
            kinds = ("any", "service" if service else "topic")
            if rule.kind not in kinds or rule.node not in (None, node):
                continue
            if expand_topic_name(rule.source, node, namespace) == full:
                return expand_topic_name(rule.target, node, namespace)
        return full

    def node_parameters(self, node: str, namespace: str) -> dict[str, Any]:
        """Return the parameter overrides of one node."""
        full = full_node_name(node, namespace)
        values: dict[str, Any] = {}
        for pattern, parameters in self.parameters:
            if _matches(pattern, full, node):
                values.update(parameters)
        return values


def parse_arguments(args: Sequence[str]) -> RosArguments:
    """Parse a command line without the program name.

    Raises:
        UnknownROSArgsError: something after --ros-args is not known.
        RCLError: a remap, parameter or parameter file is malformed.
    """
    state = _Parsed()
    words, inside = list(args), False
    while words:
        word = words.pop(0)
        if word == "--ros-args":
            inside = True
        elif not inside:
            state.rest.append(word)
        elif word == "--":
            inside = False
        else:
            _ros_argument(word, words, state)
    parameters = [*state.files, *state.overrides]
    return RosArguments(
        tuple(state.remaps),
        tuple(parameters),
        tuple(state.levels),
        tuple(state.rest),
        state.rosout,
    )


@dataclass
class _Parsed:
    remaps: list[Remap] = field(default_factory=list)
    files: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    overrides: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    levels: list[tuple[str, str]] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    rosout: bool = True


def _ros_argument(word: str, words: list[str], state: _Parsed) -> None:
    def value() -> str:
        if not words:
            raise RCLError(f"{word}: expected a value after it")
        return words.pop(0)

    if _IGNORED_FLAGS.fullmatch(word):
        return
    if word in _ROSOUT_FLAGS:
        state.rosout = _ROSOUT_FLAGS[word]
        return
    if word in _IGNORED_OPTIONS:
        value()
    elif word in ("-r", "--remap"):
        state.remaps.append(parse_remap(value()))
    elif word in ("-p", "--param"):
        state.overrides.append(_parse_parameter(value()))
    elif word == "--params-file":
        state.files.extend(load_parameter_file(Path(value())))
    elif word == "--log-level":
        name, sign, level = value().rpartition(":=")
        if level.lower() not in LEVELS:
            raise RCLError(f"--log-level: expected one of {LEVELS}, got {level!r}")
        state.levels.append((name if sign else "", level.lower()))
    elif ":=" in word and not word.startswith("-"):
        state.remaps.append(parse_remap(word))
    else:
        raise UnknownROSArgsError(f"Found unknown ROS arguments: '{word}'")


def parse_remap(text: str) -> Remap:
    """Parse `[node:]from:=to`."""
    source, sign, target = text.partition(":=")
    if not sign or not source or not target:
        raise RCLError(f"remap: expected [node:]from:=to, got {text!r}")
    kind = "any"
    for prefix, meaning in (("rostopic://", "topic"), ("rosservice://", "service")):
        if source.startswith(prefix):
            kind, source = meaning, source[len(prefix) :]
    node, colon, name = source.partition(":")
    if colon:
        source = name
    kind = {"__node": "node", "__name": "node", "__ns": "ns"}.get(source, kind)
    return Remap(node if colon else None, kind, source, target)


def _parse_parameter(text: str) -> tuple[str, dict[str, Any]]:
    name, sign, value = text.partition(":=")
    if not sign or not name:
        raise RCLError(f"parameter: expected [node:]name:=value, got {text!r}")
    node, colon, short = name.partition(":")
    return (
        (node, {short: yaml_value(value, short)})
        if colon
        else (
            "/**",
            {name: yaml_value(value, name)},
        )
    )


def yaml_value(text: str, name: str) -> Any:
    """Return the value of a YAML scalar or list as a parameter reads it."""
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise RCLError(f"parameter {name!r}: {text!r} is not YAML") from error
    return _check_value("" if value is None else value, name)


def _check_value(value: Any, name: str) -> Any:
    if isinstance(value, list):
        kinds = {type(v) for v in value}
        if len(kinds) > 1 or kinds - {bool, int, float, str}:
            raise RCLError(f"parameter {name!r}: a list needs values of one type, got {value}")
    elif not isinstance(value, (bool, int, float, str)):
        raise RCLError(f"parameter {name!r}: {type(value).__name__} is not a parameter type")
    return value


def load_parameter_file(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read a ROS parameter file: `node: {ros__parameters: {...}}`, wildcards allowed."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise RCLError(f"parameter file {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise RCLError(f"parameter file {path}: not YAML: {error}") from error
    found: list[tuple[str, dict[str, Any]]] = []
    if not isinstance(content, dict):
        raise RCLError(f"parameter file {path}: expected 'node: {{ros__parameters: ...}}'")
    _collect_nodes(content, "", found, path)
    return found


def _collect_nodes(
    tree: dict[Any, Any], prefix: str, found: list[tuple[str, dict[str, Any]]], path: Path
) -> None:
    for key, value in tree.items():
        if not isinstance(value, dict):
            raise RCLError(f"parameter file {path}: no 'ros__parameters' above {prefix}/{key}")
        if key == "ros__parameters":
            parameters: dict[str, Any] = {}
            _flatten(value, "", parameters)
            found.append((prefix or "/**", parameters))
        else:
            separator = "" if not prefix or str(key).startswith("/") else "/"
            _collect_nodes(value, f"{prefix}{separator}{key}", found, path)


def _flatten(tree: dict[Any, Any], prefix: str, into: dict[str, Any]) -> None:
    for key, value in tree.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict):
            _flatten(value, name, into)
        else:
            into[name] = _check_value(value, name)


def _matches(pattern: str, full: str, node: str) -> bool:
    if "*" not in pattern:
        return (
            pattern == full
            or (not pattern.startswith("/") and f"/{pattern}" == full)
            or ("/" not in pattern and pattern == node and full == f"/{node}")
        )
    regex = "".join(
        {"**": r".*", "*": r"[^/]+"}.get(part, re.escape(part))
        for part in re.split(r"(\*\*|\*)", pattern)
    ).replace("/.*", "(/.*)?")
    return re.fullmatch(regex, full if pattern.startswith("/") else full[1:]) is not None
