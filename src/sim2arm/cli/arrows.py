"""Arrows drawn into pictures: points of a scene seen by a camera, lines that end in a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lens:
    """A pinhole camera as MuJoCo has it: x right, y up, looking along -z."""

    position: FloatArray
    """(3,) [m]"""
    rotation: FloatArray
    """(3, 3), columns: the camera's axes in the world."""
    fovy_deg: float
    """Vertical angle of view."""
    width: int
    """[pixels]"""
    height: int
    """[pixels]"""

    def project(self, points: FloatArray) -> FloatArray:
        """Return where points (..., 3) [m] lie in the picture, (..., 2) column and row [pixels].

        NaN for what is behind the camera.
        """
        local = (points - self.position) @ self.rotation
        depth = -local[..., 2]
        depth = np.where(depth > 1e-6, depth, np.nan)
        focal = 0.5 * self.height / np.tan(0.5 * np.deg2rad(self.fovy_deg))
        column = 0.5 * self.width + focal * local[..., 0] / depth
        row = 0.5 * self.height - focal * local[..., 1] / depth
        return np.stack([column, row], axis=-1)


def draw_arrows(
    picture: NDArray[np.uint8], ends: FloatArray, color: tuple[int, int, int], width: float
) -> None:
    """Draw arrows into a picture (height, width, 3), over whatever is there.

    Args:
        picture: changed in place.
        ends: (A, 2, 2) column and row of tail and tip [pixels]; an arrow with a NaN is left out.
        color: RGB.
        width: of the shaft [pixels].
    """
    for tail, tip in ends[np.isfinite(ends).all(axis=(1, 2))]:
        _draw_arrow(picture, tail, tip, np.asarray(color, dtype=np.float64), width)


def _draw_arrow(
    picture: NDArray[np.uint8], tail: FloatArray, tip: FloatArray, color: FloatArray, width: float
) -> None:
    """Blend one arrow; its edge is as soft as a pixel."""
    length = float(np.linalg.norm(tip - tail))
    head = min(4.0 * width, length)
    columns, rows = (_span(tail[i], tip[i], 2.0 * width, picture.shape[1 - i]) for i in (0, 1))
    if length < 1e-6 or not len(columns) or not len(rows):
        return
    along = (tip - tail) / length
    x, y = columns[None, :] + 0.5 - tail[0], rows[:, None] + 0.5 - tail[1]
    forward, aside = x * along[0] + y * along[1], np.abs(y * along[0] - x * along[1])
    left = length - forward
    half = np.where(left > head, 0.5 * width, 0.45 * left)  # a head nearly as wide as long
    cover = np.clip(half - aside + 0.5, 0.0, 1.0) * np.clip(forward + 0.5, 0.0, 1.0)
    cover = np.where(left > -0.5, cover, 0.0)[..., None]
    part: Any = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part[:] = (cover * color + (1.0 - cover) * part + 0.5).astype(np.uint8)


def _span(a: float, b: float, margin: float, size: int) -> NDArray[np.int64]:
    """Return the pixels along one axis that an arrow can touch."""
    low, high = min(a, b) - margin, max(a, b) + margin
    return np.arange(int(np.clip(low, 0, size)), int(np.clip(high + 1.0, 0, size)))
