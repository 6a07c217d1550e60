"""Inverse kinematics by damped least squares, for start poses and for stepping along a path."""

# pyright: standard

from __future__ import annotations

from typing import Any

import array_api_compat.numpy as numpy_namespace
import numpy as np
from array_api_compat import device

from .kinematics import frame_pose, tool_and_jacobian
from .robots import Robot
from .transforms import Array, namespace, quat_conjugate, quat_mul, quat_to_rotvec


def pose_step(
    robot: Robot, q: Array, wanted: Array, posture: Array, damping: float
) -> tuple[Array, Array]:
    """Return one step of the joints towards a tool pose.

    The step solves `(J J^T + damping^2 I) x = error - J posture` and is `posture + J^T x`: the
    posture is followed in the null space of the tool.

    Args:
        robot: the arm.
        q: (..., n) joint positions [rad].
        wanted: (..., 7) tool pose in the base frame.
        posture: (..., n) step that would be taken without a tool goal [rad].
        damping: damping of the least squares [m, rad].

    Returns:
        The step (..., n) [rad] and the pose error before it (..., 6) [m, rad].
    """
    xp = namespace(q)
    tool, J = tool_and_jacobian(robot.chain, q)
    at = frame_pose(tool)
    turn = quat_to_rotvec(quat_mul(wanted[..., 3:], quat_conjugate(at[..., 3:])))
    error = xp.concat([wanted[..., :3] - at[..., :3], turn], axis=-1)
    JT = xp.matrix_transpose(J)
    ridge = xp.asarray(np.eye(6) * damping**2, dtype=q.dtype, device=device(q))
    residual = error - (J @ posture[..., None])[..., 0]
    solved = _solve(xp, J @ JT + ridge, residual[..., None])
    return posture + (JT @ solved)[..., 0], error


def _solve(xp: Any, A: Array, b: Array) -> Array:
    """Solve A x = b without waiting for a GPU."""
    if xp is numpy_namespace:  # numpy's own: the compatible one imports something in every call
        return np.linalg.solve(A, b)
    return xp.linalg.solve_ex(A, b)[0]  # `solve` looks at the result to report singular matrices


def solve_pose(robot: Robot, wanted: Array, q: Array, iterations: int = 8) -> Array:
    """Return joint positions (..., n) [rad] whose tool pose is `wanted` (..., 7), from a guess.

    A fixed number of Newton steps of at most 0.5 rad; the result is clipped to the position
    limits. Whether it converged is for the caller to check where that matters. Tensors on the
    CPU are solved by numpy, which takes a third of the time for the few episodes of a reset.
    """
    xp = namespace(q)
    if xp is not numpy_namespace and str(device(q)) == "cpu":
        arrays = (np.from_dlpack(wanted), np.from_dlpack(q))
        return xp.from_dlpack(solve_pose(robot, *arrays, iterations=iterations))
    place = device(q)
    low = xp.asarray(np.asarray(robot.limits.q_min), dtype=q.dtype, device=place) + 0.01
    high = xp.asarray(np.asarray(robot.limits.q_max), dtype=q.dtype, device=place) - 0.01
    for _ in range(iterations):
        step, _ = pose_step(robot, q, wanted, 0.0 * q, 1e-4)
        largest = xp.max(xp.abs(step), axis=-1, keepdims=True)
        step = step * (0.5 / xp.where(largest < 0.5, 0.5, largest))
        q = xp.minimum(xp.maximum(q + step, low), high)
    return q
