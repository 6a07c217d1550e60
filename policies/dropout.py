"""Dropout whose random numbers cost a CPU a quarter of torch's: 16 bits of one for each element."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BITS = 16


class Dropout(nn.Dropout):
    """`nn.Dropout`; on a CPU the share is rounded to 2^-16."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the elements, some of them 0 and the others the larger, in training."""
        return dropped(input, self.p if self.training else 0.0)


def dropped(x: Tensor, share: float, dice: torch.Generator | None = None) -> Tensor:
    """Return x with a share of its elements 0 and the others divided by what is left.

    It draws from a stream, torch's own if None.
    """
    if share == 0.0 or share == 1.0:
        return functional.dropout(x, share)
    if x.device.type != "cpu" and dice is not None:
        drawn = torch.rand(x.shape, generator=dice, device=x.device, dtype=x.dtype)
        return x * (drawn >= share) / (1.0 - share)
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.dropout(x, share)
    words = torch.empty(-(-x.numel() * BITS // 64), dtype=torch.int64)
    words.random_(-(2**63), None, generator=dice)
    drawn = words.view(torch.int16)[: x.numel()].view(x.shape)
    least = round(share * 2**BITS) - 2 ** (BITS - 1)  # the least number that stays
    kept = drawn >= least
    return x * kept.to(x.dtype).mul_(1.0 / (1.0 - share))
