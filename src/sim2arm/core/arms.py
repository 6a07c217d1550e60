"""Several arms of one kind that one policy moves: their names, their rows.

Controller, gate, trajectory and gripper work on rows, one per arm. A policy sees and moves all arms
of a world in one vector, arm after arm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .robots import Robot
from .transforms import Array


@dataclass(frozen=True, kw_only=True)
class ArmPlace:
    """One of several arms."""

    prefix: str
    """Of the names of its joints and frames: `left_`."""
    position: tuple[float, float, float]
    """Of its base in the frame of the world, whose axes it has [m]."""


def prefixed(robot: Robot, prefix: str) -> Robot:
    """Return a robot whose names, and those of joints and frames, begin with a prefix."""
    if not prefix:
        return robot
    chain, gripper = robot.chain, robot.gripper
    return replace(
        robot,
        name=prefix + robot.name,
        chain=replace(
            chain,
            base_frame=prefix + chain.base_frame,
            tool_frame=prefix + chain.tool_frame,
            joint_names=tuple(prefix + name for name in chain.joint_names),
        ),
        gripper=replace(gripper, joint_names=tuple(prefix + n for n in gripper.joint_names)),
    )


def rows_of(values: Array, arms: int) -> Array:
    """Return vectors of worlds (N, arms k) as rows of arms (N arms, k)."""
    return values.reshape(values.shape[0] * arms, -1)


def worlds_of(rows: Array, arms: int) -> Array:
    """Return rows of arms (N arms, k) as vectors of worlds (N, arms k)."""
    return rows.reshape(rows.shape[0] // arms, -1)
