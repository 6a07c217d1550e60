"""What librealsense says of a lens, as k1 k2 p1 p2 k3 of Brown and Conrady.

librealsense has six models, some of them the inverse of others and none marked as what its own
functions do with it. So its function that projects is asked at a grid of rays, and the five numbers
that say the same are a linear least-squares fit; what they cannot say is refused.
"""

# pyrealsense2 has no types.
# pyright: standard

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sim2arm.core.driver_stage import Intrinsics

WORST_PX = 0.1
"""Largest difference over the picture with which five numbers stand for a lens [pixels]."""
_GRID = (25, 19)


def camera_intrinsics(sdk: Any, given: Any) -> Intrinsics:
    """Return the intrinsics of a stream of a RealSense camera.

    Args:
        sdk: `pyrealsense2`.
        given: its `intrinsics`; pixel centres are whole numbers, as here.

    Raises:
        ValueError: its lens is none of Brown and Conrady's; one line.
    """
    bare = Intrinsics(
        width=given.width, height=given.height, fx=given.fx, fy=given.fy,
        cx=given.ppx, cy=given.ppy,
    )  # fmt: skip
    if given.model == sdk.distortion.none or not any(given.coeffs):
        return bare
    if given.model == sdk.distortion.brown_conrady:
        return replace(bare, distortion=tuple(float(c) for c in given.coeffs))
    points = _rays(bare)
    seen = np.array(
        [sdk.rs2_project_point_to_pixel(given, [float(x), float(y), 1.0]) for x, y in points]
    )
    numbers, worst = fit_lens(bare, points, seen)
    if not worst <= WORST_PX:
        raise ValueError(
            f"the lens of the camera, {given.model} {list(given.coeffs)}, differs from k1 k2 p1 "
            f"p2 k3 by {worst:.2f} pixels, expected {WORST_PX:g} at most: give a calibration"
        )
    return replace(bare, distortion=numbers)


def fit_lens(
    bare: Intrinsics, points: np.ndarray, seen: np.ndarray
) -> tuple[tuple[float, ...], float]:
    """Return k1 k2 p1 p2 k3 and the largest difference [pixels].

    Args:
        bare: the camera without lens.
        points: (N, 2) = (x / z, y / z) of rays.
        seen: (N, 2) the pixels where the lens puts them.
    """
    x, y = points.T
    r2 = x * x + y * y
    focal = np.array([bare.fx, bare.fy])
    bent = (seen - [bare.cx, bare.cy]) / focal - points
    columns = [
        [x * r2, x * r2**2, 2 * x * y, r2 + 2 * x * x, x * r2**3],
        [y * r2, y * r2**2, r2 + 2 * y * y, 2 * x * y, y * r2**3],
    ]
    matrix = np.concatenate([np.stack(rows, axis=-1) for rows in columns])
    found = np.linalg.lstsq(matrix, bent.T.reshape(-1), rcond=None)[0]
    left = (matrix @ found - bent.T.reshape(-1)).reshape(2, -1) * focal[:, None]
    return tuple(float(v) for v in found), float(np.abs(left).max())


def _rays(bare: Intrinsics) -> np.ndarray:
    """Return (N, 2): rays over the picture, as if there were no lens."""
    u, v = np.meshgrid(np.linspace(0, bare.width - 1, _GRID[0]),
                       np.linspace(0, bare.height - 1, _GRID[1]))  # fmt: skip
    rays = [(u - bare.cx) / bare.fx, (v - bare.cy) / bare.fy]
    return np.stack(rays, axis=-1).reshape(-1, 2)
