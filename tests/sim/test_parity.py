"""The same episodes on both engines: single against double precision.

What differs is rounding, 1e-7 of each number and step, which contact multiplies: a peg that is
held between two pads turns and slides by what the friction cones of both engines round off. A wrong
unit, frame, sign, gain or order is off by orders of magnitude more.
"""

# pyright: standard

from __future__ import annotations

import pytest
import torch

from sim2arm.core.robots import FR3
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.table import TASKS, make_task

N, STEPS = 4, 60
TOLERANCES = {
    "joint_position": 1e-3,  # [rad], after 1 s of motion at up to 2 rad/s
    "joint_velocity": 5e-2,  # [rad/s], where a peg strikes the table
    "ee_pose": 5e-4,  # [m], and of the quaternion
    "socket_pose": 1e-6,
    "true_socket_pose": 1e-6,
    "goal_pose": 1e-6,
    "peg_in_socket": 3e-2,  # the same: 1e-4 in the air, 0.012 after a blow of 12 N
}
"""Largest difference within a second. Forces are left out: at a contact they are as stiff as it."""


@pytest.mark.parametrize("name", TASKS)
def test_episodes_run_alike_on_both_engines(name: str) -> None:
    engines = ("mujoco", "warp")
    envs = [Env(make_task(name, "fr3"), FR3, num_envs=N, world=engine) for engine in engines]
    random = torch.Generator().manual_seed(0)
    start, _ = (env.reset(range(N))["joint_position"].clone() for env in envs)
    compared: set[str] = set()
    a = b = {"joint_position": start}
    for _ in range(STEPS):
        action = 2.0 * torch.rand((N, envs[0].action_dim), generator=random) - 1.0
        (a, reward_a, *ends_a, _), (b, reward_b, *ends_b, _) = (env.step(action) for env in envs)
        torch.testing.assert_close(reward_a, reward_b, rtol=0, atol=1e-3)
        for one, other in zip(ends_a, ends_b, strict=True):
            assert torch.equal(one, other)
        for key in a.keys() & TOLERANCES.keys():
            off = (a[key] - b[key]).abs().max()
            assert off <= TOLERANCES[key], f"{key}: {off}"
            compared.add(key)
    assert compared >= {"joint_position", "joint_velocity", "ee_pose"}
    assert (a["joint_position"] - start).abs().max() > 0.1
    envs[1].world.check_capacity()


def test_the_way_of_a_gpu_starts_every_episode_anew() -> None:
    env = Env(make_task("reach", "fr3", "max_steps: 5"), FR3, num_envs=6, world="warp")
    env.looks = False
    goals = [env.reset()["goal_pose"].clone()]
    for step in range(1, 16):
        obs, _, terminated, truncated, _ = env.step(torch.zeros((6, 6)))
        assert not terminated.any()
        assert truncated.tolist() == [step % 5 == 0] * 6
        if step % 5 == 0:
            goals.append(obs["goal_pose"].clone())
        assert torch.equal(obs["goal_pose"], goals[-1])
    for drawn in goals:  # no two worlds start alike
        assert len(torch.unique(drawn, dim=0)) == 6
