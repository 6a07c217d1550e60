"""Least squares over all views: the numbers of a lens and the pose of the board in each view.

Levenberg and Marquardt's method. Poses are eliminated (Schur complement): a view touches only its
own pose and the lens, so that a step costs as much as one of the lens alone.
Source: B. Triggs et al., "Bundle adjustment - a modern synthesis", Vision Algorithms, 1999.
"""

# NumPy infers too little here.
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.transforms import quat_from_rotvec, quat_to_matrix

from .board_views import BoardView, Corners
from .lens import NEAREST, Lens, project

STEPS = 60
"""Most steps of a fit."""
CONVERGED = 1e-10
"""Share of the cost below which another step gains nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A fit."""

    lens: Lens
    T_camera_board: FloatArray
    """(V, 4, 4) of the views [m]."""
    residuals: FloatArray
    """(M, 2) of all corners: found less predicted [pixels]."""
    information: FloatArray
    """(P, P) of the lens with the poses eliminated, for pixels of unit noise."""
    pose_information: FloatArray
    """(V, 6, 6) of a small shift [m] and turn [rad] of the board in the camera's frame, for pixels
    of unit noise and a lens that is known."""
    by_lens: FloatArray
    """(V, 6, P) by how much that move changes with the numbers of the lens, the corners kept."""


def fit(
    views: Sequence[BoardView],
    lens: Lens,
    T_camera_board: FloatArray,
    *,
    weights: FloatArray | None = None,
    fixed_lens: bool = False,
    steps: int = STEPS,
    prior: FloatArray | None = None,
) -> Bundle:
    """Return lens and poses of least squares from a start.

    Args:
        views: V of them.
        lens: start of the camera, which stays with `fixed_lens`.
        T_camera_board: (V, 4, 4) start of the poses; the board lies before the camera [m].
        weights: (M,) of the corners of all views, 1 by default.
        fixed_lens: fit the poses alone.
        steps: most steps.
        prior: (P,) how much the squares of the lens's numbers count, none by default.
    """
    corners = Corners(views)
    weights = np.ones(len(corners.pixels)) if weights is None else weights
    T, damping = T_camera_board.copy(), np.full(len(views), 1e-3)
    prior = np.zeros(len(lens.numbers)) if prior is None else prior
    now = _Linear(corners, lens, T, weights, prior)
    for _ in range(steps):
        d_lens, d_pose = now.step(damping, fixed_lens)
        tried_lens, tried_T = lens.with_numbers(lens.numbers + d_lens), moved(T, d_pose)
        tried = _Linear(corners, tried_lens, tried_T, weights, prior)
        if fixed_lens:  # every view by itself
            better = tried.costs < now.costs
            gain = float(np.max((now.costs - tried.costs)[better] / now.costs[better], initial=0.0))
            T = np.where(better[:, None, None], tried_T, T)
            damping = np.where(better, 0.2 * damping, 10.0 * damping).clip(1e-12, 1e8)
            now = tried if better.all() else _Linear(corners, lens, T, weights, prior)
            done = gain < 1e-6 and bool((better | (damping > 1.0)).all())
        else:
            before, after = now.cost, tried.cost
            better = bool(after < before)
            damping = (damping * (0.2 if better else 10.0)).clip(1e-12, 1e12)
            if better:
                lens, T, now = tried_lens, tried_T, tried
            done = (before - after < CONVERGED * before) if better else bool(damping[0] > 1e8)
        if done:
            break
    return Bundle(
        lens=lens,
        T_camera_board=T,
        residuals=now.residuals,
        information=now.reduced(np.zeros(len(views)))[0],
        pose_information=now.by_pose,
        by_lens=-np.asarray(np.linalg.solve(now.by_pose, now.cross), dtype=np.float64),
    )


def moved(T: FloatArray, small: FloatArray) -> FloatArray:
    """Return poses (..., 4, 4) after shifts and turns (..., 6) [m, rad] in their outer frame."""
    found = T.copy()
    found[..., :3, :3] = quat_to_matrix(quat_from_rotvec(small[..., 3:])) @ T[..., :3, :3]
    found[..., :3, 3] = T[..., :3, 3] + small[..., :3]
    return found


def seen_points(corners: Corners, T_camera_board: FloatArray) -> FloatArray:
    """Return the corners (M, 3) in the optical frame of the camera [m]."""
    R = T_camera_board[corners.view, :3, :3]
    return np.einsum("mij,mj->mi", R, corners.points) + T_camera_board[corners.view, :3, 3]


class _Linear:
    """Residuals and normal equations at one place, in the blocks of lens and poses."""

    def __init__(
        self, corners: Corners, lens: Lens, T: FloatArray, weights: FloatArray, prior: FloatArray
    ) -> None:
        p = seen_points(corners, T)
        behind = p[:, 2] < NEAREST
        p[behind, 2] = NEAREST
        pixels, by_lens, by_point = project(lens, p)
        self.residuals = corners.pixels - pixels
        arm = p - T[corners.view, :3, 3]
        # A shift moves the point by itself, a turn about the board's origin by w x arm.
        (x, y, z), (u, v, w) = arm.T[..., None], np.moveaxis(by_point, -1, 0)
        by_pose = np.stack([u, v, w, y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)
        square = np.where(behind, np.inf, weights * np.sum(self.residuals**2, axis=1))
        self.costs = corners.per_view(square)
        self.cost = float(self.costs.sum() + prior @ lens.numbers**2)
        # Views differ in their numbers of corners: each is padded with zeros to the most.
        root = np.sqrt(weights)[:, None]
        a = corners.padded(root[..., None] * by_pose)  # (V, 2 most, 6)
        b = corners.padded(root[..., None] * by_lens)  # (V, 2 most, P)
        r = corners.padded(root * self.residuals)  # (V, 2 most)
        across = a.transpose(0, 2, 1)
        self.by_pose, self.cross = across @ a, across @ b  # (V, 6, 6), (V, 6, P)
        self._to_pose = (across @ r[..., None])[..., 0]
        flat = b.reshape(-1, b.shape[-1])
        self._by_lens = flat.T @ flat + np.diag(prior)
        self._to_lens = flat.T @ r.ravel() - prior * lens.numbers

    def reduced(self, damping: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the equations of the lens with poses eliminated, and inverses of their blocks."""
        diagonal = np.einsum("vii->vi", self.by_pose)
        damped = self.by_pose + np.eye(6) * ((damping[:, None] * diagonal) + 1e-12)[:, :, None]
        inverse = np.linalg.inv(damped)
        tied = self.cross.transpose(0, 2, 1) @ inverse  # (V, P, 6)
        square = self._by_lens * (1.0 + damping[0] * np.eye(len(self._by_lens)))
        left = square - np.einsum("vpi,viq->pq", tied, self.cross)
        right = self._to_lens - np.einsum("vpi,vi->p", tied, self._to_pose)
        return left, right, inverse

    def step(self, damping: FloatArray, fixed_lens: bool) -> tuple[FloatArray, FloatArray]:
        """Return how lens (P,) and poses (V, 6) move."""
        left, right, inverse = self.reduced(damping)
        if fixed_lens:
            d_lens = np.zeros(len(right))
        else:
            # Coefficients differ by orders of magnitude: scaled, the equations stay regular.
            scale = 1.0 / np.sqrt(np.diag(self._by_lens).clip(1e-300))
            solved = np.linalg.lstsq(scale[:, None] * left * scale, scale * right, rcond=1e-14)[0]
            d_lens = scale * solved
        d_pose = np.einsum("vij,vj->vi", inverse, self._to_pose - self.cross @ d_lens)
        return d_lens, d_pose
