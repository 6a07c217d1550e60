"""Trajectories: hand-computed cubics, rest at the end, replacement."""

# pyright: standard

from __future__ import annotations

import numpy as np

from sim2arm.core.trajectory import (
    Trajectory,
    brake_time,
    choose,
    coast,
    cubic,
    hermite,
    join,
    sample,
    with_stop,
)


def make_trajectory() -> Trajectory:
    """Return one joint from 0 at rest to 1 at rest in 2 s."""
    return Trajectory(
        times=np.array([[0.0, 2.0]]),
        q=np.array([[[0.0], [1.0]]]),
        dq=np.zeros((1, 2, 1)),
    )


def test_rest_to_rest_cubic() -> None:
    # q(t) = 3 (t/2)^2 - 2 (t/2)^3: q(1) = 0.5, dq(1) = 6/2 * (1/2 - 1/4) = 0.75,
    # ddq(t) = 6/4 - 12/8 t: ddq(0) = 1.5, ddq(1) = 0; jerk = -1.5.
    q, dq, ddq, jerk = sample(make_trajectory(), np.array([[0.0, 1.0]]))
    np.testing.assert_allclose(q[0, :, 0], [0.0, 0.5])
    np.testing.assert_allclose(dq[0, :, 0], [0.0, 0.75])
    np.testing.assert_allclose(ddq[0, :, 0], [1.5, 0.0])
    np.testing.assert_allclose(jerk[0, :, 0], [-1.5, -1.5])


def test_outside_the_arm_stands() -> None:
    q, dq, ddq, _ = sample(make_trajectory(), np.array([[-1.0, 5.0]]))
    np.testing.assert_allclose(q[0, :, 0], [0.0, 1.0])
    assert not dq.any()
    assert not ddq.any()


def test_hermite_recovers_a_cubic() -> None:
    rng = np.random.default_rng(0)
    q0, dq0, ddq0, jerk = rng.normal(size=(4, 5))
    q1, dq1, _ = cubic(q0, dq0, ddq0, jerk, 0.3)
    found = hermite(q0, dq0, q1, dq1, 0.3)
    np.testing.assert_allclose(found[0], ddq0, atol=1e-10)
    np.testing.assert_allclose(found[1], jerk, atol=1e-9)


def test_stop_ends_at_rest_with_continuous_acceleration_inside_the_limit() -> None:
    rng = np.random.default_rng(1)
    q0, dq0 = rng.normal(size=(20, 7)), rng.uniform(-2, 2, (20, 7))
    ddq0 = rng.uniform(-8, 8, (20, 7))
    dt, ddq_max = 1 / 60, np.full(7, 9.0)
    q1, dq1, ddq1 = cubic(q0, dq0, ddq0, rng.uniform(-100, 100, (20, 7)), dt)
    _, dq2 = coast(q1, dq1, ddq1, dt)
    brake = brake_time(dq2, ddq_max=ddq_max, ramp=0.02, longest=1.0)
    trajectory = with_stop(q0, dq0, q1, dq1, dt=dt, brake=brake, ramp=0.02)
    for i in range(20):
        end = trajectory.times[i, -1]
        t = np.linspace(0.0, end, 4000)[None]
        one = Trajectory(
            times=trajectory.times[i : i + 1],
            q=trajectory.q[i : i + 1],
            dq=trajectory.dq[i : i + 1],
        )
        q, dq, ddq, jerk = sample(one, t)
        assert np.abs(dq[0, -1]).max() < 1e-9
        assert np.abs(ddq[0, -1]).max() < 1e-6
        # Continuous: no step larger than the largest jerk explains.
        step = end / 3999
        assert np.abs(np.diff(ddq[0], axis=0)).max() <= np.abs(jerk).max() * step * 1.001 + 1e-9
        stopping = t[0] >= 2 * dt
        assert np.abs(ddq[0, stopping]).max() <= 9.0 + 1e-9
        # Velocity is the derivative of position.
        slope = np.diff(q[0], axis=0) / step
        np.testing.assert_allclose(slope, 0.5 * (dq[0, 1:] + dq[0, :-1]), atol=1e-4)


def test_coast_by_hand() -> None:
    # 1 rad/s with 3 rad/s^2 that fade within 0.2 s: dq = 1 + 0.3, q = 0.2 + 0.04 * 3 / 3.
    q, dq = coast(np.zeros(1), np.ones(1), np.full(1, 3.0), 0.2)
    np.testing.assert_allclose((q[0], dq[0]), (0.24, 1.3))


def test_joining_leaves_from_the_desired_state_and_drops_the_past() -> None:
    new = Trajectory(
        times=np.array([[0.0, 0.1, 0.2, 0.3]]),
        q=np.array([[[0.0], [0.1], [0.3], [0.3]]]),
        dq=np.array([[[1.0], [2.0], [0.5], [0.0]]]),
    )
    joined = join(np.array([[5.0]]), np.array([[-1.0]]), new, np.array([0.15]))
    q, dq, _, _ = sample(joined, np.array([[0.15, 0.2, 0.3]]))
    np.testing.assert_allclose(q[0, :, 0], [5.0, 0.3, 0.3])
    np.testing.assert_allclose(dq[0, :, 0], [-1.0, 0.5, 0.0], atol=1e-12)


def test_joining_a_past_trajectory_comes_to_rest_at_its_end() -> None:
    joined = join(np.array([[0.9]]), np.array([[0.0]]), make_trajectory(), np.array([3.0]))
    q, dq, _, _ = sample(joined, np.array([[3.0, 3.001, 4.0]]))
    np.testing.assert_allclose(q[0, :, 0], [0.9, 1.0, 1.0])
    assert abs(dq[0, -1, 0]) == 0.0


def test_rows_of_trajectories_with_other_numbers_of_points_move_as_before() -> None:
    short = make_trajectory()
    long = Trajectory(
        times=np.array([[0.5, 0.6, 0.8]]),  # joined half a second after its start
        q=np.array([[[5.0], [5.1], [5.3]]]),
        dq=np.array([[[1.0], [2.0], [0.0]]]),
    )
    pair = [
        Trajectory(**{k: np.repeat(v, 2, axis=0) for k, v in vars(way).items()})
        for way in (short, long)
    ]
    times = np.array([[0.5, 0.55, 0.7, 0.8, 1.5]])
    for rows in ([True, False], [False, True]):
        mixed = sample(choose(np.array(rows), *pair), np.repeat(times, 2, axis=0))
        for row, is_short in enumerate(rows):
            for got, expected in zip(
                mixed, sample(short if is_short else long, times), strict=True
            ):
                np.testing.assert_array_equal(got[row], expected[0])
