"""Start poses shared by tasks."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sim2arm.core.inverse import solve_pose
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import Robot
from sim2arm.core.transforms import pose, quat_conjugate, quat_mul, quat_to_rotvec
from sim2arm.sim.draws import Draws, SeededDraws, uniform

TRIED = 100
"""Poses that are tried to see whether an arm reaches where a task needs it."""
REACHED = 0.95
"""Least share of them that must be reached: corners of a box may lie beyond an arm."""
JOINT_MARGIN = 0.1
"""Least distance from the joint limits of joints that are drawn near home [rad]."""


def quat_from_rpy(rpy: Tensor) -> Tensor:
    """Return quaternions (n, 4) of roll, pitch, yaw (n, 3) [rad], applied about fixed x, y, z.

    The product of the three half-angle quaternions: about z times about y times about x.
    """
    (cx, cy, cz), (sx, sy, sz) = torch.cos(0.5 * rpy).T, torch.sin(0.5 * rpy).T
    return torch.stack(
        [
            cz * cy * cx + sz * sy * sx,
            cz * cy * sx - sz * sy * cx,
            cz * sy * cx + sz * cy * sx,
            sz * cy * cx - cz * sy * sx,
        ],
        dim=-1,
    )


def joints_of(robot: Robot, tool: Tensor, *, iterations: int = 8) -> Tensor:
    """Return joints (n, joints) [rad] near the home posture whose tool poses are (n, 7)."""
    home = tool.new_tensor(robot.home).expand(len(tool), -1)
    return solve_pose(robot, tool, home, iterations=iterations)


@lru_cache(maxsize=64)
def check_reach(robot: Robot, low: tuple[float, ...], high: tuple[float, ...]) -> None:
    """See that an arm brings its tool to the poses between two corners.

    Args:
        robot: the arm.
        low: lowest x y z [m], roll pitch yaw [rad].
        high: highest.

    Raises:
        ValueError: to more than a few of them it does not, by 1 mm or 0.01 rad.
    """
    share = uniform(SeededDraws(range(TRIED)), low, high)
    wanted = pose(share[:, :3], quat_from_rpy(share[:, 3:]))
    found = forward_pose(robot.chain, joints_of(robot, wanted))
    turn = quat_to_rotvec(quat_mul(wanted[:, 3:], quat_conjugate(found[:, 3:])))
    far = torch.linalg.norm(wanted[:, :3] - found[:, :3], dim=-1) > 0.001
    turned = torch.linalg.norm(turn, dim=-1) > 0.01
    reached = TRIED - int((far | turned).sum())
    if reached < REACHED * TRIED:
        raise ValueError(
            f"{robot.name} cannot bring its tool where the task needs it, between "
            f"{_rounded(low)} and {_rounded(high)} (x y z [m], roll pitch yaw [rad]): it reaches "
            f"{reached} of {TRIED} such poses from its home posture, {_rounded(robot.home)} rad; "
            "take another robot, home or ranges"
        )


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


def joint_range(robot: Robot, spread: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the joint angles this far about home, lowest and highest, inside the limits [rad]."""
    home, limits = np.asarray(robot.home), robot.limits
    low = np.minimum(home, np.maximum(home - spread, np.asarray(limits.q_min) + JOINT_MARGIN))
    high = np.maximum(home, np.minimum(home + spread, np.asarray(limits.q_max) - JOINT_MARGIN))
    return tuple(low.tolist()), tuple(high.tolist())


def tool_start(
    robot: Robot, draws: Draws, low: Sequence[float], high: Sequence[float], *, iterations: int = 8
) -> tuple[Tensor, Tensor]:
    """Return joints (n, joints) [rad] and poses (n, 7) of tools that start between two corners.

    Args:
        robot: the arm.
        draws: of the episodes.
        low: lowest x y z [m], roll pitch yaw [rad].
        high: highest.
        iterations: of the inverse kinematics.
    """
    start = uniform(draws, low, high)
    tool = pose(start[:, :3], quat_from_rpy(start[:, 3:]))
    return joints_of(robot, tool, iterations=iterations), tool
