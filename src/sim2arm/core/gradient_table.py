"""The colour of a gel by the slope of its skin: a table, and what it means in double precision.

Frame of the picture: x to the right along a row, y down along a column, as the camera inside the
sensor sees it. A height h(x, y) [m] is how far the skin is pushed towards that camera, 0 where it
rests. The slope is g = (dh/dx, dh/dy); n = g / sqrt(1 + |g|^2) are the components of the unit
normal, each in [-1, 1]. Node i of an axis of the table lies at n = -1 + 2 i / (B - 1); B is odd, so
that no slope is a node, whose coefficients are 0: a flat gel is the background, exactly. Between
nodes the table is bilinear. The idea of a table of polynomials is Taxim's (Z. Si, W. Yuan, IEEE
RA-L 7(2), 2022); its bins of angles are not, because they have a seam.

`GradientTable.picture` is the reference that other implementations are tested against.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from .driver_stage import overlap

FloatArray = npt.NDArray[np.float64]
FORMS = ("x^2", "y^2", "xy", "x", "y", "1")
"""What the coefficients of a node multiply; x and y are in [-1, 1] across the picture."""
NODES = 65
"""Along each axis, by default."""
SMOOTH = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
"""Binomial weights, as in Taxim's pipeline, by which heights are smoothed before slopes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GradientTable:
    """How one gel answers to slopes, and what it looks like without any."""

    coefficients: npt.NDArray[np.float32]
    """(B, B, 3, 6): node of n_y, node of n_x, channel of RGB, form [grey levels of 255]."""
    background: npt.NDArray[np.float32]
    """(rows, cols, 3) RGB of the flat gel, 0 to 255, at the size it was measured with."""
    sensor: str
    """Name of the kind of sensor, or of one sensor."""
    size: tuple[float, float]
    """Width and height of what the picture shows of the gel [m]."""
    source: str
    """How the numbers came to be."""
    licence: str
    """Under which the numbers may be passed on."""
    date: str
    """ISO 8601 with the offset from UTC."""

    def __post_init__(self) -> None:
        """Refuse what is no table; every error is one line."""
        _check_coefficients(self.coefficients)
        background = self.background
        if background.ndim != 3 or background.shape[2] != 3 or 0 in background.shape:
            raise ValueError(f"background: expected (rows, cols, 3), got {background.shape}")
        if background.dtype != np.float32:
            raise ValueError(f"background: expected float32, got {background.dtype}")
        if not bool(np.all((background >= 0.0) & (background <= 255.0))):  # false for NaN
            raise ValueError("background: expected grey levels from 0 to 255")
        if len(self.size) != 2 or not all(0.0 < s < math.inf for s in self.size):
            raise ValueError(f"size: expected width and height above 0 m, got {self.size}")
        for name in ("sensor", "source", "licence"):
            if not getattr(self, name):
                raise ValueError(f"{name}: must not be empty")
        try:
            offset = datetime.fromisoformat(self.date).utcoffset()
        except ValueError:
            offset = None
        if offset is None:
            raise ValueError(f"date: expected ISO 8601 with an offset from UTC, got {self.date!r}")

    @property
    def nodes(self) -> int:
        """Nodes along each axis, B."""
        return len(self.coefficients)

    def evaluate(self, g: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
        """Return the change of colour (..., 3) in double precision [grey levels].

        Args:
            g: (..., 2) slope along x and y.
            x: (...) place in the picture, -1 at its left edge, 1 at its right edge.
            y: (...) place in the picture, -1 at its upper edge, 1 at its lower edge.
        """
        table = self.coefficients.reshape(-1, 18)
        where, weights = corners(normal(g), self.nodes)
        mixed = sum(
            weights[..., k, None] * table[where[..., k]].astype(np.float64) for k in range(4)
        )
        mixed = np.reshape(mixed, (*where.shape[:-1], 3, 6))
        return np.einsum("...ck,...k->...c", mixed, forms(x, y))

    def background_at(self, rows: int, cols: int) -> npt.NDArray[np.float32]:
        """Return the background at another size: each pixel the mean of what it covers."""
        h, w = self.background.shape[:2]
        if (rows, cols) == (h, w):
            return self.background.copy()
        flat = self.background.reshape(h, -1).astype(np.float64)
        shrunk = (overlap(h, rows) @ flat / h).reshape(rows, w, 3)
        return np.matmul(overlap(w, cols) / w, shrunk).astype(np.float32)

    def picture(self, g: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Return the picture (rows, cols, 3) of slopes (rows, cols, 2); halves rounded up."""
        g = np.asarray(g, dtype=np.float64)
        rows, cols = g.shape[:2]
        colour = self.background_at(rows, cols) + self.evaluate(g, *places(rows, cols))
        return np.floor(colour.clip(0.0, 255.0) + 0.5).astype(np.uint8)


def normal(g: npt.ArrayLike) -> FloatArray:
    """Return the components (..., 2) of the unit normal for slopes (..., 2)."""
    g = np.asarray(g, dtype=np.float64)
    return g / np.sqrt(1.0 + np.sum(g * g, axis=-1, keepdims=True))


def slope(n: npt.ArrayLike) -> FloatArray:
    """Return the slopes (..., 2) for components (..., 2) of the unit normal, below length 1."""
    n = np.asarray(n, dtype=np.float64)
    return n / np.sqrt(1.0 - np.sum(n * n, axis=-1, keepdims=True))


def corners(n: FloatArray, nodes: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return the four nodes around normals, and how much each counts there.

    Args:
        n: (..., 2) components of the unit normal.
        nodes: along each axis of the table.

    Returns:
        Indices (..., 4) into the nodes in a row, row of n_y by row, and weights (..., 4), sum 1.
    """
    place = 0.5 * (n + 1.0) * (nodes - 1)
    low = np.clip(np.floor(place).astype(np.int64), 0, nodes - 2)
    right = place - low
    left = 1.0 - right
    where = low[..., 1] * nodes + low[..., 0]
    return (
        np.stack([where, where + 1, where + nodes, where + nodes + 1], axis=-1),
        np.stack(
            [
                left[..., 1] * left[..., 0],
                left[..., 1] * right[..., 0],
                right[..., 1] * left[..., 0],
                right[..., 1] * right[..., 0],
            ],
            axis=-1,
        ),
    )


def forms(x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
    """Return (..., 6) `FORMS` at places (...) of the picture."""
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    return np.stack([x * x, y * y, x * y, x, y, np.ones_like(x)], axis=-1)


def places(rows: int, cols: int) -> tuple[FloatArray, FloatArray]:
    """Return x (1, cols) and y (rows, 1) of the centres of pixels, in [-1, 1]."""
    x = (2.0 * np.arange(cols) + 1.0) / cols - 1.0
    y = (2.0 * np.arange(rows) + 1.0) / rows - 1.0
    return x[None], y[:, None]


def node_normals(nodes: int) -> FloatArray:
    """Return the components (B, B, 2) of the unit normal at nodes, indexed [iy, ix]."""
    n_y, n_x = np.meshgrid(*[np.linspace(-1.0, 1.0, nodes)] * 2, indexing="ij")
    return np.stack([n_x, n_y], axis=-1)


def slopes(heights: npt.ArrayLike, pixel: float | tuple[float, float]) -> FloatArray:
    """Return the slopes (rows, cols, 2) of a smoothed skin.

    Binomial over five pixels in each direction, then central differences; beyond the picture its
    rim is repeated.

    Args:
        heights: (rows, cols) [m].
        pixel: width and height of a pixel on the gel, or one number for both [m].
    """
    wide, high = pixel if isinstance(pixel, tuple) else (pixel, pixel)
    h = np.asarray(heights, dtype=np.float64)
    change = np.convolve(SMOOTH, [0.5, 0.0, -0.5])
    smooth = np.pad(SMOOTH, 1)
    g_x = _filtered(_filtered(h, change / wide, 1), smooth, 0)
    g_y = _filtered(_filtered(h, smooth, 1), change / high, 0)
    return np.stack([g_x, g_y], axis=-1)


def _filtered(h: FloatArray, kernel: FloatArray, axis: int) -> FloatArray:
    """Return h convolved along an axis, its rim repeated beyond it."""
    reach = len(kernel) // 2
    wide = np.pad(h.swapaxes(0, axis), ((reach, reach), (0, 0)), mode="edge")
    size = h.shape[axis]
    found = sum(weight * wide[k : k + size] for k, weight in enumerate(kernel[::-1]))
    return np.asarray(found).swapaxes(0, axis)


def _check_coefficients(table: npt.NDArray[np.float32]) -> None:
    nodes = len(table)
    if table.shape != (nodes, nodes, 3, 6) or nodes < 3 or nodes % 2 == 0:
        raise ValueError(
            f"coefficients: expected (B, B, 3, 6) with B odd, 3 or more, got {table.shape}"
        )
    if table.dtype != np.float32:
        raise ValueError(f"coefficients: expected float32, got {table.dtype}")
    if not np.isfinite(table).all():
        raise ValueError("coefficients: contain numbers that are not finite (NaN or inf)")
    if table[nodes // 2, nodes // 2].any():
        raise ValueError(
            "coefficients: expected 0 at the node in the middle: a flat gel is the background"
        )
