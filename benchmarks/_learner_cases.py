"""What `bench learner` measures: published sizes, and a replay of random transitions."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from _eager_cqn import EagerCqn
from _eager_learners import EagerDrqV2, EagerSac, EagerTd3, Step
from torch import Tensor, nn

from sim2arm.cli.runs import AGENTS
from sim2arm.cli.standards import ReplayAlgoCfg
from sim2arm.policies.actor_critic import SightCfg
from sim2arm.policies.buffers import DEMO, Batch
from sim2arm.policies.cqn import CqnCfg
from sim2arm.policies.drqv2 import DrqV2Cfg
from sim2arm.policies.offpolicy import OffPolicy, ReplayCfg
from sim2arm.policies.sac import SacCfg
from sim2arm.policies.td3 import Td3Cfg

LEARN = ReplayCfg(batch=256, rows=50_000, random=0, updates=1)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An algorithm at a size."""

    text: str
    """What stands in the table."""
    algo: ReplayAlgoCfg
    """Its settings."""
    state: int = 0
    """Numbers that are seen."""
    side: int = 0
    """Or the side of the picture that is seen [pixels]."""
    actions: int = 6
    """Elements of an action."""
    burst: int = 1
    """Updates of a turn, as after a roll-out of five steps, or until the actor had its own."""
    demos: bool = False
    """Whether half of a batch is of demonstrations."""


CHEETAH: dict[str, Any] = {"state": 17, "actions": 6}
ARM: dict[str, Any] = {"state": 24, "actions": 8, "demos": True}
PUBLISHED: dict[str, Case] = {
    "ddpg": Case(
        text="DDPG, 17 numbers, 256-256, batch 256",
        algo=Td3Cfg(learn=LEARN, critics=1, target_noise=0.0, delay=1), burst=5, **CHEETAH,
    ),
    "td3": Case(
        text="TD3, 17 numbers, 256-256, batch 256", algo=Td3Cfg(learn=LEARN), burst=6, **CHEETAH
    ),
    "sac": Case(
        text="SAC, 17 numbers, 256-256, batch 256", algo=SacCfg(learn=LEARN), burst=5, **CHEETAH
    ),
    "tqc": Case(
        text="TQC, 17 numbers, 5 critics of 512-512-512, 25 quantiles, batch 256",
        algo=SacCfg(
            learn=LEARN, critic_hidden=(512, 512, 512), critics=5, quantiles=25, critic_lr=3e-4
        ), **CHEETAH,
    ),
    "droq": Case(
        text="DroQ, 17 numbers, 256-256, batch 256, an actor's update in 20",
        algo=SacCfg(
            learn=LEARN, dropout=0.01, norm=True, delay=20, make_up=False, pessimism=False,
            critic_lr=3e-4,
        ), burst=20, **CHEETAH,
    ),
    "drqv2": Case(
        text="DrQ-v2, 3 frames of 84x84, 1024-1024, batch 256",
        algo=DrqV2Cfg(learn=replace(LEARN, rows=2_000, steps=3, tau=0.01, normalise=False)),
        side=84,
    ),
    "cqn": Case(
        text="CQN, 24 numbers, 512-512, 3 levels of 5 bins, 51 atoms, batch 256 + 256",
        algo=CqnCfg(learn=replace(LEARN, batch=512, tau=0.02)), **ARM,
    ),
    "cqn-as": Case(
        text="CQN-AS, the same with 4 actions in a row",
        algo=CqnCfg(learn=replace(LEARN, batch=512, tau=0.02), row=4), **ARM,
    ),
}  # fmt: skip


def small(case: Case) -> Case:
    """Return a case of a moment, for tests."""
    learn = replace(case.algo.learn, batch=8, rows=200)
    hidden = (8,) * len(case.algo.hidden)
    algo = replace(case.algo, learn=learn, hidden=hidden)
    if isinstance(algo, SacCfg):
        algo = replace(algo, critic_hidden=(8,) * len(algo.critic_hidden))
    if isinstance(algo, DrqV2Cfg):
        algo = replace(algo, sight=SightCfg(stack=2, shift=1, width=4, trunk=6))
    return replace(case, algo=algo, side=min(case.side, 20))


class Noise:
    """An environment of random numbers, whose episodes are 100 steps long."""

    def __init__(self, case: Case, device: str, worlds: int = 1) -> None:
        """Take what is seen and done."""
        self.num_envs, self.action_dim, self.device = worlds, case.actions, torch.device(device)
        name = "picture" if case.side else "state"
        self.groups = {"actor": [name], "critic": [name]}
        self._shape = (case.side, case.side, 3) if case.side else (case.state,)
        self._steps = 0

    def reset(self) -> dict[str, Tensor]:
        """Return random numbers."""
        shape, name = (self.num_envs, *self._shape), self.groups["actor"][0]
        if name == "picture":
            drawn = torch.randint(0, 256, shape, dtype=torch.uint8, device=self.device)
        else:
            drawn = torch.randn(shape, device=self.device)
        return {name: drawn}

    def step(self, action: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, Any]:
        """Return random numbers."""
        self._steps += 1
        obs, reward = self.reset(), torch.rand(self.num_envs, device=self.device)
        none = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        info = {"final_obs": obs, "reward_terms": {}, "success": none, "diverged": none}
        return obs, reward, none, none | (self._steps % 100 == 0), info

    def state_dict(self) -> dict[str, Tensor]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Do nothing."""

    def desynchronise(self) -> None:
        """Do nothing."""


def ours(case: Case, device: str) -> OffPolicy:
    """Return our learner with a replay that is full enough."""
    env = Noise(case, device)
    learner = OffPolicy(case.algo.learn, partial(AGENTS[type(case.algo)], case.algo), env)
    rows = min(case.algo.learn.rows // 2, 2_000)
    with torch.random.fork_rng(devices=[]):
        fill(learner, env, rows)
    if case.demos:
        learner.take_demonstrations(learner.replay)
    return learner


def fill(learner: OffPolicy, env: Noise, rows: int) -> None:
    """Write random transitions, every second one an expert's; nothing acts, which takes long."""
    obs = env.reset()
    names = list(learner.agent.columns)
    for k in range(rows):
        action = torch.rand((1, env.action_dim), device=env.device) * 2.0 - 1.0
        after, reward, ended, cut, info = env.step(action)
        marks = {DEMO: torch.full((1,), k % 2 == 0, device=env.device)}
        last = {name: info["final_obs"][name] for name in names}
        learner.replay.add(
            {name: obs[name] for name in names}, action, reward, ended, ended | cut, last, marks
        )
        learner.agent.learn_scale({name: obs[name] for name in names})
        obs = after


def eager(case: Case, device: str) -> nn.Module:
    """Return the plain one."""
    kinds: dict[type, Callable[..., nn.Module]] = {
        Td3Cfg: EagerTd3, SacCfg: EagerSac, DrqV2Cfg: EagerDrqV2, CqnCfg: EagerCqn
    }  # fmt: skip
    size = case.side or case.state
    return kinds[type(case.algo)](case.algo, size, case.actions).to(device)


def step_of(case: Case, batch: Batch) -> Step:
    """Return a batch as the plain ones take it."""
    seen = [next(iter(obs.values())) for obs in (batch.obs, batch.next_obs)]
    if case.side:
        seen = [pictures.permute(0, 1, 4, 2, 3).flatten(1, 2) for pictures in seen]
    return Step(
        seen[0], batch.action, batch.reward, batch.discount, seen[1], batch.columns[DEMO].float()
    )
