"""Agents that learn from replay: targets by hand, learning of a toy, going on from a checkpoint."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sim2arm.policies.actor_critic import SightCfg
from sim2arm.policies.buffers import Batch
from sim2arm.policies.cqn import Cqn, CqnCfg
from sim2arm.policies.drqv2 import DrqV2, DrqV2Cfg
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
    found = learner(name, env, sight=sight, learn=replace(LEARN, updates=10, batch=48))
    for _ in found.train(25):
        pass
    assert away(found, Look(256)) < 0.25


def test_drqv2_learns_its_encoder_and_its_noise_falls() -> None:
    """Every part that is to learn moves, nothing else does, and targets follow."""
    env, cfg = Look(16), DrqV2Cfg(
        learn=ReplayCfg(rollout=4, updates=2, batch=16, random=64, steps=3, tau=0.01),
        sight=SightCfg(stack=2, shift=2, width=4, trunk=8), hidden=(16,), noise_steps=640,
    )  # fmt: skip
    found = OffPolicy(cfg.learn, partial(DrqV2, cfg), env)
    model = found.agent.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in found.train(6):
        pass
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    still = set(before) - moved
    assert {name for name in still if "bias" not in name and "norm" not in name} == set()
    assert cfg.deviation(0) == 1.0 and cfg.deviation(320) == pytest.approx(0.55)
    assert cfg.deviation(10**6) == pytest.approx(0.1)


def test_the_actor_does_not_train_an_encoder_that_it_shares() -> None:
    env, cfg = Look(8), DrqV2Cfg(sight=SightCfg(stack=2, width=4, trunk=8), hidden=(16,))
    agent = DrqV2(cfg, env.observe(), env.groups, 1)
    acts, values = (set(map(id, part)) for part in (agent.model.acts(), agent.model.values()))
    encoder = set(map(id, agent.actor.perception.pictures.parameters()))
    assert encoder <= values and not encoder & acts and not acts & values
    known = replace(cfg, sight=replace(cfg.sight, asymmetric=True))
    apart = DrqV2(known, env.observe(), env.groups, 1)
    encoder = set(map(id, apart.actor.perception.pictures.parameters()))
    assert encoder <= set(map(id, apart.model.acts()))


def given(reward: float, discount: float) -> Batch:
    """Return two transitions of a toy whose goal is seen."""
    obs = {"goal": torch.tensor([[0.3], [-0.2]]), "age": torch.ones(2, 1)}
    return Batch(
        obs=obs, action=torch.zeros(2, 1), reward=torch.full((2,), reward),
        discount=torch.full((2,), discount), next_obs=obs,
    )  # fmt: skip


def constant(agent: Any, values: list[float]) -> None:
    """Let each target critic, or each of its quantiles, say one number."""
    last = agent.model.targets.critics.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor(values).reshape(last.bias.shape))


def built(name: str, **changes: Any) -> Any:
    agent, cfg = AGENTS[name]
    env = Seek(2)
    return agent(replace(cfg, **changes), env.observe(), env.groups, 1)


def test_td3_takes_the_lower_critic() -> None:
    """1 + 0.5 min(4, 2) = 2; at a true end 1."""
    agent = built("td3")
    constant(agent, [4.0, 2.0])
    draw = torch.Generator().manual_seed(0)
    torch.testing.assert_close(agent.target(given(1.0, 0.5), draw), torch.full((2,), 2.0))
    torch.testing.assert_close(agent.target(given(1.0, 0.0), draw), torch.ones(2))


def test_sac_rewards_entropy() -> None:
    """1 + 0.5 (min(4, 2) - alpha log pi), with the action that is drawn."""
    agent = built("sac", first_weight=0.5)
    constant(agent, [4.0, 2.0])
    batch = given(1.0, 0.5)
    target = agent.target(batch, torch.Generator().manual_seed(3))
    with torch.no_grad():
        raw = agent.actor.head(agent.actor.perception(batch.next_obs))
        _, log_prob = agent._act(raw, torch.Generator().manual_seed(3))
    torch.testing.assert_close(target[:, 0], 1.0 + 0.5 * (2.0 - 0.5 * log_prob))


def test_tqc_drops_the_greatest_of_all() -> None:
    """Two critics of two quantiles: 1 2 3 9, one per critic dropped: 1 and 2 are left."""
    agent = built("tqc", critics=2, quantiles=2, drop=1, first_weight=1e-9)
    constant(agent, [3.0, 1.0, 9.0, 2.0])
    target = agent.target(given(1.0, 0.5), torch.Generator().manual_seed(0))
    torch.testing.assert_close(target, torch.tensor([[1.5, 2.0]]).expand(2, 2))


def test_worlds_keep_their_noise_until_their_episode_ends() -> None:
    agent = built("td3", noise_low=0.0, noise_high=0.4)
    seen = agent.actor.perception(given(0.0, 0.0).obs)
    draw = torch.Generator().manual_seed(0)
    agent.explore(seen, torch.tensor([True, True]), 0, draw)
    first = agent._noise.clone()
    agent.explore(seen, torch.tensor([False, True]), 0, draw)
    assert agent._noise[0] == first[0] and agent._noise[1] != first[1]


@pytest.mark.parametrize("name", ["td3", "sac"])
def test_training_goes_on_from_a_checkpoint(name: str) -> None:
    first, second = (learner(name, Seek()) for _ in range(2))
    for _ in first.train(6):
        pass
    second.resume({n: v.clone() for n, v in first.state_dict().items()})
    assert second.iteration == 6 and second._steps == first._steps
    for key, value in first.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[key], value, atol=0, rtol=0)
    losses = [metrics["critic_loss"] for metrics in second.train(4)]
    assert losses[0] is None and losses[-1] is not None  # not before the replay is filled again


def test_what_was_stacked_while_acting_is_what_the_replay_stacks() -> None:
    env = Look(4, length=4)
    cfg = DrqV2Cfg(
        learn=ReplayCfg(rollout=7, updates=0, batch=4, random=0),
        sight=SightCfg(stack=3, width=4, trunk=8), hidden=(8,),
    )  # fmt: skip
    found = OffPolicy(cfg.learn, partial(DrqV2, cfg), env)
    seen: list[torch.Tensor] = []
    frames = found.agent.actor.frames
    stack = frames.stack
    frames.stack = lambda obs, memory: (  # type: ignore[method-assign]
        seen.append((answer := stack(obs, memory))[0]["picture"]) or answer
    )
    found.collect()
    ends = 0
    for t in range(6):
        row = t + ends
        batch = found.replay.gather(torch.arange(4), torch.full((4,), row), discount=0.9)
        torch.testing.assert_close(batch.obs["picture"], seen[t], atol=0, rtol=0)
        ends += t % 4 == 3  # the last observation of an episode is a row of its own


class NoWait(TorchDispatchMode):
    """Refuses what makes a host wait for a device: a value, or a shape that depends on values."""

    WAITS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "item")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in self.WAITS, f"{func}: the host waits for a value"
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        assert not any(i is not None and i.dtype == torch.bool for i in indices), f"{func}: a mask"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", [*AGENTS, "drqv2", "cqn", "cqn-as"])
def test_no_value_leaves_the_device_in_an_update(name: str) -> None:
    sight = SightCfg(pictures="soft-argmax", stack=2, shift=1)
    learn = replace(LEARN, batch=8, random=10, updates=2, demos=0.5)
    more = {
        "drqv2": (DrqV2, DrqV2Cfg(hidden=(8,))),
        "cqn": (Cqn, CqnCfg(hidden=(8,))),
        "cqn-as": (Cqn, CqnCfg(hidden=(8,), row=3)),
    }
    agent, cfg = (AGENTS | more)[name]
    cfg = replace(cfg, sight=sight, learn=learn)
    found = OffPolicy(learn, partial(agent, cfg), Look(4))
    found.collect()
    found.take_demonstrations(found.replay)
    found.update()  # what is made once may look
    with NoWait():
        metrics = found.update()
    assert all(value is not None for value in metrics.values())
    with NoWait(), pytest.raises(AssertionError, match="the host waits"):
        float(metrics["critic_loss"])  # pyright: ignore[reportArgumentType]


def test_an_asymmetric_actor_that_makes_up_sees_anew() -> None:
    sight = SightCfg(pictures="soft-argmax", asymmetric=True)
    found = learner("sac", Look(4), sight=sight, delay=2, learn=replace(LEARN, batch=8, random=10))
    found.collect()
    assert found.update()["policy_loss"] is not None


def test_dropout_draws_from_the_learner() -> None:
    losses: list[float] = []
    for seed in (0, 1):
        env = Seek(4)
        found = learner("droq", env, learn=replace(LEARN, batch=8, random=10, updates=1))
        found.collect()
        torch.manual_seed(seed)  # somebody else's stream
        loss = found.update()["critic_loss"]
        assert loss is not None
        losses.append(float(loss))
    assert losses[0] == losses[1]


def test_what_never_begins_to_learn_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rows: expected more than random \(500\)"):
        ReplayCfg(rows=500, random=500)
