"""How the gripper holds an object: by hand, in the environment, on the arm of an evaluation."""

# pyright: standard

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sim2arm.core.robots import FR3
from sim2arm.core.transforms import pose_between, quat_to_rotvec
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.env import Env
from sim2arm.sim.held_terms import HeldPose
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.worlds.table import WORLDS

TERM = HeldPose(body="peg", shift=(0.002, 0.0, 0.004), turn=(0.0, 0.1, 0.0))
ENGINES = [name for name in WORLDS if name != "process"]


def held(env: Env) -> np.ndarray:
    """Return where the peg stands in the tool frame: x y z [m] and a rotation vector [rad]."""
    tool, peg = env.world.site(FR3.chain.tool_frame).pose, env.world.body("peg").pose
    found = pose_between(tool, peg)
    return torch.cat([found[:, :3], quat_to_rotvec(found[:, 3:])], dim=-1).numpy()


@pytest.mark.parametrize("engine", ENGINES)
def test_by_hand_and_only_in_chosen_worlds(engine: str) -> None:
    env = Env(make_task("peg-insertion", "fr3"), FR3, num_envs=3, terms=(TERM,), world=engine)
    env.level = 0.0
    env.reset([4, 4, 4])
    nominal = held(env)
    unit = torch.tensor([[0.0] * 6, [1.0] * 6, [1.0] * 6], dtype=env.world.dtype)
    env.level = 1.0
    env.randomizer.place(torch.tensor([True, True, False]), unit)
    env.world.forward()
    moved = held(env) - nominal
    # The peg's frame is the tool's: x by 2 mm, z by 4 mm, 0.1 rad about y.
    expected = np.array([0.002, 0.0, 0.004, 0.0, 0.1, 0.0])
    np.testing.assert_allclose(moved, [-expected, expected, 0 * expected], atol=2e-6)
    env.level = 0.5
    env.reset([4, 5, 6])
    assert (np.abs(held(env) - nominal) <= 0.5 * expected + 2e-6).all()


def test_a_peg_that_is_held_otherwise_stays_in_the_hand() -> None:
    env = Env(make_task("peg-insertion", "fr3"), FR3, num_envs=4, terms=(TERM,), threads=1)
    env.reset([1, 2, 3, 4])
    start = held(env)
    for _ in range(40):
        assert not env.step(torch.zeros(4, 6))[2].any()
    now = held(env)
    assert np.abs(now - start)[:, :3].max() < 0.003
    assert np.ptp(start[:, 2]) > 0.001  # they do differ


def test_the_arm_of_an_evaluation_holds_it_so_in_every_episode() -> None:
    arms = [SimulatedArm("peg-insertion", "fr3", physics=(TERM,)) for _ in range(2)]
    arms[1].change_physics(np.ones(6))
    for seed in (3, 8):
        places = []
        for arm in arms:
            arm.reset(seed)
            places.append(arm.world.body("peg").pose[0])
        offset = pose_between(*places)
        np.testing.assert_allclose(offset[:3], [0.002, 0.0, 0.004], atol=1e-9)
        np.testing.assert_allclose(quat_to_rotvec(offset[3:]), [0.0, 0.1, 0.0], atol=1e-9)


def test_the_contract_and_what_is_refused() -> None:
    assert [(r.name, r.unit, r.low, r.high) for r in TERM.ranges(0.5)] == [
        ("physics/held shift x/peg", "m", -0.001, 0.001),
        ("physics/held shift z/peg", "m", -0.002, 0.002),
        ("physics/held turn y/peg", "rad", -0.05, 0.05),
    ]
    for wrong in ({"shift": (0.1, 0.1)}, {"turn": (0.0, -0.1, 0.0)}, {"turn": (math.nan,) * 3}):
        with pytest.raises(ValueError, match="expected three numbers of 0 or more"):
            HeldPose(body="peg", **wrong)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="cup"):
        Env(make_task("peg-insertion", "fr3"), FR3, num_envs=1, terms=(HeldPose(body="cup"),))
