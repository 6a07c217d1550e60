"""The ee_delta controller: exact steps, leash, limits, numpy equals torch."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.contract import ExecutorSpec, GripperSpec
from sim2arm.core.controllers import EeDelta, EeDeltaCfg, as_tool_steps, from_contract
from sim2arm.core.inverse import solve_pose
from sim2arm.core.joint_motion import JointMotion
from sim2arm.core.joint_targets import JointTargets, JointTargetsCfg, as_joint_targets
from sim2arm.core.kinematics import forward
from sim2arm.core.limits import velocity_bounds
from sim2arm.core.robots import FR3, ROBOTS
from sim2arm.core.transforms import pose_from_matrix, quat_conjugate, quat_mul, quat_to_rotvec
from tests.builders import make_action, make_contract

DT = 1.0 / 60.0


def make_controller(rows: int = 1, **overrides: float) -> EeDelta:
    """Return a controller of the FR3 at home."""
    q = np.tile(np.asarray(FR3.home), (rows, 1))
    return EeDelta(FR3, DT, EeDeltaCfg(**overrides), q)


def test_one_action_moves_the_command_by_its_scale_in_the_base_frame() -> None:
    control = make_controller()
    before = control.pose.copy()
    control.step(np.array([[0.5, 0.0, -1.0, 0.0, 0.0, 0.2]]), before)
    np.testing.assert_allclose(control.pose[0, :3] - before[0, :3], [0.005, 0.0, -0.01], atol=1e-12)
    turn = quat_to_rotvec(quat_mul(control.pose[:, 3:], quat_conjugate(before[:, 3:])))
    np.testing.assert_allclose(turn[0], [0.0, 0.0, 0.01], atol=1e-12)  # 0.2 * 0.05 rad


def test_zero_actions_hold_the_last_command_whatever_is_measured() -> None:
    control = make_controller()
    start = control.pose.copy()
    sagged = start.copy()
    sagged[0, 2] -= 0.01
    for _ in range(120):
        control.step(np.zeros((1, 6)), sagged)
    np.testing.assert_allclose(control.pose, start, atol=1e-9)


def test_leash_keeps_the_command_near_the_measured_pose() -> None:
    control = make_controller(position_leash=0.03)
    stuck = control.pose.copy()
    for _ in range(20):
        control.step(np.array([[1.0, 0, 0, 0, 0, 0]]), stuck)
    assert np.linalg.norm(control.pose[0, :3] - stuck[0, :3]) == pytest.approx(0.03)


def test_the_joints_reach_the_commanded_pose() -> None:
    control = make_controller()
    for k in range(180):
        action = np.array([[0.3, -0.2, 0.1, 0.1, 0.1, -0.2]]) if k < 40 else np.zeros((1, 6))
        control.step(action, pose_from_matrix(forward(FR3.chain, control.motion.q)))
    reached = pose_from_matrix(forward(FR3.chain, control.motion.q))
    np.testing.assert_allclose(reached[0, :3], control.pose[0, :3], atol=1e-4)


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_random_actions_stay_inside_velocity_acceleration_and_jerk(name: str) -> None:
    robot = ROBOTS[name]
    rng = np.random.default_rng(0)
    control = EeDelta(robot, DT, EeDeltaCfg(), np.tile(np.asarray(robot.home), (32, 1)))
    for _ in range(200):
        measured = pose_from_matrix(forward(robot.chain, control.motion.q))
        control.step(rng.choice([-1.0, 1.0], size=(32, 6)), measured)
        assert (np.abs(control.motion.dq) <= np.asarray(robot.limits.dq_max) + 1e-9).all()
        assert (np.abs(control.motion.ddq) <= np.asarray(robot.limits.ddq_max) + 1e-9).all()
        assert (np.abs(control.motion.jerk) <= np.asarray(robot.limits.dddq_max) + 1e-9).all()


def test_rows_reset_alone() -> None:
    control = make_controller(rows=3)
    control.step(np.ones((3, 6)), control.pose)
    moved = control.motion.q.copy()
    control.reset(np.asarray(FR3.home)[None], np.array([1]))
    np.testing.assert_array_equal(control.motion.q[1], FR3.home)
    np.testing.assert_array_equal(control.motion.q[[0, 2]], moved[[0, 2]])
    assert not control.motion.dq[1].any()


def test_inverse_kinematics_reaches_the_pose() -> None:
    home = np.asarray(FR3.home)
    wanted = pose_from_matrix(forward(FR3.chain, home[None] + 0.15))
    q = solve_pose(FR3, wanted, home[None])
    np.testing.assert_allclose(pose_from_matrix(forward(FR3.chain, q)), wanted, atol=1e-9)


def test_contract_gives_the_controller_it_describes() -> None:
    parameters = asdict(EeDeltaCfg(position_leash=0.02, bandwidth=20.0))
    del parameters["position_scale"], parameters["rotation_scale"]
    action = make_action(parameters=parameters)
    contract = make_contract(action=action)
    control = from_contract(ROBOTS["panda"], contract, np.asarray(FR3.home)[None])
    assert isinstance(control, EeDelta)
    assert control.cfg.position_leash == 0.02
    assert control.cfg.bandwidth == 20.0
    assert control.cfg.rotation_scale == 0.05
    other = make_contract(action=replace(action, rotation_side="right"))
    with pytest.raises(ValueError, match="no controller"):
        from_contract(ROBOTS["panda"], other, np.asarray(FR3.home)[None])


def test_the_goals_of_steps_are_the_same_motion_as_joint_targets() -> None:
    """What a demonstration by steps asked for, a chunk of joint positions asks for again."""
    rng = np.random.default_rng(1)
    steps, q = make_controller(rows=4), np.tile(np.asarray(FR3.home), (4, 1))
    targets = JointTargets(FR3, DT, JointTargetsCfg(), q)
    for _ in range(120):
        measured = pose_from_matrix(forward(FR3.chain, steps.motion.q))
        asked = steps.step(rng.uniform(-1.0, 1.0, (4, 6)), measured)
        answered = targets.step(steps.motion.goal, measured)
        np.testing.assert_allclose(answered, asked, atol=1e-12)


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_targets_that_jump_stay_inside_velocity_acceleration_and_jerk(name: str) -> None:
    robot, rng = ROBOTS[name], np.random.default_rng(0)
    limits, n = robot.limits, len(robot.joint_names)
    control = JointTargets(robot, DT, JointTargetsCfg(), np.tile(np.asarray(robot.home), (8, 1)))
    margin = np.asarray(limits.q_min) + 0.05, np.asarray(limits.q_max) - 0.05
    wanted = rng.uniform(-7.0, 7.0, (5, 8, n))
    for tick in range(200):
        control.step(wanted[tick // 40], np.zeros((8, 7)))
        assert (np.abs(control.motion.dq) <= np.asarray(limits.dq_max) + 1e-9).all()
        assert (np.abs(control.motion.ddq) <= np.asarray(limits.ddq_max) + 1e-9).all()
        assert (np.abs(control.motion.jerk) <= np.asarray(limits.dddq_max) + 1e-9).all()
        assert (control.motion.goal >= margin[0] - 1e-9).all()
        assert (control.motion.goal <= margin[1] + 1e-9).all()


def test_a_joint_at_its_end_where_its_bound_is_0_holds_nothing_up() -> None:
    q = np.array([FR3.home])
    q[0, 0] = FR3.limits.q_max[0]
    assert velocity_bounds(FR3.limits, q)[1][0, 0] == 0.0
    motion = JointMotion(FR3, DT, EeDeltaCfg(joint_margin=0.0), q.copy())
    way = np.zeros((1, 7))
    way[0, 3] = 1e-3
    wanted, speed = motion.step(way)
    assert np.isfinite(wanted).all() and np.isfinite(speed).all()
    assert wanted[0, 3] > q[0, 3] and wanted[0, 0] == pytest.approx(q[0, 0], abs=1e-9)
    way[0, 0] = 1e-3  # further than it may: then nothing moves
    motion.reset(q, np.arange(1))
    goal, _ = motion.step(way)
    np.testing.assert_allclose(goal, q, atol=1e-9)


def test_a_contract_of_steps_becomes_one_of_joint_targets() -> None:
    parameters = asdict(EeDeltaCfg(bandwidth=20.0))
    del parameters["position_scale"], parameters["rotation_scale"]
    contract = as_joint_targets(make_contract(action=make_action(parameters=parameters)))
    assert contract.action.low == contract.limits.q_min
    home = np.asarray(FR3.home)[None]
    control = from_contract(ROBOTS["panda"], contract, home)
    assert isinstance(control, JointTargets)
    q, _ = control.step(home.copy(), np.zeros((1, 7)))
    np.testing.assert_allclose(q, home, atol=1e-12)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"scale": (2.0,) * 7}, "radians"),
        ({"frame": "base"}, "action.frame"),
        ({"parameters": {}}, "action.parameters"),
    ]
    for change, said in wrong:
        other = replace(contract, action=replace(contract.action, **change))
        with pytest.raises(ValueError, match=said):
            from_contract(ROBOTS["panda"], other, home)


@pytest.mark.parametrize("acts", [False, True])
def test_a_contract_of_joint_targets_becomes_one_of_steps_again(acts: bool) -> None:
    parameters = asdict(EeDeltaCfg(bandwidth=20.0))
    scale = (*(parameters.pop("position_scale"),) * 3, *(parameters.pop("rotation_scale"),) * 3)
    action, gripper = make_action(parameters=parameters, scale=scale), None
    if acts:
        names = ("x", "y", "z", "rx", "ry", "rz", "gripper")
        action = replace(
            action, dim=7, low=(-1.0,) * 7, high=(1.0,) * 7, element_names=names,
            scale=(*scale, 0.04),
        )  # fmt: skip
        gripper = GripperSpec(
            kind="share", action_element=6, open_width=0.08, speed=0.1, force=20.0, delay_s=0.0
        )
    contract = make_contract(action=action, gripper=gripper)
    assert as_tool_steps(as_joint_targets(contract)).differences(contract) == []
    chunks = replace(as_joint_targets(contract).action, horizon=8)
    chunked = replace(
        as_joint_targets(contract), action=chunks, executor=ExecutorSpec(kind="receding", execute=4)
    )
    assert as_tool_steps(chunked).differences(contract) == []  # a step per tick
