"""Start poses shared by tasks."""

from __future__ import annotations

import torch
from torch import Tensor

from sim2arm.core.transforms import quat_from_rotvec, quat_mul


def quat_from_rpy(rpy: Tensor) -> Tensor:
    """Return quaternions (n, 4) of roll, pitch, yaw (n, 3) [rad], applied about fixed x, y, z."""
    zero = torch.zeros_like(rpy[:, 0])
    roll = quat_from_rotvec(torch.stack([rpy[:, 0], zero, zero], dim=-1))
    pitch = quat_from_rotvec(torch.stack([zero, rpy[:, 1], zero], dim=-1))
    yaw = quat_from_rotvec(torch.stack([zero, zero, rpy[:, 2]], dim=-1))
    return quat_mul(yaw, quat_mul(pitch, roll))
