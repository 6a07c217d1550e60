"""Lens models as calibrations fit them: pixels of points, and how they change with everything.

The models and their coefficients are those of `core.driver_stage`; here they are vectors of numbers
(fx fy cx cy and the coefficients), with derivatives. Nothing here is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim2arm.core.driver_stage import FloatArray, Intrinsics

COEFFICIENTS: Mapping[str, tuple[str, ...]] = {
    "pinhole": ("k1", "k2", "p1", "p2", "k3"),
    "rational": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("k1", "k2", "k3", "k4"),
}
"""Names of the coefficients of each model, simpler ones first."""
NAMES = ("fx", "fy", "cx", "cy")
"""What every model begins with [pixels]."""
NEAREST = 1e-6
"""Least depth that has a pixel [m]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lens:
    """A camera whose numbers are a vector."""

    width: int
    """[pixels]"""
    height: int
    """[pixels]"""
    numbers: FloatArray
    """(4 + coefficients,): fx fy cx cy [pixels] and those of the lens."""

    @property
    def intrinsics(self) -> Intrinsics:
        """The same as everything else knows it."""
        fx, fy, cx, cy, *bent = (float(v) for v in self.numbers)
        return Intrinsics(
            width=self.width, height=self.height, fx=fx, fy=fy, cx=cx, cy=cy, distortion=tuple(bent)
        )

    def with_numbers(self, numbers: FloatArray) -> Lens:
        """Return the same camera with other numbers."""
        return Lens(width=self.width, height=self.height, numbers=numbers)


def lens_of(intrinsics: Intrinsics) -> Lens:
    """Return the vector of intrinsics; a camera without lens model gets five zeros."""
    k = intrinsics
    bent = k.distortion or (0.0,) * 5
    numbers = np.array([k.fx, k.fy, k.cx, k.cy, *bent])
    return Lens(width=k.width, height=k.height, numbers=numbers)


def project(lens: Lens, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return where points lie in the picture, and how that changes.

    Args:
        lens: the camera, P numbers.
        points: (M, 3) in the optical frame [m], before the camera (z above `NEAREST`).

    Returns:
        Pixels (M, 2), their derivatives by the numbers of the lens (M, 2, P) and by the points
        (M, 2, 3) [pixels/m].
    """
    fx, fy, cx, cy, *coefficients = lens.numbers
    z = points[:, 2]
    ideal = points[:, :2] / z[:, None]
    model = _fisheye if len(coefficients) == 4 else _radial
    bent, by_ideal, by_coefficients = model(ideal, np.array(coefficients))
    focal = np.array([fx, fy])
    pixels = bent * focal + (cx, cy)
    by_numbers = np.zeros((len(points), 2, len(lens.numbers)))
    by_numbers[:, 0, 0], by_numbers[:, 1, 1] = bent[:, 0], bent[:, 1]
    by_numbers[:, 0, 2] = by_numbers[:, 1, 3] = 1.0
    by_numbers[:, :, 4:] = focal[:, None] * by_coefficients
    from_points = np.zeros((len(points), 2, 3))
    from_points[:, 0, 0] = from_points[:, 1, 1] = 1.0 / z
    from_points[:, :, 2] = -ideal / z[:, None]
    return pixels, by_numbers, focal[:, None] * (by_ideal @ from_points)


def _radial(ideal: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return bent points (M, 2), derivatives by ideal points (M, 2, 2), by coefficients."""
    x, y = ideal.T
    k1, k2, p1, p2, k3, k4, k5, k6 = np.concatenate([c, np.zeros(8 - len(c))])
    r2 = x * x + y * y
    r4, r6 = r2 * r2, r2 * r2 * r2
    above = 1.0 + k1 * r2 + k2 * r4 + k3 * r6
    below = 1.0 + k4 * r2 + k5 * r4 + k6 * r6
    factor = above / below
    bent = np.stack(
        [
            x * factor + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x),
            y * factor + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y,
        ],
        axis=-1,
    )
    # factor' = d factor / d r2; d r2 / dx = 2 x.
    slope = (k1 + 2.0 * k2 * r2 + 3.0 * k3 * r4) - factor * (k4 + 2.0 * k5 * r2 + 3.0 * k6 * r4)
    slope = slope / below
    cross = 2.0 * x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y
    by_ideal = np.empty((len(x), 2, 2))
    by_ideal[:, 0, 0] = factor + 2.0 * x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x
    by_ideal[:, 0, 1] = by_ideal[:, 1, 0] = cross
    by_ideal[:, 1, 1] = factor + 2.0 * y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x
    radial = np.stack([r2, r4, r6], axis=-1) / below[:, None]  # (M, 3)
    by = np.zeros((len(x), 2, 8))
    by[:, :, [0, 1, 4]] = ideal[:, :, None] * radial[:, None]
    by[:, 0, 2], by[:, 1, 2] = 2.0 * x * y, r2 + 2.0 * y * y
    by[:, 0, 3], by[:, 1, 3] = r2 + 2.0 * x * x, 2.0 * x * y
    by[:, :, 5:] = -ideal[:, :, None] * (factor[:, None] * radial)[:, None]
    return bent, by_ideal, by[:, :, : len(c)]


def _fisheye(ideal: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the same of a fisheye: a ray at an angle t lies t (1 + k1 t^2 + ...) from the axis."""
    r = np.linalg.norm(ideal, axis=-1).clip(1e-12)
    t = np.arctan(r)
    powers = t[:, None] ** np.array([3.0, 5.0, 7.0, 9.0])
    far = t + powers @ c
    slope = 1.0 + (powers / t[:, None]) @ (c * np.array([3.0, 5.0, 7.0, 9.0]))
    slope = slope / (1.0 + r * r)  # d far / d r
    toward = ideal / r[:, None]
    factor = far / r
    outer = toward[:, :, None] * toward[:, None]
    by_ideal = factor[:, None, None] * (np.eye(2) - outer) + slope[:, None, None] * outer
    return ideal * factor[:, None], by_ideal, toward[:, :, None] * powers[:, None]
