"""Random shifts of pictures: their edges are repeated outwards, then they are cropped back.

A shift by whole pixels only moves pixels, so it is one gather of uint8; where frames are stored
once, the same gather stacks them (`buffers`). All frames of one observation move together, two
observations of one transition do not (DrQ, arXiv 2004.13649; DrQ-v2, arXiv 2107.09645).
"""

from __future__ import annotations

import torch
from torch import Tensor


def draw_shifts(count: int, pad: int, generator: torch.Generator) -> Tensor:
    """Return offsets (count, 2) int64 of rows and columns, each uniform in 0 to 2 pad."""
    device = generator.device
    return torch.randint(0, 2 * pad + 1, (count, 2), generator=generator, device=device)


def shifted_places(offsets: Tensor, height: int, width: int, pad: int) -> tuple[Tensor, Tensor]:
    """Return which row and column each pixel of a shifted picture comes from.

    Args:
        offsets: (B, 2) of rows and columns, 0 to 2 pad; pad: the picture stays.
        height: of the pictures [pixels].
        width: of the pictures [pixels].
        pad: greatest shift [pixels].

    Returns:
        Rows (B, height) and columns (B, width).
    """
    moved = offsets - pad
    rows = torch.arange(height, device=offsets.device) + moved[:, :1]
    columns = torch.arange(width, device=offsets.device) + moved[:, 1:]
    return rows.clamp(0, height - 1), columns.clamp(0, width - 1)


def shift(pictures: Tensor, offsets: Tensor, pad: int) -> Tensor:
    """Return pictures (B, ..., H, W, C), each moved by its offset (B, 2), see `shifted_places`."""
    height, width = pictures.shape[-3:-1]
    rows, columns = shifted_places(offsets, height, width, pad)
    flat = pictures.reshape(len(pictures), -1, height, width, pictures.shape[-1])
    batch = torch.arange(len(flat), device=flat.device)[:, None, None]
    # what is indexed comes first: (B, H, W, frames, C)
    found = flat.permute(0, 2, 3, 1, 4)[batch, rows[:, :, None], columns[:, None, :]]
    return found.permute(0, 3, 1, 2, 4).reshape(pictures.shape)
