"""The robots we know, as frozen data: chain, limits, gains, gripper; each number with its source.

Sources, named in the comments by these letters:

- [D] Franka documentation, "Robot and interface specifications" (control_parameters), the
  tables of the Panda and of the Franka Research 3.
- [U] franka_description 1.0.1, `robots/{fer,fr3}/{kinematics,joint_limits}.yaml` and
  `end_effectors/franka_hand` (Apache-2.0); fer is the Panda.
- [L] libfranka, `examples/joint_impedance_control.cpp` and the start pose of all its examples.
- [V] libfranka, `include/franka/rate_limiting.h`, `computeUpperLimitsJointVelocity` and
  `computeLowerLimitsJointVelocity`: the position-dependent limits of the FR3.
- [H] Franka Hand data sheet: stroke, speed and force.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = tuple[float, ...]
VelocityProfile: TypeAlias = tuple[tuple[float, float, float, float, float, float], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """A serial chain of n revolute joints from a base frame to a tool frame."""

    base_frame: str
    tool_frame: str
    joint_names: tuple[str, ...]
    T_parent_joint: FloatArray
    """(n, 4, 4) frame of each joint in the one before it (the base for the first), at q = 0 [m]."""
    axes: FloatArray
    """(n, 3) unit axis of rotation in the joint frame."""
    T_last_tool: FloatArray
    """(4, 4) tool frame in the last joint frame [m]."""

    def __post_init__(self) -> None:
        """Check the shapes and that rotations and axes are what they claim to be."""
        n = len(self.joint_names)
        for name, shape in (
            ("T_parent_joint", (n, 4, 4)),
            ("axes", (n, 3)),
            ("T_last_tool", (4, 4)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"chain {self.tool_frame!r}: {name} must have shape {shape}, "
                    f"got {getattr(self, name).shape}"
                )
        R = np.concatenate([self.T_parent_joint[:, :3, :3], self.T_last_tool[None, :3, :3]])
        if not np.allclose(R @ np.swapaxes(R, -1, -2), np.eye(3), atol=1e-6) or not np.allclose(
            np.linalg.norm(self.axes, axis=-1), 1.0, atol=1e-6
        ):
            raise ValueError(
                f"chain {self.tool_frame!r}: rotations must be orthonormal and axes of length 1"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and strings, as the contract stores them."""
        return {
            "base_frame": self.base_frame,
            "tool_frame": self.tool_frame,
            "joint_names": list(self.joint_names),
            "T_parent_joint": self.T_parent_joint.tolist(),
            "axes": self.axes.tolist(),
            "T_last_tool": self.T_last_tool.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Chain:
        """Return the chain of `to_dict`.

        Raises:
            ValueError: keys missing or unknown, or an array of the wrong shape.
        """
        known = {field.name for field in fields(cls)}
        if set(data) != known:
            raise ValueError(f"a chain has the keys {sorted(known)}, got {sorted(data)}")
        return cls(
            base_frame=str(data["base_frame"]),
            tool_frame=str(data["tool_frame"]),
            joint_names=tuple(str(name) for name in data["joint_names"]),
            T_parent_joint=np.asarray(data["T_parent_joint"], dtype=np.float64),
            axes=np.asarray(data["axes"], dtype=np.float64),
            T_last_tool=np.asarray(data["T_last_tool"], dtype=np.float64),
        )

    def difference(self, other: Chain) -> tuple[float, float]:
        """Return the worst difference of any link between two chains, ([m], [rad]).

        The links are the n joint frames in their parents and the tool in the last joint; a
        turned joint axis counts as a rotation.

        Raises:
            ValueError: the chains have different numbers of joints.
        """
        if len(self.joint_names) != len(other.joint_names):
            raise ValueError(
                f"chains of {len(self.joint_names)} and {len(other.joint_names)} joints cannot "
                "be compared: check that both end at the same tool"
            )
        a = np.concatenate([self.T_parent_joint, self.T_last_tool[None]])
        b = np.concatenate([other.T_parent_joint, other.T_last_tool[None]])
        metres = float(np.linalg.norm(a[:, :3, 3] - b[:, :3, 3], axis=-1).max())
        R = np.swapaxes(a[:, :3, :3], -1, -2) @ b[:, :3, :3]
        links = _angle(R)
        sine = np.linalg.norm(np.cross(self.axes, other.axes), axis=-1)
        axes = np.arctan2(sine, (self.axes * other.axes).sum(-1))
        return metres, float(max(links.max(), axes.max()))


def _angle(R: FloatArray) -> FloatArray:
    """Return the angles of rotation matrices (..., 3, 3) [rad], accurate near zero."""
    w = np.stack(
        [R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]],
        axis=-1,
    )
    return np.arctan2(np.linalg.norm(w, axis=-1), np.trace(R, axis1=-2, axis2=-1) - 1.0)


@dataclass(frozen=True, kw_only=True)
class JointLimits:
    """What each joint may do; one number per joint, in the order of the chain."""

    q_min: Numbers
    """[rad]"""
    q_max: Numbers
    """[rad]"""
    dq_max: Numbers
    """[rad/s]"""
    ddq_max: Numbers
    """[rad/s^2]"""
    dddq_max: Numbers
    """[rad/s^3]"""
    tau_max: Numbers
    """[N m]"""
    velocity_profile: VelocityProfile | None = None
    """Per joint (offset_up, gain_up, q_up, offset_low, gain_low, q_low) of the limits that depend
    on the position: dq <= offset_up + sqrt(gain_up (q_up - q)) and
    dq >= offset_low - sqrt(gain_low (q - q_low)). Offsets in [rad/s], gains in [rad/s^2]."""

    def __post_init__(self) -> None:
        """Check that every entry has one number per joint."""
        n = len(self.q_min)
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and len(value) != n:
                raise ValueError(
                    f"limits: {field.name} must have {n} entries like q_min, got {len(value)}"
                )


@dataclass(frozen=True, kw_only=True)
class Gripper:
    """A gripper with two parallel fingers."""

    joint_names: tuple[str, str]
    """Slide joints; each opens to half of `open_width`."""
    open_width: float
    """Distance between the pads when open [m]."""
    speed: float
    """Greatest speed of one finger [m/s]."""
    force: float
    """Greatest continuous grasping force [N]."""
    delay_s: float
    """From the command to the first motion [s]."""
    preemptible: bool
    """Whether a new command interrupts a running one; if not, the gripper is busy until done."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Robot:
    """One arm with its tool."""

    name: str
    chain: Chain
    limits: JointLimits
    home: Numbers
    """Start configuration [rad]."""
    kp: Numbers
    """Stiffness of the joint impedance law [N m/rad]."""
    kd: Numbers
    """Damping of the joint impedance law [N m s/rad]."""
    gripper: Gripper

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the arm joints, in order."""
        return self.chain.joint_names


def _franka_chain(prefix: str) -> Chain:
    """Return the chain shared by Panda and FR3 [U]: x right, z along the joint, in its parent."""
    steps = (  # translation [m], roll in quarter turns: modified Denavit-Hartenberg
        ((0.0, 0.0, 0.333), 0),
        ((0.0, 0.0, 0.0), -1),
        ((0.0, -0.316, 0.0), 1),
        ((0.0825, 0.0, 0.0), 1),
        ((-0.0825, 0.384, 0.0), -1),
        ((0.0, 0.0, 0.0), 1),
        ((0.088, 0.0, 0.0), 1),
    )
    T = np.tile(np.eye(4), (7, 1, 1))
    for i, (p, quarter) in enumerate(steps):
        c, s = (1.0, 0.0) if quarter == 0 else (0.0, float(quarter))
        T[i, 1:3, 1:3] = ((c, -s), (s, c))
        T[i, :3, 3] = p
    # Flange at 0.107 m, hand turned by -45 degrees on it, tool centre point 0.1034 m from it [U].
    T_last_tool = np.eye(4)
    h = math.sqrt(0.5)
    T_last_tool[:2, :2] = ((h, h), (-h, h))
    T_last_tool[2, 3] = 0.107 + 0.1034
    for array in (T, T_last_tool):
        array.flags.writeable = False
    axes = np.tile(np.array([0.0, 0.0, 1.0]), (7, 1))
    axes.flags.writeable = False
    return Chain(
        base_frame=f"{prefix}_link0",
        tool_frame=f"{prefix}_hand_tcp",
        joint_names=tuple(f"{prefix}_joint{i}" for i in range(1, 8)),
        T_parent_joint=T,
        axes=axes,
        T_last_tool=T_last_tool,
    )


def _franka_hand(prefix: str) -> Gripper:
    return Gripper(
        joint_names=(f"{prefix}_finger_joint1", f"{prefix}_finger_joint2"),
        open_width=0.08,  # [H]
        speed=0.05,  # [H]
        force=70.0,  # [H]
        delay_s=0.1,  # an assumption, nothing is published: measure it with the latency calibration
        preemptible=False,  # libfranka, class Gripper: move and grasp block until they are done
    )


_HOME = (0.0, -math.pi / 4, 0.0, -3 * math.pi / 4, 0.0, math.pi / 2, math.pi / 4)  # [L]
_KP = (600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0)  # [L]
_KD = (50.0, 50.0, 50.0, 50.0, 30.0, 25.0, 15.0)  # [L]

PANDA = Robot(
    name="panda",
    chain=_franka_chain("panda"),
    limits=JointLimits(  # [D]; positions, speeds and torques agree with [U]
        q_min=(-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973),
        q_max=(2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973),
        dq_max=(2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61),
        ddq_max=(15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0),
        dddq_max=(7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0),
        tau_max=(87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0),
    ),
    home=_HOME,
    kp=_KP,
    kd=_KD,
    gripper=_franka_hand("panda"),
)

FR3 = Robot(
    name="fr3",
    chain=_franka_chain("fr3"),
    limits=JointLimits(  # [D]; positions, speeds and torques agree with [U]
        q_min=(-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159),
        q_max=(2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159),
        dq_max=(2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26),
        ddq_max=(10.0,) * 7,
        dddq_max=(5000.0,) * 7,
        tau_max=(87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0),
        velocity_profile=(  # [V]
            (-0.30, 12.00, 2.75010, 0.30, 12.00, -2.75010),
            (-0.20, 5.17, 1.79180, 0.20, 5.17, -1.79180),
            (-0.20, 7.00, 2.90650, 0.20, 7.00, -2.90650),
            (-0.30, 8.00, -0.14580, 0.30, 8.00, -3.04810),
            (-0.35, 34.00, 2.81010, 0.35, 34.00, -2.81010),
            (-0.35, 11.00, 4.52050, 0.35, 11.00, 0.54092),
            (-0.35, 34.00, 3.01960, 0.35, 34.00, -3.01960),
        ),
    ),
    home=_HOME,
    kp=_KP,
    kd=_KD,
    gripper=_franka_hand("fr3"),
)

ROBOTS: dict[str, Robot] = {"panda": PANDA, "fr3": FR3}
"""Every robot by name."""
