# pyright: standard
"""The motion of each joint, and what of an arm's answer is wrong, on numbers alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sim2arm.core.robots import FR3
from sim2arm_ros.wiggle import Wiggle, WiggleCfg, wiggle_contract
from tests.deploy_ros.swinging import swinging_contract

HOME = np.array(FR3.home)
CFG = WiggleCfg()
RATE = 60.0


def make_wiggle() -> Wiggle:
    wiggle = Wiggle(wiggle_contract(swinging_contract()))
    wiggle.begin(HOME)
    return wiggle


def run(wiggle: Wiggle, arm: Callable[[np.ndarray], np.ndarray], every: int = 1) -> float:
    """Let an arm answer until something is wrong or the end; return the time [s]."""
    ticks = round(wiggle.seconds * RATE) + 1
    for tick in range(0, ticks, every):
        goal = wiggle.goal(tick / RATE)
        if wiggle.see(HOME + arm(goal - HOME), tick / RATE):
            return tick / RATE
    return ticks / RATE


def test_each_joint_goes_out_and_back_alone_and_slowly() -> None:
    wiggle = make_wiggle()
    times = np.arange(0.0, wiggle.seconds, 1e-3)
    goals = np.stack([wiggle.goal(t) for t in times]) - HOME
    assert wiggle.seconds == pytest.approx(7 * (2 * 1.0 + 3 * 0.4))
    np.testing.assert_allclose(np.abs(goals).max(axis=0), CFG.angle, atol=1e-6)
    assert ((np.abs(goals) > 1e-9).sum(axis=1) <= 1).all()
    # A cosine of 0.03 rad in 1 s: at most 0.03 pi / 2 = 0.0471 rad/s.
    assert np.abs(np.diff(goals, axis=0) / 1e-3).max() < 0.0472
    assert np.abs(goals[-1]).max() < 1e-9


def test_it_goes_to_the_side_with_more_room() -> None:
    wiggle = Wiggle(wiggle_contract(swinging_contract()))
    limits = FR3.limits
    q = HOME.copy()
    q[0], q[1] = limits.q_max[0] - 0.06, limits.q_min[1] + 0.06  # the margin of goals is 0.05
    assert all(item.ok for item in wiggle.room(q))
    wiggle.begin(q)
    peak = 2 * CFG.stand_s + CFG.way_s
    assert wiggle.goal(peak)[0] == pytest.approx(q[0] - 0.03)
    assert wiggle.goal(CFG.seconds + peak)[1] == pytest.approx(q[1] + 0.03)
    q[0] = limits.q_max[0] - 0.04
    red = [item for item in wiggle.room(q) if not item.ok]
    assert [item.name for item in red] == ["room of fr3_joint1"]
    assert red[0].expected == "inside its limits"


def test_an_arm_that_does_as_told_is_well() -> None:
    wiggle = make_wiggle()
    end = run(wiggle, lambda way: 0.9 * way + 0.001)
    items = wiggle.items(end)
    assert not wiggle.problem and len(items) == 7 and all(item.ok for item in items)
    assert items[0].measured == f"{items[0].expected[0]}0.027"


def swapped(way: np.ndarray) -> np.ndarray:
    return way[[2, 1, 0, 3, 4, 5, 6]]


def coupled(way: np.ndarray) -> np.ndarray:
    return way + 0.5 * way[[1, 2, 3, 4, 5, 6, 0]]


@pytest.mark.parametrize(
    ("arm", "said", "at"),
    [
        (swapped, "fr3_joint3 moved by", 0.0),
        (lambda way: -way, "the other way", 0.0),
        (lambda way: 2.0 * way, "its gear, its unit or its gains", 0.0),
        (lambda way: 0.5 * way, "its gear, its unit or its gains", 0.0),
        (lambda way: 0.0 * way, "moved by +0.000 rad", 0.0),
        (coupled, "fr3_joint7 moved by", 0.0),
        (lambda way: np.where(np.arange(7) == 4, 0.0, way), "fr3_joint5 was told", 4 * CFG.seconds),
    ],
)
def test_anything_else_ends_it_at_once(
    arm: Callable[[np.ndarray], np.ndarray], said: str, at: float
) -> None:
    wiggle = make_wiggle()
    end = run(wiggle, arm)
    assert said in wiggle.problem
    assert at < end < at + CFG.seconds, "in the turn of the first joint that is wrong"
    item = wiggle.items(end)[-1]
    assert not item.ok and item.note == wiggle.problem
    assert sum(not other.ok for other in wiggle.items(end)) == 1


def test_a_joint_that_stays_out_there_is_found() -> None:
    wiggle = make_wiggle()
    farthest = np.zeros(7)

    def sticky(way: np.ndarray) -> np.ndarray:
        farthest[:] = np.where(np.abs(way) > np.abs(farthest), way, farthest)
        return farthest

    assert run(wiggle, sticky) < CFG.seconds
    assert "fr3_joint1" in wiggle.problem and "it stayed" in wiggle.problem


def test_a_turn_of_which_nothing_was_seen_is_no_pass() -> None:
    """One look per joint, at its beginning: no joint was ever seen to move."""
    wiggle = make_wiggle()
    run(wiggle, lambda way: way, every=round(CFG.seconds * RATE))
    assert "fr3_joint1 was told to move" in wiggle.problem


def test_the_gripper_has_no_part_in_it() -> None:
    contract = wiggle_contract(swinging_contract())
    assert contract.gripper is None and contract.action.kind == "joint_position"
    assert contract.action.element_names == FR3.joint_names
