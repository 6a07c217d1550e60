"""Twists as actions: by hand-computed numbers, and that silence and an open clutch move nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.controllers import EeDelta, EeDeltaCfg
from sim2arm.core.robots import PANDA
from sim2arm.core.transforms import quat_from_rotvec
from sim2arm.sensors.teleop.base import new_presses
from sim2arm.sensors.teleop.clutch import LONGEST_TICK, TwistCfg, TwistTeleop, tick_length
from tests.sensors.teleop.fakes import MS, make_reading

PERIOD_NS = 20 * MS
LINEAR = TwistCfg(dead_zone=0.0, expo=0.0, translation_scale=1.0, rotation_scale=1.0)


def armed(cfg: TwistCfg = LINEAR) -> TwistTeleop:
    """Return one whose device has rested at time 0, so that it follows."""
    made = TwistTeleop(cfg)
    made.step(make_reading(ns=0), 0, np.array([1.0, 0.0, 0.0, 0.0]))
    return made


def act(teleop: TwistTeleop, twist: list[float], q: np.ndarray | None = None) -> np.ndarray:
    return teleop.step(make_reading(twist, ns=PERIOD_NS), PERIOD_NS, q).action


def test_an_axis_begins_at_its_dead_zone_and_its_curve_is_the_mix_of_line_and_cube() -> None:
    teleop = armed(TwistCfg(dead_zone=0.2, expo=0.5, translation_scale=0.5, rotation_scale=1.0))
    action = act(teleop, [0.2, 0.6, -1.0, -0.6, 0.1, 1.0])
    # (0.6 - 0.2) / 0.8 = 0.5; 0.5 * 0.5 + 0.5 * 0.125 = 0.3125; half of it along axes.
    np.testing.assert_allclose(action[:6], [0.0, 0.15625, -0.5, -0.3125, 0.0, 1.0], atol=1e-12)
    assert action[6] == 1.0


def test_the_heading_turns_the_hand_about_z() -> None:
    teleop = armed(replace(LINEAR, heading=math.pi / 2))  # the person looks along y of the base
    np.testing.assert_allclose(
        act(teleop, [1, 0, 0, 0.5, 0, 0])[:6], [0, 1, 0, 0, 0.5, 0], atol=1e-12
    )


def test_steps_in_the_tools_frame_stay_in_the_box_without_bending() -> None:
    q = quat_from_rotvec(np.array([0.0, math.pi, 0.0]))  # a gripper that points down
    teleop = armed(replace(LINEAR, frame="tool"))
    np.testing.assert_allclose(
        act(teleop, [0, 0, 1, 0, 0, 1], q)[:6], [0, 0, -1, 0, 0, -1], atol=1e-12
    )
    teleop = armed(replace(LINEAR, frame="tool"))
    turned = act(teleop, [1, 1, 0, 0, 0, 0], quat_from_rotvec(np.array([0.0, 0.0, math.pi / 4])))
    np.testing.assert_allclose(turned[:3], [0.0, 1.0, 0.0], atol=1e-12)  # (0, sqrt 2), shortened


@pytest.mark.parametrize("frame", ["base", "tool"])
def test_the_projects_controller_moves_the_tool_as_the_hand_says(frame: Any) -> None:
    cfg = EeDeltaCfg()
    controller = EeDelta(PANDA, 0.02, cfg, np.array([PANDA.home]))
    start = controller.pose.copy()
    teleop = armed(replace(LINEAR, frame=frame))
    action = act(teleop, [0.0, 0.0, 0.5, 0.0, 0.0, 0.0], start[0, 3:])
    controller.step(action[None], start)
    moved = controller.pose[0, :3] - start[0, :3]
    up = 0.5 * cfg.position_scale * (1.0 if frame == "base" else -1.0)  # the tool's z points down
    np.testing.assert_allclose(moved, [0.0, 0.0, up], atol=1e-6)


def test_a_deflected_device_moves_nothing_until_it_has_rested() -> None:
    teleop = TwistTeleop(LINEAR)
    pushed, resting = [0.5, 0, 0, 0, 0, 0], [0.0] * 6
    said = [
        teleop.step(make_reading(twist, ns=t * MS, sequence=t), t * MS)
        for t, twist in enumerate([pushed, pushed, resting, pushed])
    ]
    assert [command.follows for command in said] == [False, False, True, True]
    assert [command.action[0] for command in said] == [0.0, 0.0, 0.0, 0.5]
    assert "rest" in said[0].why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ns": -201 * MS}, "silent for 0.201 s"),
        ({"ns": 201 * MS}, "0.201 s ahead"),
        ({"numbers": [0.5, math.nan, 0, 0, 0, 0]}, "not finite"),
        ({"numbers": [math.inf, 0, 0, 0, 0, 0]}, "not finite"),
        ({"gripper": math.nan}, "not finite"),
        ({"clutch": False}, "clutch is open"),
        ({"sequence": 1}, "reading 1 came after reading 5"),
    ],
)
def test_each_reason_to_hold_is_named_and_takes_a_rest_to_end(
    changes: dict[str, Any], why: str
) -> None:
    teleop = TwistTeleop(LINEAR)
    teleop.step(make_reading(ns=0, sequence=5), 0)
    good: dict[str, Any] = {"numbers": [0.5, 0, 0, 0, 0, 0], "sequence": 6, "gripper": -1.0}
    command = teleop.step(make_reading(**(good | changes)), 0)
    assert why in command.why and not command.follows
    assert command.action.tolist() == [0.0] * 6 + [1.0]
    again = teleop.step(make_reading([0.5, 0, 0, 0, 0, 0], ns=0, sequence=7), 0)
    assert not again.follows and not again.action[:6].any()


def test_without_a_reading_the_devices_words_are_the_reason() -> None:
    assert armed().step(None, 0, why="no keyboard is plugged in").why == "no keyboard is plugged in"


def test_buttons_work_the_gripper_only_while_the_arm_follows() -> None:
    teleop = TwistTeleop(LINEAR)

    def step(t: int, toggles: int, *, clutch: bool = True) -> float:
        presses = {"gripper_toggle": toggles}
        reading = make_reading(ns=t * MS, sequence=t, presses=presses, clutch=clutch)
        return float(teleop.step(reading, t * MS).action[6])

    assert [step(1, 3), step(2, 4), step(3, 4), step(4, 5)] == [1.0, -1.0, -1.0, 1.0]
    assert [step(5, 6, clutch=False), step(6, 6), step(7, 7)] == [1.0, 1.0, -1.0]


def test_a_trigger_moves_the_gripper_at_its_rate_and_not_when_the_clutch_closes() -> None:
    teleop = TwistTeleop(replace(LINEAR, gripper_rate=5.0))
    said = [
        float(teleop.step(make_reading(ns=t * MS, sequence=t, gripper=-1.0), t * MS).action[6])
        for t in (0, 10, 20)
    ]
    np.testing.assert_allclose(said, [1.0, 0.95, 0.90], atol=1e-12)


def test_a_late_tick_is_not_made_up_for() -> None:
    assert [tick_length(None, 5), tick_length(0, 10 * MS), tick_length(10, 5)] == [0.0, 0.01, 0.0]
    assert tick_length(0, 10**12) == LONGEST_TICK


def test_presses_between_readings_are_neither_missed_nor_doubled() -> None:
    assert new_presses({}, {"keep": 1, "start": 2}) == ("start", "start", "keep")
    assert new_presses({"keep": 1}, {"keep": 1}) == ()
    assert new_presses({"keep": 3}, {"keep": 1}) == ()


def test_10000_schedules_of_silence_never_move_the_tool_from_a_stale_reading() -> None:
    rng = np.random.default_rng(0)
    ticks, schedules = 5, 10_000
    moved = 0
    # Readings of a device that goes silent: receipts stop, and come back after a while.
    gaps = rng.choice([1, 30, 120, 199, 201, 400], size=(schedules, ticks)) * MS
    sent = rng.random((schedules, ticks)) < 0.6
    pushed = rng.choice([0.0, 0.7], size=(schedules, ticks), p=[0.4, 0.6])
    for schedule in range(schedules):
        teleop, now, newest = TwistTeleop(LINEAR), 0, make_reading(ns=0)
        for tick in range(ticks):
            now += int(gaps[schedule, tick])
            if sent[schedule, tick]:
                newest = make_reading([pushed[schedule, tick]] * 6, ns=now, sequence=tick + 2)
            action = teleop.step(newest, now).action
            if action[:6].any():
                assert now - newest.receipt_ns <= 200 * MS
                moved += 1
    assert moved > 1000  # the law is not kept by never moving


def test_1000_drifts_with_an_open_clutch_move_nothing_when_it_closes() -> None:
    rng = np.random.default_rng(1)
    for _ in range(1000):
        teleop, total = armed(), np.zeros(6)
        for tick in range(1, 6):
            drift = rng.uniform(-1, 1, 6)
            reading = make_reading(drift, ns=tick * MS, sequence=tick + 1, clutch=tick > 3)
            total += np.abs(teleop.step(reading, tick * MS).action[:6])
        assert not total.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dead_zone": 1.0}, "dead_zone: expected 0 or more and less than 1, got 1.0"),
        ({"expo": math.nan}, "expo: expected 0 to 1, got nan"),
        ({"rotation_scale": 2.0}, "rotation_scale: expected 0 to 1, got 2.0"),
        ({"frame": "world"}, "frame: expected base or tool, got 'world'"),
        ({"heading": math.inf}, "heading: expected an angle in rad, got inf"),
        ({"max_age": 0.0}, "max_age: expected more than 0, got 0.0"),
    ],
)
def test_bad_settings_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TwistCfg(**changes)


def test_readings_of_other_devices_and_a_missing_orientation_are_errors() -> None:
    with pytest.raises(ValueError, match="expected a twist"):
        TwistTeleop().step(make_reading([0.0] * 6, joints=True), 0)
    with pytest.raises(ValueError, match="q_base_tool"):
        TwistTeleop(TwistCfg(frame="tool")).step(make_reading(), 0)
