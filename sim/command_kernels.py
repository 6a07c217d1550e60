"""The command path of a control period as one Warp kernel, for N worlds on a CPU or a GPU.

The law is that of `sim2arm.core.controllers.EeDelta`, which runs on the robot; a test holds both
together to rounding. As array operations on N worlds it is six hundred small steps, too slow beside
the physics of 64 worlds (ARCHITECTURE.md) and on a GPU; here a thread computes one world.
"""

# Closures of Warp need annotations that are objects: no `from __future__ import annotations`.

from functools import cache
from typing import Any

import warp as wp

from .chain_kernels import tool_frame, warp_math

PERIOD, POSITION_SCALE, ROTATION_SCALE, POSITION_LEASH, ROTATION_LEASH = range(5)
DAMPING, POSTURE_RATE, LIMIT_SHARE, BANDWIDTH = range(5, 9)
"""Places of the controller's numbers in `cfg`."""
HOME, Q_LOW, Q_HIGH, DDQ, RAMP = range(5)
"""Rows of `limits`: rest posture, range of goals, acceleration, its change in a period."""


@cache
def make_kernels(real: Any, n: int) -> tuple[Any, Any]:
    """Return the kernels `plan` and `start` for arms of n joints, computed in `real`."""
    m, frame = warp_math(real), tool_frame(real, n)
    vec3, vec4, vecn, vec6 = m.vec3, m.vec4, wp.types.vector(n, real), wp.types.vector(6, real)
    mat6, matn = wp.types.matrix((6, 6), real), wp.types.matrix((6, n), real)
    quat_mul, quat_conjugate, quat_rotate = m.quat_mul, m.quat_conjugate, m.quat_rotate
    quat_from_rotvec, quat_to_rotvec = m.quat_from_rotvec, m.quat_to_rotvec
    joint_turn, row3, row4 = m.joint_turn, m.row3, m.row4

    @wp.func
    def leash(offset: vec3, length: real):
        distance = wp.sqrt(wp.dot(offset, offset))
        if distance < length:
            return offset
        return offset * (length / distance)

    @wp.func
    def low_bound(i: int, q: real, dq_max: wp.array[real], profile: wp.array2d[real]):
        low = -dq_max[i]
        if profile.shape[0] > 0:
            slowing = profile[3, i] - wp.sqrt(
                wp.max(profile[4, i] * (q - profile[5, i]), real(0.0))
            )
            low = wp.min(wp.max(slowing, low), real(0.0))
        return low

    @wp.func
    def high_bound(i: int, q: real, dq_max: wp.array[real], profile: wp.array2d[real]):
        high = dq_max[i]
        if profile.shape[0] > 0:
            slowing = profile[0, i] + wp.sqrt(
                wp.max(profile[1, i] * (profile[2, i] - q), real(0.0))
            )
            high = wp.max(wp.min(slowing, high), real(0.0))
        return high

    @wp.func
    def solve(A: mat6, b: vec6):
        """Solve with a symmetric positive definite matrix, by Cholesky factors."""
        for j in range(6):
            for k in range(j):
                A[j, j] = A[j, j] - A[j, k] * A[j, k]
            A[j, j] = wp.sqrt(A[j, j])
            for i in range(j + 1, 6):
                for k in range(j):
                    A[i, j] = A[i, j] - A[i, k] * A[j, k]
                A[i, j] = A[i, j] / A[j, j]
        for i in range(6):
            for k in range(i):
                b[i] = b[i] - A[i, k] * b[k]
            b[i] = b[i] / A[i, i]
        for m in range(6):
            i = 5 - m
            for k in range(i + 1, 6):
                b[i] = b[i] - A[k, i] * b[k]
            b[i] = b[i] / A[i, i]
        return b

    @wp.func
    def integrate(
        world: int,
        action: wp.array2d[real],
        measured: wp.array2d[real],
        cfg: wp.array[real],
        pose: wp.array2d[real],
    ):
        """Move the commanded pose by an action, on a leash to the measured pose."""
        p_measured = row3(measured, world, 0)
        q_measured = row4(measured, world, 3)
        move = vec3()
        turn = vec3()
        for i in range(3):
            move[i] = cfg[POSITION_SCALE] * wp.clamp(action[world, i], real(-1.0), real(1.0))
            turn[i] = cfg[ROTATION_SCALE] * wp.clamp(action[world, 3 + i], real(-1.0), real(1.0))
        p = row3(pose, world, 0) + move
        q = quat_mul(quat_from_rotvec(turn), row4(pose, world, 3))
        p = p_measured + leash(p - p_measured, cfg[POSITION_LEASH])
        away = quat_to_rotvec(quat_mul(q, quat_conjugate(q_measured)))
        q = quat_mul(quat_from_rotvec(leash(away, cfg[ROTATION_LEASH])), q_measured)
        for i in range(3):
            pose[world, i] = p[i]
        for i in range(4):
            pose[world, 3 + i] = q[i]

    @wp.func
    def error_and_jacobian(
        world: int,
        pose: wp.array2d[real],
        goal: wp.array2d[real],
        links: wp.array2d[real],
        axes: wp.array2d[real],
    ):
        """Return the tool's error from the commanded pose at the goal, and its Jacobian there."""
        at = row3(links, 0, 0)
        turned = row4(links, 0, 3)
        J = matn()
        for i in range(n):
            z = quat_rotate(turned, row3(axes, i, 0))
            for k in range(3):
                J[k, i] = at[k]
                J[3 + k, i] = z[k]
            turned = quat_mul(turned, joint_turn(row3(axes, i, 0), goal[world, i]))
            at = at + quat_rotate(turned, row3(links, i + 1, 0))
            turned = quat_mul(turned, row4(links, i + 1, 3))
        for i in range(n):
            arm = at - vec3(J[0, i], J[1, i], J[2, i])
            lever = wp.cross(vec3(J[3, i], J[4, i], J[5, i]), arm)
            for k in range(3):
                J[k, i] = lever[k]
        error = vec6()
        off = quat_to_rotvec(quat_mul(row4(pose, world, 3), quat_conjugate(turned)))
        for k in range(3):
            error[k] = pose[world, k] - at[k]
            error[3 + k] = off[k]
        return error, J

    @wp.func
    def goal_step(
        world: int,
        error: vec6,
        J: matn,
        goal: wp.array2d[real],
        limits: wp.array2d[real],
        profile: wp.array2d[real],
        dq_max: wp.array[real],
        cfg: wp.array[real],
    ):
        """Return the step of the goal: damped least squares, the home posture in its null space."""
        posture = vecn()
        for i in range(n):
            posture[i] = cfg[POSTURE_RATE] * (limits[HOME, i] - goal[world, i])
        A = mat6()
        for r in range(6):
            for c in range(6):
                total = real(0.0)
                for i in range(n):
                    total = total + J[r, i] * J[c, i]
                A[r, c] = total
            A[r, r] = A[r, r] + cfg[DAMPING] * cfg[DAMPING]
            for i in range(n):
                error[r] = error[r] - J[r, i] * posture[i]
        solved = solve(A, error)
        step = posture
        fastest = real(1.0)
        for i in range(n):
            for r in range(6):
                step[i] = step[i] + J[r, i] * solved[r]
            bound = high_bound(i, goal[world, i], dq_max, profile)
            if step[i] < real(0.0):
                bound = low_bound(i, goal[world, i], dq_max, profile)
            if step[i] != real(0.0):
                fastest = wp.max(fastest, step[i] / (cfg[LIMIT_SHARE] * cfg[PERIOD] * bound))
        return step / fastest

    @wp.func
    def follow(
        world: int,
        i: int,
        step: real,
        limits: wp.array2d[real],
        profile: wp.array2d[real],
        dq_max: wp.array[real],
        cfg: wp.array[real],
        goal: wp.array2d[real],
        state: wp.array3d[real],
    ):
        """Move one joint after its goal; return the cubic of the period: x, v, a and jerk.

        A critically damped system whose acceleration is linear in time.
        """
        dt = cfg[PERIOD]
        share = cfg[LIMIT_SHARE]
        w = cfg[BANDWIDTH]
        here = goal[world, i]
        there = wp.min(wp.max(here + step, limits[Q_LOW, i]), limits[Q_HIGH, i])
        velocity = (there - here) / dt
        goal[world, i] = there
        x = state[world, 0, i]
        v = state[world, 1, i]
        a0 = state[world, 2, i]
        a = w * w * (there - x - dt * v - dt * dt / real(3.0) * a0)
        a = a + real(2.0) * w * (velocity - v - real(0.5) * dt * a0)
        a = a / (real(1.0) + w * w * dt * dt / real(6.0) + w * dt)
        coast = v + real(0.5) * dt * a0
        a = wp.min(a, (share * high_bound(i, x, dq_max, profile) - coast) / dt)
        a = wp.max(a, (share * low_bound(i, x, dq_max, profile) - coast) / dt)
        a = wp.min(wp.max(a, a0 - limits[RAMP, i]), a0 + limits[RAMP, i])
        a = wp.min(wp.max(a, -limits[DDQ, i]), limits[DDQ, i])
        state[world, 0, i] = x + dt * v + dt * dt / real(6.0) * (real(2.0) * a0 + a)
        state[world, 1, i] = v + real(0.5) * dt * (a0 + a)
        state[world, 2, i] = a
        return vec4(x, v, a0, (a - a0) / dt)

    @wp.kernel(enable_backward=False, module="unique")
    def plan(
        action: wp.array2d[real],
        measured: wp.array2d[real],
        links: wp.array2d[real],
        axes: wp.array2d[real],
        limits: wp.array2d[real],
        profile: wp.array2d[real],
        dq_max: wp.array[real],
        cfg: wp.array[real],
        leading: wp.array[wp.bool],
        lead: wp.array2d[real],
        column: int,
        pose: wp.array2d[real],
        goal: wp.array2d[real],
        state: wp.array3d[real],
        asked: wp.array3d[real],
        controls: wp.array3d[real],
    ):
        world = wp.tid()
        integrate(world, action, measured, cfg, pose)
        error, J = error_and_jacobian(world, pose, goal, links, axes)
        step = goal_step(world, error, J, goal, limits, profile, dq_max, cfg)
        substeps = controls.shape[1]
        for i in range(n):
            cubic = follow(world, i, step[i], limits, profile, dq_max, cfg, goal, state)
            now = cubic
            for k in range(4):
                if leading[world]:  # the motion of the last period
                    cubic[k] = asked[world, k, i]
                asked[world, k, i] = now[k]
            # with kd / kp as lead the torque is kp (q_des - q) + kd (dq_des - dq)
            c0 = cubic[0] + lead[world, i] * cubic[1]
            c1 = cubic[1] + lead[world, i] * cubic[2]
            c2 = real(0.5) * (cubic[2] + lead[world, i] * cubic[3])
            c3 = cubic[3] / real(6.0)
            for s in range(substeps):
                t = cfg[PERIOD] * real(s + 1) / real(substeps)
                controls[world, s, column + i] = c0 + t * (c1 + t * (c2 + t * c3))

    @wp.kernel(enable_backward=False, module="unique")
    def start(
        chosen: wp.array[wp.bool],
        q: wp.array2d[real],
        links: wp.array2d[real],
        axes: wp.array2d[real],
        pose: wp.array2d[real],
        goal: wp.array2d[real],
        state: wp.array3d[real],
        asked: wp.array3d[real],
    ):
        world = wp.tid()
        if not chosen[world]:
            return
        for i in range(n):
            goal[world, i] = q[world, i]
            state[world, 0, i] = q[world, i]
            asked[world, 0, i] = q[world, i]
            for k in range(1, 3):
                state[world, k, i] = real(0.0)
            for k in range(1, 4):
                asked[world, k, i] = real(0.0)
        at, turned = frame(q, world, links, axes)
        for k in range(3):
            pose[world, k] = at[k]
        for k in range(4):
            pose[world, 3 + k] = turned[k]

    return plan, start
