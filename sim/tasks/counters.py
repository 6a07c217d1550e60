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


class ProgressEpisodes:
    """Episodes of a task that pays for coming closer to its goal, and in which things can be lost.

    Attributes:
        closeness: (N,) how near the goal was at the last step, 0 to 1.
    """

    def __init__(self, world: World, *, hold_steps: int, max_steps: int) -> None:
        """Count for every world; see `EpisodeCounters`."""
        self._counters = EpisodeCounters(world, hold_steps=hold_steps, max_steps=max_steps)
        n, like = world.num_worlds, {"dtype": world.dtype, "device": world.device}
        self.closeness = torch.zeros(n, **like)
        self._progress = torch.zeros(n, **like)
        self._fresh = torch.ones(n, dtype=torch.bool, device=world.device)
        self._lost = torch.zeros_like(self._fresh)

    def start(self, chosen: Tensor) -> None:
        """Begin episodes in chosen worlds (N,) bool; their first step pays no progress."""
        put(self._fresh, chosen, True)
        self._counters.start(chosen)

    def advance(self, closeness: Tensor, *, met: Tensor, lost: Tensor) -> None:
        """Count a control step.

        Args:
            closeness: (N,) how near the goal is, 0 to 1.
            met: (N,) bool, whether the goal is met.
            lost: (N,) bool, whether it cannot be met any more.
        """
        self._progress = torch.where(self._fresh, 0.0, closeness - self.closeness)
        self.closeness = closeness
        self._fresh.fill_(False)
        self._lost = lost
        self._counters.advance(met)

    def reward(self) -> dict[str, Tensor]:
        """Return the named terms, each (N,): returns are of order one.

        The clipped value loss moves slowly beyond it.
        """
        progress = self._progress
        return {
            "progress": progress,
            "time": torch.full_like(progress, -0.002),
            "success": self.success().to(progress.dtype),
            "lost": -self._lost.to(progress.dtype),
        }

    def done(self) -> tuple[Tensor, Tensor]:
        """Return terminated (N,), solved or lost, and truncated (N,)."""
        terminated = self.success() | self._lost
        return terminated, self._counters.over() & ~terminated

    def success(self) -> Tensor:
        """Return where the goal has been met for `hold_steps` (N,)."""
        return self._counters.success()

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the ages of the episodes, so that training worlds do not end together."""
        self._counters.desynchronise(generator)
