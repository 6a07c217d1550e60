"""Velocity limits that depend on the position, computed by hand."""

import math

import numpy as np
import pytest

from sim2arm.core.limits import velocity_bounds
from sim2arm.core.robots import FR3, PANDA

MIDDLE = np.array([0.0, 0.0, 0.0, -1.6, 0.0, 2.5, 0.0])


def test_panda_has_constant_limits() -> None:
    low, high = velocity_bounds(PANDA.limits, np.zeros((2, 7)))
    assert low.shape == high.shape == (2, 7)
    np.testing.assert_array_equal(high[1], PANDA.limits.dq_max)
    np.testing.assert_array_equal(low, -high)


def test_fr3_is_free_in_the_middle() -> None:
    # Joint 2 there: 5.17 * 1.7918 = 9.2636, root 3.0436, less 0.2 = 2.84 > 2.62.
    low, high = velocity_bounds(FR3.limits, MIDDLE)
    np.testing.assert_array_equal(high, FR3.limits.dq_max)
    np.testing.assert_array_equal(low, -np.array(FR3.limits.dq_max))


def test_fr3_joint_1_near_its_upper_end() -> None:
    # 12 * (2.7501 - 2.6701) = 0.96; sqrt = 0.979796; less 0.3 = 0.679796.
    q = MIDDLE.copy()
    q[0] = 2.6701
    low, high = velocity_bounds(FR3.limits, q)
    assert high[0] == pytest.approx(math.sqrt(0.96) - 0.3, abs=1e-12)
    assert low[0] == -2.62


def test_fr3_joint_6_near_its_lower_end() -> None:
    # 11 * (0.60 - 0.54092) = 0.64988; sqrt = 0.806151; 0.35 - 0.806151 = -0.456151.
    q = MIDDLE.copy()
    q[5] = 0.60
    low, high = velocity_bounds(FR3.limits, q)
    assert low[5] == pytest.approx(-0.456151, abs=1e-6)
    assert high[5] == 4.18


def test_at_and_beyond_the_end_only_the_way_back_is_open() -> None:
    q = np.array(FR3.limits.q_max) + 0.1
    low, high = velocity_bounds(FR3.limits, q)
    np.testing.assert_array_equal(high, np.zeros(7))
    assert (low < -1.0).all()


def test_low_is_never_above_zero_nor_high_below() -> None:
    q = np.random.default_rng(0).uniform(-5.0, 5.0, (1000, 7))
    low, high = velocity_bounds(FR3.limits, q)
    assert (low <= 0).all() and (high >= 0).all()
    assert (np.abs(low) <= FR3.limits.dq_max).all() and (high <= FR3.limits.dq_max).all()


def test_wrong_number_of_joints_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"7 angles .* got shape \(3,\)"):
        velocity_bounds(FR3.limits, np.zeros(3))
