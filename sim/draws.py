"""Random numbers of episodes: from one stream for training, from one seed each for evaluation."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Draws(Protocol):
    """Uniform numbers for the episodes that begin now, one row per episode."""

    def unit(self, count: int) -> Tensor:
        """Return (episodes, count) numbers in [0, 1), float64."""
        ...


class StreamDraws:
    """Draws of any number of episodes from one generator (training)."""

    def __init__(self, generator: torch.Generator, episodes: int) -> None:
        """Draw for the given number of episodes."""
        self._generator, self._episodes = generator, episodes

    def unit(self, count: int) -> Tensor:
        """Return (episodes, count) numbers in [0, 1), float64."""
        return torch.rand(
            (self._episodes, count),
            generator=self._generator,
            dtype=torch.float64,
            device=self._generator.device,
        )


class SeededDraws:
    """Draws of episodes that own a seed each: the same seed gives the same episode anywhere."""

    def __init__(self, seeds: Sequence[int]) -> None:
        """Draw for one episode per seed."""
        self._generators = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]

    def unit(self, count: int) -> Tensor:
        """Return (episodes, count) numbers in [0, 1), float64."""
        rows = [generator.random(count) for generator in self._generators]
        return torch.from_numpy(np.stack(rows))


def uniform(draws: Draws, low: Sequence[float], high: Sequence[float]) -> Tensor:
    """Return (episodes, len(low)) numbers, uniform between low and high."""
    share = draws.unit(len(low))
    bottom = share.new_tensor(low)
    return bottom + (share.new_tensor(high) - bottom) * share
