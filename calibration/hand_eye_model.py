"""What a camera, a board and an arm should see of each other, and how that changes.

One of camera and board moves with the tool, the other stands in the base frame:

    eye in hand:  T_camera_board = (T_base_tool T_tool_camera)^-1 T_base_board
    eye to hand:  T_camera_board = T_base_camera^-1 T_base_tool T_tool_board

The camera's pose is called X, the board's Y. Small moves (6,) of a pose are a shift and a turn in
its outer frame, the turn about its own origin, as `bundle.moved` applies them.
"""

# NumPy infers too little here.
# pyright: standard

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.kinematics import forward, forward_and_jacobian
from sim2arm.core.robots import Chain
from sim2arm.core.transforms import quat_from_matrix, quat_to_rotvec

Mount = Literal["eye-in-hand", "eye-to-hand"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Arm:
    """Where the tool was in N views, and how joint offsets would move it."""

    T_base_tool: FloatArray
    """(N, 4, 4) [m]."""
    chain: Chain | None = None
    """None where tool poses were measured, not joints."""
    q: FloatArray | None = None
    """(N, n) joints as measured [rad]."""

    def shifted(self, offsets: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return tool poses (N, 4, 4) with offsets (n,) added, and Jacobians (N, 6, n)."""
        if self.chain is None or self.q is None:
            return self.T_base_tool, np.zeros((len(self.T_base_tool), 6, 0))
        T, J = forward_and_jacobian(self.chain, self.q + offsets)
        return np.asarray(T), np.asarray(J)

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Arm:
        """Return some of the views, by number or bool."""
        q = None if self.q is None else self.q[chosen]
        return Arm(T_base_tool=self.T_base_tool[chosen], chain=self.chain, q=q)


def arm_of_joints(chain: Chain, q: FloatArray) -> Arm:
    """Return the arm at joints (N, n) [rad]."""
    return Arm(T_base_tool=np.asarray(forward(chain, q)), chain=chain, q=q)


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """Predicted poses of the board and their derivatives; N views."""

    T_camera_board: FloatArray
    """(N, 4, 4) [m]."""
    by_camera: FloatArray
    """(N, 6, 6) by a small move of X."""
    by_board: FloatArray
    """(N, 6, 6) by a small move of Y."""
    by_offsets: FloatArray
    """(N, 6, n) by offsets of the joints [1/rad]."""
    by_tool: FloatArray
    """(N, 6, 6) by a small move of the tool, in its own axes: what an arm is inexact by."""


def predict(mount: Mount, arm: Arm, X: FloatArray, Y: FloatArray, offsets: FloatArray) -> Seen:
    """Return what is seen.

    Args:
        mount: which of both moves.
        arm: N poses.
        X: (4, 4) pose of the camera, in the tool or in the base [m].
        Y: (4, 4) pose of the board, in the other of both [m].
        offsets: (n,) added to the measured joints [rad]; (0,) where there are no joints.
    """
    T, J = arm.shifted(offsets)
    A = T if mount == "eye-in-hand" else inverse(T)
    R_x, R_a = X[:3, :3], A[:, :3, :3]
    board = inverse(A) @ Y  # in the frame that carries the camera
    seen = inverse(X) @ board
    arm_x = board[:, :3, 3] - X[:3, 3]
    to_camera = np.broadcast_to(R_x.T, R_a.shape)
    by_camera = -_twist(to_camera, arm_x)
    R_c_outer = to_camera @ np.swapaxes(R_a, -1, -2)
    by_board = _twist(R_c_outer, np.zeros_like(arm_x))
    if mount == "eye-in-hand":  # moving the tool is moving the camera's frame
        arm_t = Y[:3, 3] - T[:, :3, 3]
        by_base = -_twist(R_c_outer, arm_t)
    else:
        by_base = _twist(to_camera, board[:, :3, 3] - T[:, :3, 3])
    R_t = T[:, :3, :3]
    own = np.zeros_like(by_base)
    own[:, :3, :3] = own[:, 3:, 3:] = R_t
    return Seen(
        T_camera_board=seen,
        by_camera=by_camera,
        by_board=by_board,
        by_offsets=by_base @ J,
        by_tool=by_base @ own,
    )


def difference(measured: FloatArray, predicted: FloatArray) -> FloatArray:
    """Return the small moves (N, 6) that lead from predicted to measured poses [m, rad]."""
    turn = measured[..., :3, :3] @ np.swapaxes(predicted[..., :3, :3], -1, -2)
    rotation = np.asarray(quat_to_rotvec(quat_from_matrix(turn)))
    return np.concatenate([measured[..., :3, 3] - predicted[..., :3, 3], rotation], axis=-1)


def inverse(T: FloatArray) -> FloatArray:
    """Return inverse poses (..., 4, 4)."""
    found = np.zeros_like(T)
    R = np.swapaxes(T[..., :3, :3], -1, -2)
    found[..., :3, :3], found[..., 3, 3] = R, 1.0
    found[..., :3, 3] = -np.einsum("...ij,...j->...i", R, T[..., :3, 3])
    return found


def _twist(R: FloatArray, arm: FloatArray) -> FloatArray:
    """Return (N, 6, 6): a shift and a turn w about a point `arm` before the board, in axes R."""
    found = np.zeros((len(R), 6, 6))
    found[:, :3, :3] = found[:, 3:, 3:] = R
    x, y, z = arm.T
    zero = np.zeros_like(x)
    # w x arm = -[arm] w
    cross = np.stack([zero, z, -y, -z, zero, x, y, -x, zero], axis=-1).reshape(-1, 3, 3)
    found[:, :3, 3:] = R @ cross
    return found
