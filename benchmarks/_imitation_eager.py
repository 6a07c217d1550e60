"""Training and answers of the eager networks: their normalisers, optimiser and moving average.

As published: AdamW of torch as it comes, for ACT in two groups of parameters; for diffusion an
average of the weights, one parameter after the other.
"""

# pyright: standard

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from _eager_act import EagerAct, FrozenNorm, group_norm
from _eager_diffusion import EagerDiffusion
from _imitation_cases import Case
from numpy.typing import NDArray
from torch import Tensor, nn

from sim2arm.policies.act import ActCfg
from sim2arm.policies.demonstrations import Demonstrations


class Eager:
    """Learns and answers as `Imitation` and `TorchPolicy` do."""

    def __init__(self, case: Case, demonstrations: Demonstrations, *, frozen: bool = False) -> None:
        """Begin.

        Args:
            case: sizes and optimiser.
            demonstrations: of it.
            frozen: whether pictures are normalised as published for ACT.
        """
        self.case, self.demonstrations, self.steps = case, demonstrations, 0
        size, dim, network = case.joints + case.more, case.joints, case.network
        if isinstance(network, ActCfg):
            self.network: Any = EagerAct(network, size, dim, FrozenNorm if frozen else group_norm)
            late = [v for n, v in self.network.named_parameters() if n.startswith("backbone")]
            rest = [v for n, v in self.network.named_parameters() if not n.startswith("backbone")]
            groups = [{"params": rest}, {"params": late, "lr": case.learn.lr}]
        else:
            sides = [shape[:2] for shape in case.pictures.values()]
            self.network = EagerDiffusion(network, size, dim, sides)
            groups = [{"params": list(self.network.parameters())}]
        learn = case.learn
        self.optimizer = torch.optim.AdamW(
            groups, lr=learn.lr, weight_decay=learn.weight_decay, betas=learn.betas
        )
        self.average: Any = None
        if learn.average:
            self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        vectors = torch.cat([demonstrations.arrays[name] for name in case.shapes], dim=-1)
        self.scales = [
            _scale(values, network.scaling) for values in (vectors, demonstrations.actions)
        ]

    def step(self) -> float:
        """Learn from a batch; return the loss."""
        case, demos = self.case, self.demonstrations
        frames = torch.randint(len(demos), (case.learn.batch,))
        chunk, padded = demos.chunk(frames, case.network.chunk, case.network.past)
        vector, pictures = self._see(demos.seen(frames, case.network.history))
        middle, spread = self.scales[1]
        self.network.train()
        loss = self.network.loss(vector, pictures, (chunk - middle) / spread, padded)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        if self.average is not None:
            self._follow()
        return float(loss.detach())

    def deploy(self) -> None:
        """Keep only what answers."""
        if self.average is not None:
            self.network, self.average = self.average, None
        self.network.eval().requires_grad_(False)
        self.network.zero_grad()
        del self.optimizer

    @torch.no_grad()
    def act(self, obs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return chunks (B, T, A) of arrays (B, [H,] ...)."""
        seen = {name: torch.from_numpy(value) for name, value in obs.items()}
        if self.case.network.history == 1:
            seen = {name: value[:, None] for name, value in seen.items()}
        middle, spread = self.scales[1]
        found = self.network(*self._see(seen))[:, self.case.network.past :]
        return (found * spread + middle).numpy()

    def _see(self, seen: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        middle, spread = self.scales[0]
        vector = torch.cat([seen[name] for name in self.case.shapes], dim=-1)
        return (vector - middle) / spread, [seen[name] for name in self.case.pictures]

    @torch.no_grad()
    def _follow(self) -> None:
        kept = min(0.9999, 1.0 - (1.0 + max(0, self.steps - 1)) ** -0.75)
        pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
        for mine, its in pairs:
            mine.mul_(kept)
            mine.add_(its, alpha=1.0 - kept)


def _scale(values: Tensor, scaling: str) -> tuple[Tensor, Tensor]:
    """Return middle and spread of values (F, size)."""
    if scaling == "deviation":
        return values.mean(dim=0), values.std(dim=0).clip(1e-2)
    low, high = values.min(dim=0).values, values.max(dim=0).values
    return (low + high) / 2, (high - low) / 2


def parameters(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(value.numel() for value in network.parameters())
