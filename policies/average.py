"""The moving average of a module's weights, which deploys better than the weights themselves."""

# pyright: standard

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """A copy of a module whose weights follow those of the original.

    Early the copy follows fast, later slowly: after t steps it keeps 1 - (1 + t)^-power of itself,
    at most `most`. Source: `EMAModel` as diffusion policies use it, Chi et al., arXiv 2303.04137.

    Attributes:
        module: the copy.
    """

    def __init__(self, module: nn.Module, *, power: float = 0.75, most: float = 0.9999) -> None:
        """Begin as the module is."""
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self._power, self._most = power, most

    def kept(self, steps: int) -> float:
        """Return the share that the copy keeps of itself after so many steps."""
        return min(self._most, 1.0 - (1.0 + max(0, steps - 1)) ** -self._power)

    @torch.no_grad()
    def follow(self, module: nn.Module, steps: int) -> None:
        """Go towards a module that has learnt for so many steps."""
        kept = self.kept(steps)
        for mine, its in zip(self.module.parameters(), module.parameters(), strict=True):
            mine.lerp_(its, 1.0 - kept)
        for mine, its in zip(self.module.buffers(), module.buffers(), strict=True):
            mine.copy_(its)
