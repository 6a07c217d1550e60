"""Where the board is in single views: closed form, then least squares.

A plane seen from far has two poses that look nearly alike; both are refined and the better is kept.
"""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sim2arm.core.driver_stage import FloatArray, undistort
from sim2arm.core.transforms import quat_from_rotvec, quat_to_matrix

from .board_views import BoardView, Corners
from .bundle import Bundle, fit
from .lens import Lens

NOTHING = np.inf


def pose_candidates(lens: Lens, view: BoardView) -> list[FloatArray]:
    """Return poses `T_camera_board` (4, 4) that explain a view, the better first; none if none.

    Source: T. Collins and A. Bartoli, "Infinitesimal plane-based pose estimation", IJCV 109, 2014.
    """
    k = lens.intrinsics
    bent = (view.pixels - (k.cx, k.cy)) / (k.fx, k.fy)
    try:
        ideal = undistort(k, bent)
        found = cv2.solvePnPGeneric(
            np.ascontiguousarray(view.points), np.ascontiguousarray(ideal), np.eye(3), None,
            flags=cv2.SOLVEPNP_IPPE,
        )  # fmt: skip
    except (ValueError, cv2.error):  # the lens has no inverse there, or the corners no area
        return []
    poses: list[FloatArray] = []
    for turn, place in zip(found[1], found[2], strict=True):
        T = np.eye(4)
        T[:3, :3] = quat_to_matrix(quat_from_rotvec(np.asarray(turn, dtype=np.float64).ravel()))
        T[:3, 3] = np.asarray(place, dtype=np.float64).ravel()
        depth = view.points @ T[2, :3] + T[2, 3]
        if np.isfinite(T).all() and depth.min() > 1e-3:
            poses.append(T)
    return poses


def solve_poses(
    lens: Lens, views: Sequence[BoardView], *, quick: bool = False
) -> tuple[Bundle, FloatArray]:
    """Return the poses of least squares of all views under a lens, and their errors.

    Args:
        lens: the camera.
        views: V of them.
        quick: refine only the better candidate, roughly.

    Returns:
        The fit, whose lens is the given one, and the root mean square (V,) per component
        [pixels], infinite where no pose was found (the pose is then 1 m before the camera).
    """
    corners = Corners(views)
    options = [pose_candidates(lens, view) for view in views]
    far = np.eye(4)
    far[2, 3] = 1.0
    fits: list[Bundle] = []
    for which in (0,) if quick else (0, -1):
        start = np.stack([poses[which] if poses else far for poses in options])
        fits.append(fit(views, lens, start, fixed_lens=True, steps=6 if quick else 15))
    errors = np.stack([corners.rms(found.residuals) for found in fits])
    better = fits[0]
    if len(fits) > 1:
        first, second = (found.T_camera_board for found in fits)
        worse = (errors[1] < errors[0] - 1e-9)[:, None, None]
        better = fit(views, lens, np.where(worse, second, first), fixed_lens=True, steps=5)
    lost = np.array([not poses for poses in options])
    return better, np.where(lost, NOTHING, corners.rms(better.residuals))
