"""What algorithms need of an environment."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

Observations = dict[str, Tensor]
"""Named arrays (N, ...): float32, pictures uint8."""


class Env(Protocol):
    """N parallel episodes with same-step automatic reset; see `sim/env.py` for the details."""

    num_envs: int
    action_dim: int
    groups: dict[str, list[str]]
    """Names of the observations of the actor and of the critic: the asymmetry."""

    @property
    def device(self) -> torch.device:
        """Where observations live."""
        ...

    def reset(self) -> Observations:
        """Start all episodes."""
        ...

    def step(self, action: Tensor) -> tuple[Observations, Tensor, Tensor, Tensor, dict[str, Any]]:
        """Return observations, reward, terminated, truncated and info.

        Info holds `final_obs`, `reward_terms`, and (N,) bool `success` and `diverged`.
        """
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of the random stream from which episodes are drawn."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on drawing where another environment stood; the next `reset` is the first draw."""
        ...

    def desynchronise(self) -> None:
        """Spread the ages of the episodes."""
        ...
