"""Scripted experts do what their tasks ask for, through the controller of the environment."""

# pyright: standard

import pytest
import torch

from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robots import FR3
from sim2arm.sim.env import Env
from sim2arm.sim.experts import EXPERTS, SPEED, TURN, actions, reach
from sim2arm.sim.tasks.table import TASKS, make_task

SEEDS = list(range(20))
FEW = {"push-t": 8}
"""Seeds of a slow expert."""


def controller(task: str) -> EeDeltaCfg:
    """Return that of the task's experiment."""
    return EXPERIMENTS[f"{task}-ppo"][1].controller


@pytest.mark.parametrize("task", EXPERTS)
def test_an_expert_solves_its_task(task: str) -> None:
    cfg, seeds = controller(task), SEEDS[: FEW.get(task)]
    env = Env(make_task(task, "fr3"), FR3, num_envs=len(seeds), threads=1, controller=cfg)
    steps = [cfg.position_scale] * 3 + [cfg.rotation_scale] * 3
    if env.task.gripper_action:
        steps.append(0.5 * FR3.gripper.open_width)
    scale, obs = torch.tensor(steps), env.reset(seeds)
    ended, solved = torch.zeros((2, len(seeds)), dtype=torch.bool)
    for _ in range(env.task.cfg.max_steps):
        obs, _, terminated, truncated, info = env.step(
            actions(EXPERTS[task](obs), scale, env.period)
        )
        solved |= info["success"] & ~ended  # the next episode begins at once
        ended |= terminated | truncated
        if ended.all():
            break
    assert int(solved.sum()) >= len(seeds) - 1


def test_every_task_has_one() -> None:
    assert set(TASKS) == set(EXPERTS)


def test_the_way_to_a_goal_by_hand() -> None:
    """2 cm along x and 0.1 rad about z at 4/s: 0.08 m/s, 0.4 rad/s; far away at most speed."""
    tool = torch.tensor([[0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0]] * 2)
    half = torch.tensor(0.05)
    goal = tool.clone()
    goal[0, 0] += 0.02
    goal[0, 3], goal[0, 6] = torch.cos(half), torch.sin(half)
    goal[1, 1] -= 1.0
    twist, _ = reach({"ee_pose": tool, "goal_pose": goal})
    expected = torch.tensor([[0.08, 0.0, 0.0, 0.0, 0.0, 0.4], [0.0, -SPEED, 0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(twist, expected, atol=1e-6, rtol=0.0)
    assert TURN > 0.4
    scale = torch.tensor([0.002] * 3 + [0.02] * 3 + [0.04])
    found = actions((twist, torch.tensor([1.0, 0.25])), scale, 0.01)
    assert found[0].tolist() == pytest.approx([0.4, 0.0, 0.0, 0.0, 0.0, 0.2, 1.0], abs=1e-5)
    assert found[1, 1] == -1.0 and found[1, 6] == -0.5
