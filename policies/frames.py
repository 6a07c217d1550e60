"""Frames of the latest ticks, stacked while acting: what is carried from one step to the next."""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sim2arm.core.contract import StateSpec

from .actor import STARTED, Memory
from .buffers import Column

BEFORE = "before_"
"""Memory: frames before the present one (N, stack - 1, H, W, 3)."""


class Frames:
    """Stacks pictures as `buffers.Replay` does on sampling.

    Attributes:
        states: what is carried, as the contract lists it.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        """Take what is seen."""
        self._stacks = {name: c.stack for name, c in columns.items() if c.stack > 1}
        found = [StateSpec(name_in=STARTED, name_out=f"{STARTED}_next", shape=(1,))]
        for name, stack in self._stacks.items():
            shape, kept = (stack - 1, *columns[name].shape), f"{BEFORE}{name}"
            found.append(
                StateSpec(name_in=kept, name_out=f"{kept}_next", shape=shape, dtype="uint8")
            )
        self.states: tuple[StateSpec, ...] = tuple(found) if self._stacks else ()

    def start(self, num_envs: int, device: torch.device) -> Memory:
        """Return the memory of episodes that begin."""
        return {
            state.name_in: torch.zeros(
                (num_envs, *state.shape), dtype=getattr(torch, state.dtype), device=device
            )
            for state in self.states
        }

    def stack(self, seen: Mapping[str, Tensor], memory: Memory) -> tuple[dict[str, Tensor], Memory]:
        """Return what is seen (N, [stack,] ...) with the frames before, and the memory after."""
        if not self._stacks:
            return dict(seen), memory
        found, after = dict(seen), {STARTED: torch.ones_like(memory[STARTED])}
        fresh = (memory[STARTED] < 0.5).reshape(-1, 1, 1, 1, 1)
        for name in self._stacks:
            now, before = seen[name][:, None], memory[BEFORE + name]
            before = torch.where(fresh, now.expand_as(before), before)
            found[name] = torch.cat([before, now], dim=1)
            after[BEFORE + name] = found[name][:, 1:]
        return found, after
