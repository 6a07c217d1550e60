"""A U-Net over the actions of a chunk: the convolutional denoiser of Diffusion Policy.

Source: Chi et al., arXiv 2303.04137; after Janner et al., arXiv 2205.09991.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .film import Condition, Film
from .tick_conv import TickConv, TickGrow

KERNEL = 5
"""Actions that a convolution sees."""
GROUPS = 8
"""That channels are normalised in."""


class UNet(nn.Module):
    """Levels of half the length each, down and up again, all told what is seen and the step."""

    def __init__(
        self, action_dim: int, seen: int, dims: Sequence[int], step_dim: int, film: bool
    ) -> None:
        """Build it.

        Args:
            action_dim: numbers of an action (A).
            seen: numbers of all that is seen.
            dims: channels of each level, multiples of `GROUPS`.
            step_dim: numbers of an embedded step.
            film: whether conditions change each block; else they are joined to each action.

        Raises:
            ValueError: channels that groups do not divide.
        """
        super().__init__()
        if not dims or any(dim < 1 or dim % GROUPS for dim in dims):
            raise ValueError(f"dims: expected multiples of {GROUPS}, got {tuple(dims)}")
        self.condition = Condition(step_dim, seen)
        more = self.condition.size if film else 0
        before = (action_dim if film else action_dim + self.condition.size, *dims)
        self.film = film
        self.down = nn.ModuleList(Level(a, b, more) for a, b in zip(before, dims, strict=False))
        self.shrink = nn.ModuleList(TickConv(d, d, 3, stride=2) for d in dims[:-1])
        self.middle = Level(dims[-1], dims[-1], more)
        ups = [(2 * b, a) for a, b in pairwise(dims)][::-1]
        self.up = nn.ModuleList(Level(a, b, more) for a, b in ups)
        self.grow = nn.ModuleList(TickGrow(b) for _, b in ups)
        self.out = nn.Sequential(*_block(dims[0], dims[0]), TickConv(dims[0], action_dim, 1))

    def forward(self, noisy: Tensor, at: Tensor, seen: Tensor) -> Tensor:
        """Return (B, T, A) of noisy chunks (B, T, A), steps (B,) or (1,), and rows (B, H, S).

        T is a multiple of 2 to the power of the levels less 1.
        """
        condition, x = self.condition(at, seen), noisy.transpose(1, 2)  # (B, A, T)
        if self.film:
            condition = nn.functional.mish(condition)  # once for all blocks
        else:
            x = torch.cat([x, condition[..., None].expand(-1, -1, x.shape[2])], dim=1)
        passed: list[Tensor] = []
        for index, level in enumerate(self.down):
            x = level(x, condition)
            passed.append(x)
            if index < len(self.shrink):
                x = self.shrink[index](x)
        x = self.middle(x, condition)
        for level, grow in zip(self.up, self.grow, strict=True):
            x = grow(level(torch.cat([x, passed.pop()], dim=1), condition))
        return self.out(x).transpose(1, 2)


class Level(nn.Module):
    """Two residual blocks."""

    def __init__(self, before: int, after: int, condition: int) -> None:
        """Build it for channels before and after, and numbers of a condition; none if 0."""
        super().__init__()
        self.blocks = nn.ModuleList(Block(size, after, condition) for size in (before, after))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return (B, after, T) of (B, before, T)."""
        for block in self.blocks:
            x = block(x, condition)
        return x


class Block(nn.Module):
    """Two convolutions, FiLM between them, and a way past them."""

    def __init__(self, before: int, after: int, condition: int) -> None:
        """Build it for channels before and after, and numbers of a condition; none if 0."""
        super().__init__()
        self.first = nn.Sequential(*_block(before, after))
        self.film = Film(condition, after) if condition else None
        self.second = nn.Sequential(*_block(after, after))
        self.past = TickConv(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return (B, after, T) of (B, before, T)."""
        found = self.first(x)
        if self.film is not None:
            found = self.film(found, condition)
        return self.second(found) + self.past(x)


def _block(before: int, after: int) -> tuple[nn.Module, ...]:
    return TickConv(before, after, KERNEL), nn.GroupNorm(GROUPS, after), nn.Mish()
