"""Joint motion towards goals that may jump: what joint requests are made of.

The goal moves no faster than the joints may; the commanded joint state follows it as a critically
damped second-order system whose acceleration is linear in each control period (a cubic, what a
joint trajectory controller executes). So it has continuous acceleration inside its limits by
construction.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .limits import velocity_bounds
from .robots import Robot
from .transforms import Array, namespace, worlds_inside

_STILL = 1e-12
"""What takes the place of a bound of 0 [rad/s]."""


class MotionCfg(Protocol):
    """What configurations of controllers say about the motion of joints."""

    @property
    def bandwidth(self) -> float:
        """Natural frequency of the critically damped following [rad/s]."""
        ...

    @property
    def limit_share(self) -> float:
        """Share of the robot's velocity and acceleration limits that is used."""
        ...

    @property
    def joint_margin(self) -> float:
        """Distance that goals keep from the joint limits [rad]."""
        ...


class JointMotion:
    """N arms that follow joint goals.

    Attributes:
        goal: (N, n) [rad].
        q, dq, ddq: (N, n) commanded joint state at the end of the last period.
        q_start, dq_start, ddq_start, jerk: (N, n) at its start, and the jerk from there on.
    """

    def __init__(self, robot: Robot, period: float, cfg: MotionCfg, q: Array) -> None:
        """Start at rest at q (N, n); its array type and dtype are used from here on.

        Raises:
            ValueError: the margin leaves a joint no range.
        """
        xp = namespace(q)
        self._limits, self.period, self._cfg = robot.limits, period, cfg
        limits = robot.limits
        check_margin(robot, cfg.joint_margin)

        def constant(values: Any) -> Array:
            return xp.asarray(np.asarray(values, dtype=np.float64), dtype=q.dtype)

        self._low = constant(limits.q_min) + cfg.joint_margin
        self._high = constant(limits.q_max) - cfg.joint_margin
        self._ddq_max = constant(limits.ddq_max) * cfg.limit_share
        self._ramp = constant(limits.dddq_max) * (cfg.limit_share * period)
        self.q, self.dq, self.ddq = (worlds_inside(q * factor) for factor in (1.0, 0.0, 0.0))
        self.goal = worlds_inside(q)

    def reset(self, q: Array, rows: Array) -> None:
        """Start again at rest at q (len(rows), n) in the given rows."""
        self.q[rows], self.goal[rows] = q, q
        self.dq[rows], self.ddq[rows] = 0.0, 0.0

    def resume(self, q: Array, dq: Array, ddq: Array, rows: Array) -> None:
        """Go on from another joint state (len(rows), n) than was asked for: the gate changed it."""
        self.q[rows], self.dq[rows], self.ddq[rows] = q, dq, ddq

    def step(self, way: Array) -> tuple[Array, Array]:
        """Move the goal by a way (N, n) [rad], shortened where it is too fast, and follow it.

        Returns:
            Joint position (N, n) [rad] and velocity (N, n) [rad/s] at the end of the period. The
            motion before it is the cubic with acceleration `ddq_start` and `jerk`.
        """
        return self._follow_goal(self._move_goal(way))

    def _move_goal(self, way: Array) -> Array:
        """Move the goal; return its velocity (N, n) [rad/s]."""
        xp = namespace(self.goal)
        low, high = velocity_bounds(self._limits, self.goal)
        share = self._cfg.limit_share * self.period
        # At the end of its range a joint may not go further: what does not go there is not held up.
        high, low = xp.where(high > _STILL, high, _STILL), xp.where(low < -_STILL, low, -_STILL)
        fastest = xp.max(xp.maximum(way / (share * high), way / (share * low)), axis=-1)
        way = way / xp.where(fastest < 1.0, 1.0, fastest)[..., None]
        goal = xp.minimum(xp.maximum(self.goal + way, self._low), self._high)
        velocity = (goal - self.goal) / self.period
        self.goal = goal
        return velocity

    def _follow_goal(self, goal_dq: Array) -> tuple[Array, Array]:
        xp = namespace(self.q)
        dt, w = self.period, self._cfg.bandwidth
        q, dq, ddq = self.q, self.dq, self.ddq
        # Implicit in the new acceleration a: a = w^2 (goal - q1) + 2 w (goal_dq - dq1) with
        # q1 = q + dt dq + dt^2 (2 ddq + a) / 6 and dq1 = dq + dt (ddq + a) / 2.
        pull = w * w * (self.goal - q - dt * dq - dt * dt / 3.0 * ddq)
        pull = pull + 2.0 * w * (goal_dq - dq - 0.5 * dt * ddq)
        a = pull / (1.0 + w * w * dt * dt / 6.0 + w * dt)
        # One more period to bring the acceleration to zero must not break the velocity limit.
        low, high = velocity_bounds(self._limits, q)
        share = self._cfg.limit_share
        coast = dq + 0.5 * dt * ddq
        a = xp.minimum(a, (share * high - coast) / dt)
        a = xp.maximum(a, (share * low - coast) / dt)
        a = xp.minimum(xp.maximum(a, ddq - self._ramp), ddq + self._ramp)
        a = xp.minimum(xp.maximum(a, -self._ddq_max), self._ddq_max)
        self.ddq_start, self.jerk = ddq, (a - ddq) / dt
        self.q_start, self.dq_start = q, dq
        self.q = q + dt * dq + dt * dt / 6.0 * (2.0 * ddq + a)
        self.dq = dq + 0.5 * dt * (ddq + a)
        self.ddq = a
        return self.q, self.dq


def check_margin(robot: Robot, margin: float) -> None:
    """See that a distance to the joint limits [rad] leaves every joint a range.

    Raises:
        ValueError: it does not.
    """
    limits = robot.limits
    least = min(high - low for low, high in zip(limits.q_min, limits.q_max, strict=True))
    if 2.0 * margin >= least:
        raise ValueError(
            f"joint_margin: expected less than {least / 2:.3f} rad, half the least range of a "
            f"joint of {robot.name}, got {margin}"
        )
