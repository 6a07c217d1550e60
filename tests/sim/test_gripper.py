"""The gripper in physics: delay, finger speed, one command at a time, force on an object."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest
import torch

from sim2arm.core.contract import GripperSpec
from sim2arm.core.gripper import GripperAdapter, GripperModel
from sim2arm.core.robots import FR3
from sim2arm.sim.arm import SimulatedArm

HAND = FR3.gripper


def make_arm(task: str = "reach", seed: int = 0, num_arms: int = 1) -> SimulatedArm:
    arm = SimulatedArm(task, "fr3", num_arms=num_arms)
    arm.reset(seed)
    return arm


def test_fingers_wait_then_move_at_their_speed_and_arrive() -> None:
    arm = make_arm()
    fingers = arm.world.joints(HAND.joint_names)
    for _ in range(5):
        arm.step()
    assert arm.command_gripper(0.08).all()
    for _ in range(6):  # 0.1 s
        arm.step()
        assert abs(arm.gripper_width()[0]) < 2e-5
        assert arm.gripper.busy.all()
    speeds = []
    for _ in range(48):  # 80 mm at 2 * 0.05 m/s take 0.8 s
        arm.step()
        speeds.append(fingers.dq.numpy()[0].copy())
    assert np.abs(speeds).max() < 1.02 * HAND.speed
    # The drive's time constant is 70 N / 0.05 m/s / (2 * 20 kN/m) = 35 ms, 11 periods are five.
    np.testing.assert_allclose(speeds[11:], HAND.speed, rtol=0.02)
    # The motor needs its 70 N for this speed: 70 N / 20 kN/m = 3.5 mm behind the target, of which
    # the last substep makes up 0.1 m/s / 480 Hz = 0.21 mm.
    assert arm.gripper_width()[0] == pytest.approx(0.08 - 0.0035 + 0.00021, abs=5e-5)
    assert arm.gripper.busy.all()
    for _ in range(6):  # the last 2.5 mm, three of the time constant
        arm.step()
    assert not arm.gripper.busy.any()
    assert not arm.gripper.blocked.any()
    assert arm.gripper_width()[0] == pytest.approx(0.08, abs=HAND.open_width / 80)


def test_a_command_to_a_busy_gripper_changes_nothing() -> None:
    paths = []
    for interrupted in (False, True):
        arm = make_arm()
        arm.command_gripper(0.06)
        path = []
        for k in range(40):
            if interrupted and k in (3, 20):
                assert not arm.command_gripper(0.0).any()
            arm.step()
            path.append(arm.gripper_width()[0])
        assert arm.gripper.dropped[0] == (2 if interrupted else 0)
        paths.append(path)
    np.testing.assert_array_equal(paths[0], paths[1])
    assert paths[0][-1] > 0.03


def test_a_peg_is_held_with_the_force_limit_and_let_go() -> None:
    arm = make_arm("peg-insertion", seed=1)
    arm.command_gripper(0.0)
    for _ in range(60):
        arm.step()
    # The peg is 16 mm wide: (16 mm - 0) * 20 kN/m = 320 N is more than the limit of 70 N.
    for side in ("left", "right"):
        force = arm.world.pair_force(f"fr3_{side}finger", "peg")[0]
        assert float(torch.linalg.norm(force)) == pytest.approx(HAND.force, rel=0.02)
    assert arm.gripper_width()[0] == pytest.approx(0.016, abs=1.5e-3)  # the pads give way
    assert arm.gripper.blocked.all()
    assert not arm.gripper.busy.any()
    assert arm.command_gripper(0.08).all()
    for _ in range(30):  # 0.5 s: 0.1 s of delay and 40 mm
        arm.step()
    assert arm.gripper_width()[0] > 0.05
    assert not arm.world.pair_force("fr3_leftfinger", "peg").any()
    assert not arm.gripper.blocked.any()


def test_a_reset_makes_it_stand_again() -> None:
    arm = make_arm("peg-insertion")
    arm.command_gripper(0.08)
    for _ in range(20):
        arm.step()
    arm.reset(0)
    other = make_arm("peg-insertion")
    for _ in range(20):
        arm.step()
        other.step()
    np.testing.assert_array_equal(arm.joint_state()[0], other.joint_state()[0])
    np.testing.assert_array_equal(arm.gripper_width(), other.gripper_width())


def test_substeps_may_be_taken_one_by_one() -> None:
    whole, parts = make_arm(), make_arm()
    for arm, sizes in ((whole, [8]), (parts, [1, 4, 3])):
        arm.command_gripper(0.08)
        for _ in range(20):
            for size in sizes:
                arm.advance(size)
    np.testing.assert_allclose(parts.gripper_width(), whole.gripper_width(), atol=1e-9)
    assert whole.gripper_width()[0] > 0.01


def test_each_arm_has_its_gripper() -> None:
    arm = make_arm(num_arms=2)
    arm.command_gripper(np.array([0.08, 0.0]))
    for _ in range(20):
        arm.step()
    assert arm.gripper_width()[0] > 0.01
    assert abs(arm.gripper_width()[1]) < 1e-4
    np.testing.assert_array_equal(arm.gripper.busy, [True, False])
    with pytest.raises(ValueError, match=r"must lie in 0 to 0\.08 m"):
        arm.command_gripper(0.09)


def test_torch_and_numpy_agree() -> None:
    spec = GripperSpec(
        kind="binary", action_element=0, open_width=0.08, speed=0.05, force=70.0, delay_s=0.1
    )
    rng = np.random.default_rng(0)
    start = rng.uniform(0.0, 0.08, 16)
    models = [GripperModel(HAND, start), GripperModel(HAND, torch.from_numpy(start))]
    adapters = [GripperAdapter(spec, model) for model in models]
    ahead = np.arange(1, 9) / 480.0
    for _ in range(120):
        action = np.repeat(rng.uniform(-2.0, 2.0, (16, 1)), 1, axis=1)
        taken = [adapters[0].command(action), adapters[1].command(torch.from_numpy(action))]
        np.testing.assert_array_equal(taken[0], taken[1].numpy())
        targets = [models[0].targets(ahead), models[1].targets(torch.from_numpy(ahead))]
        np.testing.assert_array_equal(targets[0], targets[1].numpy())
        measured = np.maximum(targets[0][:, -1], 0.03)
        models[0].advance(1 / 60, measured)
        models[1].advance(1 / 60, torch.from_numpy(measured))
        for name in ("busy", "blocked", "dropped", "target", "goal"):
            np.testing.assert_array_equal(
                getattr(models[0], name), getattr(models[1], name).numpy(), err_msg=name
            )
    assert models[0].dropped.sum() > 100
