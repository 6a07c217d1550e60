"""Offsets between a leader and its follower."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sim2arm.calibration.joint_drift import find_drift
from tests.calibration.rigs import RIGS

pytestmark = pytest.mark.skipif(RIGS is None, reason="the rigs are part of a checkout")
NAMES = [f"joint{k}" for k in range(6)]


def make_pairs(offset_deg: float = 1.0, joint: int = 2, seconds: float = 60.0) -> tuple:
    true = np.radians(offset_deg) * np.eye(6)[joint]
    return RIGS.make_pairs(np.random.default_rng(0), true, seconds), true


def test_one_degree_is_found_in_a_minute_and_only_there() -> None:
    (stamps, leader, follower), true = make_pairs()
    found = find_drift(stamps, leader, follower, NAMES)
    assert [alarm.split(":")[0] for alarm in found.alarms] == ["joint2"]
    assert np.degrees(np.abs(found.offsets - true)).max() < 0.35
    assert np.abs((found.offsets - true) / found.sigma).max() < 4.0
    assert found.delay == pytest.approx(0.06, abs=0.02)  # friction makes it later than it is
    assert 0.1 < np.degrees(found.lag).mean() < 0.5  # the delay takes a part of it
    assert not find_drift(stamps, leader, follower - true, NAMES).alarms


def test_an_offset_that_comes_later_is_a_change() -> None:
    (stamps, leader, follower), _ = make_pairs(0.0)
    follower[stamps > 30.0, 4] += np.radians(2.0)
    found = find_drift(stamps, leader, follower, NAMES)
    assert np.degrees(found.drift[4]) == pytest.approx(2.0, abs=0.6)
    assert any("joint4: the offset changed" in alarm for alarm in found.alarms)


def test_outliers_and_gaps_do_not_move_it() -> None:
    (stamps, leader, follower), true = make_pairs()
    follower[::40] += 0.3
    kept = (stamps < 20.0) | (stamps > 26.0)
    found = find_drift(stamps[kept], leader[kept], follower[kept], NAMES)
    assert np.degrees(np.abs(found.offsets - true)).max() < 0.4 and found.seconds < 56.0


def test_a_joint_that_stands_still_is_said() -> None:
    (stamps, leader, follower), true = make_pairs(joint=5)
    leader[:, 5], follower[:, 5] = 0.2, 0.2 + true[5]
    found = find_drift(stamps, leader, follower, NAMES)
    assert np.degrees(found.offsets[5]) == pytest.approx(1.0, abs=0.01)
    assert "joint5 did not move" in found.notes[0]


def turned(s: Any, a: Any, b: Any) -> tuple:
    return s, a, np.concatenate([-b[:, :1], b[:, 1:]], axis=1)


ERRORS: dict[str, tuple[Callable[..., tuple], str]] = {
    "short": (lambda s, a, b: (s[:200], a[:200], b[:200]), "expected 10 s or more"),
    "back": (lambda s, a, b: (s[::-1], a, b), "20 or more that rise"),
    "nan": (lambda s, a, b: (s, a, b * np.nan), "must be finite"),
    "shape": (lambda s, a, b: (s, a[:, :5], b), r"expected \(\d+, 6\) joints"),
    "still": (lambda s, a, b: (s, 0 * a, 0 * b), "no joint of the leader moves"),
    "direction": (turned, "joint 'joint0' of the follower turns the other way"),
    "range": (lambda s, a, b: (s, a, 0.5 * b), r"moves by 0.\d\d of the leader"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_tells_no_offset_is_one_line(case: str) -> None:
    spoil, text = ERRORS[case]
    (stamps, leader, follower), _ = make_pairs()
    with pytest.raises(ValueError, match=text) as error:
        stamps, leader, follower = spoil(stamps, leader, follower)
        find_drift(stamps, leader, follower, NAMES)
    assert "\n" not in str(error.value)
