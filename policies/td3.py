"""TD3, and DDPG as what is left of it without its three changes.

The critics regress `R + gamma^k min_c Q_c(s', a')` of target networks, with noise on the target
action; the actor, which is updated less often, climbs the first critic. With one critic, no noise
and no delay that is DDPG. Worlds may each have a deviation of their own, drawn anew with each
episode, as FastTD3 (arXiv 2505.22642) explores with thousands of them.
Sources: Fujimoto et al., arXiv 1802.09477; Lillicrap et al., arXiv 1509.02971.
"""

# pyright: standard

from __future__ import annotations

import copy
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
from .losses import bellman
from .offpolicy import ReplayCfg
from .perception import Seen


@dataclass(frozen=True, kw_only=True)
class Td3Cfg:
    """Twin delayed deterministic policy gradients; DDPG with one critic, no noise and no delay."""

    learn: ReplayCfg = field(default_factory=ReplayCfg)
    """Roll-outs and updates."""
    sight: SightCfg = field(default_factory=SightCfg)
    """What is seen."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers of actor and critics."""
    critics: int = 2
    """Of which the lowest value counts."""
    lr: float = 3e-4
    """Learning rate."""
    noise_low: float = 0.1
    """Least deviation of what a world does from what the actor says."""
    noise_high: float = 0.1
    """Greatest one; each episode draws its own."""
    target_noise: float = 0.2
    """Deviation of the noise on target actions."""
    target_clip: float = 0.5
    """Greatest noise on target actions."""
    delay: int = 2
    """Updates of the critics per update of the actor and of all targets."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        for name in ("critics", "delay"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if not 0.0 < self.lr < math.inf:
            raise ValueError(f"lr: expected a number above 0, got {self.lr}")
        for name in ("noise_low", "target_noise", "target_clip"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if not self.noise_low <= self.noise_high < math.inf:
            raise ValueError(f"noise_high: expected {self.noise_low} (noise_low) or more")

    @property
    def rollout(self) -> int:
        """Steps of each world in an iteration."""
        return self.learn.rollout


class Td3:
    """The agent."""

    actions = None
    metrics: ClassVar[tuple[str, ...]] = ("critic_loss", "value", "policy_loss")

    def __init__(
        self,
        cfg: Td3Cfg,
        obs: Mapping[str, Tensor],
        groups: Mapping[str, Sequence[str]],
        action_dim: int,
    ) -> None:
        """Build its networks; see `ActorCritics`."""
        self.cfg, device = cfg, next(iter(obs.values())).device
        self.model = ActorCritics(
            cfg.sight, obs, groups, action_dim, hidden=cfg.hidden, count=cfg.critics
        ).to(device)
        self.target_head = copy.deepcopy(self.model.actor.head).requires_grad_(False)
        self.model.add_module("target_head", self.target_head)
        self.actor, self.columns = self.model.actor, self.model.columns
        learns = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(learns, lr=cfg.lr, fused=True)
        worlds = len(next(iter(obs.values())))
        self._noise = torch.full((worlds, 1), cfg.noise_low, device=device)
        self._updates = 0

    def learn_scale(self, obs: Mapping[str, Tensor]) -> None:
        """See `Agent`."""
        self.model.learn_scale(obs)

    def explore(self, seen: Seen, done: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """See `Agent`: normal noise, of each world's own deviation, clipped."""
        cfg, raw = self.cfg, self.actor.head(seen)
        if cfg.noise_high > cfg.noise_low:
            drawn = torch.rand((len(raw), 1), generator=generator, device=raw.device)
            drawn = cfg.noise_low + (cfg.noise_high - cfg.noise_low) * drawn
            self._noise = torch.where(done[:, None], drawn, self._noise)
        noise = torch.randn(raw.shape, generator=generator, device=raw.device)
        return (torch.tanh(raw) + self._noise * noise).clamp(-1.0, 1.0)

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Agent`."""
        cfg, model = self.cfg, self.model
        own, seen = model.perceive(batch.obs, generator)
        target = self.target(batch, generator)
        values = model.critics(seen, batch.action)[..., 0]  # (B, C)
        loss = cfg.critics * functional.mse_loss(values, target[:, None].expand_as(values))
        found = {"critic_loss": loss.detach(), "value": values.detach().mean()}
        descend(self.optimizer, loss, model.values())
        self._updates += 1
        if self._updates % cfg.delay:
            return found
        policy = -model.critics(given(seen), torch.tanh(model.actor.head(own)), 1).mean()
        descend(self.optimizer, policy, model.acts())
        follow(model.targets, model.critics, cfg.learn.tau)
        follow(self.target_head, model.actor.head, cfg.learn.tau)
        return found | {"policy_loss": policy.detach()}

    @torch.no_grad()
    def target(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return what the critics regress (B,)."""
        cfg, model = self.cfg, self.model
        own, seen = model.perceive(batch.next_obs, generator)
        action = torch.tanh(self.target_head(own))
        noise = torch.randn(action.shape, generator=generator, device=action.device)
        noise = (cfg.target_noise * noise).clamp(-cfg.target_clip, cfg.target_clip)
        values = model.targets(seen, (action + noise).clamp(-1.0, 1.0))[..., 0]
        return bellman(batch.reward, batch.discount, values.amin(dim=1))
