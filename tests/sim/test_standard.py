"""Standard tasks: what dm_control and gymnasium do, and nothing else."""

# pyright: standard

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from sim2arm.sim.standard import StandardEnv
from sim2arm.sim.standard_sources import DmControlTask, GymTask, dm_control_suite, open_source
from tests.sim.standard_toys import toys

pytest.importorskip("dm_control", reason="needs the extra 'suite'")


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    """Let gymnasium know the toys."""
    with toys():
        yield


def test_all_benchmarking_tasks_of_the_suite_load() -> None:
    names = [f"{domain}_{task}" for domain, task in dm_control_suite().BENCHMARKING]
    assert len(names) == 28
    for name in names:
        source = open_source(name)
        seen = source.reset(1)
        assert all(value.dtype == np.float32 and value.ndim == 1 for value in seen.values())
        _, reward, ended, cut = source.step(np.zeros(source.action_dim, np.float32))
        assert 0.0 <= reward <= 1.0 and not ended and not cut


def test_a_task_of_the_suite_is_that_of_dm_control() -> None:
    ours = StandardEnv("reacher_easy", repeat=3, seed=4)
    obs = ours.reset([7])
    bare = dm_control_suite().load("reacher", "easy", task_kwargs={"random": 0})
    bare.task.random.seed(7)
    found = bare.reset()
    actions = torch.rand((334, 1, 2), generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    total, info = 0.0, {}
    for i, action in enumerate(actions):
        for name, value in found.observation.items():
            np.testing.assert_array_equal(obs[name][0].numpy(), np.float32(np.atleast_1d(value)))
        obs, reward, terminated, truncated, info = ours.step(action)
        rewards = 0.0
        for _ in range(3):
            found = bare.step(action[0].numpy())
            rewards += found.reward
            if found.last():
                break
        total += rewards
        assert float(reward) == pytest.approx(rewards, abs=1e-6)
        assert bool(truncated) == (i == 333) and not bool(terminated)  # 1000 steps: 334 of 3
    np.testing.assert_array_equal(
        info["final_obs"]["velocity"][0].numpy(), np.float32(found.observation["velocity"])
    )
    assert not torch.equal(obs["position"], info["final_obs"]["position"])  # of a new episode
    assert ours.take_returns() == [pytest.approx(total, rel=1e-5)]
    assert ours.take_returns() == []


def test_gymnasium_ends_cuts_and_takes_actions_in_its_bounds() -> None:
    env = StandardEnv("gym:Three-v0", num_envs=2)
    obs, times = env.reset([1, 2]), [0.0, 0.0]
    high, low = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 3.0])  # 3 is beyond the bounds
    ends: list[tuple[list[bool], list[bool]]] = []
    for _ in range(4):
        obs, reward, terminated, truncated, info = env.step(torch.stack([high, low]))
        assert reward.tolist() == [4.0, -2.0]
        ends.append((terminated.tolist(), truncated.tolist()))
        times = info["final_obs"]["time"][:, 0].tolist()
    none = ([False, False], [False, False])
    assert ends == [none, none, ([True, False], [False, False]), ([False, False], [False, True])]
    assert times == [1.0, 4.0] and obs["time"][:, 0].tolist() == [1.0, 0.0]
    assert env.take_returns() == [12.0, -8.0]
    assert {name: tuple(value.shape) for name, value in obs.items()} == {
        "seed": (2, 2),
        "time": (2, 1),
    }


def test_repeated_steps_stop_where_the_episode_ends() -> None:
    env = StandardEnv("gym:Three-v0", repeat=2)
    env.reset([1])
    action = torch.tensor([[1.0, 0.0]])
    assert env.step(action)[1].tolist() == [8.0]
    _, reward, terminated, _, info = env.step(action)
    assert reward.tolist() == [4.0] and bool(terminated)
    assert info["final_obs"]["time"].tolist() == [[3.0]]


def test_seeds_and_states_repeat_episodes() -> None:
    env = StandardEnv("gym:Three-v0", num_envs=2, seed=5)
    state = env.state_dict()
    drawn = [env.reset()["seed"] for _ in range(2)]
    assert not torch.equal(*drawn) and not torch.equal(drawn[0][0], drawn[0][1])
    env.load_state_dict(state)
    assert torch.equal(env.reset()["seed"], drawn[0])
    assert torch.equal(env.reset([3, 4])["seed"], env.reset([3, 4])["seed"])
    with pytest.raises(ValueError, match="seeds: expected 2, got 1"):
        env.reset([3])


def test_pictures_are_those_of_the_suite() -> None:
    ours = DmControlTask("cartpole_balance", pixels=84).reset(3)["pixels"]
    bare = dm_control_suite().load("cartpole", "balance", task_kwargs={"random": 0})
    bare.task.random.seed(3)
    bare.reset()
    plain = bare.physics.render(84, 84, camera_id=0)
    assert ours.shape == (84, 84, 3) and ours.dtype == np.uint8 and ours.std() > 10
    assert np.abs(ours.astype(int) - plain).mean() < 0.1  # smaller maps of shadows


def test_pictures_of_gymnasium_are_made_smaller() -> None:
    small = GymTask("Three-v0", pixels=16).reset(0)["pixels"]
    assert small.shape == (16, 16, 3) and small.dtype == np.uint8
    assert (small == np.array([30, 20, 10])).all()  # means of what it draws
    with pytest.raises(ValueError, match=r"gym:Dark-v0: expected a picture \(H, W, 3\) of it"):
        GymTask("Dark-v0", pixels=16)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("cartpole_swing", "dm_control has no task 'cartpole_swing', perhaps cartpole_swingup"),
        ("nothing-like-it", "as in cartpole_swingup; one of gymnasium is called gym:ID"),
        ("gym:NoSuch-v0", "gym:NoSuch-v0: Environment `NoSuch` doesn't exist"),
        ("gym:CartPole-v1", r"expected actions in a box \(A,\), it has Discrete\(2\)"),
    ],
)
def test_what_is_no_task_is_one_line(name: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        open_source(name)
    assert "\n" not in str(caught.value)
