"""SAC, and what others made of its critics: TQC's quantiles, DroQ's dropout.

A random actor is rewarded for its entropy, with a weight that keeps the entropy near a goal.
`quantiles` above 1 is TQC: critics are distributions, of all target quantiles pooled the greatest
are dropped, the actor climbs the mean of all. `dropout` with `norm` is DroQ: many updates per step,
the actor climbs the mean of the critics (`pessimism` off).
Sources: Haarnoja et al., arXiv 1812.05905; Kuznetsov et al., arXiv 2005.04269; Hiraoka et al.,
arXiv 2110.02034.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .actor_critic import ActorCritics, SightCfg, descend, given
from .buffers import Batch
from .ensemble import follow
from .losses import bellman, lowest, quantile_huber, squashed_normal
from .offpolicy import ReplayCfg
from .perception import Seen

LOG_STD = (-5.0, 2.0)
"""Bounds of the logarithm of deviations, which tanh maps outputs to."""


@dataclass(frozen=True, kw_only=True)
class SacCfg:
    """Soft actor-critic; TQC with quantiles, DroQ with dropout, norm and more updates."""

    learn: ReplayCfg = field(default_factory=ReplayCfg)
    """Roll-outs and updates."""
    sight: SightCfg = field(default_factory=SightCfg)
    """What is seen."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers of actor and critics."""
    critic_hidden: tuple[int, ...] = ()
    """Those of the critics, where they are others (TQC: 512, 512, 512)."""
    critics: int = 2
    """Of which the lowest value counts, or whose quantiles are pooled."""
    quantiles: int = 1
    """Of each critic; 1: its mean (TQC: 25)."""
    drop: int = 2
    """Quantiles per critic that are left out of targets, the greatest; only with quantiles."""
    dropout: float = 0.0
    """Share of hidden layers of critics that is dropped (DroQ: 0.01)."""
    norm: bool = False
    """Whether hidden layers of critics are normalised (DroQ)."""
    pessimism: bool = True
    """Whether the actor climbs the lowest critic, else the mean (DroQ)."""
    lr: float = 3e-4
    """Learning rate of actor and entropy weight."""
    critic_lr: float = 1e-3
    """Of the critics."""
    delay: int = 1
    """Updates of the critics per update of actor and entropy weight."""
    make_up: bool = True
    """Whether there are as many of these after a delay as of the critics, else one (DroQ)."""
    first_weight: float = 1.0
    """First weight of the entropy (alpha)."""
    entropy: float = -1.0
    """Entropy that is aimed at, per element of an action [nat]."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        for name in ("critics", "quantiles", "delay"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for name in ("lr", "critic_lr", "first_weight"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: expected 0 to below 1, got {self.dropout}")
        if self.quantiles > 1 and not 0 <= self.drop < self.quantiles:
            raise ValueError(f"drop: expected 0 to {self.quantiles - 1}, got {self.drop}")

    @property
    def rollout(self) -> int:
        """Steps of each world in an iteration."""
        return self.learn.rollout


class Sac:
    """The agent."""

    actions = None
    metrics: ClassVar[tuple[str, ...]] = (
        "critic_loss",
        "value",
        "policy_loss",
        "entropy",
        "entropy_weight",
    )

    def __init__(
        self,
        cfg: SacCfg,
        obs: Mapping[str, Tensor],
        groups: Mapping[str, Sequence[str]],
        action_dim: int,
    ) -> None:
        """Build its networks; see `ActorCritics`."""
        self.cfg, device = cfg, next(iter(obs.values())).device
        critics = {"count": cfg.critics, "norm": cfg.norm, "dropout": cfg.dropout}
        self.model = ActorCritics(
            cfg.sight, obs, groups, action_dim,
            hidden=cfg.hidden, critic_hidden=cfg.critic_hidden, outputs=2,
            critic_outputs=cfg.quantiles, **critics,
        )  # fmt: skip
        self.log_weight = nn.Parameter(torch.tensor(math.log(cfg.first_weight), device=device))
        self.model.register_parameter("log_weight", self.log_weight)
        self.model.to(device)
        self.actor, self.columns = self.model.actor, self.model.columns
        groups_of = [
            {"params": self.model.values(), "lr": cfg.critic_lr},
            {"params": [*self.model.acts(), self.log_weight], "lr": cfg.lr},
        ]
        self.optimizer = torch.optim.Adam(groups_of, fused=True)
        self._goal, self._updates = cfg.entropy * action_dim, 0

    def learn_scale(self, obs: Mapping[str, Tensor]) -> None:
        """See `Agent`."""
        self.model.learn_scale(obs)

    def explore(self, seen: Seen, done: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """See `Agent`: as the policy is random itself."""
        return self._act(self.actor.head(seen), generator)[0]

    def _act(self, raw: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return actions (B, A) and their log-densities (B,) of outputs (B, 2 A)."""
        mean, spread = raw.chunk(2, dim=-1)
        low, high = LOG_STD
        log_std = low + 0.5 * (high - low) * (torch.tanh(spread) + 1.0)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        return squashed_normal(mean, log_std, noise)

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Agent`."""
        cfg, model = self.cfg, self.model
        model.draw_from(generator)
        own, seen = model.perceive(batch.obs, generator)
        target = self.target(batch, generator)
        values = model.critics(seen, batch.action)  # (B, C, K)
        if cfg.quantiles > 1:
            loss = quantile_huber(values, target)
        else:
            loss = cfg.critics * functional.mse_loss(values[..., 0], target.expand(-1, cfg.critics))
        descend(self.optimizer, loss, model.values())
        follow(model.targets, model.critics, cfg.learn.tau)
        found = {"critic_loss": loss.detach(), "value": values.detach().mean()}
        self._updates += 1
        if self._updates % cfg.delay == 0:
            for again in range(cfg.delay if cfg.make_up else 1):
                if again and model.truth is not None:  # its perception has just been changed
                    own = model.perceive(batch.obs, generator)[0]
                found |= self._climb(own, given(seen), generator)
        return found

    def _climb(self, own: Seen, seen: Seen, generator: torch.Generator) -> dict[str, Tensor]:
        """Update actor and entropy weight on what was seen."""
        cfg, model = self.cfg, self.model
        action, log_prob = self._act(model.actor.head(own), generator)
        values = model.critics(seen, action).mean(dim=-1)  # (B, C)
        worth = values.amin(dim=1) if cfg.pessimism and cfg.quantiles == 1 else values.mean(dim=1)
        policy = (self.log_weight.detach().exp() * log_prob - worth).mean()
        entropy = -log_prob.detach().mean()
        weight = self.log_weight * (entropy - self._goal)  # its slope: too much entropy, less of it
        descend(self.optimizer, policy + weight, [*model.acts(), self.log_weight])
        return {
            "policy_loss": policy.detach(),
            "entropy": entropy,
            "entropy_weight": self.log_weight.detach().exp(),
        }

    @torch.no_grad()
    def target(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return what the critics regress: (B, 1), or samples of the return (B, T)."""
        cfg, model = self.cfg, self.model
        own, seen = model.perceive(batch.next_obs, generator)
        action, log_prob = self._act(model.actor.head(own), generator)
        values = model.targets(seen, action)
        if cfg.quantiles > 1:
            value = lowest(values, cfg.drop * cfg.critics)
        else:
            value = values[..., 0].amin(dim=1, keepdim=True)
        value = value - self.log_weight.exp() * log_prob[:, None]
        return bellman(batch.reward[:, None], batch.discount[:, None], value)
