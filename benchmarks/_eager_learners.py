"""TD3, DDPG, SAC, TQC, DroQ and DrQ-v2 written down plainly in eager torch, to compare with.

One module per critic, torch's Adam as it comes, targets that follow parameter by parameter, shifts
of pictures by bilinear sampling of a grid: each update as the papers and the usual short programs
have it, from `(obs, action, reward, discount, next_obs)`.
"""

# pyright: standard

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from sim2arm.policies.drqv2 import DrqV2Cfg
from sim2arm.policies.sac import SacCfg
from sim2arm.policies.td3 import Td3Cfg

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Step(NamedTuple):
    """Transitions: observations (B, F), or pictures (B, 3 stack, H, W) uint8."""

    obs: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_obs: Tensor
    demo: Tensor


def perceptron(sizes: Sequence[int], *, dropout: float | None = None) -> nn.Sequential:
    """Return linear layers with ReLU; with dropout and norm in between if a share is given."""
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers.append(nn.Linear(a, b))
        if dropout is not None:
            layers += [nn.Dropout(dropout), nn.LayerNorm(b)]
        layers.append(nn.ReLU())
    extra = 1 if dropout is None else 3
    return nn.Sequential(*layers[:-extra])


def twin(network: ModuleT) -> ModuleT:
    """Return a target that begins as the network."""
    return copy.deepcopy(network).requires_grad_(False)


def follow(targets: nn.Module, networks: nn.Module, tau: float) -> None:
    """Let targets follow."""
    for target, parameter in zip(targets.parameters(), networks.parameters(), strict=True):
        target.data.copy_(tau * parameter.data + (1.0 - tau) * target.data)


class EagerTd3(nn.Module):
    """TD3; DDPG with one critic, no noise and no delay."""

    def __init__(self, cfg: Td3Cfg, size: int, dim: int) -> None:
        super().__init__()
        self.cfg, self.updates = cfg, 0
        self.actor = perceptron((size, *cfg.hidden, dim))
        self.critics = nn.ModuleList(
            perceptron((size + dim, *cfg.hidden, 1)) for _ in range(cfg.critics)
        )
        self.target_actor, self.target_critics = map(twin, (self.actor, self.critics))
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=cfg.lr)
        self.critic_optimizer = torch.optim.Adam(self.critics.parameters(), lr=cfg.lr)

    def update(self, step: Step) -> None:
        """Learn from transitions."""
        cfg = self.cfg
        with torch.no_grad():
            noise = torch.randn_like(step.action) * cfg.target_noise
            noise = noise.clamp(-cfg.target_clip, cfg.target_clip)
            action = (torch.tanh(self.target_actor(step.next_obs)) + noise).clamp(-1.0, 1.0)
            joined = torch.cat([step.next_obs, action], dim=1)
            values = [critic(joined) for critic in self.target_critics]
            target = step.reward + step.discount * torch.cat(values, dim=1).min(dim=1).values
        joined = torch.cat([step.obs, step.action], dim=1)
        losses = [functional.mse_loss(critic(joined)[:, 0], target) for critic in self.critics]
        descend(self.critic_optimizer, sum_of(losses))
        self.updates += 1
        if self.updates % cfg.delay:
            return
        action = torch.tanh(self.actor(step.obs))
        descend(self.actor_optimizer, -self.critics[0](torch.cat([step.obs, action], 1)).mean())
        follow(self.target_critics, self.critics, cfg.learn.tau)
        follow(self.target_actor, self.actor, cfg.learn.tau)


class EagerSac(nn.Module):
    """SAC; TQC with quantiles, DroQ with dropout."""

    def __init__(self, cfg: SacCfg, size: int, dim: int) -> None:
        super().__init__()
        self.cfg, self.dim, self.updates = cfg, dim, 0
        self.actor = perceptron((size, *cfg.hidden, 2 * dim))
        hidden = cfg.critic_hidden or cfg.hidden
        sizes, dropout = (size + dim, *hidden, cfg.quantiles), cfg.dropout or None
        self.critics = nn.ModuleList(perceptron(sizes, dropout=dropout) for _ in range(cfg.critics))
        self.targets = twin(self.critics)
        self.log_weight = nn.Parameter(torch.tensor(math.log(cfg.first_weight)))
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=cfg.lr)
        self.critic_optimizer = torch.optim.Adam(self.critics.parameters(), lr=cfg.critic_lr)
        self.weight_optimizer = torch.optim.Adam([self.log_weight], lr=cfg.lr)

    def act(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-densities (B, 1)."""
        mean, log_std = self.actor(obs).chunk(2, dim=1)
        log_std = -5.0 + 0.5 * 7.0 * (torch.tanh(log_std) + 1.0)
        normal = torch.distributions.Normal(mean, log_std.exp())
        raw = normal.rsample()
        action = torch.tanh(raw)
        log_prob = normal.log_prob(raw) - torch.log(1.0 - action.pow(2) + 1e-6)
        return action, log_prob.sum(dim=1, keepdim=True)

    def update(self, step: Step) -> None:
        """Learn from transitions."""
        cfg = self.cfg
        with torch.no_grad():
            action, log_prob = self.act(step.next_obs)
            joined = torch.cat([step.next_obs, action], dim=1)
            values = torch.stack([critic(joined) for critic in self.targets], dim=1)
            if cfg.quantiles > 1:
                kept = cfg.critics * (cfg.quantiles - cfg.drop)
                value = values.flatten(1).sort(dim=1).values[:, :kept]
            else:
                value = values[..., 0].min(dim=1, keepdim=True).values
            value = value - self.log_weight.exp() * log_prob
            target = step.reward[:, None] + step.discount[:, None] * value
        joined = torch.cat([step.obs, step.action], dim=1)
        found = [critic(joined) for critic in self.critics]
        if cfg.quantiles > 1:
            loss = quantile_loss(torch.stack(found, dim=1), target)
        else:
            loss = sum_of([functional.mse_loss(each, target) for each in found])
        descend(self.critic_optimizer, loss)
        follow(self.targets, self.critics, cfg.learn.tau)
        self.updates += 1
        if self.updates % cfg.delay == 0:
            for _ in range(cfg.delay if cfg.make_up else 1):
                self._climb(step.obs)

    def _climb(self, obs: Tensor) -> None:
        cfg = self.cfg
        action, log_prob = self.act(obs)
        joined = torch.cat([obs, action], dim=1)
        values = torch.stack([critic(joined).mean(dim=1) for critic in self.critics], dim=1)
        least = cfg.pessimism and cfg.quantiles == 1
        worth = values.min(dim=1).values if least else values.mean(dim=1)
        weight = self.log_weight.exp().detach()
        descend(self.actor_optimizer, (weight * log_prob[:, 0] - worth).mean())
        goal = cfg.entropy * self.dim
        descend(self.weight_optimizer, (-self.log_weight * (log_prob.detach() + goal)).mean())


class EagerDrqV2(nn.Module):
    """DrQ-v2."""

    def __init__(self, cfg: DrqV2Cfg, side: int, dim: int) -> None:
        super().__init__()
        self.cfg, width, trunk = cfg, cfg.sight.width, cfg.sight.trunk
        convolutions: list[nn.Module] = []
        channels, out = 3 * cfg.sight.stack, side
        for stride in (2, 1, 1, 1):
            convolutions += [nn.Conv2d(channels, width, 3, stride), nn.ReLU()]
            channels, out = width, (out - 3) // stride + 1
        self.encoder = nn.Sequential(*convolutions, nn.Flatten())
        code = width * out * out
        self.actor_trunk = nn.Sequential(nn.Linear(code, trunk), nn.LayerNorm(trunk), nn.Tanh())
        self.actor = perceptron((trunk, *cfg.hidden, dim))
        self.critic_trunk = nn.Sequential(nn.Linear(code, trunk), nn.LayerNorm(trunk), nn.Tanh())
        self.critics = nn.ModuleList(perceptron((trunk + dim, *cfg.hidden, 1)) for _ in range(2))
        self.values = nn.ModuleList([self.critic_trunk, self.critics])
        self.targets = twin(self.values)
        acts = [*self.actor_trunk.parameters(), *self.actor.parameters()]
        self.encoder_optimizer = torch.optim.Adam(self.encoder.parameters(), lr=cfg.lr)
        self.actor_optimizer = torch.optim.Adam(acts, lr=cfg.lr)
        self.critic_optimizer = torch.optim.Adam(self.values.parameters(), lr=cfg.lr)

    def act(self, code: Tensor) -> Tensor:
        """Return noisy actions, as in updates."""
        mean = torch.tanh(self.actor(self.actor_trunk(code)))
        noise = (torch.randn_like(mean) * self.cfg.noise_first).clamp(-0.3, 0.3)
        found = mean + noise
        return found + (found.clamp(-1.0 + 1e-6, 1.0 - 1e-6) - found).detach()

    def judge(self, values: nn.ModuleList, code: Tensor, action: Tensor) -> list[Tensor]:
        """Return the values of both critics (B,)."""
        trunk, critics = values
        joined = torch.cat([trunk(code), action], dim=1)
        return [critic(joined)[:, 0] for critic in critics]  # pyright: ignore[reportGeneralTypeIssues]

    def encode(self, pictures: Tensor) -> Tensor:
        """Return the code of shifted pictures."""
        moved = random_shifts(pictures.float(), self.cfg.sight.shift)
        return self.encoder(moved / 255.0 - 0.5)

    def update(self, step: Step) -> None:
        """Learn from transitions."""
        code = self.encode(step.obs)
        with torch.no_grad():
            after = self.encode(step.next_obs)
            value = torch.min(*self.judge(self.targets, after, self.act(after)))
            target = step.reward + step.discount * value
        found = self.judge(self.values, code, step.action)
        loss = sum_of([functional.mse_loss(each, target) for each in found])
        self.encoder_optimizer.zero_grad(set_to_none=True)
        descend(self.critic_optimizer, loss)
        self.encoder_optimizer.step()
        code = code.detach()
        values = self.judge(self.values, code, self.act(code))
        descend(self.actor_optimizer, -torch.min(*values).mean())
        follow(self.targets, self.values, self.cfg.learn.tau)


def random_shifts(pictures: Tensor, pad: int) -> Tensor:
    """Return pictures (B, C, H, H), each moved by up to `pad` pixels: bilinear, on a grid."""
    count, _, side, _ = pictures.shape
    padded = functional.pad(pictures, (pad, pad, pad, pad), mode="replicate")
    wide = side + 2 * pad
    line = (torch.arange(side, device=pictures.device) + 0.5) * 2.0 / wide - 1.0
    base = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
    moves = torch.randint(0, 2 * pad + 1, (count, 1, 1, 2), device=pictures.device) * 2.0 / wide
    return functional.grid_sample(padded, base + moves, padding_mode="zeros", align_corners=False)


def quantile_loss(quantiles: Tensor, target: Tensor) -> Tensor:
    """Return the Huber loss of quantiles (B, C, K) to samples (B, T)."""
    count = quantiles.shape[2]
    difference = target[:, None, None, :] - quantiles[:, :, :, None]
    size = difference.abs()
    huber = torch.where(size > 1.0, size - 0.5, difference**2 * 0.5)
    tau = torch.arange(count, device=quantiles.device).float() / count + 0.5 / count
    return ((tau[None, None, :, None] - (difference < 0).float()).abs() * huber).mean()


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take a step of an optimiser."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def sum_of(losses: Iterable[Tensor]) -> Tensor:
    """Return their sum."""
    return torch.stack(list(losses)).sum()
