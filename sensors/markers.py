"""Dots on a gel, followed from picture to picture: how far the skin is sheared, and where.

Dots are found as dark blobs (difference of two Gaussians) and belong to the nearest place where a
dot was last, both ways round. A dot that moves by more than half the distance between dots from one
picture to the next is taken for its neighbour: read often enough, and reset on an untouched gel.
"""

# OpenCV's and SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

FloatArray = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
THRESHOLD = 0.4
"""Of the contrast of a typical dot: what is fainter is none."""
FAINTEST = 1.5
"""Smallest difference of Gaussians in a dot: about a quarter of its contrast [grey levels]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Shear:
    """Where M dots are, in the order of the tracker's `rest`."""

    displacement: FloatArray
    """(M, 2) from the place at rest, x to the right and y down [m]; the last one known where a
    dot was not found."""
    found: npt.NDArray[np.bool_]
    """(M,) whether a dot was found in this picture."""


class MarkerTracker:
    """Follows the dots of one gel.

    Attributes:
        rest: (M, 2) places of dots in the picture of the untouched gel, x and y [pixels].
    """

    def __init__(
        self, rest_picture: Image, *, size: tuple[float, float], diameter_px: float
    ) -> None:
        """Find the dots of the untouched gel.

        Args:
            rest_picture: (rows, cols, 3) RGB.
            size: width and height of what the picture shows [m].
            diameter_px: of a dot [pixels].

        Raises:
            ValueError: fewer than four dots; one line.
        """
        rows, cols = rest_picture.shape[:2]
        self._pixel = np.array([size[0] / cols, size[1] / rows])
        self._shape, self._diameter = rest_picture.shape, diameter_px
        self.rest = find_dots(rest_picture, diameter_px)
        if len(self.rest) < 4:
            raise ValueError(
                f"expected 4 or more dots of {diameter_px:g} pixels on the untouched gel, got "
                f"{len(self.rest)}: is it a gel with markers?"
            )
        apart = KDTree(self.rest).query(self.rest, k=2)[0][:, 1]
        self._reach = 0.5 * float(np.median(apart))
        self.reset()

    def reset(self) -> None:
        """Take the gel for untouched, as after a grasp that was too strong to follow."""
        self._last = self.rest.copy()

    def track(self, picture: Image) -> Shear:
        """Return where the dots of the next picture are.

        Raises:
            ValueError: the picture has another size.
        """
        if picture.shape != self._shape:
            raise ValueError(f"picture: expected {self._shape}, as at rest, got {picture.shape}")
        dots = find_dots(picture, self._diameter)
        found = np.zeros(len(self.rest), dtype=bool)
        if len(dots):
            near: Any = KDTree(dots).query(self._last)
            back: Any = KDTree(self._last).query(dots)
            (distance, mine), theirs = near, back[1]
            found = (distance < self._reach) & (theirs[mine] == np.arange(len(self._last)))
            self._last[found] = dots[mine[found]]
        return Shear(displacement=(self._last - self.rest) * self._pixel, found=found)


def find_dots(picture: Image, diameter_px: float) -> FloatArray:
    """Return the middles of dark dots (M, 2), x and y [pixels], from top to bottom.

    Args:
        picture: (rows, cols, 3) RGB.
        diameter_px: of a dot [pixels].

    Raises:
        ValueError: a diameter below 2 pixels.
    """
    if not diameter_px >= 2.0:
        raise ValueError(f"diameter_px: expected 2 or more, got {diameter_px}")
    grey = picture.max(axis=-1).astype(np.float32)  # dots are dark under every light
    fine = cv2.GaussianBlur(grey, (0, 0), 0.35 * diameter_px)
    coarse = cv2.GaussianBlur(grey, (0, 0), 1.0 * diameter_px)
    blob = coarse - fine
    around = cv2.dilate(blob, np.ones((3, 3), np.uint8))
    width = 2 * round(0.5 * diameter_px) + 1
    wide = cv2.dilate(blob, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    peaks = (blob >= around) & (blob >= wide) & (blob > FAINTEST)
    peaks[[0, -1]] = False
    peaks[:, [0, -1]] = False
    row, col = np.nonzero(peaks)
    if not len(row):
        return np.zeros((0, 2))
    strength = blob[row, col]
    typical = float(np.quantile(strength, 0.9))
    strong = strength > THRESHOLD * typical
    row, col = row[strong], col[strong]
    return np.stack([col + _vertex(blob, row, col, 0, 1), row + _vertex(blob, row, col, 1, 0)], -1)


def _vertex(
    blob: npt.NDArray[np.float32],
    row: npt.NDArray[np.int64],
    col: npt.NDArray[np.int64],
    down: int,
    across: int,
) -> FloatArray:
    """Return how far the top of the parabola through three pixels lies from the middle one."""
    before = blob[row - down, col - across].astype(np.float64)
    here = blob[row, col].astype(np.float64)
    after = blob[row + down, col + across].astype(np.float64)
    bend = before - 2.0 * here + after
    shift = 0.5 * (before - after) / np.where(bend < -1e-9, bend, -1.0)
    return np.where(bend < -1e-9, shift, 0.0).clip(-0.5, 0.5)
