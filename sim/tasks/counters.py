"""How long episodes have run and how long their goal has been met: shared by tasks."""

# pyright: standard

from __future__ import annotations

import torch
from torch import Tensor

from sim2arm.sim.worlds.base import World

from .base import put


class EpisodeCounters:
    """Steps of N episodes and steps in a row in which the goal was met, on the world's device."""

    def __init__(self, world: World, *, hold_steps: int, max_steps: int) -> None:
        """Count for every world.

        Args:
            world: the worlds.
            hold_steps: control steps for which the goal must be met.
            max_steps: longest episode [control steps].
        """
        self._hold, self._most = hold_steps, max_steps
        zeros = torch.zeros(world.num_worlds, dtype=torch.int64, device=world.device)
        self._held, self._steps = zeros, zeros.clone()

    def start(self, chosen: Tensor) -> None:
        """Begin episodes in chosen worlds (N,) bool."""
        put(self._held, chosen, 0)
        put(self._steps, chosen, 0)

    def advance(self, met: Tensor) -> None:
        """Count a control step in which the goal was met (N,) bool or not."""
        self._held.copy_(torch.where(met, self._held + 1, 0))
        self._steps += 1

    def success(self) -> Tensor:
        """Return where the goal has been met for `hold_steps` (N,)."""
        return self._held >= self._hold

    def over(self) -> Tensor:
        """Return where the time is up (N,)."""
        return self._steps >= self._most

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the ages of the episodes, so that training worlds do not end together."""
        ages = torch.randint(
            0, self._most, self._steps.shape, generator=generator, device=self._steps.device
        )
        self._steps.copy_(ages)
