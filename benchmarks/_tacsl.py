"""What TacSL computes, as operations of torch: depth to picture, and forces of taxels.

Written from the formulae and constants of the paper (arXiv 2408.06506) and of Taxim's table, to be
compared with: double-precision tables indexed by bins of the slope's angle, polynomials in pixels,
every pixel of every picture; forces by penalty and viscous drag, without memory.
"""

# pyright: standard

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

BINS = 120
"""Of each angle."""


class DepthToPicture:
    """Pictures of dents by a table of random numbers: what they are does not matter to the time."""

    def __init__(self, rows: int, cols: int, pixel: float, device: torch.device) -> None:
        """Make table and background; `pixel` is the width of one [m]."""
        random = torch.Generator().manual_seed(0)
        like = {"dtype": torch.float64, "device": device}
        self._tables = torch.rand((3, BINS, BINS, 6), generator=random, dtype=torch.float64)
        self._tables = self._tables.to(device)
        self._background = torch.full((rows, cols, 3), 100.0, **like)
        y, x = torch.meshgrid(torch.arange(rows, **like), torch.arange(cols, **like), indexing="ij")
        self._forms = torch.stack([x * x, y * y, x * y, x, y, torch.ones_like(x)], dim=-1)
        line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=device) / 16.0
        self._kernel = (line[:, None] * line)[None, None]
        self._scale = -1.0 / pixel

    def __call__(self, depth: Tensor) -> Tensor:
        """Return pictures (n, rows, cols, 3) uint8 for depths (n, rows, cols) [m]."""
        dents = torch.where(depth.abs() < 1e-6, 0.0, depth) * self._scale
        padded = functional.pad(dents[:, None], (2, 2, 2, 2), mode="replicate")
        smooth = functional.conv2d(padded, self._kernel)[:, 0]
        down, across = torch.zeros_like(smooth), torch.zeros_like(smooth)
        down[:, 1:-1] = 0.5 * (smooth[:, 2:] - smooth[:, :-2])
        across[:, :, 1:-1] = 0.5 * (smooth[:, :, 2:] - smooth[:, :, :-2])
        inner = torch.zeros_like(smooth)
        inner[:, 1:-1, 1:-1] = 1.0
        steep = torch.atan(torch.sqrt(down * down + across * across)) * inner
        turn = torch.atan2(down, across) * inner
        i = torch.floor(steep / (0.5 * math.pi / (BINS - 1))).long()
        j = torch.floor((turn + math.pi) / (2.0 * math.pi / (BINS - 1))).long()
        channels = [
            (self._tables[c][i, j] * self._forms).sum(dim=-1) + self._background[..., c]
            for c in range(3)
        ]
        return torch.stack(channels, dim=-1).clamp(0.0, 255.0).to(torch.uint8)


class PenaltyField:
    """Forces of taxels in one object, from its signed distances and their slopes on a grid."""

    def __init__(
        self, values: Tensor, origin: Tensor, spacing: float, taxels: Tensor, step: float
    ) -> None:
        """Take distances (nx, ny, nz) [m] of a grid, and taxels (T, 3) in the gel's frame [m]."""
        slopes = torch.stack(torch.gradient(values, spacing=spacing))
        self._grid = torch.cat([values[None], slopes])[None]  # (1, 4, nx, ny, nz)
        self._origin, self._taxels, self._step = origin, taxels, step
        self._size = spacing * (torch.tensor(values.shape, device=values.device) - 1.0)

    def __call__(self, position: Tensor, rotation: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Return forces (n, T, 3) of objects at (n, 3), (n, 3, 3), and where taxels lie in them.

        Args:
            position: of the objects in the gel's frame.
            rotation: as well.
            before: (n, T, 3) where the taxels lay at the last call.
        """
        at = (self._taxels - position[:, None]) @ rotation
        place = 2.0 * (at - self._origin) / self._size - 1.0
        # grid_sample takes the last axis of the grid first
        found = functional.grid_sample(
            self._grid.expand(len(at), -1, -1, -1, -1),
            place.flip(-1)[:, :, None, None],
            padding_mode="border",
            align_corners=True,
        )[..., 0, 0]
        depth = (-found[:, 0]).clamp(min=0.0)
        n = functional.normalize(found[:, 1:].transpose(1, 2), dim=-1)
        speed = (at - before) / self._step
        along = speed - (speed * n).sum(dim=-1, keepdim=True) * n
        normal = depth[..., None] * n
        fast = torch.linalg.vector_norm(along, dim=-1, keepdim=True)
        most = 2.0 * depth[..., None]
        drag = -along / fast.clamp(min=1e-9) * torch.minimum(0.1 * fast, most)
        return (normal + drag) @ rotation.transpose(1, 2), at
