"""A stand-in for `launch` and `launch_ros`, which are not on PyPI: it records what is described."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

NAMES = {
    "launch": ("LaunchDescription",),
    "launch.actions": (
        "DeclareLaunchArgument", "EmitEvent", "RegisterEventHandler", "SetEnvironmentVariable",
        "Shutdown", "TimerAction",
    ),
    "launch.conditions": ("IfCondition", "LaunchConfigurationNotEquals", "UnlessCondition"),
    "launch.events": ("matches_action",),
    "launch.substitutions": (
        "EnvironmentVariable", "LaunchConfiguration", "NotSubstitution", "PythonExpression",
    ),
    "launch_ros": (),
    "launch_ros.actions": ("LifecycleNode", "Node"),
    "launch_ros.event_handlers": ("OnStateTransition",),
    "launch_ros.events": (),
    "launch_ros.events.lifecycle": ("ChangeState",),
    "launch_ros.parameter_descriptions": ("ParameterValue",),
}  # fmt: skip
"""What launch files may use: the names exist in Humble and newer."""


class Recorded:
    """One described thing: its kind and its arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    @property
    def kind(self) -> str:
        return type(self).__name__

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["kwargs"][name]
        except KeyError as error:
            raise AttributeError(name) from error


def evaluated(thing: Recorded | str, given: Mapping[str, str], env: Mapping[str, str]) -> str:
    """Return what a substitution comes to, with arguments and an environment.

    Source: `launch.substitutions`; `PythonExpression` joins its parts and evaluates the text.
    """
    if isinstance(thing, str):
        return thing
    if thing.kind == "LaunchConfiguration":
        return given[thing.args[0]]
    if thing.kind == "EnvironmentVariable":
        return env.get(thing.args[0], thing.default_value)
    assert thing.kind == "PythonExpression", thing.kind
    return str(eval("".join(evaluated(part, given, env) for part in thing.args[0])))


def describe(path: Path) -> list[Recorded]:
    """Return the entities of a launch file, in order."""
    before = {name: sys.modules.get(name) for name in NAMES}
    for name, attributes in NAMES.items():
        module = ModuleType(name)
        for attribute in attributes:
            setattr(module, attribute, type(attribute, (Recorded,), {}))
        sys.modules[name] = module
    try:
        spec = importlib.util.spec_from_file_location("launch_file_of_a_test", path)
        assert spec is not None and spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return list(loaded.generate_launch_description().args[0])
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
