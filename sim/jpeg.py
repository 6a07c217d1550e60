"""What JPEG does to pictures, on their device: blocks of 8 x 8, cosine transform, quantisation.

Baseline JPEG (ITU-T T.81) as cameras and libjpeg use it: tables of Annex K scaled by a quality,
JFIF's colours, colour at half the size. The entropy code loses nothing and is left out.
"""

# pyright: standard

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

# ITU-T T.81, tables K.1 and K.2, rows of rising vertical frequency.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)
# JFIF 1.02: Y Cb Cr of R G B, the latter two without their offset of 128.
_FROM_RGB = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


def jpeg(rgb: Tensor, quality: int) -> Tensor:
    """Return pictures (N, H, W, 3) uint8 as they are after compression.

    Args:
        rgb: (N, H, W, 3) uint8.
        quality: 1 to 100, libjpeg's scale.
    """
    height, width = rgb.shape[1:3]
    planes = rgb.permute(0, 3, 1, 2).to(torch.float32)
    planes = pad(planes, (0, -width % 16, 0, -height % 16), mode="replicate")
    colours = torch.einsum("ij,njhw->nihw", _constant(_FROM_RGB, rgb.device), planes).round()
    luminance = _quantise(colours[:, :1] - 128.0, _table(_LUMINANCE, quality, rgb.device)) + 128.0
    half = _constant((0.25, 0.5), rgb.device).repeat(planes.shape[3] // 4)
    small = torch.floor(avg_pool2d(colours[:, 1:], 2) + half)  # as libjpeg rounds, in turn
    small = _quantise(small, _table(_CHROMINANCE, quality, rgb.device))
    # libjpeg's decoder takes 3/4 of the nearer and 1/4 of the farther pixel along each axis.
    wide = interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
    back = torch.einsum(
        "ij,njhw->nihw", _constant(_TO_RGB, rgb.device), torch.cat([luminance, wide], dim=1)
    )
    seen = (back[:, :, :height, :width] + 0.5).clamp(0.0, 255.0).to(torch.uint8)
    return seen.permute(0, 2, 3, 1).contiguous()


def _quantise(planes: Tensor, table: Tensor) -> Tensor:
    """Return planes (N, C, H, W) after rounding in the space of cosines, block by block."""
    cosines = _cosines(planes.device)
    blocks = planes.unflatten(2, (-1, 8)).unflatten(4, (-1, 8)).transpose(3, 4)
    found = cosines @ blocks @ cosines.T  # (N, C, rows, columns, 8, 8)
    kept = torch.round(found / table) * table
    back = (cosines.T @ kept @ cosines).round()
    return back.transpose(3, 4).flatten(4, 5).flatten(2, 3)


@lru_cache(maxsize=8)
def _cosines(device: torch.device) -> Tensor:
    """Return the orthonormal cosine transform of 8 numbers, (8, 8)."""
    k = torch.arange(8, dtype=torch.float64)
    table = torch.cos(math.pi * k[:, None] * (2.0 * k + 1.0) / 16.0) * 0.5
    table[0] *= math.sqrt(0.5)
    return table.to(torch.float32).to(device)


@lru_cache(maxsize=32)
def _table(rows: tuple[tuple[int, ...], ...], quality: int, device: torch.device) -> Tensor:
    """Return the steps of a quality, as libjpeg scales them: 1 to 255."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = (torch.tensor(rows) * scale + 50) // 100
    return steps.clamp(1, 255).to(torch.float32).to(device)


@lru_cache(maxsize=16)
def _constant(rows: tuple[Any, ...], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device)
