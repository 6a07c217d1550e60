"""DrQ-v2: deterministic policy gradients from pictures that are shifted at random.

Both observations of a transition are shifted, each by itself. The critics train the encoder; the
actor and the targets take what it finds. Exploration is normal noise whose deviation falls with the
steps that were done; target actions and the actor's own have the same, clipped. Steps are decisions
of the agent: with repeated actions the published schedules count half as many as frames.
Source: Yarats et al., arXiv 2107.09645.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from .actor_critic import ActorCritics, SightCfg, descend, given
from .buffers import Batch
from .ensemble import follow
from .losses import bellman, clipped_normal
from .offpolicy import ReplayCfg
from .perception import Seen, orthogonal


@dataclass(frozen=True, kw_only=True)
class DrqV2Cfg:
    """DrQ-v2 at its published sizes."""

    learn: ReplayCfg = field(
        default_factory=lambda: ReplayCfg(
            rollout=2, updates=1, rows=1_000_000, random=2_000, steps=3, tau=0.01, normalise=False
        )
    )
    """Roll-outs and updates."""
    sight: SightCfg = field(default_factory=lambda: SightCfg(stack=3, shift=4))
    """What is seen."""
    hidden: tuple[int, ...] = (1024, 1024)
    """Sizes of the hidden layers of actor and critics."""
    lr: float = 1e-4
    """Learning rate."""
    noise_first: float = 1.0
    """First deviation of the noise on actions."""
    noise_last: float = 0.1
    """Last one."""
    noise_steps: int = 500_000
    """Steps over which it falls, linearly (published: 100 000, 500 000 or 2 000 000)."""
    noise_clip: float = 0.3
    """Greatest noise on actions in updates."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        if not 0.0 < self.lr < math.inf:
            raise ValueError(f"lr: expected a number above 0, got {self.lr}")
        for name in ("noise_first", "noise_last", "noise_clip"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if self.noise_steps < 1:
            raise ValueError(f"noise_steps: expected 1 or more, got {self.noise_steps}")

    @property
    def rollout(self) -> int:
        """Steps of each world in an iteration."""
        return self.learn.rollout

    def deviation(self, step: int) -> float:
        """Return the deviation of the noise after so many steps."""
        share = min(step / self.noise_steps, 1.0)
        return (1.0 - share) * self.noise_first + share * self.noise_last


class DrqV2:
    """The agent."""

    actions = None
    metrics: ClassVar[tuple[str, ...]] = ("critic_loss", "value", "policy_loss")

    def __init__(
        self,
        cfg: DrqV2Cfg,
        obs: Mapping[str, Tensor],
        groups: Mapping[str, Sequence[str]],
        action_dim: int,
    ) -> None:
        """Build its networks; see `ActorCritics`."""
        self.cfg, device = cfg, next(iter(obs.values())).device
        self.model = ActorCritics(cfg.sight, obs, groups, action_dim, hidden=cfg.hidden)
        orthogonal(self.model)
        self.model.targets.load_state_dict(self.model.critics.state_dict())
        self.model.to(device)
        self.actor, self.columns = self.model.actor, self.model.columns
        learns = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(learns, lr=cfg.lr, fused=True)
        self._std = cfg.noise_first

    def learn_scale(self, obs: Mapping[str, Tensor]) -> None:
        """See `Agent`."""
        self.model.learn_scale(obs)

    def explore(self, seen: Seen, done: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """See `Agent`."""
        self._std = self.cfg.deviation(step)
        return self._act(self.actor.head(seen), generator, None)

    def _act(self, raw: Tensor, generator: torch.Generator, clip: float | None) -> Tensor:
        noise = torch.randn(raw.shape, generator=generator, device=raw.device)
        return clipped_normal(torch.tanh(raw), self._std, noise, clip)

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Agent`."""
        cfg, model = self.cfg, self.model
        own, seen = model.perceive(batch.obs, generator)
        target = self.target(batch, generator)
        values = model.critics(seen, batch.action)[..., 0]  # (B, 2)
        loss = 2.0 * functional.mse_loss(values, target[:, None].expand_as(values))
        descend(self.optimizer, loss, model.values())
        action = self._act(model.actor.head(own), generator, cfg.noise_clip)
        policy = -model.critics(given(seen), action)[..., 0].amin(dim=1).mean()
        descend(self.optimizer, policy, model.acts())
        follow(model.targets, model.critics, cfg.learn.tau)
        return {
            "critic_loss": loss.detach(),
            "value": values.detach().mean(),
            "policy_loss": policy.detach(),
        }

    @torch.no_grad()
    def target(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return what the critics regress (B,)."""
        own, seen = self.model.perceive(batch.next_obs, generator)
        action = self._act(self.model.actor.head(own), generator, self.cfg.noise_clip)
        values = self.model.targets(seen, action)[..., 0].amin(dim=1)
        return bellman(batch.reward, batch.discount, values)
