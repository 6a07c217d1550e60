"""Networks of agents that learn from replay: an actor, critics, and targets that follow these.

Where actor and critics see the same, they share one perception, which the critics train: the actor
sees what it finds as given, and targets have none of their own (DrQ-v2, arXiv 2107.09645). Where
the critics know the truth, `asymmetric`, each trains its own.
"""

# pyright: standard

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .buffers import Column
from .doer import Doer
from .ensemble import Critics
from .networks import RelativePose
from .perception import Perception, PictureKind, Seen, Trunk
from .shift import draw_shifts, shift


@dataclass(frozen=True, kw_only=True)
class SightCfg:
    """How an agent sees."""

    relative: tuple[RelativePose, ...] = ()
    """Pairs of pose observations whose relative pose actor and critic also see."""
    lengths: tuple[float, ...] = (0.05, 0.01)
    """Lengths at which the relative positions are also given squashed, tanh(p / length) [m]."""
    pictures: PictureKind = "convolutions"
    """How pictures are encoded."""
    width: int = 32
    """Channels of convolutions."""
    stack: int = 1
    """Pictures of the latest ticks that are seen together."""
    trunk: int = 50
    """Numbers that the code of the pictures is squeezed to."""
    shift: int = 0
    """Greatest shift of pictures in updates [pixels] (DrQ-v2: 4 of 84)."""
    asymmetric: bool = False
    """Whether the critic sees its own group of observations, which only the simulation knows."""

    def __post_init__(self) -> None:
        """Refuse what is no sight."""
        for name, least in {"width": 1, "stack": 1, "trunk": 1, "shift": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected {least} or more, got {getattr(self, name)}")
        for i, length in enumerate(self.lengths):
            if not 0.0 < length < math.inf:
                raise ValueError(f"lengths[{i}]: expected a number above 0, got {length}")


class Valuer(nn.Module):
    """Values of what is seen and done: a trunk and C perceptrons."""

    def __init__(self, perception: Perception, trunk: int, critics: Critics) -> None:
        """Put a trunk before critics."""
        super().__init__()
        self.trunk, self.critics = Trunk(perception, trunk), critics

    def forward(self, seen: Seen, action: Tensor, count: int | None = None) -> Tensor:
        """Return (B, C, outputs); with a count of the first so many alone."""
        return self.critics(self.trunk(seen), action, count)


class ActorCritics(nn.Module):
    """Actor, critics, and the targets of these.

    Attributes:
        actor: what acts and is exported.
        truth: what critics see with where that is not what the actor sees with.
        critics, targets: values.
        columns: of the observations that are needed.
    """

    def __init__(
        self,
        sight: SightCfg,
        obs: Mapping[str, Tensor],
        groups: Mapping[str, Sequence[str]],
        action_dim: int,
        *,
        hidden: Sequence[int],
        critic_hidden: Sequence[int] = (),
        outputs: int = 1,
        critic_outputs: int = 1,
        **critics: float,
    ) -> None:
        """Build them.

        Args:
            sight: how they see.
            obs: observations (N, ...), whose shapes and types count.
            groups: names of what actor and critic see.
            action_dim: A.
            hidden: sizes of the hidden layers of all.
            critic_hidden: those of the critics, where they are others.
            outputs: numbers of the actor per element of an action.
            critic_outputs: numbers of each critic.
            critics: other settings of `Critics`.
        """
        super().__init__()
        own = columns_of(obs, groups["actor"], sight.stack)
        self.actor = Doer(
            perception_of(sight, own), hidden, action_dim, outputs=outputs, trunk=sight.trunk
        )
        self.truth, self.columns = None, own
        if sight.asymmetric:
            known = columns_of(obs, groups["critic"], sight.stack)
            self.truth, self.columns = perception_of(sight, known), own | known
        seen = self.truth or self.actor.perception
        size = Trunk(seen, sight.trunk).size + action_dim
        built = Critics(size, critic_hidden or hidden, outputs=critic_outputs, **critics)  # pyright: ignore[reportArgumentType]
        self.critics = Valuer(seen, sight.trunk, built)
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        self._shift = sight.shift

    def learn_scale(self, obs: Mapping[str, Tensor]) -> None:
        """Take observations (N, ...) into the normalisers."""
        for perception in (self.actor.perception, self.truth):
            if perception is not None:
                perception.learn_scale(obs)

    def perceive(self, obs: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Seen, Seen]:
        """Return what the actor and the critics see of a batch, whose pictures are shifted."""
        obs = shifted(obs, self.columns, self._shift, generator)
        own = self.actor.perception(obs)
        if self.truth is None:
            return given(own), own
        return own, self.truth(obs)

    def draw_from(self, generator: torch.Generator) -> None:
        """Let dropout of the critics draw from a stream."""
        for valuer in (self.critics, self.targets):
            valuer.critics.dice = generator

    def acts(self) -> list[nn.Parameter]:
        """Return what the loss of the actor trains."""
        shared = set() if self.truth is not None else set(self.actor.perception.parameters())
        return [p for p in self.actor.parameters() if p not in shared]

    def values(self) -> list[nn.Parameter]:
        """Return what the loss of the critics trains."""
        seen = self.truth or self.actor.perception
        return [*self.critics.parameters(), *seen.parameters()]


def given(seen: Seen) -> Seen:
    """Return what was seen as it is, without slopes."""
    return Seen(seen.vector.detach(), seen.code.detach())


def perception_of(sight: SightCfg, columns: Mapping[str, Column]) -> Perception:
    """Return what sees observations of these columns."""
    return Perception(
        columns,
        relative=sight.relative,
        lengths=sight.lengths,
        pictures=sight.pictures,
        width=sight.width,
    )


def shifted(
    obs: Mapping[str, Tensor], columns: Mapping[str, Column], pad: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return observations (B, ...) with each picture shifted by up to `pad` pixels."""
    found = dict(obs)
    for name, column in columns.items():
        if pad and column.dtype == torch.uint8:
            offsets = draw_shifts(len(obs[name]), pad, generator)
            found[name] = shift(obs[name], offsets, pad)
    return found


def descend(
    optimizer: torch.optim.Optimizer, loss: Tensor, parameters: Iterable[nn.Parameter]
) -> None:
    """Take a step down the slope of a loss, of some parameters and no others."""
    chosen = list(parameters)
    slopes = torch.autograd.grad(loss, chosen)
    optimizer.zero_grad(set_to_none=True)
    for parameter, slope in zip(chosen, slopes, strict=True):
        parameter.grad = slope
    optimizer.step()


def columns_of(
    obs: Mapping[str, Tensor], names: Sequence[str], stack: int = 1
) -> dict[str, Column]:
    """Return what the replay keeps of observations (N, ...), those named; pictures are stacked."""
    found: dict[str, Column] = {}
    for name in dict.fromkeys(names):
        value = obs[name]
        deep = stack if value.dtype == torch.uint8 else 1
        found[name] = Column(shape=tuple(value.shape[1:]), dtype=value.dtype, stack=deep)
    return found
