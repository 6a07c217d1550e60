"""Views of a board: which of its corners were found where in which pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim2arm.core.driver_stage import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class BoardView:
    """The corners that one picture shows."""

    name: str
    """Of the picture."""
    points: FloatArray
    """(K, 3) corners in the frame of the board, whose z is 0 [m]."""
    pixels: FloatArray
    """(K, 2) where they are in the picture [pixels]."""

    def __post_init__(self) -> None:
        """Check that the two belong together."""
        if self.points.shape != (len(self.pixels), 3) or self.pixels.shape[1:] != (2,):
            raise ValueError(
                f"view {self.name!r}: expected (K, 3) points and (K, 2) pixels, got "
                f"{self.points.shape} and {self.pixels.shape}"
            )
        if not (np.isfinite(self.points).all() and np.isfinite(self.pixels).all()):
            raise ValueError(f"view {self.name!r}: points and pixels must be finite")

    @property
    def spans(self) -> bool:
        """Whether the corners span an area; those on a line tell no pose."""
        if len(self.points) < 4:
            return False
        sizes = np.linalg.svd(self.points - self.points.mean(axis=0), compute_uv=False)
        return bool(sizes[1] > 0.05 * sizes[0])

    def where(self, chosen: npt.NDArray[np.bool_]) -> BoardView:
        """Return the view with those corners for which `chosen` (K,) holds."""
        return BoardView(name=self.name, points=self.points[chosen], pixels=self.pixels[chosen])


class Corners:
    """The corners of V views one after the other, M in all.

    Attributes:
        points: (M, 3) in the frame of the board [m].
        pixels: (M, 2).
        view: (M,) number of the view, rising.
        starts: (V,) where the corners of each view begin.
        counts: (V,) how many there are.
    """

    def __init__(self, views: Sequence[BoardView]) -> None:
        """Stack the views, each with one corner or more."""
        self.counts = np.array([len(view.pixels) for view in views])
        assert len(views) and self.counts.min() > 0, "views without corners are left out before"
        self.points = np.concatenate([view.points for view in views])
        self.pixels = np.concatenate([view.pixels for view in views])
        self.view = np.repeat(np.arange(len(views)), self.counts)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])

    def per_view(self, values: FloatArray) -> FloatArray:
        """Return the sums (V, ...) of values (M, ...) over the corners of each view."""
        return np.add.reduceat(values, self.starts, axis=0)

    def padded(self, values: FloatArray) -> FloatArray:
        """Return values (M, 2, ...) by view, (V, 2 * most, ...), zeros where there is no corner."""
        most = int(self.counts.max())
        place = self.view * most + np.arange(len(self.view)) - self.starts[self.view]
        found = np.zeros((len(self.counts) * most, *values.shape[1:]))
        found[place] = values
        return found.reshape(len(self.counts), 2 * most, *values.shape[2:])

    def rms(self, residuals: FloatArray) -> FloatArray:
        """Return the root mean square (V,) of residuals (M, 2), per component [pixels]."""
        return np.sqrt(self.per_view(np.sum(residuals**2, axis=1)) / (2.0 * self.counts))
