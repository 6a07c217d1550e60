"""Forward kinematics and Jacobians of a `Chain`, for numpy and torch and any number of worlds.

Inside, a frame is three columns and an origin, each an array (3, ...) with the worlds on the last
axes: operations then run over contiguous memory, and the many zeros and ones of a chain cost
nothing. Only the product along the chain is a loop, over the joints. Results have the type,
device and precision of `q`; a world's result does not depend on the other worlds.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from array_api_compat import device

from .robots import Chain, FloatArray
from .transforms import (
    Array,
    namespace,
    quat_from_columns,
    quat_from_matrix,
    quat_mul,
    quat_product,
    stack_first,
    stack_last,
)

Terms: TypeAlias = tuple[tuple[int, float], ...]
"""A sum of columns: (which, factor), without those of factor zero."""


class Frame(NamedTuple):
    """Frames in the base: axes and origin, each (3, ...) with the worlds behind."""

    x: Array
    y: Array
    z: Array
    p: Array


def forward(chain: Chain, q: Array) -> Array:
    """Return `T_base_tool` (..., 4, 4) [m] at joint angles q (..., n) [rad]."""
    return _matrix(axis_frames(chain, q)[-1])


def forward_pose(chain: Chain, q: Array) -> Array:
    """Return the tool pose in the base (..., 7) [m] with a quaternion that never jumps.

    The quaternion is the product of those along the chain: w >= 0 for the fixed rotations,
    (cos q/2, axis sin q/2) for the joints. It changes smoothly with q, and MuJoCo has the same
    sign; w >= 0 would flip the sign of a tool that points down, where w is zero.
    """
    xp = namespace(q)
    p = axis_frames(chain, q)[-1].p
    turn = _turn(chain, q)
    return xp.concat([stack_last([p[i] for i in range(3)]), turn], axis=-1)


def link_frames(chain: Chain, q: Array) -> Array:
    """Return the frames of the n joints and of the tool in the base, (..., n + 1, 4, 4) [m].

    A joint frame turns with its joint, so it is the frame of the link behind the joint.
    """
    frames = axis_frames(chain, q)
    back = _plan(chain).back
    matrices: list[Array] = []
    for frame, columns in zip(frames, back, strict=True):
        x, y, z = (_sum(frame[:3], terms) for terms in columns)
        matrices.append(_matrix(Frame(x, y, z, frame.p)))
    return namespace(q).stack(matrices, axis=-3)


def axis_turns(chain: Chain) -> FloatArray:
    """Return rotations (n + 1, 3, 3): of a point in a `link_frames` frame into `axis_frames`'s."""
    return np.stack([*(_turn_to(axis).T for axis in chain.axes), np.eye(3)])


def forward_and_jacobian(chain: Chain, q: Array) -> tuple[Array, Array]:
    """Return the pose of the tool and how fast the joints move it.

    Args:
        chain: the robot's chain.
        q: (..., n) joint angles [rad].

    Returns:
        `T_base_tool` (..., 4, 4) [m] and J (..., 6, n) with `(v, w) = J @ dq`: the velocity of
        the tool point [m/s] above the angular velocity of the tool [rad/s], both in the base.
    """
    tool, J = tool_and_jacobian(chain, q)
    return _matrix(tool), J


def tool_and_jacobian(chain: Chain, q: Array) -> tuple[Frame, Array]:
    """Return the tool frame and the Jacobian (..., 6, n) of `forward_and_jacobian`."""
    xp = namespace(q)
    *frames, tool = axis_frames(chain, q)
    turn = stack_last([frame.z for frame in frames])  # (3, ..., n)
    arm = tool.p[..., None] - stack_last([frame.p for frame in frames])
    x, y, z = turn[0], turn[1], turn[2]
    ax, ay, az = arm[0], arm[1], arm[2]
    rows = [y * az - z * ay, z * ax - x * az, x * ay - y * ax, x, y, z]
    return tool, xp.stack(rows, axis=-2)


def frame_pose(frame: Frame) -> Array:
    """Return the poses (..., 7) of frames, w >= 0."""
    xp = namespace(frame.p)
    turn = quat_from_columns(frame.x, frame.y, frame.z)
    return xp.concat([stack_last([frame.p[i] for i in range(3)]), turn], axis=-1)


def axis_frames(chain: Chain, q: Array) -> list[Frame]:
    """Return the n joint frames, turned so that z is the joint axis, and the tool frame.

    `axis_turns` says how they are turned; where all axes are z they are those of `link_frames`.
    """
    xp = namespace(q)
    n = len(chain.joint_names)
    if q.shape[-1] != n:
        raise ValueError(
            f"q must have {n} angles on its last axis ({', '.join(chain.joint_names)}), "
            f"got shape {tuple(q.shape)}"
        )
    angles = stack_first([q[..., i] for i in range(n)])  # (n, ...)
    sine, cosine = xp.sin(angles), xp.cos(angles)
    zero = 0.0 * angles[0]
    x, y, z, p = (
        column + zero for column in _start(chain, xp, q.dtype, device(q), len(q.shape) - 1)
    )
    frames: list[Frame] = []
    for i, (to_x, to_y, to_z, to_p) in enumerate(_plan(chain).steps):
        s, c = sine[i], cosine[i]
        x, y = c * x + s * y, c * y - s * x
        frames.append(Frame(x, y, z, p))
        columns = (x, y, z)
        x, y, z = _sum(columns, to_x), _sum(columns, to_y), _sum(columns, to_z)
        if to_p:
            p = p + _sum(columns, to_p)
    frames.append(Frame(x, y, z, p))
    return frames


def _turn(chain: Chain, q: Array) -> Array:
    """Return the product of the quaternions along the chain (..., 4): neighbours, then pairs."""
    xp = namespace(q)
    lead = len(q.shape) - 1
    at_cosine, at_sine, last = _quaternions(chain, xp, q.dtype, device(q), lead)
    half = 0.5 * stack_first([q[..., i] for i in range(q.shape[-1])])  # (n, ...)
    factors = xp.cos(half) * at_cosine + xp.sin(half) * at_sine  # (4, n, ...)
    last = xp.broadcast_to(last, (4, 1, *q.shape[:-1]))
    factors = xp.concat([factors, last], axis=1)
    while (count := factors.shape[1]) > 1:
        even = count - count % 2
        product = quat_product(factors[:, 0:even:2], factors[:, 1:even:2])
        factors = xp.concat([stack_first(product), factors[:, even:]], axis=1)
    return stack_last([factors[i, 0] for i in range(4)])


def _sum(columns: Sequence[Array], terms: Terms) -> Array:
    """Return a sum of columns with factors; factors of 1 and -1 cost no multiplication."""
    total = None
    for which, factor in terms:
        column = columns[which]
        part = column if factor == 1.0 else -column if factor == -1.0 else factor * column
        total = part if total is None else total + part
    return total


def _matrix(frame: Frame) -> Array:
    """Return homogeneous matrices (..., 4, 4)."""
    xp = namespace(frame.p)
    zero = 0.0 * frame.p[0]
    rows = [xp.stack([column[i] for column in frame], axis=-1) for i in range(3)]
    return xp.stack([*rows, xp.stack([zero, zero, zero, zero + 1.0], axis=-1)], axis=-2)


class _Plan(NamedTuple):
    """What a chain is made of, once every joint axis is the z axis of its frame."""

    start: tuple[FloatArray, ...]
    """Columns and origin of the first joint frame at angle zero, (3,) each."""
    steps: tuple[tuple[Terms, Terms, Terms, Terms], ...]
    """From each joint frame to the next, at last to the tool: columns and offset."""
    back: tuple[tuple[Terms, Terms, Terms], ...]
    """From our joint frames to those of the chain."""


@lru_cache(maxsize=64)
def _plan(chain: Chain) -> _Plan:
    R_joint_z = [_turn_to(axis) for axis in chain.axes]  # maps z to the axis
    first = chain.T_parent_joint[0]
    start = (*(first[:3, :3] @ R_joint_z[0]).T, first[:3, 3])
    after = [*chain.T_parent_joint[1:], chain.T_last_tool]
    steps: list[tuple[Terms, Terms, Terms, Terms]] = []
    for i, T in enumerate(after):
        last = i + 1 == len(after)
        R = R_joint_z[i].T @ T[:3, :3] @ (np.eye(3) if last else R_joint_z[i + 1])
        columns = (*R.T, R_joint_z[i].T @ T[:3, 3])
        steps.append(tuple(_terms(column) for column in columns))  # type: ignore[arg-type]
    back = [*(R.T for R in R_joint_z), np.eye(3)]
    return _Plan(start, tuple(steps), tuple(tuple(map(_terms, R.T)) for R in back))  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def _quaternions(chain: Chain, xp: Any, dtype: Any, place: Any, lead: int) -> tuple[Array, ...]:
    """Return what `_turn` needs, for `lead` world axes.

    With f the fixed quaternion of a joint, its factor is `f cos(q/2) + f (0, axis) sin(q/2)`.
    Returned are f and f (0, axis), (4, n, 1, ...) each, and the quaternion of the tool in the
    last joint, (4, 1, 1, ...).
    """
    n = len(chain.joint_names)
    fixed = quat_from_matrix(chain.T_parent_joint[:, :3, :3])
    axes = np.concatenate([np.zeros((n, 1)), chain.axes], axis=-1)
    last = quat_from_matrix(chain.T_last_tool[None, :3, :3])
    return tuple(
        xp.asarray(q.T.reshape((4, -1) + (1,) * lead).copy(), dtype=dtype, device=place)
        for q in (fixed, quat_mul(fixed, axes), last)
    )


def _terms(column: FloatArray) -> Terms:
    # What is below the precision of a rotation is a rounded quarter turn: zero.
    return tuple((k, float(value)) for k, value in enumerate(column) if abs(value) > 1e-15)


def _turn_to(axis: FloatArray) -> FloatArray:
    """Return a rotation that maps z to a unit axis; the identity for z itself."""
    if np.array_equal(axis, (0.0, 0.0, 1.0)):
        return np.eye(3)
    side = np.eye(3)[np.argmin(np.abs(axis))]
    x = np.cross(side, axis)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(axis, x), axis], axis=-1)


@lru_cache(maxsize=64)
def _start(chain: Chain, xp: Any, dtype: Any, place: Any, lead: int) -> tuple[Array, ...]:
    """Return the first joint frame at angle zero as arrays (3, 1, ...) for `lead` world axes."""
    shape = (3,) + (1,) * lead
    return tuple(
        xp.asarray(column.reshape(shape).copy(), dtype=dtype, device=place)
        for column in _plan(chain).start
    )
