"""Starts of trajectories: evenly spaced, following a drifting clock slowly."""

from __future__ import annotations

import numpy as np
import pytest

from sim2arm.core.trajectory import Trajectory
from sim2arm_ros.command_track import CommandTrack, Plan

DT = 0.02
NS = 20_000_000
Q = np.zeros(2)


def go_on(track: CommandTrack, tick: int, stamp_ns: int) -> Plan:
    plan = track.plan(tick, stamp_ns)
    track.go_on(plan)
    return plan


def test_starts_lie_whole_periods_apart_and_missed_ticks_count() -> None:
    track = CommandTrack(DT, Q)
    assert go_on(track, 0, 1000).start_ns == 1000
    assert track.drift(1, 1000 + NS - 5_000_000) == pytest.approx(-0.005)
    one = go_on(track, 1, 1000 + NS - 5_000_000)
    assert (one.start_ns, one.skipped) == (1000 + NS, 0.0)
    four = go_on(track, 4, 1000 + 4 * NS)
    assert (four.start_ns, four.skipped) == (1000 + 4 * NS, 2.0)


def test_more_than_half_a_period_of_drift_is_followed_by_0_2_percent() -> None:
    track = CommandTrack(DT, Q)
    go_on(track, 0, 0)
    plan = go_on(track, 1, 2 * NS)  # a whole period ahead: 40 us of 20 ms
    assert plan.start_ns == NS + 40_000 and plan.skipped == pytest.approx(0.002)
    back = go_on(track, 2, 0)
    assert back.start_ns == 2 * NS and back.skipped == pytest.approx(-0.002)


def test_what_is_only_planned_changes_nothing() -> None:
    track = CommandTrack(DT, Q, lead=DT)
    go_on(track, 0, 0)
    before = track.state_dict()
    plan = track.plan(1, 2 * NS)
    assert plan.moved and track.plan(1, 2 * NS) == plan
    assert not track.plan(1, NS).moved and track.state_dict() == before


def test_lock_step_takes_the_stamps() -> None:
    track = CommandTrack(DT, Q, exact=True)
    assert [go_on(track, k, s).start_ns for k, s in ((0, 5), (1, 7), (3, 11))] == [5, 7, 11]


def test_expected_is_what_was_published_last_before_the_moment() -> None:
    track = CommandTrack(DT, Q)
    np.testing.assert_array_equal(track.expected(0), Q)
    for k in range(80):  # more than it remembers
        points = np.array([[[k, 0.0], [k + 1.0, 0.0]]])
        times = np.array([[0.0, DT]])
        track.add(k * NS, Trajectory(times=times, q=points, dq=np.zeros_like(points)))
    # Half of a cubic from rest to rest is half of the way.
    np.testing.assert_allclose(track.expected(30 * NS + NS // 2), [30.5, 0.0])
    np.testing.assert_allclose(track.expected(100 * NS), [80.0, 0.0])
    np.testing.assert_allclose(track.expected(0), [16.0, 0.0])  # of the oldest, its start
