"""Policies that work the gripper: the same widths in training and on the arm; the contract."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest
import torch

from sim2arm.core.contract import Contract, Provenance
from sim2arm.core.gripper import GripperAdapter
from sim2arm.core.robots import FR3
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.table import make_task
from sim2arm_ros.supported import check_supported

N = 3


def make_env(world: str = "mujoco") -> Env:
    """Return an environment whose policy works the gripper."""
    return Env(make_task("lift-cube", "fr3"), FR3, num_envs=N, world=world, threads=1)


def make_lift_contract() -> Contract:
    """Return the contract of such an environment."""
    return make_contract(make_env(), Provenance(experiment="lift-cube-ppo"))


def test_training_and_the_simulated_arm_drive_the_fingers_alike() -> None:
    env = make_env()
    env.reset([0, 1, 2])
    arm = SimulatedArm("lift-cube", "fr3", num_arms=N)
    arm.reset([0, 1, 2])
    spec = make_lift_contract().gripper
    assert spec is not None
    adapter = GripperAdapter(spec, arm.gripper)
    rng = np.random.default_rng(0)
    widths: list[float] = []
    action = np.zeros((N, 7))
    for k in range(90):
        if k % 15 == 0:  # busy half of the time: 0.1 s and up to 0.8 s of closing
            action[:, 6] = rng.uniform(-1.5, 1.5, N)
        obs = env.step(torch.from_numpy(action))[0]
        adapter.command(np.clip(action, -1.0, 1.0))
        arm.step()
        np.testing.assert_allclose(arm.gripper_width(), obs["gripper_width"][:, 0], atol=1e-6)
        widths.append(float(obs["gripper_width"][0, 0]))
    assert np.ptp(widths) > 0.02
    assert arm.gripper.dropped.sum() > 0


@pytest.mark.parametrize("world", ["mujoco", "warp"])
def test_an_episode_starts_with_a_gripper_that_rests(world: str) -> None:
    env = make_env(world)
    obs = env.reset([0, 1, 2])
    close = torch.tensor([[0.0] * 6 + [-1.0]]).expand(N, -1)
    for _ in range(30):  # 0.5 s: 0.1 s of delay and 40 mm, which the fingers follow 3.5 mm behind
        obs = env.step(close)[0]
    np.testing.assert_allclose(obs["gripper_width"][:, 0], 0.0435, atol=5e-4)
    chosen = torch.tensor([False, True, False])
    env._start(chosen, env._next_starts(chosen))
    hold = torch.zeros(N, 7)
    hold[:, 6] = 1.0
    for _ in range(3):  # the others still close: nothing interrupts the hand
        obs = env.step(hold)[0]
    assert obs["gripper_width"][1, 0] == pytest.approx(0.08, abs=1e-3)
    assert (obs["gripper_width"][[0, 2], 0] < 0.039).all()


def test_the_contract_says_what_the_seventh_element_is() -> None:
    contract = make_lift_contract()
    gripper = contract.gripper
    assert gripper is not None
    assert (gripper.kind, gripper.action_element) == ("share", 6)
    assert contract.action.dim == 7
    assert contract.action.element_names[6] == "gripper"
    assert contract.action.scale[6] == 0.04
    assert contract.input("gripper_width").unit == "m"
    check_supported(contract)
    fixed = make_contract(
        Env(make_task("peg-insertion", "fr3"), FR3, num_envs=1),
        Provenance(experiment="peg-insertion-ppo"),
    )
    assert fixed.action.dim == 6
    assert fixed.gripper is not None and fixed.gripper.kind == "fixed"
    check_supported(fixed)
