"""Quaternions and forward kinematics as Warp functions, in the precision that is asked for.

Quaternions are w x y z in plain vectors of four: Warp's own quaternions have another order.
"""

# Closures of Warp need annotations that are objects: no `from __future__ import annotations`.

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import warp as wp

from sim2arm.core.robots import Chain, FloatArray
from sim2arm.core.transforms import pose_from_matrix


@cache
def warp_math(real: Any) -> SimpleNamespace:
    """Return the functions, by name, and the types `vec3` and `vec4` for numbers of a type."""
    vec3, vec4 = wp.types.vector(3, real), wp.types.vector(4, real)

    @wp.func
    def quat_mul(a: vec4, b: vec4):
        return vec4(
            a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
            a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
            a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
            a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
        )

    @wp.func
    def quat_conjugate(q: vec4):
        return vec4(q[0], -q[1], -q[2], -q[3])

    @wp.func
    def quat_rotate(q: vec4, v: vec3):
        u = vec3(q[1], q[2], q[3])
        t = real(2.0) * wp.cross(u, v)
        return v + q[0] * t + wp.cross(u, t)

    @wp.func
    def quat_from_rotvec(r: vec3):
        square = wp.dot(r, r)
        w = real(1.0) - square / real(8.0)
        scale = real(0.5) - square / real(48.0)
        if square >= real(1e-12):
            angle = wp.sqrt(square)
            w = wp.cos(real(0.5) * angle)
            scale = wp.sin(real(0.5) * angle) / angle
        return vec4(w, scale * r[0], scale * r[1], scale * r[2])

    @wp.func
    def quat_to_rotvec(q: vec4):
        sign = real(1.0)
        if q[0] < real(0.0):
            sign = real(-1.0)
        w = sign * q[0]
        u = sign * vec3(q[1], q[2], q[3])
        square = wp.dot(u, u)
        scale = real(2.0) / w
        if square >= real(1e-14):
            sine = wp.sqrt(square)
            scale = real(2.0) * wp.atan2(sine, w) / sine
        return scale * u

    @wp.func
    def joint_turn(axis: vec3, angle: real):
        s = wp.sin(real(0.5) * angle)
        return vec4(wp.cos(real(0.5) * angle), s * axis[0], s * axis[1], s * axis[2])

    @wp.func
    def row3(values: wp.array2d[real], i: int, first: int):
        return vec3(values[i, first], values[i, first + 1], values[i, first + 2])

    @wp.func
    def row4(values: wp.array2d[real], i: int, first: int):
        return vec4(
            values[i, first], values[i, first + 1], values[i, first + 2], values[i, first + 3]
        )

    return SimpleNamespace(
        vec3=vec3,
        vec4=vec4,
        quat_mul=quat_mul,
        quat_conjugate=quat_conjugate,
        quat_rotate=quat_rotate,
        quat_from_rotvec=quat_from_rotvec,
        quat_to_rotvec=quat_to_rotvec,
        joint_turn=joint_turn,
        row3=row3,
        row4=row4,
    )


@cache
def tool_frame(real: Any, n: int) -> Any:
    """Return the function that computes position and quaternion of the tool of a chain of n joints.

    Its arguments: joint angles (N, n), the world, poses of the links (n + 1, 7), joint axes (n, 3).
    """
    m = warp_math(real)
    quat_mul, quat_rotate, joint_turn, row3, row4 = (
        m.quat_mul, m.quat_rotate, m.joint_turn, m.row3, m.row4,
    )  # fmt: skip

    @wp.func
    def frame(q: wp.array2d[real], world: int, links: wp.array2d[real], axes: wp.array2d[real]):
        p = row3(links, 0, 0)
        turn = row4(links, 0, 3)
        for i in range(n):
            turn = quat_mul(turn, joint_turn(row3(axes, i, 0), q[world, i]))
            p = p + quat_rotate(turn, row3(links, i + 1, 0))
            turn = quat_mul(turn, row4(links, i + 1, 3))
        return p, turn

    return frame


@cache
def chain_kernel(real: Any, n: int) -> Any:
    """Return the kernel that computes tool poses (N, 7) of chains of n joints."""
    frame = tool_frame(real, n)

    @wp.kernel(enable_backward=False, module="unique")
    def tool_pose(
        q: wp.array2d[real],
        links: wp.array2d[real],
        axes: wp.array2d[real],
        pose: wp.array2d[real],
    ):
        world = wp.tid()
        p, turn = frame(q, world, links, axes)
        for k in range(3):
            pose[world, k] = p[k]
        for k in range(4):
            pose[world, 3 + k] = turn[k]

    return tool_pose


def link_poses(chain: Chain) -> FloatArray:
    """Return the poses (n + 1, 7) of each joint in the one before, and of the tool in the last."""
    return pose_from_matrix(np.concatenate([chain.T_parent_joint, chain.T_last_tool[None]]))
