"""The transformer denoiser of Diffusion Policy.

Actions look at earlier ones, at the step, and at what had been seen by their own tick. Source: Chi
et al., arXiv 2303.04137.
"""

# pyright: standard

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import Attention
from .dropout import Dropout
from .film import waves

SPREAD = 0.02
"""Standard deviation of weights before training."""


class DiffusionTransformer(nn.Module):
    """Tokens of actions, which look at tokens of the step and of each tick that is seen."""

    later: Tensor
    unseen: Tensor

    def __init__(
        self,
        chunk: tuple[int, int],
        seen: tuple[int, int],
        dim: int,
        heads: int,
        layers: int,
        dropout: float,
    ) -> None:
        """Build it.

        Args:
            chunk: actions and numbers of each (T, A); the first is of the first tick seen.
            seen: ticks and numbers of each (H, S).
            dim: numbers of a token.
            heads: of attention.
            layers: of attention and perceptron.
            dropout: share of numbers that are left out in training.

        Raises:
            ValueError: heads that do not divide the dimension.
        """
        super().__init__()
        self.dim = dim
        self.action, self.seen = nn.Linear(chunk[1], dim), nn.Linear(seen[1], dim)
        self.place = nn.Parameter(SPREAD * torch.randn(1, chunk[0], dim))
        self.seen_place = nn.Parameter(SPREAD * torch.randn(1, 1 + seen[0], dim))
        self.memory = nn.Sequential(nn.Linear(dim, 4 * dim), nn.Mish(), nn.Linear(4 * dim, dim))
        self.layers = nn.ModuleList(Layer(dim, heads, dropout) for _ in range(layers))
        self.norm, self.out = nn.LayerNorm(dim), nn.Linear(dim, chunk[1])
        ticks = torch.arange(chunk[0])[:, None]
        # of the memory, token 0 is the step and token 1 + k what was seen at tick k
        for name, hidden in {
            "later": torch.arange(chunk[0]) > ticks,
            "unseen": torch.arange(1 + seen[0]) - 1 > ticks,
        }.items():
            self.register_buffer(name, hidden[None], persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=SPREAD)
                nn.init.zeros_(module.bias)

    def forward(self, noisy: Tensor, at: Tensor, seen: Tensor) -> Tensor:
        """Return (B, T, A) of noisy chunks (B, T, A), steps (B,) or (1,), and rows (B, H, S)."""
        step = waves(at, self.dim)[:, None].expand(len(seen), -1, -1)
        memory = self.memory(torch.cat([step, self.seen(seen)], dim=1) + self.seen_place)
        x = self.action(noisy) + self.place
        for layer in self.layers:
            x = layer(x, memory, self.later, self.unseen)
        return self.out(self.norm(x))


class Layer(nn.Module):
    """Tokens look at each other, then at a memory, then think; each is normalised before."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        """Build it."""
        super().__init__()
        self.own, self.cross = (Attention(dim, heads, dropout) for _ in range(2))
        self.feed = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), Dropout(dropout), nn.Linear(4 * dim, dim)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, later: Tensor, unseen: Tensor) -> Tensor:
        """Return tokens (B, T, dim).

        Args:
            x: tokens.
            memory: (B, M, dim).
            later: (1, T, T) bool, tokens that tokens do not see.
            unseen: (1, T, M) bool, what they do not see of the memory.
        """
        normal = self.norms[0](x)
        x = x + self.dropout(self.own(normal, normal, normal, later))
        x = x + self.dropout(self.cross(self.norms[1](x), memory, memory, unseen))
        return x + self.dropout(self.feed(self.norms[2](x)))
