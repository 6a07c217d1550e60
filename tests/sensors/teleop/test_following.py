"""A leader: it never makes its arm jump, and from silence nothing moves."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import PANDA
from sim2arm.core.transforms import quat_conjugate, quat_mul, quat_to_rotvec
from sim2arm.sensors.teleop.following import FollowCfg, JointTeleop, start_problem
from tests.sensors.teleop.fakes import MS, make_reading

NAMES = ("shoulder", "elbow")
RELATIVE = FollowCfg(mode="relative")


def make_teleop(cfg: FollowCfg | None = None, q: tuple[float, ...] = (0.3, -0.5)) -> JointTeleop:
    return JointTeleop(NAMES, NAMES, np.array(q), cfg)


def lead(teleop: JointTeleop, t_ms: int, joints: list[float], **changes: object) -> np.ndarray:
    reading = make_reading(joints, ns=t_ms * MS, sequence=t_ms + 1, joints=True)
    return teleop.step(replace(reading, **changes), t_ms * MS).q


def test_a_leader_far_from_the_arm_is_refused_with_one_line() -> None:
    teleop = make_teleop()
    reading = make_reading([0.3, -0.29], joints=True)  # the elbow is 0.21 rad away
    command = teleop.step(reading, 0)
    assert not command.follows and command.q.tolist() == [0.3, -0.5]
    assert command.why == (
        "leader joint 'elbow' is at -0.290 rad, the arm at -0.500 rad: expected at most 0.2 rad "
        "apart; move the leader to the arm's position"
    )
    assert "\n" not in command.why
    assert start_problem(NAMES, np.array([0.3, -0.31]), np.array([0.3, -0.5]), 0.2) == ""


def test_the_arm_approaches_at_half_a_radian_per_second_and_then_follows() -> None:
    teleop = make_teleop()
    said = [lead(teleop, t, [0.4, -0.5]) for t in range(0, 220, 10)]
    steps = np.diff([q[0] for q in said])
    assert said[0].tolist() == [0.3, -0.5]
    np.testing.assert_allclose(steps[:20], 0.005, atol=1e-12)  # 0.1 rad in 0.2 s
    assert said[-1].tolist() == [0.4, -0.5]
    # Arrived, it follows at once, up to its top speed of 2 rad/s.
    np.testing.assert_allclose(lead(teleop, 220, [0.41, -0.5]), [0.41, -0.5], atol=1e-12)
    np.testing.assert_allclose(lead(teleop, 230, [0.51, -0.5]), [0.43, -0.5], atol=1e-12)


def test_a_leader_that_runs_away_during_the_approach_is_refused() -> None:
    teleop = make_teleop()
    for t in range(0, 100, 10):
        lead(teleop, t, [0.4 + 0.003 * t, -0.5])  # 3 rad/s: 0.25 rad farther away after 0.1 s
    reading = make_reading([0.7, -0.5], ns=100 * MS, sequence=999, joints=True)
    command = teleop.step(reading, 100 * MS)
    assert not command.follows and "move the leader" in command.why
    # 7 ticks of 5 mrad; at the 8th it is 0.64 - 0.335 = 0.305 rad away, more than 1.5 tolerances.
    np.testing.assert_allclose(command.q, [0.335, -0.5], atol=1e-12)


def test_an_encoder_that_jumps_opens_the_clutch() -> None:
    teleop = make_teleop(RELATIVE)
    lead(teleop, 0, [1.0, 1.0])
    np.testing.assert_allclose(lead(teleop, 10, [1.01, 1.0]), [0.31, -0.5], atol=1e-12)
    reading = make_reading([1.01 + 2 * math.pi, 1.0], ns=20 * MS, sequence=99, joints=True)
    command = teleop.step(reading, 20 * MS)
    assert command.why == "leader joint 'shoulder' jumped by 6.283 rad"
    np.testing.assert_allclose(command.q, [0.31, -0.5], atol=1e-12)


def test_joints_go_by_name_and_stay_inside_the_limits() -> None:
    teleop = JointTeleop(
        NAMES, ("grip", "elbow", "shoulder"), np.zeros(2), RELATIVE, limits=([-0.1] * 2, [0.1] * 2)
    )
    lead(teleop, 0, [9.0, 2.0, 1.0])
    said = [lead(teleop, t, [9.0, 2.0 + 0.001 * t, 1.0 - 0.002 * t]) for t in range(10, 110, 10)]
    np.testing.assert_allclose(said[1], [-0.04, 0.02], atol=1e-12)
    np.testing.assert_allclose(said[-1], [-0.1, 0.1], atol=1e-12)


def test_the_gate_may_move_the_arm_and_the_leader_goes_on_from_there() -> None:
    teleop = make_teleop(RELATIVE)
    lead(teleop, 0, [1.0, 1.0])
    teleop.resume(np.array([0.0, 0.0]))
    assert lead(teleop, 10, [1.1, 1.0]).tolist() == [0.0, 0.0]
    np.testing.assert_allclose(lead(teleop, 20, [1.11, 1.0]), [0.01, 0.0], atol=1e-12)


@pytest.mark.parametrize("mode", ["absolute", "relative"])
def test_1000_drifts_with_an_open_clutch_move_the_tool_by_nothing(mode: Any) -> None:
    """Re-engaging moves the Panda's tool by less than 1 mm and 0.2 degrees."""
    rng = np.random.default_rng(2)
    names = PANDA.chain.joint_names
    home = np.array(PANDA.home)
    cfg = FollowCfg(mode=mode)
    before: list[np.ndarray] = []
    after: list[np.ndarray] = []
    follows = 0
    for _ in range(1000):
        teleop = JointTeleop(names, names, home, cfg)
        leader = home + rng.uniform(-0.2, 0.2, 7)
        size = 0.2 if mode == "absolute" else 2.0
        held = home
        for t in range(0, 60, 20):  # moved while the clutch is closed
            reading = make_reading(leader + 0.001 * t, ns=t * MS, sequence=t + 1, joints=True)
            held = teleop.step(reading, t * MS).q
        for t in range(60, 120, 20):  # adrift while it is open
            leader = held + rng.uniform(-size, size, 7)
            reading = make_reading(leader, ns=t * MS, sequence=t + 1, joints=True, clutch=False)
            assert np.array_equal(teleop.step(reading, t * MS).q, held)
        reading = make_reading(leader, ns=120 * MS, sequence=200, joints=True)
        command = teleop.step(reading, 120 * MS)
        follows += command.follows
        before.append(held)
        after.append(command.q)
    a, b = (forward_pose(PANDA.chain, np.array(q)) for q in (before, after))
    turned = np.linalg.norm(quat_to_rotvec(quat_mul(b[:, 3:], quat_conjugate(a[:, 3:]))), axis=-1)
    assert np.linalg.norm(b[:, :3] - a[:, :3], axis=-1).max() < 1e-3
    assert np.rad2deg(turned.max()) < 0.2
    assert follows == 1000


def test_10000_schedules_of_silence_never_move_the_arm_from_a_stale_reading() -> None:
    rng = np.random.default_rng(3)
    ticks, schedules = 5, 10_000
    gaps = rng.choice([1, 30, 120, 199, 201, 400], size=(schedules, ticks)) * MS
    sent = rng.random((schedules, ticks)) < 0.6
    leaders = 0.3 + np.cumsum(rng.uniform(-0.05, 0.05, (schedules, ticks, 2)), axis=1)
    moved = 0
    for schedule in range(schedules):
        teleop = make_teleop(RELATIVE, (0.3, 0.3))
        now, newest, last = 0, make_reading([0.3, 0.3], ns=0, joints=True), [0.3, 0.3]
        for tick in range(ticks):
            now += int(gaps[schedule, tick])
            if sent[schedule, tick]:
                joints = leaders[schedule, tick]
                newest = make_reading(joints, ns=now, sequence=tick + 2, joints=True)
            q = teleop.step(newest, now).q.tolist()
            if q != last:
                assert now - newest.receipt_ns <= 200 * MS
                moved += 1
            last = q
    assert moved > 1000


def test_no_reading_and_an_open_clutch_hold_what_was_commanded() -> None:
    teleop = make_teleop(RELATIVE)
    lead(teleop, 0, [0.0, 0.0])
    followed = lead(teleop, 10, [0.01, 0.0])
    assert teleop.step(None, 20 * MS, "unplugged").why == "unplugged"
    assert np.array_equal(teleop.step(None, 30 * MS).q, followed)
    assert np.array_equal(lead(teleop, 40, [0.5, 0.5], clutch=False), followed)
    assert np.array_equal(lead(teleop, 50, [math.nan, 0.5]), followed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "both"}, "mode: expected absolute or relative, got 'both'"),
        ({"start_tolerance": 0.0}, "start_tolerance: expected more than 0"),
        ({"approach_speed": math.inf}, "approach_speed: expected more than 0"),
    ],
)
def test_bad_settings_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FollowCfg(**changes)


def test_wrong_joints_and_positions_are_errors() -> None:
    with pytest.raises(ValueError, match=r"leader: expected the joints \['shoulder', 'elbow'\]"):
        JointTeleop(NAMES, ("elbow",), np.zeros(2))
    with pytest.raises(ValueError, match="q: expected 2 finite numbers"):
        JointTeleop(NAMES, NAMES, np.array([0.0, math.nan]))
    with pytest.raises(ValueError, match=r"expected joints \(2,\)"):
        make_teleop().step(make_reading([0.0] * 3, joints=True), 0)
    with pytest.raises(ValueError, match=r"expected joints \(2,\)"):
        make_teleop().step(make_reading(), 0)
