"""The controllers file of ros2_control: which joints a controller moves, with which gains.

Read as ROS reads it: names of nodes, perhaps with a namespace, each with `ros__parameters`; the
controller manager's name types. Where gains stand depends on the controller:

- `gains.<joint>.p` and `.d`: joint_trajectory_controller on an effort interface (ros2_controllers).
- `k_gains`, `d_gains`, one per joint in the order of `joints`: franka_ros2's joint impedance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from .plain import load_yaml

GRIPPER_TYPE = "GripperActionController"


@dataclass(frozen=True, kw_only=True)
class Controller:
    """One controller and its parameters, nested names joined by dots."""

    name: str
    type: str
    joints: tuple[str, ...]
    parameters: Mapping[str, Any]

    def gains(self, joints: tuple[str, ...]) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return stiffness [N m/rad] and damping [N m s/rad] of joints; None if it has no gains.

        Raises:
            ValueError: it has gains of some joints only, or one that is no positive number.
        """
        lists = [self.parameters.get(name) for name in ("k_gains", "d_gains")]
        if all(isinstance(values, list) for values in lists):
            kp, kd = (self._listed(cast(list[Any], values), joints) for values in lists)
            return kp, kd
        if not any(name.startswith("gains.") for name in self.parameters):
            return None
        kp, kd = (
            tuple(self._number(f"gains.{joint}.{kind}") for joint in joints) for kind in ("p", "d")
        )
        return kp, kd

    def _listed(self, values: list[Any], joints: tuple[str, ...]) -> tuple[float, ...]:
        if len(values) != len(self.joints or joints):
            raise ValueError(
                f"controller {self.name!r}: expected {len(self.joints or joints)} gains, one per "
                f"joint, got {len(values)}"
            )
        of = dict(zip(self.joints or joints, values, strict=True))
        return tuple(_positive(of[joint], f"{self.name}: gain of {joint}") for joint in joints)

    def _number(self, name: str) -> float:
        if name not in self.parameters:
            raise ValueError(f"controller {self.name!r} has no {name}: add it to the file")
        return _positive(self.parameters[name], f"{self.name}: {name}")


def _positive(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1e9:
        raise ValueError(f"{where}: expected a number above 0, got {value!r}")
    return float(value)


def read_controllers(text: str, source: str) -> dict[str, Controller]:
    """Return the controllers of a file that name joints, by name.

    Args:
        text: of the file.
        source: its name, for errors.

    Raises:
        ValueError: not YAML, or no `ros__parameters` in it.
    """
    nodes: dict[str, Mapping[Any, Any]] = {}
    for key, value in _mapping(load_yaml(text, source)).items():
        parameters = _mapping(_mapping(value).get("ros__parameters"))
        if parameters:
            nodes[str(key).rpartition("/")[2]] = parameters
    if not nodes:
        raise ValueError(
            f"{source}: expected the controllers of ros2_control, nodes with ros__parameters"
        )
    flat = {name: _flatten(parameters) for name, parameters in nodes.items()}
    types = {
        key.removesuffix(".type"): str(value)
        for parameters in flat.values()
        for key, value in parameters.items()
        if key.endswith(".type")
    }
    found = (_controller(name, types.get(name, ""), values) for name, values in flat.items())
    return {controller.name: controller for controller in found if controller.joints}


def _controller(name: str, kind: str, parameters: dict[str, Any]) -> Controller:
    told: Any = parameters.get("joints", parameters.get("joint", ()))
    joints = [told] if isinstance(told, str) else told
    names = [str(joint) for joint in cast(list[Any], joints)] if isinstance(joints, list) else []
    return Controller(name=name, type=kind, joints=tuple(names), parameters=parameters)


def _mapping(value: Any) -> Mapping[Any, Any]:
    return cast(Mapping[Any, Any], value) if isinstance(value, Mapping) else {}


def _flatten(parameters: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= _flatten(cast(Mapping[Any, Any], value), f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
