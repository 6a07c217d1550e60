"""BC and DAgger: the student reaches the teacher; settings, replay, resume, errors."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sim2arm.policies.actor import ActorCfg
from sim2arm.policies.distill import Distill, DistillCfg
from sim2arm.policies.ppo import Ppo, PpoCfg
from tests.policies.toys import Recall, Toy

NAMES = ("age", "goal")
TEACHER = PpoCfg(hidden=(4,))
CFG = DistillCfg(
    hidden=(32,), rollout=10, sequence=5, replay=4, fade=15, lr=3e-3, actor=ActorCfg(lstm=16)
)


def teacher_state(sign: float = 1.0) -> dict[str, Tensor]:
    """Return the checkpoint of a teacher that acts as its goal says, by its first unit."""
    env = Recall(4)
    env.groups["actor"] = list(NAMES)
    learner = Ppo(TEACHER, env)
    actor = learner.model.actor
    with torch.no_grad():
        for layer in (actor.mlp[0], actor.mlp[2]):
            layer.weight.zero_()  # type: ignore[union-attr, operator]
            layer.bias.zero_()  # type: ignore[union-attr, operator]
        actor.mlp[0].weight[0, 1], actor.mlp[0].weight[1, 1] = 1.0, -1.0  # type: ignore[index]
        # elu(x) - elu(-x) = x + 1 - exp(-x) for x > 0: near 2 x around 0, x + 1 beyond.
        actor.mlp[2].weight[0, 0] = 0.5 * sign  # type: ignore[index]
        actor.mlp[2].weight[0, 1] = -0.5 * sign  # type: ignore[index]
    return learner.state_dict()


def make_learner(env: Toy | None = None, **changes: Any) -> Distill:
    """Return a student with its teacher."""
    learner = Distill(replace(CFG, **changes), env or Recall(32), seed=0)
    learner.take_teacher(TEACHER, NAMES, teacher_state())
    return learner


def success(learner: Distill, steps: int = 20) -> float:
    """Return the share of episodes that the student alone solves."""
    env, actor = Recall(64), learner.model.actor
    obs, memory, ended, solved = env.reset(), actor.start(64, env.device), 0, 0
    for _ in range(steps):
        with torch.no_grad():
            action, memory = actor(actor.see(obs), memory)
        obs, _, _, done, info = env.step(action)
        memory = {n: torch.where(done[:, None, None], 0.0, v) for n, v in memory.items()}
        ended, solved = ended + int(done.sum()), solved + int((info["success"] & done).sum())
    return solved / ended


def test_dagger_reaches_the_teacher_by_memory() -> None:
    learner = make_learner()
    rows = list(learner.train(40))
    assert [round(float(row["teacher_share"]), 2) for row in rows[:3]] == [1.0, 0.93, 0.87]
    assert float(rows[-1]["teacher_share"]) == 0.0
    assert float(rows[-1]["imitation_loss"]) < 0.1 * float(rows[0]["imitation_loss"])
    # By hand: the teacher's action differs from the goal by less than 0.12, so it always succeeds.
    assert success(learner) > 0.95


def test_bc_is_driven_by_the_teacher_alone() -> None:
    learner = make_learner(kind="bc")
    rows = list(learner.train(30))
    assert all(float(row["teacher_share"]) == 1.0 for row in rows)
    assert all(float(r["successes"]) == float(r["episodes"]) for r in rows)  # from the first on
    assert success(learner) > 0.9


def test_without_memory_the_student_cannot_follow() -> None:
    learner = make_learner(actor=ActorCfg())
    list(learner.train(30))
    assert success(learner) < 0.6  # an action of 0 succeeds for a quarter of the goals


def test_the_replay_holds_the_last_roll_outs() -> None:
    learner = make_learner(replay=2, epochs=1)
    counts: list[int] = []
    for _ in range(3):
        learner.collect()
        used = learner._replay["vector"].abs().sum(dim=(0, 2)) > 0
        counts.append(int(used.sum()))
    # Two sequences of each of 32 worlds; the third roll-out takes the place of the first.
    assert counts == [64, 128, 128]
    assert learner._columns(0) == slice(64, 96)


def test_sequences_repeat_what_the_student_did() -> None:
    learner = make_learner(rollout=10, sequence=5, fade=1)
    learner.iteration = 1  # the student drives
    acted: list[Tensor] = []
    step = learner.env.step
    learner.env.step = lambda action: (acted.append(action.clone()), step(action))[1]  # type: ignore[method-assign]
    learner.model.actor.learn_scale = lambda *_: None  # type: ignore[method-assign]
    learner.collect()
    columns = torch.arange(32, 64)  # the second sequence
    seen = {n: v[:, columns] for n, v in learner._replay.items() if n != "wanted"}
    memory = {n: v[columns] for n, v in learner._before.items()}
    again = learner.model.actor.sequence(seen, memory, learner._begun[:, columns])
    torch.testing.assert_close(again, torch.stack(acted[5:]))


def test_it_resumes_and_one_seed_is_one_training() -> None:
    a, b = make_learner(), make_learner()
    losses = [[float(m["imitation_loss"]) for m in each.train(2)] for each in (a, b)]
    assert losses[0] == losses[1]
    c = make_learner()
    c.resume(a.state_dict())
    assert c.iteration == 2 and c.share == a.share
    for name, value in c.model.state_dict().items():
        assert torch.equal(value, a.model.state_dict()[name])
    assert np.isfinite(float(next(iter(c.train(1)))["imitation_loss"]))


def test_teachers_that_cannot_teach() -> None:
    learner = Distill(CFG, Recall(4))
    with pytest.raises(ValueError, match="expected a teacher"):
        next(iter(learner.train(1)))
    with pytest.raises(ValueError, match="the teacher sees peg, which is not observed here"):
        learner.take_teacher(TEACHER, ("age", "peg"), teacher_state())
    with pytest.raises(ValueError, match="size mismatch"):
        learner.take_teacher(PpoCfg(hidden=(5,)), NAMES, teacher_state())
    with pytest.raises(ValueError, match="without memory"):
        learner.take_teacher(replace(TEACHER, actor=ActorCfg(lstm=2)), NAMES, teacher_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rollout": 30}, "rollout: expected a multiple of sequence 20, got 30"),
        ({"fade": 0}, "fade: expected 1 or more"),
        ({"lr": 0.0}, "lr: expected a number above 0"),
        ({"hidden": (0,)}, r"hidden\[0\]: expected 1 or more"),
    ],
)
def test_settings_that_nothing_can_be_learnt_with(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistillCfg(**change)
