"""The gymnasium interface: its spaces, its reset mode, the same numbers as `Env`."""

# pyright: standard

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from sim2arm.core.robots import FR3
from sim2arm.sim.arm import make_task
from sim2arm.sim.env import Env
from sim2arm.sim.gym import GymVectorEnv
from sim2arm.sim.tasks.reach import Reach, ReachCfg
from sim2arm.sim.touch import Touch


def make_env(num_envs: int = 3, max_steps: int = 150) -> Env:
    """Return the reach environment of the FR3."""
    return Env(Reach(ReachCfg(max_steps=max_steps), FR3), FR3, num_envs=num_envs)


def test_spaces_hold_what_comes_and_the_reset_mode_is_declared() -> None:
    env = GymVectorEnv(Env(make_task("peg-insertion", "fr3"), FR3, num_envs=3))
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    obs, _ = env.reset(seed=5)
    assert env.observation_space.contains(obs)
    assert set(obs) == {*env.env.groups["actor"], *env.env.groups["critic"]}
    action = env.action_space.sample()
    assert action.shape == (3, 6)
    obs, reward, terminated, truncated, _ = env.step(action)
    assert env.observation_space.contains(obs)
    assert reward.shape == terminated.shape == truncated.shape == (3,)


def test_the_numbers_are_those_of_the_environment() -> None:
    wrapped, plain = GymVectorEnv(make_env()), make_env()
    obs, _ = wrapped.reset(seed=7)  # worlds 7, 8, 9
    expected = plain.reset([7, 8, 9])
    rng = np.random.default_rng(0)
    for _ in range(5):
        for name, value in expected.items():
            np.testing.assert_array_equal(obs[name], value.numpy())
        action = rng.uniform(-1.0, 1.0, (3, 6)).astype(np.float32)
        obs, reward, *_ = wrapped.step(action)
        expected, reward_expected, *_ = plain.step(torch.from_numpy(action))
        np.testing.assert_array_equal(reward, reward_expected.numpy())


def test_the_last_observation_of_an_episode_is_in_the_infos() -> None:
    env = GymVectorEnv(make_env(2, max_steps=3))
    env.reset(seed=0)
    zero = np.zeros((2, 6), dtype=np.float32)
    for _ in range(2):
        assert "final_obs" not in env.step(zero)[4]
    obs, _, _, truncated, infos = env.step(zero)
    assert truncated.all()
    assert infos["_final_obs"].all()
    for i in range(2):
        last = infos["final_obs"][i]["goal_pose"]
        assert last.shape == (7,)
        assert np.abs(last - obs["goal_pose"][i]).max() > 1e-3  # another goal has begun


def test_a_gpu_is_refused_when_the_wrapper_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env(1)
    monkeypatch.setattr(env, "device", torch.device("cuda:0"))
    message = "memory of the host, this environment is on cuda:0: build it on the device 'cpu'"
    with pytest.raises(ValueError, match=message):
        GymVectorEnv(env)


def test_wrong_number_of_seeds_is_refused() -> None:
    with pytest.raises(ValueError, match="seed must be a number or 2 of them, got 3"):
        GymVectorEnv(make_env(2)).reset(seed=[1, 2, 3])


def test_gels_that_feel_are_refused_and_those_that_do_not_are_taken() -> None:
    def make(touch: Touch) -> Env:
        return Env(make_task("peg-placement", "fr3"), FR3, num_envs=2, touch=touch)

    with pytest.raises(ValueError, match=r"\['touch_field'\] are not in it: use gels that feel"):
        GymVectorEnv(make(Touch()))
    env = GymVectorEnv(make(Touch(sees=())))
    obs, _ = env.reset(seed=1)
    assert env.observation_space.contains(obs)
