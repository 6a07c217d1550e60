"""The reward of peg insertion: hand-computed closeness, progress that adds up, no local optimum."""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from sim2arm.core.robots import FR3
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.peg_insertion import PegInsertion, PegInsertionCfg

CFG = PegInsertionCfg()


def make_env(num_envs: int = 2) -> Env:
    """Return an environment of the task."""
    return Env(PegInsertion(CFG, FR3), FR3, num_envs=num_envs, threads=1)


@pytest.fixture(scope="module")
def near() -> Callable[[float, float], float]:
    """Return the closeness of an upright peg beside and above its seat, (side, height) [m]."""
    env = make_env(1)
    task = env.task
    assert isinstance(task, PegInsertion)
    env.reset([0])
    peg, socket = env.world.free_body("peg"), env.world.mocap("socket")

    def closeness(side: float, height: float) -> float:
        offset = torch.tensor([side, 0.0, 0.002 + 0.5 * CFG.peg_length + height])
        down = torch.tensor([0.0, 1.0, 0.0, 0.0])
        peg.q[0] = torch.cat([socket[0, :3] + offset, down])
        env.world.forward()
        task.update(env.world)
        return float(task._episodes.closeness[0])

    return closeness


def test_closeness_by_hand(near: Callable[[float, float], float]) -> None:
    assert math.isclose(near(0.0, 0.0), 1.0, abs_tol=1e-6)
    assert near(0.5, 0.5) < 0.01  # 1 - tanh(7) = 1.7e-6 from far, nothing else
    # All keypoints are 3 mm off the axis and 10 mm too high, so d = sqrt(9 + 100) mm = 10.440 mm.
    # s = 3 mm halves what depth counts; tanh(10 d) = 0.10402, tanh(50 s) = 0.14889,
    # tanh(30 h) = 0.29131: (0.89598 + 0.85111 + 2 * 0.5 * 0.70869) / 4 = 0.61395.
    assert math.isclose(near(0.003, 0.01), 0.61395, abs_tol=2e-5)


def test_a_tilted_peg_is_measured_at_its_keypoints() -> None:
    env = make_env(1)
    task = env.task
    assert isinstance(task, PegInsertion)
    env.reset([0])
    peg, socket = env.world.free_body("peg"), env.world.mocap("socket")
    seat = socket[0, :3] + torch.tensor([0.0, 0.0, 0.002 + 0.5 * CFG.peg_length])
    # 0.1 rad beyond upside down: a keypoint k from the centre is off by k (sin 0.1, 1 - cos 0.1),
    # that is |k| 2 sin 0.05 from its seat and |k| sin 0.1 from the axis. The mean |k| of -25,
    # -8.33, 8.33, 25 mm is 16.667 mm: d = 1.6660 mm, s = 1.6639 mm, h = 0.
    half = 0.5 * (math.pi + 0.1)
    peg.q[0] = torch.cat([seat, torch.tensor([math.cos(half), math.sin(half), 0.0, 0.0])])
    env.world.forward()
    task.update(env.world)
    d, s = 1.66597e-3, 1.66389e-3
    aligned = 1.0 / (1.0 + (s / 0.003) ** 2)
    expected = (1.0 - math.tanh(10 * d) + 1.0 - math.tanh(50 * s) + 2.0 * aligned) / 4.0
    assert math.isclose(float(task._episodes.closeness[0]), expected, abs_tol=1e-6)


def test_above_the_hole_is_closer_than_leaning_beside_the_socket(
    near: Callable[[float, float], float],
) -> None:
    # On the rim over the hole, 25 mm above the seat; and beside it, 15 mm off but 10 mm lower.
    assert math.hypot(0.015, 0.015) < 0.025  # by distance alone the wrong place wins
    assert near(0.001, 0.025) > near(0.015, 0.015) + 0.2


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
