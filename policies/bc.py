"""Plain behaviour cloning: a perceptron from what is seen to the chunk of actions.

The simplest that can be learnt from demonstrations, to compare the others with. Where
demonstrations differ in the same place it answers with what lies between them.

Source: Pomerleau, "ALVINN", NeurIPS 1988; chunks as in Zhao et al., arXiv 2304.13705.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from .observation_encoder import ObservationEncoder

Apart = Literal["l1", "mse"]
"""How far actions are apart: by their distance or by its square."""


@dataclass(frozen=True, kw_only=True)
class BcCfg:
    """Sizes and loss."""

    chunk: int = 16
    """Actions of a chunk."""
    history: int = 1
    """Ticks that are seen."""
    hidden: tuple[int, ...] = (512, 512)
    """Widths of the layers between."""
    loss: Apart = "l1"
    """Of the network's actions: their distance from the demonstrated ones, or its square."""
    dropout: float = 0.0
    """Share of numbers that are left out in training, behind each layer."""

    @property
    def past(self) -> int:
        """Actions before the tick."""
        return 0

    @property
    def scaling(self) -> Literal["deviation", "range"]:
        """How actions and vectors are normalised."""
        return "deviation"

    @property
    def sampler_steps(self) -> int:
        """Steps of a sampler: there is none."""
        return 1

    def noises(self, action_dim: int) -> dict[str, tuple[int, ...]]:
        """Return the noise that is drawn for a chunk: none."""
        return {}

    def __post_init__(self) -> None:
        """Refuse sizes of no network."""
        sizes = {"chunk": self.chunk, "history": self.history}
        sizes |= {f"hidden[{i}]": size for i, size in enumerate(self.hidden)}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name}: expected 1 or more, got {size}")
        if self.loss not in get_args(Apart):
            raise ValueError(f"loss: expected one of {get_args(Apart)}, got {self.loss!r}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: expected 0 to below 1, got {self.dropout}")


class BcNetwork(nn.Module):
    """What is seen to a chunk of normalised actions: a `chunks.ChunkNetwork`."""

    def __init__(self, cfg: BcCfg, obs: Mapping[str, Tensor], action_dim: int) -> None:
        """Build it for observations (1, H, ...) of these shapes and types."""
        super().__init__()
        self.cfg, self.encoder = cfg, ObservationEncoder(obs)
        layers: list[nn.Module] = []
        before = cfg.history * self.encoder.size
        for size in cfg.hidden:
            layers += [nn.Linear(before, size), nn.ELU(), nn.Dropout(cfg.dropout)]
            before = size
        self.layers = nn.Sequential(*layers, nn.Linear(before, cfg.chunk * action_dim))

    def forward(
        self, obs: Mapping[str, Tensor], noise: Mapping[str, Tensor] = MappingProxyType({})
    ) -> Tensor:
        """Return chunks (B, T, A) of observations (B, H, ...); there is no noise."""
        seen = self.encoder(obs).flatten(1)
        return self.layers(seen).unflatten(-1, (self.cfg.chunk, -1))

    def loss(
        self,
        obs: Mapping[str, Tensor],
        chunk: Tensor,
        padded: Tensor,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Return `loss`: see `chunk_error`; arguments as of `chunks.ChunkNetwork`."""
        return {"loss": chunk_error(self(obs), chunk, padded, self.cfg.loss)}


def chunk_error(found: Tensor, chunk: Tensor, padded: Tensor, apart: Apart) -> Tensor:
    """Return how far actions are apart, the mean over numbers of actions that count; 0 if none do.

    Args:
        found: actions of a network (B, T, A).
        chunk: demonstrated ones.
        padded: (B, T) bool, actions that do not count.
        apart: distance or its square.
    """
    difference = found - chunk
    each = difference.abs() if apart == "l1" else difference.square()
    counts = (~padded)[..., None].expand_as(each)
    return each.masked_fill(~counts, 0.0).sum() / counts.sum().clamp(min=1)
