"""Transformer layers as of DETR and ACT.

They normalise after each step; positions are added where tokens are compared, not where they are
summed up. Source: Carion et al., arXiv 2005.12872.
"""

# pyright: standard

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from .dropout import Dropout, dropped


class Attention(nn.Module):
    """Attention of several heads."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        """Build it.

        Raises:
            ValueError: heads that do not divide the dimension.
        """
        super().__init__()
        if dim % heads:
            raise ValueError(f"heads: expected a divisor of {dim}, got {heads}")
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None) -> Tensor:
        """Return (B, T, dim) of queries (B, T, dim), keys and values (B, S, dim).

        Args:
            query: what asks.
            key: what it is compared with.
            value: what is summed up.
            hidden: (B, S) bool, what is not seen, or (B or 1, T, S), by each query; None: all is.
        """
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        seen = None
        if hidden is not None:
            seen = ~(hidden[:, None, None] if hidden.ndim == 2 else hidden[:, None])
        if self.training and self.dropout and q.device.type == "cpu":
            scores = q @ k.mT * q.shape[-1] ** -0.5
            if seen is not None:
                scores = scores.masked_fill(~seen, -math.inf)
            found = dropped(scores.softmax(dim=-1), self.dropout) @ v
        else:
            share = self.dropout if self.training else 0.0
            found = scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=share)
        return self.out(found.transpose(1, 2).flatten(-2))


class EncoderLayer(nn.Module):
    """Tokens look at each other."""

    def __init__(self, dim: int, heads: int, feed: int, dropout: float) -> None:
        """Build it; `feed` is the width of its perceptron."""
        super().__init__()
        self.attention = Attention(dim, heads, dropout)
        self.feed = _feed(dim, feed, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return tokens (B, S, dim) of tokens and their positions, `hidden` (B, S) left out."""
        at = x + position
        x = self.norms[0](x + self.dropout(self.attention(at, at, x, hidden)))
        return self.norms[1](x + self.dropout(self.feed(x)))


class DecoderLayer(nn.Module):
    """Queries look at each other, then at tokens."""

    def __init__(self, dim: int, heads: int, feed: int, dropout: float) -> None:
        """Build it; `feed` is the width of its perceptron."""
        super().__init__()
        self.own, self.cross = (Attention(dim, heads, dropout) for _ in range(2))
        self.feed = _feed(dim, feed, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, place: Tensor, memory: Tensor, position: Tensor) -> Tensor:
        """Return queries (B, T, dim).

        Args:
            x: queries.
            place: of the queries (B or 1, T, dim).
            memory: tokens (B, S, dim).
            position: of the tokens (B or 1, S, dim).
        """
        at = x + place
        x = self.norms[0](x + self.dropout(self.own(at, at, x, None)))
        seen = self.cross(x + place, memory + position, memory, None)
        x = self.norms[1](x + self.dropout(seen))
        return self.norms[2](x + self.dropout(self.feed(x)))


def _feed(dim: int, feed: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, feed), nn.ReLU(), Dropout(dropout), nn.Linear(feed, dim))


def sine(length: int, dim: int) -> Tensor:
    """Return positions (length, dim): sines and cosines, by turns, of ever longer waves.

    Source: Vaswani et al., arXiv 1706.03762.
    """
    place = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(-math.log(10_000.0) * 2.0 * torch.arange(dim // 2) / dim)
    found = torch.zeros(length, dim)
    found[:, 0::2], found[:, 1::2] = torch.sin(place * rate), torch.cos(place * rate)
    return found


def sine_grid(rows: int, cols: int, dim: int) -> Tensor:
    """Return positions (rows cols, dim) on a grid: half for the row, half for the column.

    From 0 to 2 pi over the grid, as in DETR.
    """
    rate = 10_000.0 ** (-2.0 * torch.arange(dim // 4) / (dim // 2))
    parts: list[Tensor] = []
    for count, spread in ((rows, (rows, 1)), (cols, (1, cols))):
        place = 2.0 * math.pi * torch.arange(1, count + 1) / (count + 1e-6)
        angle = place[:, None] * rate
        wave = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)  # (count, dim / 2)
        parts.append(wave.reshape(*spread, -1).expand(rows, cols, -1))
    return torch.cat(parts, dim=-1).flatten(0, 1)
