"""From policy actions to joint requests: the part of the command path that a policy owns.

`EeDelta` turns end-effector steps into a smooth joint motion. It runs in the policy node and in
evaluations; training runs the same law as one kernel for N worlds (`sim/command_path.py`), which a
test holds to this code. What it asks for has continuous acceleration inside its limits by
construction; the safety gate checks it again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .contract import Contract
from .inverse import pose_step
from .kinematics import forward_pose
from .limits import velocity_bounds
from .robots import Robot
from .transforms import (
    Array,
    namespace,
    pose,
    quat_conjugate,
    quat_from_rotvec,
    quat_mul,
    quat_to_rotvec,
    worlds_inside,
)


@dataclass(frozen=True, kw_only=True)
class EeDeltaCfg:
    """Integrate end-effector steps into a commanded pose and follow it with the joints."""

    position_scale: float = 0.01
    """Step of an action of 1 along an axis of the base frame [m] (TacSL: 0.01)."""
    rotation_scale: float = 0.05
    """Rotation of an action of 1 about an axis of the base frame [rad] (TacSL: 0.05)."""
    position_leash: float = 0.04
    """Longest distance of the commanded from the measured position [m]."""
    rotation_leash: float = 0.2
    """Largest angle of the commanded from the measured orientation [rad]."""
    damping: float = 0.02
    """Damping of the inverse kinematics (least squares)."""
    posture_rate: float = 0.02
    """Share of the way to the home posture that the null space goes in one tick."""
    bandwidth: float = 30.0
    """Natural frequency of the critically damped joint following [rad/s]."""
    limit_share: float = 0.8
    """Share of the robot's velocity and acceleration limits that is used."""
    joint_margin: float = 0.05
    """Distance that goals keep from the joint limits [rad]."""

    def __post_init__(self) -> None:
        """Refuse settings that no motion can be made of."""
        for name in ("position_scale", "rotation_scale", "position_leash", "rotation_leash",
                     "damping", "bandwidth", "limit_share"):  # fmt: skip
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if not 0.0 <= self.posture_rate <= 1.0:
            raise ValueError(f"posture_rate: expected 0 to 1, got {self.posture_rate}")
        if not 0.0 <= self.joint_margin < math.inf:
            raise ValueError(f"joint_margin: expected 0 or more, got {self.joint_margin}")

    def check(self, robot: Robot) -> None:
        """See that a robot can be controlled with these settings.

        Raises:
            ValueError: the margin leaves a joint no range.
        """
        limits = robot.limits
        least = min(high - low for low, high in zip(limits.q_min, limits.q_max, strict=True))
        if 2.0 * self.joint_margin >= least:
            raise ValueError(
                f"joint_margin: expected less than {least / 2:.3f} rad, half the least range of a "
                f"joint of {robot.name}, got {self.joint_margin}"
            )


class EeDelta:
    """`ee_delta` actions: 3 translations and 3 rotations in the base frame, left-multiplied.

    The commanded pose integrates the last *commanded* pose, not the measured one, so that an
    action of zero holds still under load; a leash keeps it near the measured pose. The joint goal
    follows by damped least squares with the home posture in the null space, and the commanded
    joint state follows the goal as a critically damped second-order system whose acceleration is
    linear in each control period (a cubic, what a joint trajectory controller executes).

    Attributes:
        pose: (N, 7) commanded tool pose in the base frame.
        goal: (N, n) joint solution of the commanded pose [rad].
        q, dq, ddq: (N, n) commanded joint state at the end of the last period.
    """

    def __init__(self, robot: Robot, period: float, cfg: EeDeltaCfg, q: Array) -> None:
        """Start at rest at q (N, n); its array type and dtype are used from here on.

        Raises:
            ValueError: the margin leaves a joint no range.
        """
        xp = namespace(q)
        self.robot, self.period, self.cfg = robot, period, cfg
        limits = robot.limits
        cfg.check(robot)

        def constant(values: Any) -> Array:
            return xp.asarray(np.asarray(values, dtype=np.float64), dtype=q.dtype)

        self._low = constant(limits.q_min) + cfg.joint_margin
        self._high = constant(limits.q_max) - cfg.joint_margin
        self._ddq_max = constant(limits.ddq_max) * cfg.limit_share
        self._ramp = constant(limits.dddq_max) * (cfg.limit_share * period)
        self._home = constant(robot.home)
        self.q, self.dq, self.ddq = (worlds_inside(q * factor) for factor in (1.0, 0.0, 0.0))
        self.goal = worlds_inside(q)
        self.pose = forward_pose(robot.chain, q)

    def reset(self, q: Array, rows: Array) -> None:
        """Start again at rest at q (len(rows), n) in the given rows."""
        self.q[rows], self.goal[rows] = q, q
        self.dq[rows], self.ddq[rows] = 0.0, 0.0
        self.pose[rows] = forward_pose(self.robot.chain, q)

    def step(self, action: Array, measured: Array) -> tuple[Array, Array]:
        """Advance by one control period.

        Args:
            action: (N, 6 or more) in [-1, 1]: translation, then rotation, in the base frame; what
                follows is the gripper's (`GripperAdapter`).
            measured: (N, 7) measured tool pose in the base frame.

        Returns:
            Joint position (N, n) [rad] and velocity (N, n) [rad/s] at the end of the period. The
            motion before it is the cubic with acceleration `ddq_start` and `jerk`.
        """
        self.pose = self._integrate(action, measured)
        goal_dq = self._follow_pose()
        return self._follow_goal(goal_dq)

    def resume(self, q: Array, dq: Array, ddq: Array, rows: Array) -> None:
        """Go on from another joint state (len(rows), n) than was asked for: the gate changed it."""
        self.q[rows], self.dq[rows], self.ddq[rows] = q, dq, ddq

    def _integrate(self, action: Array, measured: Array) -> Array:
        cfg = self.cfg
        p = self.pose[..., :3] + cfg.position_scale * action[..., :3]
        turn = quat_from_rotvec(cfg.rotation_scale * action[..., 3:6])
        q = quat_mul(turn, self.pose[..., 3:])
        p = measured[..., :3] + _leash(p - measured[..., :3], cfg.position_leash)
        error = quat_to_rotvec(quat_mul(q, quat_conjugate(measured[..., 3:])))
        held = quat_from_rotvec(_leash(error, cfg.rotation_leash))
        return pose(p, quat_mul(held, measured[..., 3:]))

    def _follow_pose(self) -> Array:
        """Move the goal towards the commanded pose; return its velocity (N, n) [rad/s]."""
        xp = namespace(self.goal)
        posture = self.cfg.posture_rate * (self._home - self.goal)
        step, _ = pose_step(self.robot, self.goal, self.pose, posture, self.cfg.damping)
        step = worlds_inside(step)
        low, high = velocity_bounds(self.robot.limits, self.goal)
        share = self.cfg.limit_share * self.period
        fastest = xp.max(xp.maximum(step / (share * high), step / (share * low)), axis=-1)
        step = step / xp.where(fastest < 1.0, 1.0, fastest)[..., None]
        goal = xp.minimum(xp.maximum(self.goal + step, self._low), self._high)
        velocity = (goal - self.goal) / self.period
        self.goal = goal
        return velocity

    def _follow_goal(self, goal_dq: Array) -> tuple[Array, Array]:
        xp = namespace(self.q)
        dt, w = self.period, self.cfg.bandwidth
        q, dq, ddq = self.q, self.dq, self.ddq
        # Implicit in the new acceleration a: a = w^2 (goal - q1) + 2 w (goal_dq - dq1) with
        # q1 = q + dt dq + dt^2 (2 ddq + a) / 6 and dq1 = dq + dt (ddq + a) / 2.
        pull = w * w * (self.goal - q - dt * dq - dt * dt / 3.0 * ddq)
        pull = pull + 2.0 * w * (goal_dq - dq - 0.5 * dt * ddq)
        a = pull / (1.0 + w * w * dt * dt / 6.0 + w * dt)
        # One more period to bring the acceleration to zero must not break the velocity limit.
        low, high = velocity_bounds(self.robot.limits, q)
        share = self.cfg.limit_share
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


def _leash(offset: Array, length: float) -> Array:
    """Shorten vectors (..., 3) to at most the given length."""
    xp = namespace(offset)
    distance = xp.sqrt(xp.sum(offset * offset, axis=-1, keepdims=True))
    return offset * (length / xp.where(distance < length, length, distance))


def from_contract(robot: Robot, contract: Contract, q: Array) -> EeDelta:
    """Return the controller that a contract asks for, at rest at q (N, n) [rad].

    Raises:
        ValueError: the action is not one that this controller executes exactly.
    """
    action, gripper = contract.action, contract.gripper
    element = None if gripper is None else gripper.action_element
    if element not in (None, 6):  # it follows the arm's elements
        raise ValueError(f"gripper.action_element: expected 6 or none, got {element}")
    for label, expected, got in (
        ("kind", "ee_delta", action.kind),
        ("frame", "base", action.frame),
        ("rotation_side", "left", action.rotation_side),
        ("relative_to", "last_command", action.relative_to),
        ("dim", 6 if element is None else 7, action.dim),
    ):
        if got != expected:
            raise ValueError(f"action.{label}: no controller for {got!r}, expected {expected!r}")
    if abs(action.dt_s - contract.period) > 1e-6:
        raise ValueError(
            f"action.dt_s: expected one control period, {contract.period:.6f} s, got {action.dt_s}"
        )
    if len(set(action.scale[:3])) != 1 or len(set(action.scale[3:6])) != 1:
        raise ValueError(
            "action.scale: expected one number for x y z and one for rx ry rz, got "
            f"{list(action.scale)}"
        )
    known = {field.name for field in fields(EeDeltaCfg)} - {"position_scale", "rotation_scale"}
    if set(action.parameters) != known:
        raise ValueError(
            f"action.parameters: expected {sorted(known)}, got {sorted(action.parameters)}"
        )
    cfg = EeDeltaCfg(
        position_scale=action.scale[0], rotation_scale=action.scale[3], **action.parameters
    )
    return EeDelta(robot, contract.period, cfg, q)
