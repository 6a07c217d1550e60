"""What a robot is to us, as frozen data: chain, limits, gripper, gains."""

from __future__ import annotations

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
    """A gripper with two fingers, of which one or both move; without joints: none."""

    joint_names: tuple[str, ...]
    """The joints of the fingers, which move together: slides, or the hinge of a jaw."""
    open_width: float
    """Distance between the pads when open [m]; they touch at width 0."""
    speed: float
    """Half of the greatest speed of the width: the speed of one of two fingers [m/s]."""
    force: float
    """Greatest continuous grasping force [N]."""
    delay_s: float
    """From the command to the first motion [s]."""
    preemptible: bool
    """Whether a new command interrupts a running one; if not, the gripper is busy until done."""
    closed: float = 0.0
    """Position of each joint at width 0 [m], [rad] for a hinge."""
    opening: float = 1.0
    """Width per position of a joint, [m/m]; of a jaw its length, [m/rad], wherever it stands."""

    def __post_init__(self) -> None:
        """Check that the fingers open."""
        if self.joint_names and not (self.open_width > 0.0 and self.opening != 0.0):
            raise ValueError(
                f"gripper: open_width must be above 0 and opening not 0, got {self.open_width} "
                f"and {self.opening}"
            )

    def width(self, q: Any) -> Any:
        """Return the distance between the pads (...) [m] of finger joints q (..., joints)."""
        offset = self.closed * len(self.joint_names)
        return self.opening * (q.sum(axis=-1) - offset)

    def position(self, width: float) -> float:
        """Return the position of each finger joint at a width [m]."""
        return self.closed + width / (self.opening * len(self.joint_names))


NO_GRIPPER = Gripper(
    joint_names=(), open_width=0.0, speed=0.0, force=0.0, delay_s=0.0, preemptible=True
)
"""Of an arm that ends at its flange or at a fixed tool."""


@dataclass(frozen=True, kw_only=True)
class ToolBox:
    """A box before the arm in which its tool reaches every pose from home."""

    low: Numbers
    """Lowest x y z [m], roll pitch yaw [rad] of the tool in the base frame."""
    high: Numbers
    """Highest."""

    def __post_init__(self) -> None:
        """Check that it is a box."""
        if not (len(self.low) == len(self.high) == 6) or any(
            low > high for low, high in zip(self.low, self.high, strict=True)
        ):
            raise ValueError(
                f"tool box: expected 6 numbers each, low below high, got {self.low} and {self.high}"
            )


@dataclass(frozen=True)
class Capsule:
    """All points within `radius` of a line on a link."""

    link: int
    """0 the base, i the link behind joint i in the frame of that joint, n + 1 the hand in the
    frame of the tool."""
    start: tuple[float, float, float]
    """[m]"""
    end: tuple[float, float, float]
    """[m]"""
    radius: float
    """[m]"""
    above_table: bool = True
    """Whether it has to stay off the table; fingers and the foot of the arm need not."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """What an arm takes up, and which of its links could hit each other."""

    capsules: tuple[Capsule, ...]
    """They hold the links with their covers and fingers at every width."""
    pairs: tuple[tuple[int, int], ...]
    """Pairs of links that are kept apart; the others cannot touch, or always do."""
    margin: float
    """Least distance of two capsules of a pair [m]."""

    def __post_init__(self) -> None:
        """Check that pairs have capsules and sizes are sizes."""
        links = {capsule.link for capsule in self.capsules}
        for pair in self.pairs:
            if not (pair[0] < pair[1] and set(pair) <= links):
                raise ValueError(
                    f"body: expected pairs of links of {sorted(links)}, lower first, got {pair}"
                )
        if self.margin < 0.0 or any(capsule.radius <= 0.0 for capsule in self.capsules):
            raise ValueError("body: a margin is at least 0 m and a radius more than 0 m")


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
    tool_box: ToolBox | None = None
    """Where tasks may ask for any pose; None where there is no such box, as for arms with fewer
    than six joints, or it is not known. Such tasks take poses of joints near home instead."""
    body: Body | None = None
    """None where it is not known: then nothing keeps the arm from hitting itself."""
    model: str = ""
    """MJCF file of an imported robot; those that we know have a model of our own."""

    def __post_init__(self) -> None:
        """Check that every joint has its numbers and home lies within the limits."""
        n, limits = len(self.chain.joint_names), self.limits
        for name, values in (("limits", limits.q_min), ("home", self.home), ("kp", self.kp),
                             ("kd", self.kd)):  # fmt: skip
            if len(values) != n:
                raise ValueError(f"robot {self.name!r}: {name}: expected {n}, got {len(values)}")
        for joint, low, q, high in zip(
            self.chain.joint_names, limits.q_min, self.home, limits.q_max, strict=True
        ):
            if not low < q < high:
                raise ValueError(
                    f"robot {self.name!r}: home of {joint!r}: expected an angle between {low} and "
                    f"{high} rad, got {q}"
                )
        if self.body is not None and any(not 0 <= c.link <= n + 1 for c in self.body.capsules):
            raise ValueError(f"robot {self.name!r}: body: expected links from 0 to {n + 1}")

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the arm joints, in order."""
        return self.chain.joint_names
