"""Hand-eye on arms whose truth is known: derivatives, results with intervals, refusals."""

# pyright: standard

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim2arm.calibration.bundle import moved
from sim2arm.calibration.hand_eye import HandEyeCfg, calibrate_hand_eye, check_motion
from sim2arm.calibration.hand_eye_model import (
    Arm,
    arm_of_joints,
    difference,
    inverse,
    predict,
)
from sim2arm.calibration.hand_eye_start import park
from sim2arm.calibration.next_poses import propose
from sim2arm.core.kinematics import forward
from sim2arm.core.robots_franka import FR3
from sim2arm.core.transforms import quat_from_rotvec, quat_to_matrix
from tests.calibration.rigs import RIGS, load

pytestmark = pytest.mark.skipif(RIGS is None, reason="the rigs are part of a checkout")
MOUNTS = pytest.mark.parametrize("mount", ["eye-in-hand", "eye-to-hand"])


def random_pose(rng: np.random.Generator) -> np.ndarray:
    return moved(np.eye(4), rng.uniform(-0.7, 0.7, 6))


@MOUNTS
def test_what_is_seen_and_its_derivatives(mount: Any) -> None:
    rng = np.random.default_rng(0)
    q = np.array(FR3.home) + rng.uniform(-0.3, 0.3, (4, 7))
    X, Y, offsets = random_pose(rng), random_pose(rng), rng.uniform(-0.02, 0.02, 7)
    arm = arm_of_joints(FR3.chain, q)
    seen = predict(mount, arm, X, Y, offsets)
    T = np.asarray(forward(FR3.chain, q + offsets))
    expected = np.linalg.inv(T @ X) @ Y if mount == "eye-in-hand" else np.linalg.inv(X) @ T @ Y
    np.testing.assert_allclose(seen.T_camera_board, expected, atol=1e-12)

    def off(a: np.ndarray, b: np.ndarray, o: np.ndarray, tool: np.ndarray) -> np.ndarray:
        here = Arm(T_base_tool=T @ tool) if tool.any() and not o.any() else arm
        o = np.zeros(0) if here.chain is None else offsets + o
        return predict(mount, here, a, b, o).T_camera_board

    zero, still = np.zeros(7), np.zeros((4, 4))
    for i in range(6):
        small = 1e-6 * np.eye(6)[i]
        for found, make in (
            (seen.by_camera, lambda s: off(moved(X, s), Y, zero, still)),
            (seen.by_board, lambda s: off(X, moved(Y, s), zero, still)),
            (seen.by_tool, lambda s: off(X, Y, zero, moved(np.eye(4), s))),
        ):
            ends = [difference(make(s * small), seen.T_camera_board) for s in (1, -1)]
            np.testing.assert_allclose(found[..., i], (ends[0] - ends[1]) / 2e-6, atol=1e-6)
    for i in range(7):
        ends = [
            difference(off(X, Y, s * 1e-6 * np.eye(7)[i], still), seen.T_camera_board)
            for s in (1, -1)
        ]
        np.testing.assert_allclose(seen.by_offsets[..., i], (ends[0] - ends[1]) / 2e-6, atol=1e-6)


def test_the_closed_form_is_exact_without_noise() -> None:
    rng = np.random.default_rng(1)
    X, Y = random_pose(rng), random_pose(rng)
    A = np.stack([random_pose(rng) for _ in range(5)])
    np.testing.assert_allclose(park(A, inverse(A @ X) @ Y), X, atol=1e-9)


@MOUNTS
@pytest.mark.parametrize("wrong", [0, 5])
def test_the_camera_is_found_within_its_interval(mount: Any, wrong: int) -> None:
    """1 mm and 0.1 degrees at 25 poses, a fifth of them of another moment or none."""
    rng = np.random.default_rng(0)
    rig = RIGS.make_rig(FR3, mount, 25, rng)
    arm, bad = RIGS.spoil_poses(rig, wrong, rng) if wrong else (rig.arm, set())
    found = calibrate_hand_eye(rig.views, arm, rig.lens, HandEyeCfg(mount=mount, folds=3))
    off = difference(found.X[None], rig.X[None])[0]
    assert np.linalg.norm(off[:3]) < 1e-3 and np.linalg.norm(off[3:]) < np.radians(0.1)
    assert np.abs(off / found.sigma[:6]).max() < 4.0  # six numbers, one seed
    assert {found.names[k] for k in found.wrong} == bad == set(found.rejected)
    # What the arm is inexact by is found, too: 0.2 mm and 0.05 degrees.
    assert 1e-4 < found.noise[1] < 4e-4 and np.radians(0.02) < found.noise[2] < np.radians(0.1)
    good = np.delete(found.held_out, list(found.wrong), axis=0)
    assert np.sqrt(np.mean(good[:, 0] ** 2)) < 1.5e-3


@MOUNTS
def test_joint_offsets_are_found(mount: Any) -> None:
    rng = np.random.default_rng(2)
    true = np.radians([0.0, 1.2, -0.8, 0.5, 1.5, -1.0, 0.0])
    rig = RIGS.make_rig(FR3, mount, 25, rng, offsets=true)
    cfg = HandEyeCfg(mount=mount, joints=True, folds=2)
    found = calibrate_hand_eye(rig.views, rig.arm, rig.lens, cfg)
    assert np.degrees(np.abs(found.offsets - true)).max() < 0.1
    assert found.offsets[[0, 6]].tolist() == [0.0, 0.0] == found.sigma[[12, 18]].tolist()
    without = calibrate_hand_eye(rig.views, rig.arm, rig.lens, HandEyeCfg(mount=mount, folds=2))
    # Without them the arm seems as inexact as the offsets make it: a degree, not 0.05.
    assert without.noise[2] > 5 * found.noise[2]


def test_an_uncertain_lens_makes_the_camera_uncertain() -> None:
    rig = RIGS.make_rig(FR3, "eye-in-hand", 12, np.random.default_rng(0))
    cfg = HandEyeCfg(folds=2)
    exact = calibrate_hand_eye(rig.views, rig.arm, rig.lens, cfg)
    spread = np.diag([4.0, 4.0, 0, 0, 0, 0, 0, 0, 0]) + 0.0
    spread[0, 1] = spread[1, 0] = 4.0  # fx and fy together by 2 px of 600
    unsure = calibrate_hand_eye(rig.views, rig.arm, rig.lens, cfg, lens_covariance=spread)
    np.testing.assert_array_equal(unsure.X, exact.X)
    moved_lens = rig.lens.with_numbers(rig.lens.numbers + np.array([2.0, 2, 0, 0, 0, 0, 0, 0, 0]))
    other = calibrate_hand_eye(rig.views, rig.arm, moved_lens, cfg)
    moves = np.abs(difference(other.X[None], exact.X[None])[0])
    more = np.sqrt(unsure.sigma[:6] ** 2 - exact.sigma[:6] ** 2)
    np.testing.assert_allclose(more[2], moves[2], rtol=0.2)  # along the axis it moves most
    assert more[2] > 5e-4


@pytest.mark.parametrize("what", ["4 poses", "rotations below 30 deg", "parallel axes"])
def test_degenerate_motions_are_refused_with_the_reason(what: str) -> None:
    assert load("_calibration_arms")._refuses(what, np.random.default_rng(0))


def test_the_reason_names_the_axis() -> None:
    angles = np.linspace(0.0, 1.0, 8)
    turns = [quat_to_matrix(quat_from_rotvec(np.array([0.0, a, 0.0]))) for a in angles]
    T = np.tile(np.eye(4), (8, 1, 1))
    T[:, :3, :3] = turns
    with pytest.raises(ValueError, match=r"the same axis, \(0.00, 1.00, 0.00\) of the tool"):
        check_motion(T)


def test_what_does_not_agree_or_does_not_show_is_refused() -> None:
    rng = np.random.default_rng(0)
    rig = RIGS.make_rig(FR3, "eye-in-hand", 12, rng)
    arm, _ = RIGS.spoil_poses(rig, 7, rng)
    with pytest.raises(ValueError, match="of 12 views do not agree with the others"):
        calibrate_hand_eye(rig.views, arm, rig.lens)
    poses = Arm(T_base_tool=rig.arm.T_base_tool)
    with pytest.raises(ValueError, match="joint offsets need joint positions"):
        calibrate_hand_eye(rig.views, poses, rig.lens, HandEyeCfg(joints=True))
    found = calibrate_hand_eye(rig.views, poses, rig.lens, HandEyeCfg(folds=2))
    assert found.sigma.shape == (12,)
    with pytest.raises(ValueError, match="these views have tool poses"):
        propose(found, FR3, RIGS.BOARD, 1)
    blind = [view.where(np.arange(len(view.pixels)) < 3) for view in rig.views]
    with pytest.raises(ValueError, match="expected 5 poses or more, got 0"):
        calibrate_hand_eye(blind, rig.arm, rig.lens)


def test_proposed_views_make_the_camera_surer_than_others_do() -> None:
    rng = np.random.default_rng(4)
    rig = RIGS.make_rig(FR3, "eye-in-hand", 7, rng, lean=0.45)
    found = calibrate_hand_eye(rig.views, rig.arm, rig.lens, HandEyeCfg(folds=2))
    proposals = propose(found, FR3, RIGS.BOARD, 3)
    assert len(proposals) == 3 and proposals[0].gain > 1.05
    low, high = np.array(FR3.limits.q_min), np.array(FR3.limits.q_max)
    for one in proposals:
        assert ((one.q > low) & (one.q < high)).all()
        where = inverse(np.asarray(forward(FR3.chain, one.q)) @ rig.X) @ rig.Y
        seen = RIGS.look(rig.lens, where, "proposed", np.random.default_rng(0))
        assert len(seen.pixels) > 0.7 * len(RIGS.BOARD.corners)  # a tenth is never found
