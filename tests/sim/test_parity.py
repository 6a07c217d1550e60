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
    "gripper_width": 1e-4,  # [m]
    "ee_pose": 5e-4,  # [m], and of the quaternion
    "socket_pose": 1e-6,
    "true_socket_pose": 1e-6,
    "goal_pose": 1e-6,
    "pad_pose": 1e-6,
    "true_pad_pose": 1e-6,
    "nut_pose": 1e-6,
    "true_nut_pose": 1e-6,
    "thread": 1e-6,  # nothing catches in a second at random
    "cube_pose": 1e-3,  # [m], and of the quaternion: it lies, and may be struck
    "true_cube_pose": 1e-3,
    "block_pose": 1e-3,  # the same; `tests/sim/tasks/test_push_t.py` pushes it
    "peg_in_socket": 3e-2,  # 1e-4 in the air, 0.012 after a blow of 12 N
    "peg_in_tool": 3e-2,  # the same
    "peg_pose": 3e-2,
    "bolt_in_nut": 6e-2,  # 1e-4 in the air, 0.036 after a blow of the tip on the nut
}
"""Largest difference within a second. Forces and the velocity of what is struck are left out: they
are as stiff as the contact."""
BLOW = {"joint_position": 5e-3, "joint_velocity": 0.1, "ee_pose": 2e-3}
AFTER_A_BLOW = {"bolt-on-nut": BLOW}
"""Of the arm in tasks where it strikes something: with the tip of a bolt, the nut."""
CALM = {"push-t": 0.3}
"""Size of the random actions, 1 elsewhere: fingers that are pressed on the table for a second slide
on its friction, and then stand up to 1 cm apart on both engines. `test_push_t.py` pushes the T."""


@pytest.mark.parametrize("name", TASKS)
def test_episodes_run_alike_on_both_engines(name: str) -> None:
    engines = ("mujoco", "warp")
    envs = [Env(make_task(name, "fr3"), FR3, num_envs=N, world=engine) for engine in engines]
    random = torch.Generator().manual_seed(0)
    start, _ = (env.reset(range(N))["joint_position"].clone() for env in envs)
    compared: set[str] = set()
    tolerances = TOLERANCES | AFTER_A_BLOW.get(name, {})
    a = b = {"joint_position": start}
    for _ in range(STEPS):
        action = 2.0 * torch.rand((N, envs[0].action_dim), generator=random) - 1.0
        action *= CALM.get(name, 1.0)
        (a, reward_a, *ends_a, _), (b, reward_b, *ends_b, _) = (env.step(action) for env in envs)
        torch.testing.assert_close(reward_a, reward_b, rtol=0, atol=1e-3)
        for one, other in zip(ends_a, ends_b, strict=True):
            assert torch.equal(one, other)
        for key in a.keys() & tolerances.keys():
            off = (a[key] - b[key]).abs().max()
            assert off <= tolerances[key], f"{key}: {off}"
            compared.add(key)
    assert {key for key in a.keys() - compared if not key.endswith(("_force", "_twist"))} == set()
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
