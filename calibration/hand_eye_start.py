"""Closed form of hand-eye calibration, from few views, for many subsets, judged by the median.

OpenCV has such solvers, but the Python of its version 5.0 does not show them, and one that is
misled by a wrong view is no start; here the solver is a part of the search for views that agree.
"""

# NumPy infers too little here.
# pyright: standard

from __future__ import annotations

import itertools
import math

import numpy as np

from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.transforms import quat_from_matrix, quat_to_rotvec

from .hand_eye_model import difference, inverse

SUBSETS = 150
"""Most subsets that are tried."""
SUBSET = 4
SCALE = np.array([0.005, 0.005, 0.005, math.radians(1.0), math.radians(1.0), math.radians(1.0)])
"""What counts alike in the search: 5 mm and 1 degree."""


def park(A: FloatArray, M: FloatArray) -> FloatArray:
    """Return X (4, 4) that best solves A_i X M_i = const over all pairs of views.

    Args:
        A: (N, 4, 4) poses of what carries the camera [m], N >= 3.
        M: (N, 4, 4) poses of the board in the camera [m].

    Raises:
        ValueError: all rotations are about parallel axes.

    Source: F. Park and B. Martin, "Robot sensor calibration: solving AX = XB on the Euclidean
    group", IEEE Trans. Robotics and Automation 10(5), 1994.
    """
    i, j = np.triu_indices(len(A), 1)
    P, Q = inverse(A[j]) @ A[i], M[j] @ inverse(M[i])  # P X = X Q
    a, b = rotation_vectors(P), rotation_vectors(Q)
    u, singular, vt = np.linalg.svd(a.T @ b)
    if singular[1] < 1e-4 * max(float(singular[0]), 1e-300):
        raise ValueError("all rotations are about parallel axes")
    R = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    left = (P[:, :3, :3] - np.eye(3)).reshape(-1, 3)
    right = (Q[:, :3, 3] @ R.T - P[:, :3, 3]).ravel()
    X = np.eye(4)
    X[:3, :3], X[:3, 3] = R, np.linalg.lstsq(left, right, rcond=None)[0]
    return X


def rotation_vectors(T: FloatArray) -> FloatArray:
    """Return the shortest rotation vectors (..., 3) of poses [rad]."""
    return np.asarray(quat_to_rotvec(quat_from_matrix(T[..., :3, :3])))


def mean_pose(T: FloatArray) -> FloatArray:
    """Return the mean (4, 4) of poses (N, 4, 4) that lie near each other."""
    u, _, vt = np.linalg.svd(T[:, :3, :3].sum(axis=0))
    found = np.eye(4)
    found[:3, :3] = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    found[:3, 3] = T[:, :3, 3].mean(axis=0)
    return found


def start(A: FloatArray, M: FloatArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return X and Y (4, 4) that most views agree with.

    Args:
        A: (N, 4, 4) poses of what carries the camera [m].
        M: (N, 4, 4) poses of the board in the camera [m].
        seed: of the subsets.

    Raises:
        ValueError: no subset of views has rotations about different axes.
    """
    n = len(A)
    best: tuple[float, FloatArray, FloatArray] | None = None
    for subset in _subsets(n, seed):
        try:
            X = park(A[subset], M[subset])
        except ValueError:
            continue
        Y = mean_pose(A[subset] @ X @ M[subset])
        score = float(np.median(_distance(A, M, X, Y)))
        if best is None or score < best[0]:
            best = (score, X, Y)
    if best is None:
        raise ValueError("all rotations are about parallel axes")
    _, X, Y = best
    near = _distance(A, M, X, Y)
    chosen = near <= max(float(np.median(near)) * 2.0, 1e-9)
    try:
        X = park(A[chosen], M[chosen])
    except ValueError:
        return best[1], best[2]
    Y = mean_pose(A[chosen] @ X @ M[chosen])
    better = float(np.median(_distance(A, M, X, Y))) < best[0]
    return (X, Y) if better else (best[1], best[2])


def _distance(A: FloatArray, M: FloatArray, X: FloatArray, Y: FloatArray) -> FloatArray:
    off = difference(M, inverse(A @ X) @ Y) / SCALE
    return np.linalg.norm(off, axis=1)


def _subsets(n: int, seed: int) -> list[list[int]]:
    size = min(SUBSET, n)
    if math.comb(n, size) <= SUBSETS:
        return [list(one) for one in itertools.combinations(range(n), size)]
    rng = np.random.default_rng(seed)
    every = [sorted(int(k) for k in rng.choice(n, size, replace=False)) for _ in range(SUBSETS)]
    return [list(range(n)), *every]
