"""Lift-cube: closeness by hand, what counts as a grasp, and that it can be done, gate included."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sim2arm.cli.evaluation import run_episodes
from sim2arm.core.contract import Provenance
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robots import FR3
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.experts import actions, lift_cube
from sim2arm.sim.tasks.lift_cube import LiftCube, LiftCubeCfg, closeness
from sim2arm.sim.tasks.table import make_task

CFG = LiftCubeCfg()
SCALES = EeDeltaCfg(position_scale=0.01, rotation_scale=0.03)


def near(distance: float, closed: float, held: bool, height: float) -> float:
    """Return the closeness of one cube."""
    d, c, h = (torch.tensor([v], dtype=torch.float64) for v in (distance, closed, height))
    return float(closeness(CFG, d, c, torch.tensor([held]), h))


def expert(obs: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the actions of the scripted expert, by what a policy sees instead of the truth."""
    seen = {name: torch.from_numpy(np.asarray(value, np.float64)) for name, value in obs.items()}
    motion = lift_cube({**seen, "true_cube_pose": seen["cube_pose"]})
    steps = [SCALES.position_scale] * 3 + [SCALES.rotation_scale] * 3
    scale = torch.tensor([*steps, 0.5 * FR3.gripper.open_width], dtype=torch.float64)
    return actions(motion, scale, 1.0 / 60.0).numpy()


def test_closeness_by_hand() -> None:
    # 0.3 (1 - tanh(0.8)) = 0.3 * 0.335963 = 0.100789
    assert near(0.1, 0.0, False, 0.015) == pytest.approx(0.100789, abs=1e-6)
    # tanh(0.12) = 0.119427; at 15 mm closing counts half: 0.3 * 0.880573 + 0.1 * 0.5 * 0.6.
    assert near(0.015, 0.6, False, 0.015) == pytest.approx(0.294172, abs=1e-6)
    assert near(0.0, 0.0, False, 0.2) == pytest.approx(0.3)  # thrown up: nothing for the height
    assert near(0.0, 1.0, True, 0.015) == pytest.approx(0.5)  # held on the table
    # Half the way from 0.015 to 0.2: 0.3 + 0.1 + 0.1 + 0.25.
    assert near(0.0, 1.0, True, 0.1075) == pytest.approx(0.75)
    assert near(0.0, 1.0, True, 0.3) == pytest.approx(1.0)


def test_a_cube_that_left_its_place_is_lost() -> None:
    env = Env(LiftCube(CFG, FR3), FR3, num_envs=3, threads=1)
    env.reset([0, 1, 2])
    cube = env.world.free_body("cube")
    cube.q[1, 0] = CFG.cube_high[0] + CFG.lost_distance + 0.01
    cube.q[2, 2] = -0.1  # fell off the table
    env.world.forward()
    env.task.update(env.world)
    assert env.task.reward(env.world)["lost"].tolist() == [0.0, -1.0, -1.0]
    assert env.task.done(env.world)[0].tolist() == [False, True, True]


def test_height_without_a_grasp_is_no_success() -> None:
    env = Env(LiftCube(CFG, FR3), FR3, num_envs=1, threads=1)
    env.reset([0])
    env.world.free_body("cube").q[0, 2] = CFG.height + 0.05
    env.world.forward()
    for _ in range(CFG.hold_steps + 1):
        env.task.update(env.world)
    assert not env.task.success(env.world).any()


@pytest.mark.parametrize("world", ["mujoco", "warp"])
def test_it_can_be_done_on_both_engines(world: str) -> None:
    env = Env(make_task("lift-cube", "fr3"), FR3, num_envs=4, world=world, controller=SCALES)
    obs = env.reset([0, 1, 2, 3])
    solved, total = torch.zeros(4, dtype=torch.bool), torch.zeros(4)
    for _ in range(CFG.max_steps):
        seen = {name: value.numpy() for name, value in obs.items()}
        obs, reward, _, _, info = env.step(torch.from_numpy(expert(seen)))
        total += torch.where(solved, 0.0, reward)
        solved |= info["success"]
    assert solved.all()
    # Progress to 1 from at least 0.3 (1 - tanh(8 * 0.1)), success 1, 0.002 a step and the rest.
    assert (total > 1.2).all() and (total < 2.0).all()
    env.world.check_capacity()


def test_the_same_behind_controller_gate_and_gripper_of_the_arm() -> None:
    task = make_task("lift-cube", "fr3")
    env = Env(task, FR3, num_envs=1, controller=SCALES)
    contract = make_contract(env, Provenance(experiment="lift-cube-ppo"))
    task = make_task("lift-cube", "fr3")
    outcome = run_episodes(task, contract, expert, range(4), num_arms=4)
    assert outcome.success.all()
    assert outcome.refused == 0
    assert all(actions.shape[1] == 7 for actions in outcome.actions)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"edge": 0.09}, "edge must be less than the opening"),
        ({"cube_noise": -0.1}, "cube_noise must be 0 m or more"),
        ({"height": 0.01}, "height must be above 0.015 m"),
        ({"cube_low": (0.7, 0.0, 0.0)}, "cube_low must not lie above cube_high"),
    ],
)
def test_settings_of_which_no_episode_can_be_made(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        LiftCube(LiftCubeCfg(**changes), FR3)  # pyright: ignore[reportArgumentType]
