"""Start poses shared by tasks."""

from __future__ import annotations

import torch
from torch import Tensor


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
