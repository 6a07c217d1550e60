"""Where to look from next: the poses that tell most of what is known least.

Candidates are drawn about the poses that were taken and about home, within joint limits; those in
which the board fills a fair part of the picture are kept, and the one that raises the least
information of the camera's pose most is proposed, then the next with that one taken. Nothing here
knows of tables, cables or people: poses are proposals, and somebody looks before the arm moves.
"""

# NumPy infers too little here.
# pyright: standard

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.kinematics import forward
from sim2arm.core.robots import Robot

from .board import BoardCfg
from .hand_eye import HandEyeCalibration
from .hand_eye_fit import State, arm_covariance, jacobian
from .hand_eye_model import arm_of_joints, predict
from .lens import NEAREST, Lens, project

UNIT = np.array([1e-3] * 3 + [math.radians(0.1)] * 3)
"""What counts alike: 1 mm and 0.1 degrees."""
CANDIDATES = 4000
NEAR = 0.5
"""Spread of candidates about poses that were taken [rad]."""
FROM_LIMITS = 0.1
"""Least distance of a joint from its limits [rad]."""
STEEP = math.radians(55.0)
"""Greatest angle between the board and the picture."""
LEAST_WIDTH = 0.2
"""Least share of the picture's width that the board fills."""
AROUND = 0.15
"""How far beyond the box of the tool's places so far a proposal may lie [m]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Proposal:
    """A pose to look from."""

    q: FloatArray
    """(n,) [rad]."""
    gain: float
    """By which factor the least certain direction of the camera's pose becomes more certain (its
    standard deviation shrinks by this), with the proposals before it."""


def propose(
    found: HandEyeCalibration, robot: Robot, board: BoardCfg, count: int, seed: int = 0
) -> list[Proposal]:
    """Return poses to look from, the most telling first; fewer where there are no more.

    Args:
        found: what is known so far.
        robot: the arm, whose limits are kept.
        board: that is looked at.
        count: of proposals.
        seed: of the candidates.

    Raises:
        ValueError: the calibration was made of tool poses, which tell no joints.
    """
    if found.arm.q is None:
        raise ValueError("poses are proposed as joints, and these views have tool poses")
    q = _candidates(found, robot, seed)
    seen = predict(found.mount, arm_of_joints(robot.chain, q), found.X, found.Y, found.offsets)
    visible = _visible(found.lens, board, seen.T_camera_board)
    near = _around(found, np.asarray(forward(robot.chain, q)))
    chosen = np.flatnonzero(visible & near)
    if not len(chosen):
        return []
    q = q[chosen]
    seen = predict(found.mount, arm_of_joints(robot.chain, q), found.X, found.Y, found.offsets)
    free = np.flatnonzero(np.diag(found.information)[12:] > 0)
    rows = np.concatenate([np.arange(12), 12 + free])
    now = found.information[np.ix_(rows, rows)]
    deviations = np.log(found.noise[1:])
    state = State(X=found.X, Y=found.Y, offsets=found.offsets, deviations=deviations)
    picture = _picture_covariance(found.lens, board, seen.T_camera_board, found.noise[0])
    J = jacobian(seen, free)
    tells = np.swapaxes(J, -1, -2) @ np.linalg.inv(picture + arm_covariance(seen, state)) @ J
    proposals: list[Proposal] = []
    for _ in range(min(count, len(q))):
        before = _least(now[None])[0]
        after = _least(now + tells)
        best = int(after.argmax())
        if not after[best] > before * (1.0 + 1e-6):
            break
        proposals.append(Proposal(q=q[best], gain=math.sqrt(after[best] / before)))
        now = now + tells[best]
    return proposals


def _least(information: FloatArray) -> FloatArray:
    """Return the least eigenvalue of what is known of the camera, the rest eliminated (N,)."""
    inner = information[:, 6:, 6:]
    tied = information[:, :6, 6:]
    left = information[:, :6, :6] - tied @ np.linalg.solve(inner, np.swapaxes(tied, -1, -2))
    return np.asarray(np.linalg.eigvalsh(left * UNIT[:, None] * UNIT)[:, 0], dtype=np.float64)


def _candidates(found: HandEyeCalibration, robot: Robot, seed: int) -> FloatArray:
    assert found.arm.q is not None
    rng = np.random.default_rng(seed)
    good = np.delete(found.arm.q, list(found.wrong), axis=0)
    about = np.concatenate([good, np.array([robot.home])])
    q = about[rng.integers(len(about), size=CANDIDATES)]
    q = q + rng.normal(0.0, NEAR, q.shape)
    low = np.array(robot.limits.q_min) + FROM_LIMITS
    high = np.array(robot.limits.q_max) - FROM_LIMITS
    return q[((q > low) & (q < high)).all(axis=1)]


def _around(found: HandEyeCalibration, T: FloatArray) -> np.ndarray:
    places = np.delete(found.arm.T_base_tool, list(found.wrong), axis=0)[:, :3, 3]
    low, high = places.min(axis=0) - AROUND, places.max(axis=0) + AROUND
    return ((T[:, :3, 3] > low) & (T[:, :3, 3] < high)).all(axis=1)


def _visible(lens: Lens, board: BoardCfg, T: FloatArray) -> np.ndarray:
    """Return which poses (N,) show the whole board, not too steep and not too small."""
    points = _corners_in(board, T)
    ahead = np.asarray((points[..., 2] > 0.05).all(axis=1))
    facing = T[:, 2, 2] > math.cos(STEEP)
    pixels = _pixels(lens, np.where(ahead[:, None, None], points, [0.0, 0.0, 1.0]))
    edge = 4.0
    inside = (pixels > edge).all(axis=(1, 2))
    inside &= (pixels < np.array([lens.width, lens.height]) - 1.0 - edge).all(axis=(1, 2))
    wide = np.ptp(pixels[..., 0], axis=1) > LEAST_WIDTH * lens.width
    return ahead & facing & inside & wide


def _corners_in(board: BoardCfg, T: FloatArray) -> FloatArray:
    """Return the board's corners in the camera (N, K, 3) [m]."""
    return np.einsum("nij,kj->nki", T[:, :3, :3], board.corners) + T[:, None, :3, 3]


def _pixels(lens: Lens, points: FloatArray) -> FloatArray:
    flat = points.reshape(-1, 3).copy()
    flat[:, 2] = flat[:, 2].clip(NEAREST)
    return project(lens, flat)[0].reshape(*points.shape[:2], 2)


def _picture_covariance(lens: Lens, board: BoardCfg, T: FloatArray, noise_px: float) -> FloatArray:
    """Return the covariance (N, 6, 6) of the board's pose from all its corners."""
    points = _corners_in(board, T)
    by_point = project(lens, points.reshape(-1, 3))[2].reshape(*points.shape[:2], 2, 3)
    arm = (points - T[:, None, :3, 3])[:, :, None]
    by_pose = np.concatenate([by_point, np.cross(arm, by_point)], axis=-1)
    flat = by_pose.reshape(len(T), -1, 6)
    inverse = np.linalg.inv(np.swapaxes(flat, -1, -2) @ flat)
    return np.asarray(noise_px**2 * inverse, dtype=np.float64)
