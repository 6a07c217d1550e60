"""Every robot in the task that any arm can do, `reach`, on both engines."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sim2arm.core.contract import Provenance
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import FR3, ROBOTS, SO101, Robot
from sim2arm.core.transforms import quat_conjugate, quat_mul, quat_to_rotvec
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import make_contract
from sim2arm.sim.draws import SeededDraws
from sim2arm.sim.env import Env
from sim2arm.sim.specs import arm_specs
from sim2arm.sim.tasks.reach import Reach, ReachCfg
from sim2arm.sim.tasks.start import check_reach, joint_range
from sim2arm.sim.tasks.table import TASKS, make_task
from sim2arm.sim.worlds.table import WORLDS

EVERY_ROBOT = pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)


def make_env(robot: Robot, num_envs: int, world: str = "mujoco") -> Env:
    """Return the reach task of a robot."""
    return Env(Reach(ReachCfg(), robot), robot, num_envs=num_envs, world=world, threads=1)


def towards_goal(env: Env, obs: dict[str, Tensor]) -> Tensor:
    """Return actions that bring the commanded pose straight to the goal, as far as steps go."""
    cfg, goal, tool = env.commands.cfg, obs["goal_pose"], env.commands.pose.to(torch.float32)
    turn = quat_to_rotvec(quat_mul(goal[:, 3:], quat_conjugate(tool[:, 3:])))
    move = (goal[:, :3] - tool[:, :3]) / cfg.position_scale
    return torch.cat([move, turn / cfg.rotation_scale], dim=-1).clamp(-1.0, 1.0)


@pytest.mark.parametrize("world", sorted(WORLDS))
@EVERY_ROBOT
def test_every_robot_reaches_on_every_world(robot: Robot, world: str) -> None:
    env = make_env(robot, 3, world)
    obs = env.reset([0, 1, 2])
    known = arm_specs(robot) | {spec.name: spec for spec in env.task.goals}
    before = obs["ee_pose"].clone()
    for step in range(40):
        for name, value in obs.items():
            assert torch.isfinite(value).all(), (name, step)
        for name in env.task.actor:
            assert known[name].outside(obs[name].numpy()) is None, (name, step)
        obs, reward, _, _, info = env.step(towards_goal(env, obs))
        assert torch.isfinite(reward).all() and not info["diverged"].any()
    q = obs["joint_position"].double()
    assert (obs["ee_pose"] - before).abs().max() > 0.02
    at = forward_pose(robot.chain, q)
    np.testing.assert_allclose(obs["ee_pose"].double(), at, atol=1e-5)  # float32


@EVERY_ROBOT
def test_zero_actions_hold_the_tool_still(robot: Robot) -> None:
    env = make_env(robot, 2)
    obs = env.reset([0, 1])
    start = obs["ee_pose"].clone()
    for _ in range(30):
        obs = env.step(torch.zeros(2, 6))[0]
    # Joints go towards home where the tool does not see it, and by the damping a little beyond.
    np.testing.assert_allclose(obs["ee_pose"], start, atol=1e-3)
    assert obs["joint_velocity"].abs().max() < 0.1


@EVERY_ROBOT
def test_stepping_straight_to_the_goal_solves_almost_every_episode(robot: Robot) -> None:
    """Goals can be reached from starts, with fewer than six joints too."""
    n = 64
    env = make_env(robot, n)
    obs, done, won = env.reset(range(n)), torch.zeros(n, dtype=torch.bool), 0
    for _ in range(env.task.cfg.max_steps):
        obs, _, terminated, truncated, info = env.step(towards_goal(env, obs))
        won += int((info["success"] & ~done).sum())
        done |= terminated | truncated
    assert done.all()
    # Of 64: Panda 64, FR3 54 (its joints are slow near the ends), UR5e 60, SO-101 64.
    assert won >= 0.8 * n


@EVERY_ROBOT
def test_goals_are_poses_that_the_arm_reaches(robot: Robot) -> None:
    task = Reach(ReachCfg(), robot)
    starts = task.draw(SeededDraws(range(300)))
    q, goal = starts["q"].numpy(), starts["goal"].numpy()
    assert q.shape == (300, len(robot.joint_names))
    low, high = np.array(robot.limits.q_min), np.array(robot.limits.q_max)
    assert (q > low).all() and (q < high).all()
    (spec,) = task.goals
    assert spec.outside(goal) is None
    # Not at one place: the goals fill half of the box that is said.
    assert (np.ptp(goal[:, :3], axis=0) > 0.5 * (np.array(spec.high) - spec.low)[:3]).all()


@EVERY_ROBOT
def test_a_contract_and_an_arm_behind_it(robot: Robot) -> None:
    env = make_env(robot, 1)
    contract = make_contract(env, Provenance(experiment="x"))
    assert contract.robot == robot.name and len(contract.low_level.kp) == len(robot.joint_names)
    arm = SimulatedArm("reach", robot.name, num_arms=2)
    arm.reset([0, 1])
    assert arm.gripper_width() == pytest.approx(0.0, abs=1e-12)
    width = 0.6 * robot.gripper.open_width
    arm.command_gripper(width)
    for _ in range(150):
        arm.step()
    assert arm.gripper_width() == pytest.approx(width, abs=3e-4)
    assert not arm.gripper.busy.any() and not arm.gripper.blocked.any()
    arm.command_gripper(0.0)
    for _ in range(150):
        arm.step()
    assert arm.gripper_width() == pytest.approx(0.0, abs=3e-4)


def test_ranges_of_the_task_come_first_and_unreachable_ones_are_refused() -> None:
    low = (0.4, 0.0, 0.3, 3.0, 0.0, 0.0)
    box = ReachCfg(goal_low=low, goal_high=(0.5, 0.1, 0.4, 3.1, 0.1, 0.1))
    (spec,) = Reach(box, FR3).goals
    assert spec.low is not None and spec.low[:3] == (0.4, 0.0, 0.3)
    with pytest.raises(
        ValueError,
        match=r"so101 cannot bring its tool .* reaches \d+ of 100 .* home",
    ):
        Reach(box, SO101)
    with pytest.raises(ValueError, match="goal_high must have 6 numbers"):
        ReachCfg(goal_low=low)
    with pytest.raises(ValueError, match="spread must be above 0"):
        ReachCfg(spread=0.0)


def test_tasks_at_the_table_run_on_the_ur5e_and_not_on_the_so101() -> None:
    for name in sorted(set(TASKS) - {"reach"}):
        env = Env(make_task(name, "ur5e"), ROBOTS["ur5e"], num_envs=1, threads=1)
        env.reset([0])
        _, reward, _, _, info = env.step(torch.zeros(1, env.action_dim))
        assert torch.isfinite(reward).all() and not info["diverged"].any(), name
        with pytest.raises(ValueError, match="so101 cannot bring its tool"):
            make_task(name, "so101")


def test_joints_near_home_keep_off_the_limits() -> None:
    low, high = joint_range(SO101, 3.0)
    assert low == pytest.approx([v + 0.1 for v in SO101.limits.q_min])
    assert high == pytest.approx([v - 0.1 for v in SO101.limits.q_max])
    low, high = joint_range(SO101, 0.2)
    assert low == pytest.approx([v - 0.2 for v in SO101.home])
    assert check_reach(FR3, FR3.tool_box.low, FR3.tool_box.high) is None  # type: ignore[union-attr]
