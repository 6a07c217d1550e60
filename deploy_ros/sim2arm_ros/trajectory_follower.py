"""Follows commands as a joint trajectory controller does: for arms that have none of their own.

A trajectory is joined from what is commanded at the moment; when it is over the arm stands at its
end. Nothing is followed that does not end at rest inside of the limits: silence then is a stop.
"""

from __future__ import annotations

import numpy as np

from sim2arm.core.robots import JointLimits
from sim2arm.core.trajectory import FloatArray, Trajectory, join, sample

_AHEAD_S = 0.5
_REST = 1e-6


class TrajectoryFollower:
    """What one arm is to do now."""

    def __init__(self, limits: JointLimits) -> None:
        """Follow nothing yet; `stand` comes first."""
        self._low, self._high = np.array(limits.q_min), np.array(limits.q_max)
        self._trajectory: Trajectory | None = None
        self._start_s = 0.0

    def stand(self, q: FloatArray) -> None:
        """Stand at a position (n,) [rad] from now on."""
        both, still = np.stack([q, q])[None], np.zeros((1, 2, len(q)))
        self._trajectory = Trajectory(times=np.array([[0.0, 1e-3]]), q=both, dq=still)

    def take(self, trajectory: Trajectory, elapsed: float, now_s: float) -> None:
        """Follow another trajectory from now on.

        Args:
            trajectory: of one arm.
            elapsed: how much of it lies in the past [s], below 0 where it begins later.
            now_s: steady time [s].

        Raises:
            ValueError: it is over, begins much later, leaves the limits or does not end at rest;
                one line. What was followed before goes on.
        """
        if elapsed >= trajectory.times[0, -1]:
            raise ValueError("it ends in the past")
        if elapsed < -_AHEAD_S:
            raise ValueError(f"it begins in {-elapsed:.3f} s, allowed {_AHEAD_S} s")
        q = trajectory.q[0]
        if np.any(q < self._low - 1e-6) or np.any(q > self._high + 1e-6):
            raise ValueError("it leaves the limits of the joints")
        if np.abs(trajectory.dq[0, -1]).max() > _REST:
            raise ValueError("it does not end at rest")
        here, speed = self.desired(now_s)
        self._trajectory = join(here[None], speed[None], trajectory, np.array([elapsed]))
        self._start_s = now_s - elapsed

    def desired(self, now_s: float) -> tuple[FloatArray, FloatArray]:
        """Return where the arm should be (n,) [rad], and how fast [rad/s]."""
        assert self._trajectory is not None  # `stand` comes first
        q, dq, _, _ = sample(self._trajectory, np.array([[now_s - self._start_s]]))
        return q[0, 0], dq[0, 0]
