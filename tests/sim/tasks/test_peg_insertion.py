"""The reward of peg insertion: hand-computed closeness, progress that adds up, no local optimum."""

# pyright: standard

from __future__ import annotations

import math

import torch

from sim2arm.core.robots import FR3
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.peg_insertion import PegInsertion, PegInsertionCfg, closeness

CFG = PegInsertionCfg()


def near(distance: float, side: float, height: float) -> float:
    """Return the closeness of one peg."""
    values = (torch.tensor([v], dtype=torch.float64) for v in (distance, side, height))
    return float(closeness(CFG, *values))


def make_env(num_envs: int = 2) -> Env:
    """Return an environment of the task."""
    return Env(PegInsertion(CFG, FR3), FR3, num_envs=num_envs, threads=1)


def test_closeness_by_hand() -> None:
    assert near(0.0, 0.0, 0.0) == 1.0
    assert near(9.0, 9.0, 9.0) < 1e-3
    # s = 3 mm halves what depth counts; tanh(10 * 0.02) = 0.19738, tanh(50 * 0.003) = 0.14889,
    # tanh(30 * 0.01) = 0.29131: (0.80262 + 0.85111 + 2 * 0.5 * 0.70869) / 4 = 0.59061.
    assert math.isclose(near(0.02, 0.003, 0.01), 0.59061, abs_tol=2e-5)


def test_above_the_hole_is_closer_than_leaning_beside_the_socket() -> None:
    # On the rim over the hole, 25 mm above the seat; and beside it, 15 mm off but 10 mm lower.
    over, beside = (0.025, 0.001, 0.025), (0.021, 0.015, 0.015)
    assert beside[0] < over[0]  # by distance alone the wrong place wins
    assert near(*over) > near(*beside) + 0.2


def test_progress_adds_up_to_closeness_and_starts_anew_with_the_episode() -> None:
    env = make_env()
    task = env.task
    assert isinstance(task, PegInsertion)
    env.reset([3, 4])
    generator = torch.Generator().manual_seed(0)
    total, first = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for k in range(20):
        action = torch.rand((2, 6), generator=generator) - 0.5
        progress = env.step(action)[4]["reward_terms"]["progress"]
        total += progress
        if k == 0:
            first = task._episodes.closeness.clone()
            assert (progress == 0).all()  # nothing to compare with yet
    torch.testing.assert_close(total, task._episodes.closeness - first)
    assert total.abs().min() > 1e-4
    env.reset([5, 6])
    assert (env.step(torch.zeros(2, 6))[4]["reward_terms"]["progress"] == 0).all()


def test_a_peg_that_left_the_hand_ends_the_episode_and_costs_one() -> None:
    env = make_env(2)
    task = env.task
    assert isinstance(task, PegInsertion)
    env.reset([0, 1])
    peg = env.world.free_body("peg")
    peg.q[1, 2] += 0.2
    env.world.forward()
    task.update(env.world)
    assert task.reward(env.world)["lost"].tolist() == [0.0, -1.0]
    assert task.done(env.world)[0].tolist() == [False, True]


def test_success_needs_the_peg_to_stay_inserted() -> None:
    env = make_env(1)
    task = env.task
    assert isinstance(task, PegInsertion)
    env.reset([0])
    peg, socket = env.world.free_body("peg"), env.world.mocap("socket")
    seat = socket[0, :3] + torch.tensor([0.0, 0.0, 0.002 + 0.025], dtype=torch.float64)
    peg.q[0] = torch.cat([seat, torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64)])
    env.world.forward()
    for k in range(CFG.hold_steps):
        assert bool(task.success(env.world)) is False, k
        task.update(env.world)
    assert bool(task.success(env.world)) is True
    assert float(task.reward(env.world)["success"]) == 1.0
    peg.q[0, 2] += CFG.success_distance + 0.0005
    env.world.forward()
    task.update(env.world)
    assert bool(task.success(env.world)) is False
