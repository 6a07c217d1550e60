"""How long episodes have run and how long their goal has been met: shared by tasks."""

# pyright: standard

from __future__ import annotations

from typing import Any

import torch
import warp as wp
from torch import Tensor

from sim2arm.sim.warp_device import recorded
from sim2arm.sim.worlds.base import World

from .base import put
from .task_kernels import (
    LOST,
    PROGRESS,
    SOLVED,
    SUCCESS,
    TERMINATED,
    TIME,
    TRUNCATED,
    progress_kernel,
)


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
        spread_ages(self._steps, self._most, generator)


class ProgressEpisodes:
    """Episodes of a task that pays for coming closer to its goal, and in which things can be lost.

    Attributes:
        closeness: (N,) how near the goal is, 0 to 1.
        met: (N,) bool, whether the goal is met.
        lost: (N,) bool, whether it cannot be met any more.
    """

    def __init__(self, world: World, *, hold_steps: int, max_steps: int) -> None:
        """Count for every world; see `EpisodeCounters`."""
        n, device = world.num_worlds, world.device
        like: dict[str, Any] = {"dtype": world.dtype, "device": device}
        flag: dict[str, Any] = {"dtype": torch.bool, "device": device}
        self.closeness = torch.zeros(n, **like)
        self.met, self.lost, self._fresh = torch.zeros((3, n), **flag)
        self._last = torch.zeros(n, **like)
        self._held, self._steps = torch.zeros((2, n), dtype=torch.int32, device=device)
        self._terms = torch.zeros((4, n), **like)
        self._ends = torch.zeros((3, n), **flag)
        self._most = max_steps
        self._now = self._terms.clone(), self._ends.clone()
        self._fresh.fill_(True)
        inputs = [self.closeness, self.met, self.lost, hold_steps, max_steps]
        outputs = [self._last, self._fresh, self._held, self._steps, self._terms, self._ends]
        kernel = progress_kernel(wp.dtype_from_torch(world.dtype))
        self._advance = recorded(kernel, n, inputs, outputs, device)

    def start(self, chosen: Tensor) -> None:
        """Begin episodes in chosen worlds (N,) bool; their first step pays no progress."""
        put(self._fresh, chosen, True)
        put(self._held, chosen, 0)
        put(self._steps, chosen, 0)

    def advance(self, closeness: Tensor, *, met: Tensor, lost: Tensor) -> None:
        """Count a control step; the arguments (N,) are those of `closeness`, `met` and `lost`."""
        self.closeness.copy_(closeness)
        self.met.copy_(met)
        self.lost.copy_(lost)
        self.count()

    def count(self) -> None:
        """Count a control step, after `closeness`, `met` and `lost` were written in place."""
        self._advance()
        self._now = self._terms.clone(), self._ends.clone()  # those of earlier steps stay

    def reward(self) -> dict[str, Tensor]:
        """Return the named terms, each (N,): returns are of order one.

        The clipped value loss moves slowly beyond it.
        """
        terms = self._now[0]
        return {"progress": terms[PROGRESS], "time": terms[TIME], "success": terms[SUCCESS],
                "lost": terms[LOST]}  # fmt: skip

    def done(self) -> tuple[Tensor, Tensor]:
        """Return terminated (N,), solved or lost, and truncated (N,)."""
        return self._now[1][TERMINATED], self._now[1][TRUNCATED]

    def success(self) -> Tensor:
        """Return where the goal has been met for `hold_steps` (N,)."""
        return self._now[1][SOLVED]

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the ages of the episodes, so that training worlds do not end together."""
        spread_ages(self._steps, self._most, generator)


def spread_ages(steps: Tensor, most: int, generator: torch.Generator) -> None:
    """Write ages below `most` [control steps] into steps (N,)."""
    ages = torch.randint(0, most, steps.shape, generator=generator, device=steps.device)
    steps.copy_(ages)
