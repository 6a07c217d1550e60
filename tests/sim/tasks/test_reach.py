"""The reward and success of reach at known states."""

# pyright: standard

from __future__ import annotations

import math

import torch

from sim2arm.core.robots import FR3
from sim2arm.core.transforms import quat_mul
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.reach import Reach, ReachCfg

CFG = ReachCfg()


def test_reward_by_hand_and_success_after_holding() -> None:
    env = Env(Reach(CFG, FR3), FR3, num_envs=2, threads=1)
    env.reset([0, 1])
    task, goal = env.task, env.world.mocap("goal")
    goal[:] = env.world.site(FR3.chain.tool_frame).pose
    goal[0, 0] += 0.1
    turn = torch.tensor([math.cos(0.1), 0.0, 0.0, math.sin(0.1)], dtype=torch.float64)
    goal[0, 3:] = quat_mul(turn, goal[0, 3:].clone())
    for _ in range(CFG.hold_steps):
        assert not task.success(env.world).any()
        task.update(env.world)
    terms = task.reward(env.world)
    # 0.1 m and 0.2 rad off: -0.01 tanh(0.5) = -0.0046212, -0.01 tanh(0.4) = -0.0037995.
    expected = {"position": -0.0046212, "rotation": -0.0037995, "success": 0.0}
    for name, value in expected.items():
        assert math.isclose(float(terms[name][0]), value, abs_tol=1e-6), name
    assert task.success(env.world).tolist() == [False, True]
    assert float(terms["success"][1]) == 1.0
    assert task.done(env.world)[0].tolist() == [False, True]
