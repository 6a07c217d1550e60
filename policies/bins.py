"""Actions as digits: each element of an action is zoomed into, level by level, bin by bin.

An element in [-1, 1] lies in one of `bins ** levels` equal cells; its cell's number, written in
base `bins`, has one digit per level, the coarsest first. Cells are numbers here, never bounds, so
that whatever is zoomed into comes out as the cell that was meant. Source: Seo, Uruc and James,
"Continuous Control with Coarse-to-fine Reinforcement Learning", arXiv 2407.07787.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Zoom:
    """How finely actions are told apart."""

    levels: int = 3
    """Digits of an element, L."""
    bins: int = 5
    """Values of a digit, B."""

    def __post_init__(self) -> None:
        """Refuse what tells nothing apart, and more cells than float32 does."""
        if self.levels < 1 or self.bins < 2:
            raise ValueError(
                f"levels, bins: expected 1 and 2 or more, got {self.levels}, {self.bins}"
            )
        if self.cells > 2**20:
            raise ValueError(
                f"levels, bins: {self.bins} ** {self.levels} cells of an element are more than "
                "actions in float32 tell apart, 2 ** 20"
            )

    @property
    def cells(self) -> int:
        """Of an element."""
        return self.bins**self.levels

    def encode(self, action: Tensor) -> Tensor:
        """Return the digits (B, L, ...) int64 of elements (B, ...), clipped to [-1, 1]."""
        cell = (0.5 * (action + 1.0) * self.cells).floor().to(torch.int64)
        cell = cell.clamp(0, self.cells - 1)
        weights = [self.bins**k for k in range(self.levels - 1, -1, -1)]
        return torch.stack([cell // weight % self.bins for weight in weights], dim=1)

    def decode(self, digits: Tensor) -> Tensor:
        """Return the elements (B, ...) float32 in the middle of the cells of digits (B, L, ...)."""
        return self.middle(self.cell(digits), self.levels)

    def cell(self, digits: Tensor) -> Tensor:
        """Return the numbers (B, ...) of the cells of the first digits (B, l, ...)."""
        cell = torch.zeros_like(digits[:, 0])
        for level in range(digits.shape[1]):
            cell = self.bins * cell + digits[:, level]
        return cell

    def middle(self, cell: Tensor, level: int) -> Tensor:
        """Return the middles (...) float32 of cells of the first `level` digits; 0 of none."""
        return (2.0 * cell.to(torch.float32) + 1.0) / self.bins**level - 1.0

    def middles(self, digits: Tensor) -> Tensor:
        """Return what each level looks into: the middles (B, L, ...) of the cells before it."""
        found = [self.middle(self.cell(digits[:, :k]), k) for k in range(1, self.levels)]
        first = torch.zeros_like(digits[:, 0], dtype=torch.float32)
        return torch.stack([first, *found], dim=1)
