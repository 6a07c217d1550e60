"""Start poses shared by tasks."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sim2arm.core.inverse import solve_pose
from sim2arm.core.robots import Robot
from sim2arm.core.transforms import pose
from sim2arm.sim.draws import Draws, uniform


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
