"""What acts, of agents that learn from replay: perception, trunk and perceptron.

It has the interface of `actor.Acting`; what it carries from one step to the next are the frames
before, so that an exported policy stacks them itself. Outputs beyond the first A are what a random
policy needs, such as deviations; the deterministic action is tanh of the first A.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from sim2arm.core.contract import StateSpec

from .actor import Memory
from .frames import Frames
from .perception import Perception, Seen, Trunk


class Head(nn.Module):
    """Trunk and perceptron: raw outputs of what was perceived."""

    def __init__(
        self, perception: Perception, hidden: Sequence[int], outputs: int, trunk: int
    ) -> None:
        """Take what it follows, its hidden layers, and the numbers of output and trunk."""
        super().__init__()
        self.trunk = Trunk(perception, trunk)
        self.mlp = perceptron((self.trunk.size, *hidden, outputs))

    def forward(self, seen: Seen) -> Tensor:
        """Return (B, outputs)."""
        return self.mlp(self.trunk(seen))


class Doer(nn.Module):
    """Actions of raw observations.

    Attributes:
        perception: what it sees with; a critic may share it.
        head: what it makes of that.
        frames: stacks pictures.
        states: what it carries, as the contract lists it.
        action_dim: A.
    """

    states: tuple[StateSpec, ...]

    def __init__(
        self,
        perception: Perception,
        hidden: Sequence[int],
        action_dim: int,
        *,
        outputs: int = 1,
        trunk: int = 50,
    ) -> None:
        """Build trunk and perceptron.

        Args:
            perception: what it sees with.
            hidden: sizes of the hidden layers.
            action_dim: A.
            outputs: numbers per element of an action.
            trunk: numbers that the code of pictures is squeezed to.
        """
        super().__init__()
        self.perception, self.action_dim = perception, action_dim
        self.head = Head(perception, hidden, outputs * action_dim, trunk)
        self.frames = Frames(perception.columns)
        self.states = self.frames.states

    def see(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what it looks at, as it came (N, ...)."""
        return {name: obs[name] for name in self.perception.columns}

    def start(self, num_envs: int, device: torch.device) -> Memory:
        """Return the memory of episodes that begin."""
        return self.frames.start(num_envs, device)

    def forward(self, seen: Mapping[str, Tensor], memory: Memory) -> tuple[Tensor, Memory]:
        """Return deterministic actions (N, A) and the memory after this step."""
        stacked, after = self.frames.stack(seen, memory)
        raw = self.head(self.perception(stacked))
        return torch.tanh(raw[:, : self.action_dim]), after


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Return a perceptron with ReLU between its layers."""
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(pairwise(sizes)):
        layers += [nn.ReLU()] * (k > 0) + [nn.Linear(a, b)]
    return nn.Sequential(*layers)
