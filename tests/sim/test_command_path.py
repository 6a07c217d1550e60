"""The command path of the simulation is the controller of the robot, to rounding."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.core.controllers import EeDelta, EeDeltaCfg
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import FR3, ROBOTS, UR5E, Robot
from sim2arm.sim.command_path import CommandPath
from sim2arm.sim.robots.models import add_robot
from sim2arm.sim.worlds.mujoco import MujocoWorld

N, S, PERIOD = 6, 8, 1.0 / 60.0
CFGS = {
    "quick": EeDeltaCfg(),
    "on a short leash": EeDeltaCfg(position_leash=0.004, rotation_leash=0.02, limit_share=0.3),
}


def make_path(robot: Robot, cfg: EeDeltaCfg) -> CommandPath:
    spec = mujoco.MjSpec()
    add_robot(spec, robot)
    return CommandPath(robot, MujocoWorld(spec, N), period=PERIOD, substeps=S, cfg=cfg)


def spline(control: EeDelta, robot: Robot) -> np.ndarray:
    """Return q_des + kd / kp dq_des (N, S, n) at the ends of the substeps, by the formula."""
    lead = np.asarray(robot.kd) / np.asarray(robot.kp)
    rows = []
    for k in range(1, S + 1):
        t = k * PERIOD / S
        motion = control.motion
        q, dq, ddq, jerk = motion.q_start, motion.dq_start, motion.ddq_start, motion.jerk
        at = q + t * dq + t**2 / 2 * ddq + t**3 / 6 * jerk
        rows.append(at + lead * (dq + t * ddq + t**2 / 2 * jerk))
    return np.stack(rows, axis=1)


@pytest.mark.parametrize("cfg", CFGS.values(), ids=CFGS)
@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_it_is_the_controller_of_the_robot(robot: Robot, cfg: EeDeltaCfg) -> None:
    rng, n = np.random.default_rng(0), len(robot.home)
    q = np.asarray(robot.home) + rng.normal(0.0, 0.3, (N, n))
    low, high = np.asarray(robot.limits.q_min) + 0.1, np.asarray(robot.limits.q_max) - 0.1
    q = np.clip(q, low, high)
    path, control = make_path(robot, cfg), EeDelta(robot, PERIOD, cfg, q)
    path.start(torch.ones(N, dtype=torch.bool), torch.from_numpy(q))
    np.testing.assert_allclose(path.pose, control.pose, atol=1e-12)
    drift = rng.uniform(-1.0, 1.0, (N, 6))  # long ways, into joint limits too
    stopped = np.zeros((N, n), dtype=bool)
    for _ in range(300):
        action = np.clip(drift + rng.normal(0.0, 0.5, (N, 6)), -1.5, 1.5)
        measured = forward_pose(robot.chain, control.motion.q + rng.normal(0.0, 1e-3, (N, n)))
        control.step(np.clip(action, -1.0, 1.0), measured)
        controls = path.plan(torch.from_numpy(action), torch.from_numpy(measured))
        np.testing.assert_allclose(controls[:, :, :n], spline(control, robot), atol=1e-10)
        goal = control.motion.goal
        stopped |= np.isclose(goal, low - 0.05) | np.isclose(goal, high + 0.05)
    np.testing.assert_allclose(path.goal, control.motion.goal, atol=1e-10)
    np.testing.assert_allclose(path.pose, control.pose, atol=1e-10)
    assert stopped.any() or robot is UR5E  # goals that were clipped; its joints turn far


def test_a_start_touches_only_chosen_worlds() -> None:
    path = make_path(FR3, EeDeltaCfg())
    home = torch.tensor(FR3.home, dtype=torch.float64)
    action = torch.ones((N, 6), dtype=torch.float64)
    for _ in range(5):
        path.plan(action, path.pose.clone())
    goal, pose = path.goal.clone(), path.pose.clone()
    chosen = torch.arange(N) == 2
    path.start(chosen, home.expand(N, -1))
    assert torch.equal(path.goal[2], home)
    assert torch.equal(path.goal[~chosen], goal[~chosen])
    assert torch.equal(path.pose[~chosen], pose[~chosen])
    still = path.plan(torch.zeros_like(action), path.pose.clone())[2, :, :7]
    torch.testing.assert_close(still, home.expand_as(still), rtol=0, atol=1e-9)
    moving = path.plan(torch.zeros_like(action), path.pose.clone())[0, :, :7]
    assert (moving[-1] - moving[0]).abs().max() > 1e-4  # it was under way


def test_a_margin_without_a_range_is_refused() -> None:
    with pytest.raises(ValueError, match="joint_margin: expected less than"):
        make_path(FR3, EeDeltaCfg(joint_margin=2.0))
