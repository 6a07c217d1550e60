"""CQN: zooming in against trying all bins, targets and losses by hand, demonstrations, a toy."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sim2arm.core.contract import ActionSpec, ExecutorSpec
from sim2arm.core.executor import Executor
from sim2arm.policies.bins import Zoom
from sim2arm.policies.buffers import DEMO, Batch, Column, Replay
from sim2arm.policies.cqn import Cqn, CqnCfg, taken
from sim2arm.policies.offpolicy import OffPolicy, ReplayCfg
from sim2arm.policies.zoom_critic import any_best, first_best
from tests.policies.test_offpolicy import Seek, away

GROUPS = {"actor": ["goal"]}
SMALL = CqnCfg(zoom=Zoom(levels=2, bins=3), hidden=(16,), atoms=5, noise=0.0)


def agent(cfg: CqnCfg = SMALL, *, zero: bool = False) -> Cqn:
    """Return an agent for actions of 2 elements, with heads that say something."""
    torch.manual_seed(0)
    found = Cqn(cfg, {"goal": torch.zeros(1, 3)}, GROUPS, 2)
    for critic in (found.model.critic, found.model.target):
        for stream in (critic.value, critic.advantage):
            if not zero:
                nn.init.normal_(stream.head.weight)
    return found


def batch(size: int, **changes: Any) -> Batch:
    """Return transitions of 2 elements of action."""
    draw = torch.Generator().manual_seed(1)
    given = {
        "obs": {"goal": torch.randn(size, 3, generator=draw)},
        "action": torch.rand(size, 1, 2, generator=draw) * 2 - 1,
        "reward": torch.zeros(size),
        "discount": torch.ones(size),
        "next_obs": {"goal": torch.randn(size, 3, generator=draw)},
        "columns": {DEMO: torch.zeros(size, dtype=torch.bool)},
    }
    return Batch(**{**given, **changes})


def test_zooming_in_finds_the_best_bin_of_each_level() -> None:
    found, obs = agent(), {"goal": torch.randn(32, 3)}
    critic = found.model.critic
    with torch.no_grad():
        streamed = critic.see(found.actor.perception(obs))
        digits = critic.zoom_in(streamed, first_best)  # (B, L, 1, A)
        values = critic.values(critic(streamed, SMALL.zoom.middles(digits)))  # (B, L, 1, A, bins)
    assert torch.equal(values.argmax(dim=-1), digits)
    assert len(digits.flatten(1).unique(dim=0)) > 4  # they do depend on what is seen


def test_levels_one_by_one_equal_all_at_once() -> None:
    found = agent()
    critic, zoom = found.model.critic, SMALL.zoom
    digits = zoom.encode(batch(8).action)
    with torch.no_grad():
        streamed = critic.see(found.actor.perception(batch(8).obs))
        together = critic(streamed, zoom.middles(digits))
        for level in range(zoom.levels):
            alone = critic.level(streamed, zoom.middles(digits)[:, level], level)
            torch.testing.assert_close(alone, together[:, level], atol=1e-6, rtol=0)


def test_at_first_all_bins_are_equal_and_are_chosen_alike() -> None:
    found = agent(zero=True)
    draw, seen = torch.Generator().manual_seed(0), found.actor.perception
    with torch.no_grad():
        obs = {"goal": torch.randn(3000, 3)}
        actions = found.explore(seen(obs), torch.ones(3000, dtype=torch.bool), 0, draw)
        best, _ = found.actor(obs, {})
    cells = SMALL.zoom.cell(SMALL.zoom.encode(actions))
    counts = torch.bincount(cells.flatten(), minlength=9)
    assert (counts - 6000 / 9).abs().max() < 110  # four deviations of sqrt(667 * 8 / 9)
    torch.testing.assert_close(best, torch.full((3000, 2), -8.0 / 9.0))  # the first of all


def test_ties_within_a_ten_thousandth_and_no_others() -> None:
    values = torch.tensor([1.0, 1.00005, 0.9999, 0.5]).expand(1000, 4)
    chosen = any_best(values, torch.Generator().manual_seed(0))
    assert set(chosen.tolist()) == {0, 1}


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_what_is_done_is_the_middle_of_a_cell(noise: float) -> None:
    found = agent(replace(SMALL, noise=noise))
    seen = found.actor.perception({"goal": torch.randn(64, 3)})
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        actions = found.explore(seen, torch.zeros(64, dtype=torch.bool), 0, draw)
    zoom = SMALL.zoom
    assert torch.equal(zoom.decode(zoom.encode(actions)), actions)


def test_taken_by_hand() -> None:
    logits = torch.arange(12.0).reshape(1, 1, 2, 3, 2)  # level, elements, bins, atoms
    found = taken(logits, torch.tensor([[[2, 0]]]))
    assert found.tolist() == [[[[4.0, 5.0], [6.0, 7.0]]]]


def test_target_by_hand() -> None:
    """The online critic chooses, the target judges: 0.5 + 0.5 * 1 = 1, or 0.5 at a true end."""
    found = agent()
    atoms = found.model.target.atoms  # -2 -1 0 1 2
    with torch.no_grad():
        for stream in (found.model.target.value, found.model.target.advantage):
            nn.init.zeros_(stream.head.weight)
        bias = found.model.target.value.head.bias.view(2, 5)
        bias[:, 3] = 50.0  # sure of 1
    given = batch(2, reward=torch.tensor([0.5, 0.5]), discount=torch.tensor([0.5, 0.0]))
    target = found.target(given, torch.Generator().manual_seed(0))
    assert target.shape == (2, 2, 1, 2, 5)
    torch.testing.assert_close(target.sum(dim=-1), torch.ones(2, 2, 1, 2))
    means = (target @ atoms)[:, :, 0]
    torch.testing.assert_close(means[0], torch.ones(2, 2))
    torch.testing.assert_close(means[1], torch.full((2, 2), 0.5))


def test_the_best_next_action_is_that_of_the_critic_that_learns() -> None:
    found = agent()
    given = batch(16)
    with torch.no_grad():
        model, zoom = found.model, SMALL.zoom
        streamed = model.critic.see(found.actor.perception(given.next_obs))
        best = model.critic.zoom_in(streamed, first_best)
        judged = model.target(
            model.target.see(found.actor.perception(given.next_obs)), zoom.middles(best)
        )
        expected = torch.softmax(taken(judged, best), dim=-1)
    found_target = found.target(given, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found_target, expected)  # reward 0, discount 1: as it is


def test_a_row_is_blended_as_act_does() -> None:
    """Three steps of a row of three: the k-th action of what was wanted k steps ago."""
    found = agent(replace(SMALL, row=3, decay=0.5))
    memory = found.actor.start(1, torch.device("cpu"))
    plans = torch.arange(18.0).reshape(3, 1, 3, 2)  # wanted at steps 0, 1, 2
    weights = torch.exp(-0.5 * torch.arange(3.0))
    done = []
    for plan in plans:
        action, memory = found.actor.blend(plan, memory)
        done.append(action[0])
    expected = [
        plans[0, 0, 0],
        (weights[0] * plans[0, 0, 1] + weights[1] * plans[1, 0, 0]) / weights[:2].sum(),
        (weights[0] * plans[0, 0, 2] + weights[1] * plans[1, 0, 1] + weights[2] * plans[2, 0, 0])
        / weights.sum(),
    ]
    torch.testing.assert_close(torch.stack(done), torch.stack(expected))


def test_a_blend_equals_the_executor_of_the_robot() -> None:
    found = agent(replace(SMALL, row=4, decay=0.3))
    memory = found.actor.start(1, torch.device("cpu"))
    targets = ActionSpec(
        kind="joint_position", dim=2, low=(-1.0,) * 2, high=(1.0,) * 2, scale=(1.0,) * 2,
        frame="joint", relative_to="absolute", horizon=4, dt_s=0.01,
    )  # fmt: skip
    executor = Executor(ExecutorSpec(kind="ensemble", decay=0.3), targets)
    plans = torch.randn(12, 1, 4, 2, generator=torch.Generator().manual_seed(0))
    for tick, plan in enumerate(plans):
        action, memory = found.actor.blend(plan, memory)
        executor.push(plan[0].numpy(), tick * 10_000_000)
        wanted = executor.next(tick * 10_000_000)
        np.testing.assert_allclose(action[0], wanted, atol=1e-6)


def test_a_gap_is_that_of_the_closest_choice() -> None:
    found, obs = agent(), {"goal": torch.randn(16, 3)}
    critic = found.model.critic
    with torch.no_grad():
        streamed = critic.see(found.actor.perception(obs))
        digits = critic.zoom_in(streamed, first_best)
        values = critic.values(critic(streamed, SMALL.zoom.middles(digits))).sort(dim=-1).values
        closest = (values[..., -1] - values[..., -2]).flatten(1).amin(dim=1)
        target, own = found.model.target, found.actor.critic
        assert own is target
        own.load_state_dict(critic.state_dict())
        torch.testing.assert_close(found.actor.gap(obs, {}), closest)


def test_without_demonstrations_nothing_is_shaped() -> None:
    found = agent()
    metrics = found.update(batch(8), torch.Generator().manual_seed(0))
    assert metrics["imitation_loss"].item() == 0.0 and metrics["critic_loss"].item() > 0.0


def test_demonstrated_actions_become_the_best() -> None:
    """With the shaping loss alone: no reward, no return says so."""
    cfg = replace(SMALL, critic=0.0, lr=1e-2, weight_decay=0.0)
    found = agent(cfg, zero=True)
    given = batch(64, columns={DEMO: torch.ones(64, dtype=torch.bool)})
    given = replace(given, action=torch.tensor([[[0.5, -0.9]]]).expand(64, 1, 2))
    draw = torch.Generator().manual_seed(0)
    for _ in range(60):
        found.update(given, draw)
    model = found.model
    with torch.no_grad():
        digits = model.critic.zoom_in(
            model.critic.see(found.actor.perception(given.obs)), first_best
        )
    assert torch.equal(digits, SMALL.zoom.encode(given.action))


@pytest.mark.parametrize("row", [1, 3])
def test_a_goal_that_is_seen_is_reached(row: int) -> None:
    learn = ReplayCfg(
        rollout=5, updates=20 // row, batch=64, rows=20_000, random=640, discount=0.9, tau=0.05
    )
    cfg = CqnCfg(
        learn=learn, zoom=Zoom(levels=2), hidden=(48,), low=-6.0, high=0.0, lr=1e-3, noise=0.1,
        weight_decay=0.0, critic=1.0, acts_on_target=False, row=row,
    )  # fmt: skip
    env = Seek()
    found = OffPolicy(cfg.learn, partial(Cqn, cfg), env)
    for metrics in found.train(25):
        assert all(v is None or bool(v.isfinite()) for v in metrics.values())
    assert away(found, Seek(256)) < 0.25


def test_demonstrations_are_part_of_every_update_and_successes_become_some() -> None:
    learn = ReplayCfg(rollout=5, updates=1, batch=32, random=64, sparse=True, demos=0.25)
    cfg = replace(SMALL, learn=learn)
    found = OffPolicy(learn, partial(Cqn, cfg), Seek(8))
    columns = {DEMO: Column(dtype=torch.bool)}
    demos = Replay(found.replay.obs, 1, rows=400, columns=columns)
    obs = {"goal": torch.zeros(1, 1), "age": torch.zeros(1, 1)}
    yes = torch.ones(1, dtype=torch.bool)
    for step in range(6):
        end = yes & (step % 3 == 2)
        demos.add(obs, torch.zeros(1, 1), end.float()[:1], end, end, obs, {DEMO: yes})
    found.take_demonstrations(demos)
    before = len(demos.episodes())
    for _ in found.train(40):
        pass
    batch = next(found.batches(1))
    assert int(batch.columns[DEMO].sum()) == 8 and len(batch.reward) == 32
    assert len(demos.episodes()) > before  # what is near the goal at the end by chance
    assert set(batch.reward.tolist()) <= {0.0, 1.0}
