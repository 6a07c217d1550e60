"""Random shifts: whole pixels, exactly those that bilinear sampling of the padded picture finds."""

# pyright: standard

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from sim2arm.policies.shift import draw_shifts, shift


def sampled(pictures: torch.Tensor, offsets: torch.Tensor, pad: int) -> torch.Tensor:
    """Return pictures (B, S, S, C) float, padded and sampled on a moved grid (DrQ-v2)."""
    size = pictures.shape[1]
    padded = functional.pad(pictures.permute(0, 3, 1, 2), (pad,) * 4, mode="replicate")
    step = 2.0 / (size + 2 * pad)
    places = torch.arange(size) * step + 0.5 * step - 1.0
    grid = torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1)
    moved = offsets.flip(1)[:, None, None].float() * step  # (x, y)
    found = functional.grid_sample(padded, grid + moved, align_corners=False)
    return found.permute(0, 2, 3, 1)


@pytest.mark.parametrize(("size", "pad"), [(84, 4), (64, 8)])
def test_every_shift_equals_bilinear_sampling(size: int, pad: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shifts = torch.cartesian_prod(torch.arange(2 * pad + 1), torch.arange(2 * pad + 1))
    picture = torch.randint(0, 256, (1, size, size, 3), dtype=torch.uint8, generator=generator)
    pictures = picture.expand(len(shifts), -1, -1, -1)
    expected = sampled(pictures.float(), shifts, pad)
    torch.testing.assert_close(shift(pictures, shifts, pad).float(), expected, atol=5e-3, rtol=0)


def test_by_hand() -> None:
    # One row of pixels 0 1 2 3, edges repeated once: 0 0 1 2 3 3. Offset 0 takes the first four.
    picture = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 4, 1).expand(3, 1, 4, 1)
    found = shift(picture, torch.tensor([[1, 0], [1, 1], [1, 2]]), 1)[:, 0, :, 0]
    assert found.tolist() == [[0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 3]]


def test_frames_of_an_observation_move_together() -> None:
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (2, 3, 8, 6, 3), dtype=torch.uint8, generator=generator)
    offsets = torch.tensor([[0, 3], [2, 1]])
    found = shift(frames, offsets, 2)
    for k in range(3):
        torch.testing.assert_close(found[:, k], shift(frames[:, k], offsets, 2), atol=0, rtol=0)


def test_offsets_are_uniform() -> None:
    drawn = draw_shifts(9000, 4, torch.Generator().manual_seed(0))
    counts = torch.stack([torch.bincount(drawn[:, axis], minlength=9) for axis in (0, 1)])
    assert drawn.min() == 0 and drawn.max() == 8
    assert (counts - 1000).abs().max() < 130  # four deviations of sqrt(1000 * 8 / 9)
