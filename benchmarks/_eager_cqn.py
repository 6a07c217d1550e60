"""CQN and CQN-AS written down plainly in eager torch from the papers, to compare with.

Level by level in loops, the projection by adding to neighbouring atoms, torch's AdamW as it comes.
"""

# pyright: standard

from __future__ import annotations

from itertools import pairwise

import torch
from _eager_learners import Step, descend, follow, twin
from torch import Tensor, nn
from torch.nn import functional

from sim2arm.policies.cqn import CqnCfg


class Stream(nn.Module):
    """Value or advantage."""

    def __init__(self, cfg: CqnCfg, size: int, more: int, outputs: int) -> None:
        super().__init__()
        squeeze = cfg.sight.trunk
        self.squeeze = nn.Sequential(nn.Linear(size, squeeze), nn.LayerNorm(squeeze), nn.Tanh())
        layers: list[nn.Module] = []
        for a, b in pairwise((squeeze + more, *cfg.hidden)):
            layers += [nn.Linear(a, b, bias=False), nn.LayerNorm(b), nn.SiLU()]
        self.mlp = nn.Sequential(*layers)
        last = cfg.hidden[-1]
        self.gru = nn.GRU(last, last, batch_first=True) if cfg.row > 1 else None
        self.head = nn.Linear(last, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, obs: Tensor, more: Tensor) -> Tensor:
        """Return (B, T, outputs) of observations (B, F) and what is seen beside (B, T, G)."""
        seen = self.squeeze(obs)[:, None].repeat(1, more.shape[1], 1)
        x = self.mlp(torch.cat([seen, more], dim=2))
        return self.head(x if self.gru is None else self.gru(x)[0])


class Critic(nn.Module):
    """Logits of the returns of each bin, one level at a time."""

    def __init__(self, cfg: CqnCfg, size: int, dim: int) -> None:
        super().__init__()
        self.cfg, self.dim, bins = cfg, dim, cfg.zoom.bins
        more = dim + cfg.zoom.levels + (cfg.row if cfg.row > 1 else 0)
        self.value = Stream(cfg, size, more, dim * cfg.atoms)
        self.advantage = Stream(cfg, size, more, dim * bins * cfg.atoms)
        self.register_buffer("atoms", torch.linspace(cfg.low, cfg.high, cfg.atoms))

    def forward(self, obs: Tensor, middle: Tensor, level: int) -> Tensor:
        """Return (B, T, A, bins, Z), looking into what is around (B, T, A)."""
        count, row = middle.shape[:2]
        which = torch.zeros(count, row, self.cfg.zoom.levels, device=obs.device)
        which[:, :, level] = 1.0
        more = [middle, which]
        if row > 1:
            more.append(torch.eye(row, device=obs.device)[None].repeat(count, 1, 1))
        joined = torch.cat(more, dim=2)
        atoms = self.cfg.atoms
        value = self.value(obs, joined).view(count, row, self.dim, 1, atoms)
        advantage = self.advantage(obs, joined).view(count, row, self.dim, -1, atoms)
        return value + advantage - advantage.mean(dim=3, keepdim=True)

    def worth(self, logits: Tensor) -> Tensor:
        """Return expected returns of logits (..., Z)."""
        return (functional.softmax(logits, dim=-1) * self.get_buffer("atoms")).sum(dim=-1)


class EagerCqn(nn.Module):
    """CQN; CQN-AS with a row of actions."""

    def __init__(self, cfg: CqnCfg, size: int, dim: int) -> None:
        super().__init__()
        self.cfg, self.dim = cfg, dim
        self.critic = Critic(cfg, size, dim)
        self.target = twin(self.critic)
        self.optimizer = torch.optim.AdamW(
            self.critic.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay
        )

    def update(self, step: Step) -> None:
        """Learn from transitions with actions (B, T, A)."""
        cfg = self.cfg
        target = self.targets(step)
        lows = torch.full_like(step.action, -1.0)
        width, losses = 2.0, []
        for level in range(cfg.zoom.levels):
            logits = self.critic(step.obs, lows + width / 2.0, level)
            width /= cfg.zoom.bins
            digit = ((step.action - lows) / width).floor().clamp(0, cfg.zoom.bins - 1).long()
            lows = lows + width * digit
            done = pick(logits, digit)
            losses.append(self.loss(logits, done, digit, target[level], step.demo))
        descend(self.optimizer, torch.stack(losses).mean())
        follow(self.target, self.critic, cfg.learn.tau)

    def loss(
        self, logits: Tensor, done: Tensor, digit: Tensor, target: Tensor, demo: Tensor
    ) -> Tensor:
        """Return the loss of one level: returns, dominance and margin."""
        cfg = self.cfg
        returns = -(target * functional.log_softmax(done, dim=-1)).sum(dim=-1).mean()
        expert = functional.softmax(done, dim=-1).cumsum(dim=-1)[..., None, :]
        others = functional.softmax(logits, dim=-1).cumsum(dim=-1)
        below = functional.relu(expert - others).sum(dim=-1).sum(dim=-1)
        worth = self.critic.worth(logits)
        short = functional.relu(worth - worth.gather(-1, digit[..., None]) + cfg.margin)
        short = short.scatter(-1, digit[..., None], 0.0).sum(dim=-1)
        each = (below + short).flatten(1).mean(dim=1)
        shaped = (each * demo).sum() / demo.sum().clamp(min=1)
        return cfg.critic * returns + cfg.imitation * shaped

    @torch.no_grad()
    def targets(self, step: Step) -> list[Tensor]:
        """Return of each level the projected distribution of the best next actions."""
        cfg = self.cfg
        shape = (len(step.obs), cfg.row, self.dim)
        lows, width, found = torch.full(shape, -1.0, device=step.obs.device), 2.0, []
        for level in range(cfg.zoom.levels):
            middle = lows + width / 2.0
            worth = self.critic.worth(self.critic(step.next_obs, middle, level))
            digit = self.choose(worth)
            judged = pick(self.target(step.next_obs, middle, level), digit)
            found.append(self.project(functional.softmax(judged, dim=-1), step))
            width /= cfg.zoom.bins
            lows = lows + width * digit
        return found

    def choose(self, worth: Tensor) -> Tensor:
        """Return the best bins, at random among equal ones."""
        near = worth > worth.max(dim=-1, keepdim=True).values - 1e-4
        return (torch.rand_like(worth) * near).argmax(dim=-1)

    def project(self, probability: Tensor, step: Step) -> Tensor:
        """Return the distributions of `r + d z` on the atoms."""
        atoms = self.critic.get_buffer("atoms")
        last = len(atoms) - 1
        moved = step.reward[:, None] + step.discount[:, None] * atoms
        place = (moved.clamp(atoms[0], atoms[-1]) - atoms[0]) * last / (atoms[-1] - atoms[0])
        below = place.floor().long().clamp(0, last - 1)
        share = (place - below)[:, None, None, :]
        index = below[:, None, None, :].expand(probability.shape)
        found = torch.zeros_like(probability)
        found.scatter_add_(-1, index, probability * (1.0 - share))
        return found.scatter_add_(-1, index + 1, probability * share)


def pick(logits: Tensor, digit: Tensor) -> Tensor:
    """Return the logits (..., Z) of chosen bins."""
    index = digit[..., None, None].expand(*digit.shape, 1, logits.shape[-1])
    return logits.gather(-2, index)[..., 0, :]
