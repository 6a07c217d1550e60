"""A module of the exported form, in torch and on N rows, as `runtime.OnnxPolicy` runs a bundle."""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sim2arm.core.contract import Contract

from .noise import draw_all
from .runtime import initial_state


class TorchPolicy:
    """Episodes of N rows, each with states and noise of its own, by the rules of the contract."""

    def __init__(self, module: nn.Module, contract: Contract, num_envs: int) -> None:
        """Take a module `forward(obs, state, noise) -> (chunk, state)`."""
        self._module, self._contract, self._rows = module.eval(), contract, num_envs
        self._episode = -1
        self.reset()

    def reset(self) -> None:
        """Begin new episodes of all rows."""
        self._episode, self._call = self._episode + 1, 0
        self._state = {
            state.name_in: torch.from_numpy(np.stack([initial_state(state)] * self._rows))
            for state in self._contract.states
        }

    @torch.no_grad()
    def act(self, obs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return chunks (N, T, A) for observations (N, ...)."""
        first = self._contract.noise.seed if self._contract.noise else 0
        drawn = [
            draw_all(self._contract, seed=first + row, call=self._call, episode=self._episode)
            for row in range(self._rows)
        ]
        noise = {
            name: torch.from_numpy(np.stack([each[name] for each in drawn])) for name in drawn[0]
        }
        seen = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in obs.items()}
        chunk, state = self._module(seen, self._state, noise)
        self._state = {s.name_in: state[s.name_in] for s in self._contract.states}
        self._call += 1
        return chunk.numpy()
