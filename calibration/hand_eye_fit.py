"""The weighted least squares behind hand-eye calibration, and what the arm is inexact by.

A view's residual is how far the board is from where it should be, (6,) in the camera. Its
covariance is that of the pose from the picture plus that of the arm, whose two standard deviations
are estimated: those of largest likelihood of the residuals, with the fitted numbers integrated out.
"""

# SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from sim2arm.core.driver_stage import FloatArray

from .bundle import moved
from .hand_eye_model import Arm, Mount, Seen, difference, predict

FREEDOM = 4.0
"""Of Student's t."""
EXPECTED = (0.0002, math.radians(0.03))
"""What an arm is inexact by, where too few views tell: shift [m] and turn [rad]; that it is wrong
by a factor e is no surprise."""
STEPS = 12
SMALLEST = 1e-9
"""Step (m, rad) below which a fit has converged."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseViews:
    """What a fit looks at: N poses of the board as they were seen, and the arm's."""

    mount: Mount
    arm: Arm
    measured: FloatArray
    """(N, 4, 4) `T_camera_board` [m]."""
    covariance: FloatArray
    """(N, 6, 6) of small moves of them, from the corners."""

    def where(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> PoseViews:
        """Return some of the views."""
        return PoseViews(
            mount=self.mount,
            arm=self.arm.where(chosen),
            measured=self.measured[chosen],
            covariance=self.covariance[chosen],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """What is fitted."""

    X: FloatArray
    """(4, 4) camera [m]."""
    Y: FloatArray
    """(4, 4) board [m]."""
    offsets: FloatArray
    """(n,) of joints [rad]."""
    deviations: FloatArray = field(default_factory=lambda: np.log(EXPECTED))
    """(2,) logarithms of what the arm is inexact by [m, rad]."""


def solve(views: PoseViews, state: State, free: npt.NDArray[np.int64], *, robust: bool) -> State:
    """Return the state that explains the views best, from one near it.

    Args:
        views: N of them.
        state: where to begin.
        free: numbers of the offsets that are fitted.
        robust: whether views that are not explained lose their weight.
    """
    weights = np.ones(len(views.measured))
    for step in range(STEPS):
        residuals, J, covariance = _linear(views, state, free)
        if robust:
            square = squares(residuals, covariance)
            weights = (FREEDOM + 6.0) / (FREEDOM + square)
        if step % 3 == 0 and step <= 6:
            state = replace(state, deviations=_deviations(views, state, residuals, J, weights))
            covariance = _covariance(views, predicted(views, state), state)
        tied = np.swapaxes(J, -1, -2) @ np.linalg.inv(covariance) * weights[:, None, None]
        move = _solved((tied @ J).sum(axis=0), (tied @ residuals[..., None]).sum(axis=0)[:, 0])
        offsets = state.offsets.copy()
        offsets[free] += move[12:]
        state = replace(
            state, X=moved(state.X, move[:6]), Y=moved(state.Y, move[6:12]), offsets=offsets
        )
        if step > 6 and np.abs(move).max() < SMALLEST:
            break
    return state


def information(views: PoseViews, state: State, free: npt.NDArray[np.int64]) -> FloatArray:
    """Return what views tell of camera, board and free offsets, (12 + free, 12 + free)."""
    _, J, covariance = _linear(views, state, free)
    return (np.swapaxes(J, -1, -2) @ np.linalg.inv(covariance) @ J).sum(axis=0)


def sensitivity(
    views: PoseViews, state: State, free: npt.NDArray[np.int64], by_lens: FloatArray
) -> FloatArray:
    """Return how the fit moves with the numbers of the lens, (12 + free, P); by_lens (N, 6, P)."""
    _, J, covariance = _linear(views, state, free)
    tied = np.swapaxes(J, -1, -2) @ np.linalg.inv(covariance)
    normal, right = (tied @ J).sum(axis=0), (tied @ by_lens).sum(axis=0)
    return np.stack([_solved(normal, column) for column in right.T], axis=-1)


def predicted(views: PoseViews, state: State) -> Seen:
    """Return what should be seen."""
    return predict(views.mount, views.arm, state.X, state.Y, state.offsets)


def distances(views: PoseViews, state: State) -> tuple[FloatArray, FloatArray]:
    """Return residuals (N, 6) [m, rad] and how many standard deviations they are long, (N,)."""
    seen = predicted(views, state)
    residuals = difference(views.measured, seen.T_camera_board)
    return residuals, np.sqrt(squares(residuals, _covariance(views, seen, state)))


def squares(residuals: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return r' C^-1 r of residuals (N, 6)."""
    return np.einsum(
        "ni,ni->n", residuals, np.linalg.solve(covariance, residuals[..., None])[..., 0]
    )


def jacobian(seen: Seen, free: npt.NDArray[np.int64]) -> FloatArray:
    """Return the derivatives (N, 6, 12 + free) by camera, board and free offsets."""
    return np.concatenate([seen.by_camera, seen.by_board, seen.by_offsets[..., free]], axis=-1)


def arm_covariance(seen: Seen, state: State) -> FloatArray:
    """Return how inexact the arm lets the board's pose be, (N, 6, 6)."""
    spread = np.repeat(np.exp(2.0 * state.deviations), 3)
    return seen.by_tool * spread @ np.swapaxes(seen.by_tool, -1, -2)


def _linear(
    views: PoseViews, state: State, free: npt.NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    seen = predicted(views, state)
    residuals = difference(views.measured, seen.T_camera_board)
    return residuals, jacobian(seen, free), _covariance(views, seen, state)


def _covariance(views: PoseViews, seen: Seen, state: State) -> FloatArray:
    return views.covariance + arm_covariance(seen, state)


def _deviations(
    views: PoseViews, state: State, residuals: FloatArray, J: FloatArray, weights: FloatArray
) -> FloatArray:
    """Return the arm's deviations of largest restricted likelihood, in logarithms."""
    seen = predicted(views, state)
    across = np.swapaxes(J, -1, -2)
    root = np.sqrt(weights)[:, None]

    def cost(deviations: FloatArray) -> float:
        covariance = _covariance(views, seen, replace(state, deviations=deviations))
        inverse = np.linalg.inv(covariance)
        tied = across @ inverse * weights[:, None, None]
        normal, right = (tied @ J).sum(axis=0), (tied @ residuals[..., None]).sum(axis=0)[:, 0]
        r = root * residuals
        # The residuals that are left once the numbers are fitted under these deviations.
        left = np.einsum("ni,nij,nj->", r, inverse, r) - right @ _solved(normal, right)
        surprise = float(np.sum((deviations - np.log(EXPECTED)) ** 2))
        scale = 1.0 / np.sqrt(np.diag(normal))
        return (
            float(np.linalg.slogdet(covariance)[1].sum())
            + float(np.linalg.slogdet(scale[:, None] * normal * scale)[1])
            - 2.0 * float(np.log(scale).sum())
            + float(left)
            + surprise
        )

    found: Any = minimize(
        cost, state.deviations, method="Nelder-Mead",
        options={"maxfev": 60, "xatol": 0.01, "fatol": 0.01},
    )  # fmt: skip
    return np.clip(np.asarray(found.x), np.log(1e-6), np.log(0.2))


def _solved(left: FloatArray, right: FloatArray) -> FloatArray:
    scale = 1.0 / np.sqrt(np.diag(left).clip(1e-300))
    solved = np.linalg.lstsq(scale[:, None] * left * scale, scale * right, rcond=1e-12)[0]
    return scale * solved
