"""Joint trajectories as a joint trajectory controller reads them: cubic Hermite between points.

A trajectory is a few points with positions and velocities. Between two points a joint moves on
the cubic that meets both, so its acceleration is linear in time; after the last point the arm
rests there. Numpy only: training samples the first cubic of it with `cubic`.
Source: ros2_controllers, joint_trajectory_controller, "Trajectory Representation" (positions and
velocities given: cubic splines).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .transforms import Array

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """K points of N arms with n joints; the first is the state at time 0."""

    times: FloatArray
    """(N, K) seconds from the start of the trajectory, increasing, the first 0."""
    q: FloatArray
    """(N, K, n) positions [rad]."""
    dq: FloatArray
    """(N, K, n) velocities [rad/s]."""


def hermite(q0: Array, dq0: Array, q1: Array, dq1: Array, dt: Array) -> tuple[Array, Array]:
    """Return the acceleration at the start and the jerk of the cubic that joins two states.

    Args:
        q0: (..., n) start position [rad].
        dq0: (..., n) start velocity [rad/s].
        q1: (..., n) end position [rad].
        dq1: (..., n) end velocity [rad/s].
        dt: duration [s], a number or an array that broadcasts.

    Returns:
        Acceleration at the start (..., n) [rad/s^2] and constant jerk (..., n) [rad/s^3].
    """
    mean = (q1 - q0) / dt
    ddq0 = (6.0 * mean - 4.0 * dq0 - 2.0 * dq1) / dt
    jerk = (6.0 * dq0 + 6.0 * dq1 - 12.0 * mean) / (dt * dt)
    return ddq0, jerk


def cubic(q0: Array, dq0: Array, ddq0: Array, jerk: Array, t: Array) -> tuple[Array, Array, Array]:
    """Return position, velocity and acceleration after t seconds of constant jerk."""
    q = q0 + t * (dq0 + t * (0.5 * ddq0 + t * jerk / 6.0))
    return q, dq0 + t * (ddq0 + 0.5 * t * jerk), ddq0 + t * jerk


def sample(
    trajectory: Trajectory, t: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return position, velocity, acceleration and jerk at times t (N, M), each (N, M, n).

    Outside of the trajectory the arm stands at the nearest end.
    """
    times = trajectory.times  # (N, K)
    left = np.sum(t[:, :, None] >= times[:, None, 1:-1], axis=-1)  # (N, M)
    arm, right = np.arange(len(times))[:, None], left + 1
    start = times[arm, left][..., None]  # (N, M, 1)
    span = times[arm, right][..., None] - start
    q0, q1 = trajectory.q[arm, left], trajectory.q[arm, right]
    dq0, dq1 = trajectory.dq[arm, left], trajectory.dq[arm, right]
    ddq0, jerk = hermite(q0, dq0, q1, dq1, span)
    u = np.clip(t[..., None] - start, 0.0, span)
    q, dq, ddq = cubic(q0, dq0, ddq0, jerk, u)
    inside = (t >= times[:, :1] - 1e-12) & (t <= times[:, -1:] + 1e-12)  # (N, M)
    moving = inside[..., None].astype(np.float64)
    return q, dq * moving, ddq * moving, jerk * moving


def with_stop(
    q0: FloatArray,
    dq0: FloatArray,
    q1: FloatArray,
    dq1: FloatArray,
    *,
    dt: float,
    brake: FloatArray,
    ramp: float,
    coasting: float | None = None,
) -> Trajectory:
    """Return the motion from one state to the next, a coast, and a stop.

    In the coast the acceleration goes to zero, so that the successor of this trajectory may come
    up to one period late and finds the arm where it expects it. The stop has
    three cubics: within `ramp` the acceleration goes to a constant p, stays for `brake` seconds
    and returns to zero within `ramp`. So acceleration is continuous and the arm ends at rest;
    from `dq2 + ramp p / 2 + brake p + ramp p / 2 = 0` follows `p = -dq2 / (ramp + brake)`.

    Args:
        q0: (N, n) position at time 0 [rad].
        dq0: (N, n) velocity at time 0 [rad/s].
        q1: (N, n) position at time dt [rad].
        dq1: (N, n) velocity at time dt [rad/s].
        dt: duration of the motion [s].
        brake: (N,) time of constant braking [s], positive.
        ramp: time in which the acceleration changes [s].
        coasting: time of the coast [s], dt by default.
    """
    coasting = dt if coasting is None else coasting
    ddq0, jerk0 = hermite(q0, dq0, q1, dq1, dt)
    q2, dq2 = coast(q1, dq1, ddq0 + jerk0 * dt, coasting)
    middle = brake[:, None]
    p = -dq2 / (ramp + middle)
    q3, dq3, _ = cubic(q2, dq2, 0.0 * p, p / ramp, ramp)
    q4, dq4, _ = cubic(q3, dq3, p, 0.0 * p, middle)
    q5, _, _ = cubic(q4, dq4, p, -p / ramp, ramp)
    zero = np.zeros_like(brake)
    steps = [zero, zero + dt, zero + coasting, zero + ramp, brake, zero + ramp]
    return Trajectory(
        times=np.cumsum(np.stack(steps, axis=-1), axis=-1),
        q=np.stack([q0, q1, q2, q3, q4, q5], axis=1),
        dq=np.stack([dq0, dq1, dq2, dq3, dq4, np.zeros_like(dq4)], axis=1),
    )


def coast(q: Array, dq: Array, ddq: Array, dt: float) -> tuple[Array, Array]:
    """Return position and velocity after the acceleration went linearly to zero in dt [s]."""
    return q + dt * dq + dt * dt / 3.0 * ddq, dq + 0.5 * dt * ddq


def on_wire_grid(trajectory: Trajectory) -> Trajectory:
    """Return the trajectory with its times rounded to nanoseconds, as messages carry them.

    So that what is judged is, to the last bit, what a controller gets.
    """
    return replace(trajectory, times=np.round(trajectory.times, 9))


def brake_time(dq: FloatArray, *, ddq_max: FloatArray, ramp: float, longest: float) -> FloatArray:
    """Return the shortest time of constant braking (N,) [s] for `with_stop`.

    Args:
        dq: (N, n) velocity at the start of the stop, where the acceleration is zero [rad/s].
        ddq_max: (n,) acceleration to brake with [rad/s^2].
        ramp: time in which the acceleration changes [s].
        longest: upper bound [s]; a stop that needs more brakes harder than ddq_max.
    """
    needed = np.max(np.abs(dq) / ddq_max, axis=-1) - ramp
    return np.clip(needed, ramp, longest)


def join(q: FloatArray, dq: FloatArray, new: Trajectory, elapsed: FloatArray) -> Trajectory:
    """Return what a joint trajectory controller executes after it got a new trajectory.

    It leaves from its desired state and joins the first point of the new trajectory that lies in
    the future; what lies in the past is dropped. A trajectory that is past as a whole is joined
    at its last point within a millisecond.

    Args:
        q: (N, n) desired position at this moment [rad].
        dq: (N, n) desired velocity [rad/s].
        new: the trajectory that arrived.
        elapsed: (N,) time since the start of the new trajectory [s].

    Returns:
        The new trajectory with the point before `elapsed` replaced by the desired state, to be
        sampled from `elapsed` on.
    """
    times, new_q, new_dq = new.times.copy(), new.q.copy(), new.dq.copy()
    late = elapsed >= times[:, -1] - 1e-9
    times[:, -1] = np.where(late, elapsed + 1e-3, times[:, -1])
    left = np.sum(elapsed[:, None] >= times[:, 1:-1] - 1e-9, axis=-1)
    rows = np.arange(len(left))
    times[rows, left] = elapsed
    new_q[rows, left], new_dq[rows, left] = q, dq
    return Trajectory(times=times, q=new_q, dq=new_dq)


def choose(rows: NDArray[np.bool_], here: Trajectory, there: Trajectory) -> Trajectory:
    """Return the trajectories `here` in the rows (N,) and those of `there` in the others.

    The shorter ones get points before their first, where nobody is any more.
    """
    points = max(here.times.shape[1], there.times.shape[1])
    parts = [_from_earlier(way, points) for way in (here, there)]
    return Trajectory(
        times=np.where(rows[:, None], parts[0].times, parts[1].times),
        q=np.where(rows[:, None, None], parts[0].q, parts[1].q),
        dq=np.where(rows[:, None, None], parts[0].dq, parts[1].dq),
    )


def _from_earlier(way: Trajectory, points: int) -> Trajectory:
    """Return a trajectory that stands for further points at its start, a millisecond each."""
    more = points - way.times.shape[1]
    if not more:
        return way
    earlier: FloatArray = 1e-3 * np.arange(more, 0, -1, dtype=np.float64)
    early = way.times[:, :1] - earlier
    still = np.repeat(way.q[:, :1], more, axis=1)
    return Trajectory(
        times=np.concatenate([early, way.times], axis=1),
        q=np.concatenate([still, way.q], axis=1),
        dq=np.concatenate([np.zeros_like(still), way.dq], axis=1),
    )
