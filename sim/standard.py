"""N standard tasks side by side, as algorithms see any environment.

They are for published tables, not for speed: the worlds are stepped one after the other.
"""

# torch.from_numpy takes arrays of unknown kind.
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .standard_sources import Arrays, open_source

Observations = dict[str, Tensor]


class StandardEnv:
    """N episodes with automatic reset in the same step; see `policies.base.Env`.

    Attributes:
        num_envs: N.
        action_dim: elements of an action, in [-1, 1].
        groups: actor and critic see the same.
        device: where observations live.
        repeat: steps of the task per action, whose rewards are summed up.
    """

    def __init__(
        self,
        name: str,
        *,
        num_envs: int = 1,
        repeat: int = 1,
        pixels: int = 0,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Load the task N times.

        Args:
            name: as `open_source` knows it.
            num_envs: N.
            repeat: steps of the task per action.
            pixels: side of the picture that is seen instead of the state [pixels]; 0: the state.
            seed: of the stream that episodes are drawn from.
            device: where observations go.

        Raises:
            ValueError: there is no such task; one line.
            ModuleNotFoundError: the extra `suite` is not installed.
        """
        self.num_envs, self.repeat, self.device = num_envs, repeat, torch.device(device)
        self._sources = [open_source(name, pixels=pixels) for _ in range(num_envs)]
        self.action_dim = self._sources[0].action_dim
        self._seeds = torch.Generator().manual_seed(seed)
        self._returns = np.zeros(num_envs)
        self._finished: list[float] = []
        names = list(self._sources[0].reset(0))
        self.groups = {"actor": names, "critic": names}

    def reset(self, seeds: Sequence[int] | None = None) -> Observations:
        """Start all episodes.

        Args:
            seeds: one of each world; drawn if None.
        """
        chosen = [self._seed() for _ in self._sources] if seeds is None else list(seeds)
        if len(chosen) != self.num_envs:
            raise ValueError(f"seeds: expected {self.num_envs}, got {len(chosen)}")
        self._returns[:] = 0.0
        self._finished.clear()
        return self._tensors([s.reset(n) for s, n in zip(self._sources, chosen, strict=True)])

    def step(self, action: Tensor) -> tuple[Observations, Tensor, Tensor, Tensor, dict[str, Any]]:
        """Apply actions (N, A) `repeat` times; return what `policies.base.Env` says."""
        acts = action.detach().cpu().numpy()
        rewards, ended = np.zeros(self.num_envs, np.float32), np.zeros(self.num_envs, bool)
        cut = ended.copy()
        last: list[Arrays] = []
        for i, source in enumerate(self._sources):
            seen: Arrays = {}
            for _ in range(self.repeat):
                seen, reward, ended[i], cut[i] = source.step(acts[i])
                rewards[i] += reward
                if ended[i] or cut[i]:
                    break
            last.append(seen)
        self._returns += rewards
        done, first = ended | cut, list(last)
        for i in done.nonzero()[0]:
            self._finished.append(float(self._returns[i]))
            self._returns[i] = 0.0
            first[i] = self._sources[i].reset(self._seed())
        final = self._tensors(last)
        none = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        info = {"final_obs": final, "reward_terms": {}, "success": none, "diverged": none}
        reward, terminated, truncated = (
            torch.from_numpy(each).to(self.device) for each in (rewards, ended, cut)
        )
        obs = self._tensors(first) if done.any() else final
        return obs, reward, terminated, truncated, info

    def take_returns(self) -> list[float]:
        """Return the sums of rewards of the episodes that ended since the last call."""
        found, self._finished = self._finished, []
        return found

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of the stream that episodes are drawn from."""
        return {"generator": self._seeds.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on drawing where another environment stood."""
        self._seeds.set_state(state["generator"])

    def desynchronise(self) -> None:
        """Leave the ages of episodes as they are: few worlds, and tables that start together."""

    def _seed(self) -> int:
        return int(torch.randint(2**31 - 1, (1,), generator=self._seeds))

    def _tensors(self, seen: Sequence[Arrays]) -> Observations:
        return {
            name: torch.from_numpy(np.stack([each[name] for each in seen])).to(self.device)
            for name in seen[0]
        }
