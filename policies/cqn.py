"""CQN: the best action is found by zooming in, level by level; there is no actor to train.

For each level and element a categorical critic learns the return of what was done, towards the
distribution of the best next action, which the critic chooses and its target judges. Demonstrations
are learnt from like anything else, and besides shape the critic: what an expert did dominates what
else could be done, stochastically and by a margin. What is done is always the middle of a cell, so
that what is learnt from is what was done.

With `row` above 1 it is CQN-AS: the critic judges T actions in a row, all by the return of the
first, and what is done is the mean of what was wanted for now in the last T steps, as in ACT. The
exported policy carries what it wanted: executors do not average steps (`core/executor.py`).
Sources: Seo, Uruc and James, arXiv 2407.07787; Seo and Abbeel, arXiv 2411.12155.
"""

# pyright: standard

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from sim2arm.core.contract import StateSpec

from .actor import Memory, forget
from .actor_critic import SightCfg, columns_of, perception_of, shifted
from .bins import Zoom
from .buffers import DEMO, Batch
from .ensemble import follow
from .frames import Frames
from .losses import cross_entropy, dominance, margin, project
from .offpolicy import ReplayCfg
from .perception import Perception, Seen
from .zoom_critic import Choice, ZoomCritic, any_best, first_best


@dataclass(frozen=True, kw_only=True)
class CqnCfg:
    """Coarse-to-fine Q-network."""

    learn: ReplayCfg = field(
        default_factory=lambda: ReplayCfg(rollout=1, updates=1, tau=0.02, normalise=True)
    )
    """Roll-outs and updates."""
    sight: SightCfg = field(default_factory=SightCfg)
    """What is seen; `trunk` is what pictures, and vectors, are each squeezed to."""
    zoom: Zoom = field(default_factory=Zoom)
    """Levels and bins of an element of an action."""
    row: int = 1
    """Actions in a row that are judged, T; above 1: CQN-AS."""
    decay: float = 0.01
    """How much less a newer action in a row counts for what is done than the one before; CQN-AS."""
    hidden: tuple[int, ...] = (512, 512)
    """Sizes of the hidden layers of value and advantage."""
    low: float = -2.0
    """Least return that is told apart."""
    high: float = 2.0
    """Greatest one: returns must lie between them."""
    atoms: int = 51
    """Returns that are told apart."""
    lr: float = 5e-5
    """Learning rate of AdamW."""
    weight_decay: float = 0.1
    """Of AdamW."""
    noise: float = 0.01
    """Deviation of the noise on actions, before they are put to the middle of a cell."""
    critic: float = 0.1
    """Weight of the loss of returns."""
    imitation: float = 1.0
    """Weight of what shapes the critic by demonstrations."""
    margin: float = 0.01
    """By which values of what else could be done are to lie below an expert's."""
    acts_on_target: bool = True
    """Whether the target critic acts, as with demonstrations; else the one that learns."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        if not self.low < self.high:
            raise ValueError(f"low, high: expected low below high, got {self.low}, {self.high}")
        for name, least in {"atoms": 2, "row": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected {least} or more, got {getattr(self, name)}")
        if self.sight.asymmetric:
            raise ValueError("sight.asymmetric: the critic acts, so it sees what the actor sees")
        if not 0.0 < self.lr < math.inf:
            raise ValueError(f"lr: expected a number above 0, got {self.lr}")
        for name in ("weight_decay", "noise", "critic", "imitation", "margin", "decay"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")

    @property
    def rollout(self) -> int:
        """Steps of each world in an iteration."""
        return self.learn.rollout


PLANS, MADE = "plans", "plans_made"
"""Memory: what was wanted in the last T steps (N, T, T, A), the newest first, and in how many."""


class Zoomer(nn.Module):
    """Acts by zooming in.

    Attributes:
        perception: what it sees with.
        critic: what it chooses by; not a part of it.
        frames: stacks pictures.
        states: what it carries, as the contract lists it: frames, and what was wanted before.
    """

    states: tuple[StateSpec, ...]

    def __init__(self, perception: Perception, critic: ZoomCritic, cfg: CqnCfg, dim: int) -> None:
        """Take both, and the size of an action."""
        super().__init__()
        self.perception, self.critic = perception, critic
        self._row, self._decay, self._dim = cfg.row, cfg.decay, dim
        self.frames = Frames(perception.columns)
        plans = [(PLANS, (cfg.row, cfg.row, dim)), (MADE, (1,))] if cfg.row > 1 else []
        self.states = self.frames.states + tuple(
            StateSpec(name_in=name, name_out=f"{name}_next", shape=shape) for name, shape in plans
        )

    def see(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what it looks at, as it came (N, ...)."""
        return {name: obs[name] for name in self.perception.columns}

    def start(self, num_envs: int, device: torch.device) -> Memory:
        """Return the memory of episodes that begin."""
        memory, row = self.frames.start(num_envs, device), self._row
        if row == 1:
            return memory
        plans = torch.zeros((num_envs, row, row, self._dim), device=device)
        return memory | {PLANS: plans, MADE: torch.zeros((num_envs, 1), device=device)}

    def plan(self, seen: Seen, choose: Choice) -> Tensor:
        """Return actions in a row (N, T, A) for what was perceived."""
        return self.critic.zoom.decode(self.critic.zoom_in(self.critic.see(seen), choose))

    def gap(self, seen: Mapping[str, Tensor], memory: Memory) -> Tensor:
        """Return by how much the best bin beats the second, in the closest of its choices (N,)."""
        gaps: list[Tensor] = []

        def choose(values: Tensor) -> Tensor:
            first, second = values.topk(2, dim=-1).values.unbind(dim=-1)
            gaps.append((first - second).flatten(1).amin(dim=1))
            return first_best(values)

        stacked, _ = self.frames.stack(seen, memory)
        self.plan(self.perception(stacked), choose)
        return torch.stack(gaps).amin(dim=0)

    def blend(self, plan: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Return what is done now (N, A): the mean of what was wanted for now; memory after it."""
        if self._row == 1:
            return plan[:, 0], {}
        plans = torch.cat([plan[:, None], memory[PLANS][:, :-1]], dim=1)
        made = (memory[MADE] + 1.0).clamp(max=float(self._row))  # (N, 1)
        age = torch.arange(self._row, device=plan.device)
        now = plans.diagonal(dim1=1, dim2=2).transpose(1, 2)  # (N, T, A): of age k its k-th
        # the oldest has weight 1, each newer one less by a factor exp(-decay)
        weights = torch.exp(-self._decay * (made - 1.0 - age)) * (age < made)
        action = (weights[..., None] * now).sum(dim=1) / weights.sum(dim=1, keepdim=True)
        return action, {PLANS: plans, MADE: made}

    def forward(self, seen: Mapping[str, Tensor], memory: Memory) -> tuple[Tensor, Memory]:
        """Return the best actions (N, A) and the memory after this step."""
        stacked, after = self.frames.stack(seen, memory)
        plan = self.plan(self.perception(stacked), first_best)
        action, plans = self.blend(plan, memory)
        return action, {name: after[name] for name in after if name not in plans} | plans


class CqnModel(nn.Module):
    """Perception, critic and target.

    Attributes:
        actor: what acts and is exported.
        critic: what learns.
        target: what follows it.
    """

    def __init__(self, cfg: CqnCfg, perception: Perception, action_dim: int) -> None:
        """Build them."""
        super().__init__()
        critic = ZoomCritic(
            perception, cfg.zoom, action_dim, row=cfg.row,
            hidden=cfg.hidden, squeeze=cfg.sight.trunk, returns=(cfg.low, cfg.high),
            atoms=cfg.atoms,
        )  # fmt: skip
        target = copy.deepcopy(critic).requires_grad_(False)
        acts = target if cfg.acts_on_target else critic
        self.actor = Zoomer(perception, acts, cfg, action_dim)
        self.critic, self.target = critic, target


class Cqn:
    """The agent."""

    metrics: ClassVar[tuple[str, ...]] = ("critic_loss", "imitation_loss", "value")

    def __init__(
        self,
        cfg: CqnCfg,
        obs: Mapping[str, Tensor],
        groups: Mapping[str, Sequence[str]],
        action_dim: int,
    ) -> None:
        """Build its networks.

        Args:
            cfg: the configuration.
            obs: observations (N, ...), whose shapes and types count.
            groups: names of what the actor sees.
            action_dim: A.
        """
        self.cfg, device, sight = cfg, next(iter(obs.values())).device, cfg.sight
        self.actions = cfg.row
        self.columns = columns_of(obs, groups["actor"], sight.stack)
        perception = perception_of(sight, self.columns)
        self.model = CqnModel(cfg, perception, action_dim).to(device)
        self.actor = self.model.actor
        memory = self.actor.start(len(next(iter(obs.values()))), device)
        self._plans: Memory = {name: memory[name] for name in (PLANS, MADE) if name in memory}
        learns = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            learns, lr=cfg.lr, weight_decay=cfg.weight_decay, fused=True
        )

    def learn_scale(self, obs: Mapping[str, Tensor]) -> None:
        """See `Agent`."""
        self.actor.perception.learn_scale(obs)

    def explore(self, seen: Seen, done: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """See `Agent`: the best, with noise, in the middle of a cell."""
        zoom = self.cfg.zoom
        plan = self.actor.plan(seen, partial(any_best, generator=generator))
        action, self._plans = self.actor.blend(plan, forget(self._plans, done))
        noise = torch.randn(action.shape, generator=generator, device=action.device)
        return zoom.decode(zoom.encode(action + self.cfg.noise * noise))

    def update(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """See `Agent`."""
        cfg, model = self.cfg, self.model
        seen = self._perceive(batch.obs, generator)
        target = self.target(batch, generator)
        digits = cfg.zoom.encode(batch.action)  # (B, L, T, A)
        logits = model.critic(model.critic.see(seen), cfg.zoom.middles(digits))
        returns = cross_entropy(target, taken(logits, digits)).mean()
        probability = functional.softmax(logits, dim=-1)
        done = taken(probability, digits)  # (B, L, T, A, Z)
        shaped = self._imitation(probability, done, digits, batch.columns[DEMO])
        self.optimizer.zero_grad(set_to_none=True)
        (cfg.critic * returns + cfg.imitation * shaped).backward()
        self.optimizer.step()
        follow(model.target, model.critic, cfg.learn.tau)
        value = model.critic.expected(done.detach()).mean()
        return {
            "critic_loss": returns.detach(), "imitation_loss": shaped.detach(), "value": value
        }  # fmt: skip

    def _perceive(self, obs: Mapping[str, Tensor], generator: torch.Generator) -> Seen:
        return self.actor.perception(shifted(obs, self.columns, self.cfg.sight.shift, generator))

    def _imitation(self, found: Tensor, done: Tensor, digits: Tensor, demo: Tensor) -> Tensor:
        """Return how far an expert's actions are from the best, mean over demonstrations.

        Args:
            found: distributions (B, L, T, A, bins, Z).
            done: (B, L, T, A, Z), those of what was done.
            digits: (B, L, T, A) of it.
            demo: (B,) bool, where an expert did it.
        """
        below = dominance(done[..., None, :], found).sum(dim=-1)
        short = margin(self.model.critic.expected(found), digits, self.cfg.margin)
        each = (below + short).flatten(1).mean(dim=1)
        return (each * demo).sum() / demo.sum().clamp(min=1)

    @torch.no_grad()
    def target(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return distributions of the return (B, L, T, A, Z): what the critic regresses."""
        model, zoom = self.model, self.cfg.zoom
        seen = self._perceive(batch.next_obs, generator)
        best = model.critic.zoom_in(model.critic.see(seen), partial(any_best, generator=generator))
        judged = taken(model.target(model.target.see(seen), zoom.middles(best)), best)
        probability = functional.softmax(judged, dim=-1)
        return project(probability, batch.reward, batch.discount, model.target.atoms)


def taken(logits: Tensor, digits: Tensor) -> Tensor:
    """Return those of logits (..., bins, Z) that digits (...) name, (..., Z)."""
    places = digits[..., None, None].expand(*digits.shape, 1, logits.shape[-1])
    return logits.gather(-2, places)[..., 0, :]
