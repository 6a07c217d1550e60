"""Grippers computed by hand: delay, speed, busy, dropped and replaced commands, thresholds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sim2arm.core.contract import GripperSpec
from sim2arm.core.gripper import STILL_TIME_S, GripperAdapter, GripperModel
from sim2arm.core.robots import FR3

DT = 0.05  # 0.1 s of delay are two periods
BUSY = np.array([True])
FREE = np.array([False])


def make_model(width: float = 0.08, rows: int = 1, **overrides: Any) -> GripperModel:
    """Return grippers like the Franka Hand: 0.1 s, 0.05 m/s per finger."""
    return GripperModel(replace(FR3.gripper, **overrides), np.full(rows, width))


def make_spec(**overrides: Any) -> GripperSpec:
    """Return the hand worked by element 1 of the action."""
    values: dict[str, Any] = {
        "kind": "binary",
        "action_element": 1,
        "open_width": 0.08,
        "speed": 0.05,
        "force": 70.0,
        "delay_s": 0.1,
    }
    return GripperSpec(**(values | overrides))


def follow(model: GripperModel, periods: int, stop: float = 0.0) -> npt.NDArray[np.float64]:
    """Pass periods with fingers that follow at once but go no further in than `stop`."""
    path: list[float] = []
    for _ in range(periods):
        ahead = model.targets(np.array([DT]))[:, 0]
        model.advance(DT, np.maximum(ahead, stop))
        path.append(float(model.target[0]))
    return np.array(path)


def test_waits_then_moves_at_twice_the_finger_speed() -> None:
    model = make_model()
    assert model.command(np.array([0.055])).all()
    # 0.05 s per period: nothing for 0.1 s, then 0.1 m/s * 0.05 s = 5 mm each, 25 mm in all.
    np.testing.assert_allclose(
        follow(model, 8), [0.08, 0.08, 0.075, 0.07, 0.065, 0.06, 0.055, 0.055], atol=1e-12
    )
    assert model.target[0] == 0.055  # exactly
    assert not model.busy.any()
    assert not model.blocked.any()


def test_targets_inside_a_period() -> None:
    model = make_model()
    model.command(np.array([0.0]))
    model.advance(DT, np.array([0.08]))
    # 0.05 s of delay are left: at 0.04 s nothing, at 0.07 s 0.1 * 0.02 = 2 mm, at 1 s all 80 mm.
    targets = model.targets(np.array([0.04, 0.07, 1.0]))
    np.testing.assert_allclose(targets, [[0.08, 0.078, 0.0]], atol=1e-12)
    assert model.target[0] == 0.08  # looking ahead changes nothing


def test_a_standing_gripper_keeps_its_width_to_the_last_bit() -> None:
    model = make_model(0.1 + 0.2 - 0.25)
    for _ in range(5):
        assert (model.targets(np.arange(1, 9) / 480.0) == 0.1 + 0.2 - 0.25).all()
        model.advance(1 / 60, np.array([0.06]))  # the object between the pads is wider
    assert not model.busy.any()


def test_a_busy_gripper_drops_and_counts() -> None:
    model = make_model()
    model.command(np.array([0.06]))
    follow(model, 3)
    np.testing.assert_array_equal(model.command(np.array([0.08])), FREE)
    np.testing.assert_array_equal(model.command(np.array([0.02])), FREE)
    assert model.dropped[0] == 2
    # 20 mm take 4 periods after the 2 of the delay; 3 have passed.
    follow(model, 2)
    np.testing.assert_array_equal(model.busy, BUSY)
    follow(model, 1)
    np.testing.assert_array_equal(model.busy, FREE)
    assert model.target[0] == 0.06
    assert model.command(np.array([0.08])).all()
    assert model.dropped[0] == 2


def test_arrival_is_that_of_the_fingers() -> None:
    model = make_model()
    model.command(np.array([0.075]))
    for _ in range(3):
        model.advance(DT, np.array([0.0762]))  # the target is there, the fingers 1.2 mm off
    np.testing.assert_array_equal(model.busy, BUSY)
    model.advance(DT, np.array([0.0759]))  # 0.9 mm
    np.testing.assert_array_equal(model.busy, FREE)
    np.testing.assert_array_equal(model.blocked, FREE)


def test_an_object_ends_the_closing() -> None:
    model = make_model()
    model.command(np.array([0.0]))
    # Fingers at 0.065 after 2 + 3 periods; seen not to have moved in the 6th. STILL_TIME_S, 0.2 s,
    # are 4 periods: until the 9th.
    assert STILL_TIME_S == 0.2
    follow(model, 8, stop=0.065)
    np.testing.assert_array_equal(model.busy, BUSY)
    np.testing.assert_array_equal(model.blocked, FREE)
    follow(model, 1, stop=0.065)
    np.testing.assert_array_equal(model.busy, FREE)
    np.testing.assert_array_equal(model.blocked, BUSY)
    assert model.target[0] == pytest.approx(0.08 - 7 * 0.005)
    follow(model, 20, stop=0.065)
    assert model.target[0] == 0.0  # presses on


def test_a_gripper_that_is_stopped_stands_where_it_was_seen() -> None:
    model = make_model(rows=3)
    closed, rows = np.zeros(3), np.array([True, True, False])
    model.command(closed, rows)
    seen = np.array([0.07, 0.072, 0.08])
    model.advance(model.gripper.delay_s + 0.1, seen)
    np.testing.assert_array_equal(model.stop(), rows)
    assert not model.busy.any()
    np.testing.assert_array_equal(model.goal, seen)
    np.testing.assert_array_equal(model.targets(np.array([0.0, 0.5]))[:, 1], seen)
    assert not model.stop().any()  # nothing is under way
    model.command(closed, rows)  # before its delay is over, too
    model.stop()
    model.advance(1.0, seen)
    np.testing.assert_array_equal(model.target, seen)


def test_slow_fingers_are_not_blocked() -> None:
    model = make_model()
    model.command(np.array([0.0]))
    for k in range(20):  # 2 mm/s: 0.1 mm per period, more than 0.2 mm in 0.2 s
        model.advance(DT, np.array([0.08 - 1e-4 * k]))
    np.testing.assert_array_equal(model.busy, BUSY)


def test_opening_starts_at_the_object_and_not_inside_it() -> None:
    model = make_model()
    model.command(np.array([0.0]))
    follow(model, 40, stop=0.03)
    assert model.target[0] == 0.0
    model.command(np.array([0.08]))
    np.testing.assert_array_equal(model.blocked, FREE)
    # Grips through the delay; then 5 mm per period from the object's 30 mm.
    np.testing.assert_allclose(follow(model, 4, stop=0.03), [0.0, 0.0, 0.035, 0.04], atol=1e-12)


def test_a_preemptible_gripper_takes_the_new_command() -> None:
    model = make_model(preemptible=True)
    model.command(np.array([0.0]))
    follow(model, 4)  # at 0.07
    assert model.command(np.array([0.08])).all()
    # Goes on with the old command for 0.1 s, then turns.
    np.testing.assert_allclose(
        follow(model, 6), [0.065, 0.06, 0.065, 0.07, 0.075, 0.08], atol=1e-12
    )
    assert model.dropped[0] == 0
    np.testing.assert_array_equal(model.busy, FREE)


def test_commands_under_way_do_not_put_off_the_motion() -> None:
    model = make_model(preemptible=True)
    path: list[float] = []
    for k in range(4):  # a new one in each period
        model.command(np.array([0.05 - 0.001 * k]))
        path.extend(follow(model, 1))
    # The first delay is over after 2 periods, that of the one sent then after 2 more.
    np.testing.assert_allclose(path, [0.08, 0.08, 0.075, 0.07], atol=1e-12)


def test_without_a_delay_it_moves_at_once() -> None:
    model = make_model(delay_s=0.0)
    model.command(np.array([0.0]))
    np.testing.assert_allclose(follow(model, 2), [0.075, 0.07], atol=1e-12)


def test_rows_are_on_their_own() -> None:
    model = make_model(rows=3)
    rows = np.array([True, False, True])
    np.testing.assert_array_equal(model.command(np.array([0.0, 0.01, 0.078]), rows), rows)
    for _ in range(3):
        model.advance(DT, model.targets(np.array([DT]))[:, 0])
    np.testing.assert_allclose(model.target, [0.075, 0.08, 0.078], atol=1e-12)
    np.testing.assert_array_equal(model.busy, [True, False, False])
    taken = model.command(np.full(3, 0.05))
    np.testing.assert_array_equal(taken, [False, True, True])
    np.testing.assert_array_equal(model.dropped, [1, 0, 0])
    model.reset(np.array([0.01, 0.02, 0.03]))
    np.testing.assert_array_equal(model.target, [0.01, 0.02, 0.03])
    assert not model.busy.any()
    assert not model.dropped.any()


def test_the_measured_array_may_be_a_live_view() -> None:
    model = make_model()
    live = np.array([0.08])
    model.advance(DT, live)
    live[:] = 0.02
    model.command(np.array([0.0]))
    np.testing.assert_allclose(model.targets(np.array([0.15])), [[0.075]], atol=1e-12)


def test_bad_widths_are_refused() -> None:
    model = make_model()
    for width in (-0.001, 0.081, float("nan")):
        with pytest.raises(ValueError, match=r"gripper width must lie in 0 to 0\.08 m"):
            model.command(np.array([width]))
    with pytest.raises(ValueError, match=r"must have shape \(1,\), got \(2,\)"):
        model.command(np.zeros(2))
    with pytest.raises(ValueError, match=r"must have shape \(N,\), got \(1, 1\)"):
        GripperModel(FR3.gripper, np.zeros((1, 1)))


def test_thresholds_with_hysteresis() -> None:
    model = make_model(0.04, delay_s=0.0)
    adapter = GripperAdapter(make_spec(), model)
    #                element, wanted: open above 0.5, closed below -0.5
    for element, wanted in (
        (0.4, 0.04),  # between the thresholds: nothing is asked for yet
        (0.5, 0.04),  # not above
        (0.6, 0.08),
        (0.0, 0.08),
        (-0.5, 0.08),  # not below
        (-0.51, 0.0),
        (0.49, 0.0),
        (0.51, 0.08),
    ):
        adapter.command(np.array([[9.0, element]]))
        assert adapter.wanted[0] == wanted
        follow(model, 20)
        assert model.goal[0] == wanted
    assert model.dropped[0] == 0


def test_a_change_while_busy_comes_when_the_gripper_is_free() -> None:
    model = make_model(0.08)
    adapter = GripperAdapter(make_spec(), model)
    close, open_again = np.array([[0.0, -1.0]]), np.array([[0.0, 1.0]])
    assert adapter.command(close).all()
    assert not adapter.command(close).any()  # the same again is no command
    assert model.dropped[0] == 0
    ticks = 0
    while not adapter.command(open_again).any():
        follow(model, 1)
        ticks += 1
    # 80 mm at 5 mm per period: 16, and 2 of delay; arrived at once with the fingers.
    assert ticks == 18
    assert model.dropped[0] == 18
    assert model.goal[0] == 0.08


def test_width_and_fixed() -> None:
    model = make_model(0.04, preemptible=True)
    adapter = GripperAdapter(make_spec(kind="width"), model)
    for element, wanted in ((0.03, 0.03), (0.09, 0.08), (-0.01, 0.0)):
        adapter.command(np.array([[0.0, element]]))
        assert model.goal[0] == wanted
    adapter.reset(np.array([0.02]))
    assert adapter.wanted[0] == model.target[0] == 0.02
    fixed = GripperAdapter(make_spec(kind="fixed", action_element=None), model)
    assert not fixed.command(np.array([[1.0, 1.0]])).any()
    assert not model.busy.any()


def test_share_of_the_opening_and_changes_too_small_to_be_commands() -> None:
    model = make_model(0.08, preemptible=True)
    adapter = GripperAdapter(make_spec(kind="share", least_change=0.002), model)
    # 0.08 / 2 * (1 + a): -1 closed, 0 half open, beyond 1 open.
    for element, wanted in ((-1.0, 0.0), (0.0, 0.04), (1.5, 0.08), (-0.25, 0.03)):
        adapter.command(np.array([[0.0, element]]))
        assert model.goal[0] == pytest.approx(wanted, abs=1e-15)
    # 2 mm are an element of 0.05: less is no command, from the last wanted width, not from tick
    # to tick.
    assert not adapter.command(np.array([[0.0, -0.21]])).any()
    assert not adapter.command(np.array([[0.0, -0.23]])).any()
    assert adapter.command(np.array([[0.0, -0.17]])).all()
    assert model.goal[0] == pytest.approx(0.04 * 0.83)


def test_chosen_rows_are_commanded_and_start_again() -> None:
    model = make_model(0.08, rows=3)
    adapter = GripperAdapter(make_spec(), model)
    close = np.tile([[0.0, -1.0]], (3, 1))
    np.testing.assert_array_equal(
        adapter.command(close, np.array([True, True, False])), [True, True, False]
    )
    follow(model, 10)
    adapter.command(np.tile([[0.0, 1.0]], (3, 1)))  # dropped by the busy ones
    np.testing.assert_array_equal(model.dropped, [1, 1, 0])
    adapter.restart(np.array([True, False, False]), 0.06)
    fresh = make_model(0.06)
    for name in ("target", "goal", "busy", "blocked", "dropped"):
        assert getattr(model, name)[0] == getattr(fresh, name)[0], name
    assert adapter.wanted[0] == 0.06
    np.testing.assert_array_equal(model.busy, [False, True, False])
    before = model.target.copy()
    model.advance(DT, model.targets(np.array([DT]))[:, 0])
    assert model.target[0] == 0.06  # nothing is left of the command under way
    assert model.target[1] == pytest.approx(before[1] - 0.005)
    assert model.target[2] == 0.08


def test_grippers_that_nobody_looks_at_do_the_same() -> None:
    seen, unseen = (
        GripperModel(FR3.gripper, np.full(4, 0.08), looks=looks) for looks in (True, False)
    )
    rng = np.random.default_rng(0)
    for _ in range(60):
        width, rows = rng.uniform(0.0, 0.08, 4), rng.random(4) < 0.1
        for model in (seen, unseen):
            model.command(width, rows)
            model.advance(DT, np.maximum(model.targets(np.array([DT]))[:, 0], 0.02))
        np.testing.assert_array_equal(seen.target, unseen.target)
        np.testing.assert_array_equal(seen.busy, unseen.busy)
    assert seen.dropped.sum() > 0


def test_adapters_that_cannot_work_are_refused() -> None:
    model = make_model()
    with pytest.raises(ValueError, match="expected an index for kind 'width'"):
        GripperAdapter(make_spec(kind="width", action_element=None), model)
    with pytest.raises(ValueError, match=r"close_below must not exceed open_above, got 0\.6"):
        GripperAdapter(make_spec(close_below=0.6), model)
    with pytest.raises(ValueError, match="expected numbers, got"):
        GripperAdapter(make_spec(), model).command(np.array([[0.0, float("nan")]]))
