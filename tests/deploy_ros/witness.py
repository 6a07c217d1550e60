"""What must hold of every command that was ever published, judged without the gate's code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from sim2arm.core.limits import velocity_bounds
from sim2arm.core.robots import FR3
from sim2arm.core.trajectory import Trajectory, join, sample
from sim2arm_ros.convert import to_ns

LIMITS = FR3.limits
POINTS = 5
"""Of a command that is complete, apart from the one at the start of its motion."""
EARLIER = 30
"""Most points of the motion under way, in front of a command that is told long before it starts, as
where a clock stands still."""
_SLACK = 1e-6
_STEP = 1e-3
_IN_TIME, _AFTER_LATE = (1e-6, 1e-5), (1e-4, 1e-2)
"""How well the start of a command must fit [rad], [rad/s]. A command that was late was joined
on its way to a point, at a moment that is not known here, and starts move by up to 33 us from tick
to tick: that close to the point the speed is known to 33 us times the acceleration. Where the next
one comes within milliseconds, it begins with the point at which that one was to be joined."""


def points_of(message: JointTrajectory) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times (K,), q (K, 7) and dq (K, 7) after asserting what one command must be."""
    assert list(message.joint_names) == list(FR3.joint_names)
    assert 1 <= len(message.points) <= POINTS + 1 + EARLIER
    times = np.array([to_ns(p.time_from_start) / 1e9 for p in message.points])
    q = np.array([list(p.positions) for p in message.points])
    dq = np.array([list(p.velocities) for p in message.points])
    assert q.shape == dq.shape == (len(times), 7)
    assert np.isfinite(q).all() and np.isfinite(dq).all()
    assert times[0] >= 0.0 and (np.diff(times) > 0.0).all() and times[-1] < 2.0
    assert (q >= np.array(LIMITS.q_min) - _SLACK).all()
    assert (q <= np.array(LIMITS.q_max) + _SLACK).all()
    low, high = velocity_bounds(LIMITS, q)
    assert (dq <= high + _SLACK).all() and (dq >= low - _SLACK).all()
    assert (dq[-1] == 0.0).all(), "a command must end at rest"
    return times, q, dq


def assert_fine(
    messages: Sequence[JointTrajectory], references: Sequence[tuple[int, np.ndarray]]
) -> None:
    """Assert that all commands together are a motion inside the limits, from rest to rest.

    They are followed as a controller follows them that gets each one in time: position, velocity
    and acceleration on a 1 kHz grid, so that a jump anywhere would show as an acceleration. A
    command that says where its motion starts must start where the one before is then.

    Args:
        messages: every command, in the order of arrival.
        references: (stamp [ns], q (7,)) that the controller commanded, for where sessions start.
    """
    session, current, start = "", None, 0
    complete = [True, True]  # this command and the one before
    late = 0  # how many from here on may begin with a point of one that was late
    for message in messages:
        times, q, dq = points_of(message)
        stamp = to_ns(message.header.stamp)
        name, _, tick = message.header.frame_id.rpartition("/")
        seen_before = name == session or tick == "0"
        if name != session:
            if current is not None:
                _follow(current, float(current.times[0, -1]), all(complete))
            before = [p for at, p in references if at <= stamp]
            assert before, "the controller said nothing before the first command"
            here, speed = before[-1][None], np.zeros((1, 7))
            complete = [True, True]
        else:
            assert current is not None
            assert stamp >= start, "stamps must not fall"
            elapsed = (stamp - start) / 1e9
            _follow(current, elapsed, all(complete))
            here, speed, _, _ = (x[:, 0] for x in sample(current, np.array([[elapsed]])))
        if times[0] == 0.0 and seen_before:
            near, slack = _AFTER_LATE if late and name == session else _IN_TIME
            np.testing.assert_allclose(q[0], here[0], atol=near)
            np.testing.assert_allclose(dq[0], speed[0], atol=slack)
        starts = times[0] == 0.0  # it says where
        if starts:
            times, q, dq = times[1:], q[1:], dq[1:]
        new = Trajectory(
            times=np.array([0.0, *times])[None],
            q=np.concatenate([here, q])[None],
            dq=np.concatenate([speed, dq])[None],
        )
        complete = [complete[1], len(times) >= POINTS]
        late = max(0, late - 1) if starts else EARLIER
        current, session, start = join(here, speed, new, np.zeros(1)), name, stamp
    if current is not None:
        _follow(current, float(current.times[0, -1]), all(complete))


def _follow(trajectory: Trajectory, end: float, complete: bool) -> None:
    t = np.arange(0.0, end, _STEP)[None]
    q, dq, ddq, _ = sample(trajectory, t)
    assert (q >= np.array(LIMITS.q_min) - _SLACK).all()
    assert (q <= np.array(LIMITS.q_max) + _SLACK).all()
    low, high = velocity_bounds(LIMITS, q)
    assert (dq <= high + 1e-4).all() and (dq >= low - 1e-4).all()
    share = np.abs(ddq) / np.array(LIMITS.ddq_max)
    # A command that was late misses its first points: the controller joins a later one, at a
    # moment that is not known here. The gate judges that path; here it is only bounded.
    assert (share <= (1.01 if complete else 3.0)).all(), f"{share.max():.2f} times the acceleration"
