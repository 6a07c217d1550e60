"""Agents that learn from replay: targets by hand, learning of a toy, going on from a checkpoint."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from sim2arm.policies.actor_critic import SightCfg
from sim2arm.policies.offpolicy import OffPolicy, ReplayCfg
from sim2arm.policies.sac import Sac, SacCfg
from sim2arm.policies.td3 import Td3, Td3Cfg
from tests.policies.toys import Look, Toy

LEARN = ReplayCfg(rollout=5, updates=20, batch=128, rows=20_000, random=640, discount=0.9)
AGENTS: dict[str, tuple[Any, Any]] = {
    "ddpg": (
        Td3,
        Td3Cfg(learn=LEARN, hidden=(64, 64), lr=1e-3, critics=1, target_noise=0.0, delay=1),
    ),
    "td3": (Td3, Td3Cfg(learn=LEARN, hidden=(64, 64), lr=1e-3, noise_high=0.4)),
    "sac": (Sac, SacCfg(learn=LEARN, hidden=(64, 64), lr=1e-3, first_weight=0.1)),
    "tqc": (
        Sac,
        SacCfg(learn=LEARN, hidden=(64, 64), lr=1e-3, critics=3, quantiles=9, first_weight=0.1),
    ),
    "droq": (
        Sac,
        SacCfg(
            learn=LEARN,
            hidden=(64, 64),
            lr=1e-3,
            dropout=0.01,
            norm=True,
            pessimism=False,
            first_weight=0.1,
        ),
    ),
}


class Seek(Toy):
    """The goal is seen all the time."""

    actor = ("goal", "age")


def learner(name: str, env: Toy, **changes: Any) -> OffPolicy:
    agent, cfg = AGENTS[name]
    cfg = replace(cfg, **changes)
    return OffPolicy(cfg.learn, partial(agent, cfg), env)


def away(found: OffPolicy, env: Toy) -> float:
    """Return the mean distance of the deterministic action from new goals, when it counts."""
    env.reset()
    env.age += 2.0
    obs, actor = env.observe(), found.agent.actor
    with torch.no_grad():
        action, _ = actor(actor.see(obs), actor.start(env.num_envs, env.device))
    return float((action - env.goal).abs().mean())


@pytest.mark.parametrize("name", AGENTS)
def test_a_goal_that_is_seen_is_reached(name: str) -> None:
    """Random actions are 0.67 away on average, standing in the middle is 0.5."""
    env = Seek()
    found = learner(name, env)
    for metrics in found.train(25):
        assert all(v is None or bool(v.isfinite()) for v in metrics.values())
    assert away(found, Seek(256)) < 0.12


@pytest.mark.parametrize("name", ["td3", "sac"])
def test_a_goal_in_a_picture_is_reached(name: str) -> None:
    env = Look()
    sight = SightCfg(pictures="soft-argmax", stack=2, shift=1)
    found = learner(name, env, sight=sight)
    for _ in found.train(30):
        pass
    assert away(found, Look(256)) < 0.2
