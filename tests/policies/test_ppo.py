"""PPO on a point mass: it learns, resumes, and its actor never sees the critic's inputs."""

# pyright: standard

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sim2arm.policies.actor import ExportedActor
from sim2arm.policies.checkpoint import load_checkpoint, save_checkpoint
from sim2arm.policies.networks import EmpiricalNormalization, PoseFeatures
from sim2arm.policies.ppo import Ppo, PpoCfg


class PointMass:
    """N points on a line that should stand at the origin; the critic also sees the age."""

    action_dim = 1
    device = torch.device("cpu")

    def __init__(self, num_envs: int = 64, length: int = 20) -> None:
        self.num_envs, self.length = num_envs, length
        self.groups = {"actor": ["x"], "critic": ["x", "age"]}
        self.generator = torch.Generator().manual_seed(0)
        self.age = torch.zeros(num_envs)
        self.x = torch.zeros(num_envs, 1)

    def _draw(self, n: int) -> Tensor:
        return torch.rand((n, 1), generator=self.generator) * 2 - 1

    def _observe(self) -> dict[str, Tensor]:
        return {"x": self.x.clone(), "age": (self.age / self.length)[:, None].clone()}

    def reset(self) -> dict[str, Tensor]:
        self.x, self.age = self._draw(self.num_envs), torch.zeros(self.num_envs)
        return self._observe()

    def state_dict(self) -> dict[str, Tensor]:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.generator.set_state(state["generator"])

    def desynchronise(self) -> None:
        self.age = torch.randint(0, self.length, (self.num_envs,), generator=self.generator).float()

    def step(
        self, action: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, dict[str, Any]]:
        self.x = self.x + 0.3 * action.clamp(-1, 1)
        self.age += 1
        reward = -self.x[:, 0].abs()
        truncated = self.age >= self.length
        final = self._observe()
        rows = truncated.nonzero()[:, 0]
        self.x[rows], self.age[rows] = self._draw(len(rows)), 0.0
        success = self.x[:, 0].abs() < 0.1
        info = {"final_obs": final, "success": success, "reward_terms": {"near": reward}}
        info["diverged"] = torch.zeros_like(truncated)
        return self._observe(), reward, torch.zeros_like(truncated), truncated, info


CFG = PpoCfg(hidden=(32, 32), rollout=16, initial_std=0.5)


def test_learns_the_point_mass() -> None:
    learner = Ppo(CFG, PointMass(), seed=1)
    rewards = [float(m["reward"]) for m in learner.train(60)]
    # Standing still where it starts gives -0.5 on average; going home gives about -0.1.
    assert rewards[0] < -0.35
    assert np.mean(rewards[-5:]) > -0.2


def test_two_learners_with_one_seed_are_equal_and_a_checkpoint_holds_all(tmp_path: Path) -> None:
    a, b = (Ppo(CFG, PointMass(), seed=3) for _ in range(2))
    for metrics_a, metrics_b in zip(a.train(2), b.train(2), strict=True):
        assert float(metrics_a["policy_loss"]) == float(metrics_b["policy_loss"])
    save_checkpoint(tmp_path / "c.safetensors", a.state_dict())
    c = Ppo(CFG, PointMass(), seed=99)
    c.load_state_dict(load_checkpoint(tmp_path / "c.safetensors"))
    for name, value in a.state_dict().items():
        if name != "generator" and not name.startswith("env/"):
            torch.testing.assert_close(c.state_dict()[name], value, rtol=0, atol=0)
    # The same data lead to the same update after loading.
    for name in a._store:
        c._store[name].copy_(a._store[name])
    c._ends.copy_(a._ends)
    c.generator.set_state(a.generator.get_state())
    torch.testing.assert_close(a.update()["value_loss"], c.update()["value_loss"], rtol=0, atol=0)
    with pytest.raises(FileNotFoundError, match="train first"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_a_resumed_learner_draws_other_episodes_and_as_the_first_one_would() -> None:
    def first_points(learner: Ppo) -> Tensor:
        return learner._obs["x"].clone()

    before = Ppo(CFG, PointMass(), seed=3)
    seen = first_points(before)
    list(before.train(1))
    after = Ppo(CFG, PointMass(), seed=3)
    torch.testing.assert_close(first_points(after), seen, rtol=0, atol=0)  # as a new run would
    after.resume(before.state_dict())
    assert not torch.isin(first_points(after), seen).any()
    torch.testing.assert_close(first_points(after), before.env.reset()["x"], rtol=0, atol=0)
    with pytest.raises(KeyError, match="env/generator"):
        after.resume({k: v for k, v in before.state_dict().items() if not k.startswith("env/")})


def test_networks_of_a_gpu_are_taken_over_but_not_its_random_streams() -> None:
    state = Ppo(CFG, PointMass(), seed=3).state_dict()
    state["generator"] = torch.zeros(16, dtype=torch.uint8)  # what CUDA keeps
    elsewhere = Ppo(CFG, PointMass(), seed=4)
    elsewhere.load_state_dict(state)
    for name, value in elsewhere.model.state_dict().items():
        assert torch.equal(value, state[f"model/{name}"])
    with pytest.raises(ValueError, match="another kind of device"):
        elsewhere.resume(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"minibatches": 0}, "minibatches: expected 1 or more, got 0"),
        ({"hidden": (8, 0)}, r"hidden\[1\]: expected 1 or more, got 0"),
        ({"lr": float("nan")}, "lr: expected a number above 0, got nan"),
        ({"lengths": (0.0,)}, r"lengths\[0\]: expected a number above 0"),
        ({"discount": 1.1}, "discount: expected 0 to 1, got 1.1"),
        ({"lr_low": 1.0}, "lr_low 1.0 lies above lr_high 0.01"),
    ],
)
def test_settings_that_nothing_can_be_learnt_with_are_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PpoCfg(**change)


def test_diverged_episodes_are_counted() -> None:
    class Diverging(PointMass):
        def step(
            self, action: Tensor
        ) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, dict[str, Any]]:
            *rest, info = super().step(action)
            info["diverged"][1] = True
            return (*rest, info)  # pyright: ignore

    metrics = Ppo(CFG, Diverging(4), seed=0).collect()
    assert float(metrics["diverged"]) == CFG.rollout  # one world of four, in each step


def test_actor_does_not_see_the_critics_inputs() -> None:
    model = ExportedActor(Ppo(CFG, PointMass(), seed=0).model.actor)
    obs = {"x": torch.rand(4, 1)}
    chunk, state = model(obs, {}, {})
    assert chunk.shape == (4, 1, 1)
    assert state == {}
    assert chunk.abs().max() <= 1.0


def test_learning_rate_follows_the_divergence() -> None:
    learner = Ppo(CFG, PointMass(4), seed=0)
    learner._adapt_lr(torch.tensor(0.021))
    torch.testing.assert_close(learner.lr, torch.tensor(1e-3 / 1.5))
    learner._adapt_lr(torch.tensor(0.0049))
    torch.testing.assert_close(learner.lr, torch.tensor(1e-3))
    learner._adapt_lr(torch.tensor(0.01))
    torch.testing.assert_close(learner.lr, torch.tensor(1e-3))


def test_normaliser_equals_numpy_on_all_data() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(3.0, 2.0, (size, 2)).astype(np.float32) for size in (1, 5, 100)]
    normaliser = EmpiricalNormalization(2)
    for batch in batches:
        normaliser.update(torch.from_numpy(batch))
    data = np.concatenate(batches)
    np.testing.assert_allclose(normaliser.mean.numpy(), data.mean(0), rtol=1e-5)
    np.testing.assert_allclose(normaliser.var.numpy(), data.var(0), rtol=1e-4)
    out = normaliser(torch.from_numpy(data)).numpy()
    np.testing.assert_allclose(
        out, (data - data.mean(0)) / (data.std(0) + 0.01), rtol=1e-3, atol=1e-5
    )


def test_relative_pose_by_hand() -> None:
    # Frame at (1, 0, 0), turned 90 degrees about z: the point (1, 2, 0) is 2 along its x axis.
    half = 0.5**0.5
    features = PoseFeatures({"a": (7,), "b": (7,)}, (("a", "b"),))
    a = torch.tensor([[1.0, 0, 0, half, 0, 0, half]])
    b = torch.tensor([[1.0, 2, 0, half, 0, 0, half]])
    out = features({"a": a, "b": b})
    assert out.shape == (1, features.size)
    expected = torch.tensor([[2.0, 0, 0, 1, 0, 0, 1, 0, 0]])
    torch.testing.assert_close(out[:, 14:], expected, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="is not a pose that the networks see"):
        PoseFeatures({"a": (7,)}, (("a", "b"),))
