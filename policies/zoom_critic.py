"""The critic of CQN: for each level and element of an action, the returns of each of its bins.

A value stream and an advantage stream see, beside the observation, the middle of what is looked
into and which level it is; of each stream pictures and vectors are squeezed apart, so that tactile
images and forces count beside cameras. `q = V + A - mean A` on the logits of each atom. Both heads
begin at zero: at first all bins are equal. Of T actions in a row (CQN-AS) each is looked into by
the same layers, which see which it is, and a recurrent layer that goes over them.
Sources: Seo, Uruc and James, arXiv 2407.07787; Seo and Abbeel, arXiv 2411.12155.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .bins import Zoom
from .losses import atoms_of
from .perception import Perception, Seen

TIE = 1e-4
"""Values that differ by less are equal: exploration chooses between them at random."""
Choice = Callable[[Tensor], Tensor]
"""From values (..., bins) to chosen bins (...)."""


class Streamed(NamedTuple):
    """What both streams made of an observation, (B, F) each, and the layer of `A - mean A`."""

    value: Tensor
    advantage: Tensor
    weight: Tensor
    bias: Tensor


class Stream(nn.Module):
    """Squeezes an observation, then a perceptron with LayerNorm and SiLU and a head of zeros."""

    def __init__(
        self,
        perception: Perception,
        hidden: Sequence[int],
        more: int,
        outputs: int,
        squeeze: int,
        *,
        recurrent: bool,
    ) -> None:
        """Build it.

        Args:
            perception: what sees.
            hidden: sizes of the hidden layers.
            more: numbers that are seen beside the observation.
            outputs: of the head.
            squeeze: numbers that pictures, and vectors, are squeezed to.
            recurrent: whether a layer goes over the actions in a row.
        """
        super().__init__()
        sizes = [size for size in (perception.code, perception.vector) if size]
        self._pictures = bool(perception.code)
        self.squeeze = nn.ModuleList(
            nn.Sequential(nn.Linear(size, squeeze), nn.LayerNorm(squeeze), nn.Tanh())
            for size in sizes
        )
        layers: list[nn.Module] = []
        for a, b in pairwise((squeeze * len(sizes) + more, *hidden)):
            layers += [nn.Linear(a, b, bias=False), nn.LayerNorm(b), nn.SiLU()]
        self.mlp = nn.Sequential(*layers)
        self.row = nn.GRU(hidden[-1], hidden[-1], batch_first=True) if recurrent else None
        self.head = nn.Linear(hidden[-1], outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def see(self, seen: Seen) -> Tensor:
        """Return the squeezed observation (B, F)."""
        given = ([seen.code] if self._pictures else []) + [seen.vector]
        parts = zip(self.squeeze, given, strict=False)  # without vectors the last is empty
        return torch.cat([squeeze(part) for squeeze, part in parts], dim=-1)

    def forward(self, seen: Tensor, more: Tensor) -> Tensor:
        """Return what the head gets (B K T, H): of (B, F) squeezed and (B, K, T, G) beside."""
        wide = seen[:, None, None].expand(*more.shape[:3], -1)
        x = self.mlp(torch.cat([wide, more], dim=-1).flatten(0, 2))
        if self.row is None:
            return x
        return self.row(x.unflatten(0, (-1, more.shape[2])))[0].flatten(0, 1)


class ZoomCritic(nn.Module):
    """Logits of returns for each bin.

    Attributes:
        zoom: how actions are told apart.
        atoms: (Z,) returns.
    """

    atoms: Tensor

    def __init__(
        self,
        perception: Perception,
        zoom: Zoom,
        action_dim: int,
        *,
        row: int,
        hidden: Sequence[int],
        squeeze: int,
        returns: tuple[float, float],
        atoms: int,
    ) -> None:
        """Build it.

        Args:
            perception: what sees.
            zoom: levels and bins.
            action_dim: A.
            row: actions in a row, T.
            hidden: sizes of the hidden layers of each stream.
            squeeze: numbers that pictures, and vectors, are squeezed to.
            returns: least and greatest.
            atoms: Z.
        """
        super().__init__()
        self.zoom, self._row, self._dim = zoom, row, action_dim
        more, each = action_dim + zoom.levels + (row if row > 1 else 0), action_dim * atoms
        kind = {"recurrent": row > 1}
        self.value = Stream(perception, hidden, more, each, squeeze, **kind)
        self.advantage = Stream(perception, hidden, more, each * zoom.bins, squeeze, **kind)
        self.register_buffer("atoms", atoms_of(*returns, atoms), persistent=False)
        self.register_buffer("_levels", torch.eye(zoom.levels), persistent=False)
        self.register_buffer("_places", torch.eye(row)[None], persistent=False)

    def see(self, seen: Seen) -> Streamed:
        """Return what both streams make of an observation, to be looked into level by level."""
        return Streamed(self.value.see(seen), self.advantage.see(seen), *self._centred())

    def level(self, streamed: Streamed, middle: Tensor, level: int) -> Tensor:
        """Return logits (B, T, A, bins, Z) of one level, looking into what is around (B, T, A)."""
        return self._look(streamed, middle[:, None], slice(level, level + 1))[:, 0]

    def forward(self, streamed: Streamed, middles: Tensor) -> Tensor:
        """Return logits (B, L, T, A, bins, Z) of all levels, looking into (B, L, T, A)."""
        return self._look(streamed, middles, slice(None))

    def _look(self, streamed: Streamed, middles: Tensor, levels: slice) -> Tensor:
        """Return logits (B, K, T, A, bins, Z) of K levels, looking into (B, K, T, A)."""
        shape = (*middles.shape[:3], -1)
        which = self.get_buffer("_levels")[levels]
        parts = [middles, which[:, None].expand(shape)]
        if self._row > 1:
            parts.append(self.get_buffer("_places").expand(shape))
        more = torch.cat(parts, dim=-1)
        atoms = len(self.atoms)
        value = self.value.head(self.value(streamed.value, more))
        advantage = functional.linear(
            self.advantage(streamed.advantage, more), streamed.weight, streamed.bias
        )
        value = value.unflatten(-1, (self._dim, 1, atoms))
        logits = value + advantage.unflatten(-1, (self._dim, self.zoom.bins, atoms))
        return logits.unflatten(0, middles.shape[:3])

    def _centred(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of `A - mean A`: the mean of layers is a layer."""
        head, shape = self.advantage.head, (self._dim, self.zoom.bins, len(self.atoms))
        both = (each.unflatten(0, shape) for each in (head.weight, head.bias))
        weight, bias = ((x - x.mean(dim=1, keepdim=True)).flatten(0, 2) for x in both)
        return weight, bias

    def values(self, logits: Tensor) -> Tensor:
        """Return expected returns (...) of logits (..., Z)."""
        return self.expected(functional.softmax(logits, dim=-1))

    def expected(self, probability: Tensor) -> Tensor:
        """Return expected returns (...) of distributions (..., Z)."""
        return probability @ self.atoms

    def zoom_in(self, streamed: Streamed, choose: Choice) -> Tensor:
        """Return the digits (B, L, T, A) that are found by choosing level by level."""
        shape = (len(streamed.value), self._row, self._dim)
        cell = torch.zeros(shape, dtype=torch.int64, device=self.atoms.device)
        digits: list[Tensor] = []
        for level in range(self.zoom.levels):
            logits = self.level(streamed, self.zoom.middle(cell, level), level)
            digits.append(choose(self.values(logits)))
            cell = self.zoom.bins * cell + digits[-1]
        return torch.stack(digits, dim=1)


def first_best(values: Tensor) -> Tensor:
    """Return the best bin (...) of values (..., B); of equal ones the first."""
    return values.argmax(dim=-1)


def any_best(values: Tensor, generator: torch.Generator) -> Tensor:
    """Return one of the best bins (...) of values (..., B), at random among those within `TIE`."""
    drawn = torch.rand(values.shape, generator=generator, device=values.device)
    near = values >= values.amax(dim=-1, keepdim=True) - TIE
    return torch.where(near, drawn, -1.0).argmax(dim=-1)
