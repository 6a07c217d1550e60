"""What acts, of agents that learn from replay: perception, trunk and perceptron; it stacks frames.

It has the interface of `actor.Actor`: what it carries from one step to the next are the frames
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

from .actor import STARTED, Memory
from .perception import Perception, Seen, Trunk

BEFORE = "before_"
"""Memory: frames before the present one (N, stack - 1, H, W, 3)."""


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
        self._stacks = {n: c.stack for n, c in perception.columns.items() if c.stack > 1}
        self.states = self._states()

    @property
    def remembers(self) -> bool:
        """Whether it carries anything from one step to the next."""
        return bool(self.states)

    def _states(self) -> tuple[StateSpec, ...]:
        found: list[StateSpec] = []
        if self._stacks:
            found.append(StateSpec(name_in=STARTED, name_out=f"{STARTED}_next", shape=(1,)))
        for name, stack in self._stacks.items():
            shape, kept = self.perception.columns[name].shape, f"{BEFORE}{name}"
            found.append(
                StateSpec(
                    name_in=kept,
                    name_out=f"{kept}_next",
                    shape=(stack - 1, *shape),
                    dtype="uint8",
                )
            )
        return tuple(found)

    def see(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what it looks at, as it came (N, ...)."""
        return {name: obs[name] for name in self.perception.columns}

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

    def forward(self, seen: Mapping[str, Tensor], memory: Memory) -> tuple[Tensor, Memory]:
        """Return deterministic actions (N, A) and the memory after this step."""
        stacked, after = self.stack(seen, memory)
        raw = self.head(self.perception(stacked))
        return torch.tanh(raw[:, : self.action_dim]), after


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Return a perceptron with ReLU between its layers."""
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(pairwise(sizes)):
        layers += [nn.ReLU()] * (k > 0) + [nn.Linear(a, b)]
    return nn.Sequential(*layers)
