"""Rotations and poses on numpy or torch arrays; the only place where quaternion orders meet.

Quaternions are Hamilton, unit, w x y z. A pose is (x y z qw qx qy qz) [m]. `T_a_b` maps
coordinates in b to coordinates in a. Leading axes are free and broadcast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import array_api_compat.numpy as numpy_namespace
import numpy as np
from array_api_compat import array_namespace

Array: TypeAlias = Any
"""A numpy array or a torch tensor; every function returns what it was given."""


_NAMESPACES: dict[type, Any] = {np.ndarray: numpy_namespace}


def namespace(*arrays: Array) -> Any:
    """Return the array library of the arrays: `array_namespace`, remembered by type.

    The general search costs as much as several operations on the arrays of 100 worlds.
    """
    kind = cast("type[Any]", type(arrays[0]))
    for array in arrays:
        if type(array) is not kind:
            return array_namespace(*arrays)
    if kind not in _NAMESPACES:
        _NAMESPACES[kind] = array_namespace(*arrays)
    return _NAMESPACES[kind]


def stack_last(values: Sequence[Array]) -> Array:
    """Stack arrays of one shape (...) on a new last axis; for numpy quicker than `stack`."""
    xp = namespace(values[0])
    if xp is numpy_namespace:
        return np.concatenate([value[..., None] for value in values], axis=-1)
    return xp.stack(list(values), axis=-1)


def stack_first(values: Sequence[Array]) -> Array:
    """Stack arrays of one shape (...) on a new first axis; for numpy quicker than `stack`."""
    xp = namespace(values[0])
    if xp is numpy_namespace:
        return np.concatenate([value[None] for value in values])
    return xp.stack(list(values))


def worlds_inside(values: Array) -> Array:
    """Return an array (..., n) with the same values, its leading axes contiguous in memory.

    Operations with n numbers per world then run along the worlds, not along n; what is computed
    from such arrays has the same layout.
    """
    xp = namespace(values)
    rows = stack_first([values[..., i] for i in range(values.shape[-1])])
    return xp.permute_dims(rows, (*range(1, len(rows.shape)), 0))


_PLACES = (0, 1, 2, 3, 1, 0, 3, 2, 2, 3, 0, 1, 3, 2, 1, 0)
_SIGNS = ((1, 1, 1, 1), (-1, 1, -1, 1), (-1, 1, 1, -1), (-1, -1, 1, 1))
"""Hamilton product: row i is which component of b, and with which sign, goes with a_i."""
_TABLES: dict[Any, tuple[Array, ...]] = {}


def _tables(xp: Any, like: Array) -> tuple[Array, ...]:
    """Return places, signs and the unit vector along z as arrays of the kind of `like`."""
    key = (like.dtype, like.device)
    if key not in _TABLES:
        signs, up = (
            xp.asarray(v, dtype=like.dtype, device=like.device) for v in (_SIGNS, (0, 0, 1))
        )
        _TABLES[key] = xp.asarray(_PLACES, device=like.device), signs, up
    return _TABLES[key]


def quat_mul(a: Array, b: Array) -> Array:
    """Return the Hamilton product `a * b` of quaternions (..., 4)."""
    xp = namespace(a, b)
    if xp is numpy_namespace:
        rows = ([a[..., i] for i in range(4)], [b[..., i] for i in range(4)])
        return stack_last(quat_product(*rows))
    # A fifth of the operations, whose number is what torch's time on 100 worlds is made of.
    places, signs, _ = _tables(xp, a)
    picked = b[..., places].reshape(*b.shape[:-1], 4, 4)
    return (a[..., None] * (signs * picked)).sum(-2)


def quat_product(a: Sequence[Array], b: Sequence[Array]) -> list[Array]:
    """Return the components w, x, y, z of the Hamilton product, given those of a and b."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return [
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    ]


def quat_conjugate(q: Array) -> Array:
    """Return the inverse rotation of unit quaternions (..., 4)."""
    xp = namespace(q)
    return xp.concat([q[..., :1], -q[..., 1:]], axis=-1)


def quat_rotate(q: Array, v: Array) -> Array:
    """Rotate vectors (..., 3) by unit quaternions (..., 4)."""
    w, u = q[..., :1], q[..., 1:]
    t = 2.0 * cross(u, v)
    return v + w * t + cross(u, t)


def quat_z_axis(q: Array) -> Array:
    """Return the z axes (..., 3) of frames with unit quaternions (..., 4)."""
    xp = namespace(q)
    if xp is not numpy_namespace:
        return quat_rotate(q, xp.broadcast_to(_tables(xp, q)[2], (*q.shape[:-1], 3)))
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    return stack_last([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])


def quat_to_matrix(q: Array) -> Array:
    """Return the rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    xp = namespace(q)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    flat = xp.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        axis=-1,
    )
    return xp.reshape(flat, (*q.shape[:-1], 3, 3))


def quat_from_matrix(R: Array) -> Array:
    """Return unit quaternions (..., 4), w >= 0, of rotation matrices (..., 3, 3)."""
    return quat_from_columns(*(tuple(R[..., i, j] for i in range(3)) for j in range(3)))


def quat_from_columns(x: Sequence[Array], y: Sequence[Array], z: Sequence[Array]) -> Array:
    """Return unit quaternions (..., 4), w >= 0, of the columns of rotation matrices.

    Each column is a sequence of its three elements, (...) each. Each of the four components of
    the quaternion is recovered from the diagonal; the row that belongs to the largest is used,
    so the result is accurate for every rotation.
    Source: Shepperd, J. Guidance and Control 1(3), 1978.
    """
    xp = namespace(x[0])
    a, b, c, d = x[0] + y[1], x[0] - y[1], 1.0 + z[2], 1.0 - z[2]
    ww, xx, yy, zz = c + a, d + b, d - b, c - a  # 4 w^2, 4 x^2, 4 y^2, 4 z^2
    wx, wy, wz = y[2] - z[1], z[0] - x[2], x[1] - y[0]
    xy, xz, yz = y[0] + x[1], z[0] + x[2], z[1] + y[2]
    w_wins, y_wins = ww >= xx, yy >= zz
    first = xp.maximum(ww, xx) >= xp.maximum(yy, zz)
    rows = ((ww, wx, wy, wz), (wx, xx, xy, xz), (wy, xy, yy, yz), (wz, xz, yz, zz))
    q = [
        xp.where(first, xp.where(w_wins, w, i), xp.where(y_wins, j, k))
        for w, i, j, k in zip(*rows, strict=True)
    ]
    length = xp.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    scale = xp.where(q[0] < 0, -1.0, 1.0) / length
    return stack_last([scale * value for value in q])


def quat_normalize(q: Array) -> Array:
    """Return unit quaternions with w >= 0."""
    xp = namespace(q)
    q = q / xp.sqrt(xp.sum(q * q, axis=-1, keepdims=True))
    return xp.where(q[..., :1] < 0, -q, q)


def quat_from_rotvec(r: Array) -> Array:
    """Return the quaternions (..., 4) of rotation vectors (..., 3) [rad]."""
    xp = namespace(r)
    square = xp.sum(r * r, axis=-1, keepdims=True)
    small = square < 1e-12
    angle = xp.sqrt(xp.where(small, xp.ones_like(square), square))
    scale = xp.where(small, 0.5 - square / 48.0, xp.sin(0.5 * angle) / angle)
    w = xp.where(small, 1.0 - square / 8.0, xp.cos(0.5 * angle))
    return xp.concat([w, scale * r], axis=-1)


def quat_to_rotvec(q: Array) -> Array:
    """Return the shortest rotation vectors (..., 3) [rad] of unit quaternions (..., 4)."""
    xp = namespace(q)
    q = xp.where(q[..., :1] < 0, -q, q)
    u = q[..., 1:]
    square = xp.sum(u * u, axis=-1, keepdims=True)
    small = square < 1e-14
    sine = xp.sqrt(xp.where(small, xp.ones_like(square), square))
    scale = xp.where(small, 2.0 / q[..., :1], 2.0 * xp.atan2(sine, q[..., :1]) / sine)
    return scale * u


def cross(a: Array, b: Array) -> Array:
    """Return the cross product of vectors (..., 3)."""
    xp = namespace(a, b)
    if xp is not numpy_namespace:
        a, b = _broadcast_last(xp, a, b)
        return xp.cross(a, b, dim=-1)  # torch's own: `linalg.cross` of the standard is slow
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return stack_last([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def pose(p: Array, q: Array) -> Array:
    """Return poses (..., 7) from positions (..., 3) [m] and quaternions (..., 4)."""
    xp = namespace(p, q)
    p, q = _broadcast_last(xp, p, q)
    return xp.concat([p, q], axis=-1)


def pose_compose(a: Array, b: Array) -> Array:
    """Return the pose `a b`: with a = frame b in A and b = frame c in B, frame c in A."""
    return pose(a[..., :3] + quat_rotate(a[..., 3:], b[..., :3]), quat_mul(a[..., 3:], b[..., 3:]))


def pose_inverse(a: Array) -> Array:
    """Return the inverse of poses (..., 7)."""
    q = quat_conjugate(a[..., 3:])
    return pose(-quat_rotate(q, a[..., :3]), q)


def pose_between(a: Array, b: Array) -> Array:
    """Return the pose of frame b in frame a of poses a and b in one frame: `a^-1 b`."""
    q = quat_conjugate(a[..., 3:])
    return pose(quat_rotate(q, b[..., :3] - a[..., :3]), quat_mul(q, b[..., 3:]))


def pose_to_matrix(a: Array) -> Array:
    """Return homogeneous matrices (..., 4, 4) of poses (..., 7)."""
    xp = namespace(a)
    top = xp.concat([quat_to_matrix(a[..., 3:]), a[..., :3, None]], axis=-1)
    bottom = xp.zeros_like(top[..., :1, :])
    bottom[..., 0, 3] = 1.0
    return xp.concat([top, bottom], axis=-2)


def pose_from_matrix(T: Array) -> Array:
    """Return poses (..., 7) of homogeneous matrices (..., 4, 4)."""
    return pose(T[..., :3, 3], quat_from_matrix(T[..., :3, :3]))


def wxyz_from_xyzw(q_xyzw: Array) -> Array:
    """Return w x y z quaternions from the x y z w order of ROS, SciPy and Warp."""
    xp = namespace(q_xyzw)
    return xp.concat([q_xyzw[..., 3:], q_xyzw[..., :3]], axis=-1)


def xyzw_from_wxyz(q: Array) -> Array:
    """Return x y z w quaternions, the order of ROS, SciPy and Warp, from w x y z."""
    xp = namespace(q)
    return xp.concat([q[..., 1:], q[..., :1]], axis=-1)


def _broadcast_last(xp: Any, a: Array, b: Array) -> tuple[Array, Array]:
    """Broadcast the leading axes of two arrays and keep their last axes."""
    if a.shape[:-1] == b.shape[:-1]:
        return a, b
    lead = xp.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    return (
        xp.broadcast_to(a, (*lead, a.shape[-1])),
        xp.broadcast_to(b, (*lead, b.shape[-1])),
    )
