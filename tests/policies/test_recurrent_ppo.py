"""PPO with memory, pictures and fields learns what a perceptron on vectors cannot."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sim2arm.policies.actor import ActorCfg
from sim2arm.policies.ppo import Ppo, PpoCfg
from tests.policies.test_ppo import CFG, PointMass
from tests.policies.toys import Feel, Look, Recall, Toy

SMALL = PpoCfg(
    hidden=(32,), rollout=10, epochs=4, minibatches=2, initial_std=0.5, lr=3e-3, lr_low=1e-3
)


def rewards(cfg: PpoCfg, env: Toy, iterations: int) -> list[float]:
    """Return the mean reward of each iteration."""
    return [float(m["reward"]) for m in Ppo(cfg, env, seed=1).train(iterations)]


def test_memory_solves_what_a_perceptron_cannot() -> None:
    # Four of five steps count. Without memory the best is 0: 4/5 * E|goal| = -0.4.
    plain = rewards(SMALL, Recall(), 40)
    recurrent = rewards(replace(SMALL, actor=ActorCfg(lstm=16)), Recall(), 40)
    assert np.mean(plain[-10:]) < -0.35
    assert np.mean(recurrent[-10:]) > -0.2


@pytest.mark.parametrize(("env", "iterations"), [(Look, 18), (Feel, 25)])
def test_what_only_a_picture_or_a_field_tells(env: type[Toy], iterations: int) -> None:
    found = rewards(replace(SMALL, rollout=5), env(32), iterations)
    assert np.mean(found[-3:]) > -0.28  # -0.4 for an action of 0


def test_difference_pictures_with_augmentation_train_on_whole_sequences() -> None:
    cfg = ActorCfg(pictures="diff", augment="full")
    learner = Ppo(replace(SMALL, actor=cfg, minibatches=2, epochs=1), Look(8), seed=0)
    metrics = list(learner.train(2))
    assert all(bool(v.isfinite().all()) for m in metrics for v in m.values())
    assert learner._store["actor/picture"].dtype == torch.uint8
    # Before the first update the stored pictures lead to the means that were acted on.
    learner.collect()
    done = learner._ends[1]
    begun = torch.cat([torch.zeros_like(done[:1]), done[:-1]])
    seen = {n.removeprefix("actor/"): v for n, v in learner._store.items() if "actor/" in n}
    again = learner.model.actor.sequence(seen, learner._before, begun)
    # Normalisers moved on while it was collected, so the age is seen a little differently.
    torch.testing.assert_close(again, learner._store["mean"], atol=0.02, rtol=0)


def test_ratio_is_one_before_the_first_update() -> None:
    learner = Ppo(replace(SMALL, actor=ActorCfg(lstm=8)), Recall(16), seed=0)
    list(learner.train(3))
    learner.model.actor.learn_scale = lambda *_: None  # type: ignore[method-assign]
    learner.collect()
    done = learner._ends[1]
    begun = torch.cat([torch.zeros_like(done[:1]), done[:-1]])
    seen = {n.removeprefix("actor/"): v for n, v in learner._store.items() if "actor/" in n}
    again = learner.model.actor.sequence(seen, learner._before, begun)
    torch.testing.assert_close(again, learner._store["mean"], atol=1e-6, rtol=1e-5)


def test_ppo_on_vectors_is_what_it_was() -> None:
    # Recorded from the algorithm before it had memory and encoders (95f25d2), seed 3.
    learner = Ppo(CFG, PointMass(), seed=3)
    found = [[float(m[k]) for k in ("policy_loss", "value_loss", "kl")] for m in learner.train(2)]
    expected = [[-0.01423317, 11.4714584, 0.02826178], [-0.00902312, 4.9127946, 0.00876365]]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_checkpoint_of_older_names_is_taken_over() -> None:
    learner = Ppo(CFG, PointMass(), seed=3)
    list(learner.train(1))
    state = learner.state_dict()
    old = {
        k.replace("actor.norm", "actor_norm").replace("critic.norm", "critic_norm")
        .replace(".mlp.", "."): v
        for k, v in state.items()
    }  # fmt: skip
    assert "model/actor.0.weight" in old and "model/critic_norm.mean" in old
    other = Ppo(CFG, PointMass(), seed=4)
    other.load_state_dict(old)
    for name, value in other.model.state_dict().items():
        assert torch.equal(value, state[f"model/{name}"])


def test_a_teachers_critic_is_taken_over_and_frozen_or_not() -> None:
    teacher = Ppo(replace(SMALL, sees="critic"), Recall(32), seed=1)
    list(teacher.train(2))
    assert teacher.model.actor.features.names == ("age", "goal")
    state = teacher.state_dict()
    student = replace(SMALL, actor=ActorCfg(lstm=4), hidden=(8,), critic_hidden=(32,))
    for freeze in (True, False):
        learner = Ppo(replace(student, freeze_critic=freeze), Recall(32), seed=2)
        learner.take_critic(state)
        taken = {k: v.clone() for k, v in learner.model.critic.state_dict().items()}
        for name, value in taken.items():
            assert torch.equal(value, state[f"model/critic.{name}"])
        before = learner.model.log_std.detach().clone()
        row = list(learner.train(2))[-1]
        assert float(row["value_loss"]) > 0.0
        assert not torch.equal(learner.model.log_std, before)
        same = [torch.equal(v, taken[k]) for k, v in learner.model.critic.state_dict().items()]
        assert all(same) if freeze else not any(same)
        again = Ppo(replace(student, freeze_critic=freeze), Recall(32), seed=3)
        again.load_state_dict(learner.state_dict())  # a frozen critic has no moments
    with pytest.raises(ValueError, match="size mismatch"):
        Ppo(SMALL, Recall(4)).take_critic(Ppo(replace(SMALL, hidden=(3,)), Recall(4)).state_dict())
