"""Forces that an arm must not go on against: of its wrist, its joints, or what its gels feel.

Where one is above its limit, is no number, or is not told any more, the arm stops and the gripper
closes no further. It goes on with a new session once the force is well again. Pure code, no ROS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim2arm.core.trajectory import FloatArray

WRENCH: Literal["geometry_msgs/msg/WrenchStamped"] = "geometry_msgs/msg/WrenchStamped"
EFFORTS: Literal["sensor_msgs/msg/JointState"] = "sensor_msgs/msg/JointState"
FIELD: Literal["sensor_msgs/msg/Image"] = "sensor_msgs/msg/Image"


@dataclass(frozen=True, kw_only=True)
class ForceCfg:
    """One limit in graph.yaml."""

    name: str
    """What reasons call it."""
    topic: str
    type: Literal[
        "geometry_msgs/msg/WrenchStamped", "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image"
    ]
    """A wrench, efforts of the joints that the contract names, or a force field in 32FC3."""
    most: float
    """Largest force of a wrench or of a whole field [N], largest effort of a joint [N m]."""
    most_torque: float | None = None
    """Largest torque of a wrench [N m]; None: it does not count."""
    timeout_s: float = 0.1
    """Longest silence [s]."""

    def __post_init__(self) -> None:
        """Refuse numbers that limit nothing."""
        for label, value in (("most", self.most), ("most_torque", self.most_torque)):
            if value is not None and not 0.0 < value < math.inf:
                raise ValueError(f"forces: {self.name}: {label}: expected above 0, got {value}")
        if not 0.0 < self.timeout_s <= 1.0:
            raise ValueError(
                f"forces: {self.name}: timeout_s: expected up to 1, got {self.timeout_s}"
            )
        if self.most_torque is not None and self.type != WRENCH:
            raise ValueError(f"forces: {self.name}: most_torque: {self.type} has no torque")


def size_of_wrench(force: FloatArray, torque: FloatArray) -> tuple[float, float]:
    """Return the sizes of force (3,) [N] and torque (3,) [N m]."""
    return float(np.linalg.norm(force)), float(np.linalg.norm(torque))


def size_of_efforts(efforts: FloatArray) -> tuple[float, float]:
    """Return the largest of some efforts (n,) [N m], and no torque."""
    return float(np.max(np.abs(efforts))), 0.0


def size_of_field(field: FloatArray) -> tuple[float, float]:
    """Return the size of the sum of a field (..., 3) [N], and no torque."""
    return float(np.linalg.norm(field.reshape(-1, 3).sum(axis=0))), 0.0


class ForceWatch:
    """Watches over some forces of one robot."""

    def __init__(self, cfgs: Sequence[ForceCfg]) -> None:
        """Begin knowing nothing."""
        self.cfgs = tuple(cfgs)
        self._heard: dict[str, tuple[float, float, int]] = {}

    def hear(self, name: str, size: tuple[float, float], steady_ns: int) -> None:
        """Take force [N] (effort [N m]) and torque [N m]."""
        self._heard[name] = (*size, steady_ns)

    def value(self, name: str) -> float | None:
        """Return the newest force, None if none came."""
        return self._heard[name][0] if name in self._heard else None

    def problem(self, steady_ns: int, *, timed: bool = True) -> str | None:
        """Return why the arm must not move, or None.

        Args:
            steady_ns: steady time [ns].
            timed: whether silence counts; it does not where a simulation waits for commands.
        """
        for cfg in self.cfgs:
            if cfg.name not in self._heard:
                return f"{cfg.name}: nothing was heard on {cfg.topic}"
            force, torque, heard_ns = self._heard[cfg.name]
            unit = "N m" if cfg.type == EFFORTS else "N"
            if not force <= cfg.most:  # true for NaN
                return f"{cfg.name}: {force:.1f} {unit}, allowed {cfg.most:g} {unit}"
            if cfg.most_torque is not None and not torque <= cfg.most_torque:
                return f"{cfg.name}: {torque:.2f} N m, allowed {cfg.most_torque:g} N m"
            silent = (steady_ns - heard_ns) / 1e9
            if timed and silent > cfg.timeout_s:
                return f"{cfg.name}: silent for more than {cfg.timeout_s} s"
        return None
