"""Pictures of a ball pressed into a gel whose table is known."""

# NumPy infers too little of grids.
# pyright: standard

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sim2arm.core.gradient_table import GradientTable, slopes
from sim2arm.core.synthetic_tables import OPTICS, table_of

RADIUS = 0.004
"""Of the ball [m]."""


def make_gel(rows: int = 96, cols: int = 128, **overrides: Any) -> GradientTable:
    """Return the table of a GelSight Mini whose picture is small."""
    optics = replace(OPTICS["gelsight-mini"], rows=rows, cols=cols, **overrides)
    return table_of(optics, "gelsight-mini")


def press_picture(
    gel: GradientTable,
    place: tuple[float, float],
    depth: float,
    rng: np.random.Generator | None = None,
    *,
    noise: float = 1.0,
    reach: float = 0.0,
) -> npt.NDArray[np.uint8]:
    """Return the picture of a ball.

    Args:
        gel: its table.
        place: of the ball's middle from the upper left corner [m].
        depth: how deep it lies [m].
        rng: of the noise of pixels, or none.
        noise: standard deviation [grey levels].
        reach: over which the skin beside the contact falls to 1/e [m].
    """
    rows, cols = gel.background.shape[:2]
    pixel = gel.size[0] / cols, gel.size[1] / rows
    x, y = (np.arange(cols) + 0.5) * pixel[0], (np.arange(rows) + 0.5) * pixel[1]
    r = np.hypot(x[None] - place[0], y[:, None] - place[1])
    under = np.sqrt(np.maximum(RADIUS**2 - r**2, 0.0)) - (RADIUS - depth)
    heights = np.maximum(under, 0.0)
    if reach > 0.0 and depth > 0.0:
        heights = np.maximum(heights, _beside(r, depth, reach))
    picture = gel.picture(slopes(heights, pixel)).astype(np.float64)
    if rng is not None:
        picture += rng.normal(0.0, noise, picture.shape)
    return np.floor(picture.clip(0.0, 255.0) + 0.5).astype(np.uint8)


def _beside(r: npt.NDArray[np.float64], depth: float, reach: float) -> npt.NDArray[np.float64]:
    """Return the skin that leaves the ball at its tangent: h = h0 exp(-(r - r0) / reach)."""
    edge = np.linspace(1e-6, RADIUS * 0.999, 4000)
    high = np.sqrt(RADIUS**2 - edge**2) - (RADIUS - depth)
    steep = edge / np.sqrt(RADIUS**2 - edge**2)
    r0_index = int(np.argmax(steep * reach > high))  # slope h0 / reach of the exponential
    r0, h0 = edge[r0_index], high[r0_index]
    return np.where(r > r0, h0 * np.exp(-(r - r0) / reach), 0.0)


def random_places(
    gel: GradientTable, count: int, rng: np.random.Generator, share: float = 1.0
) -> list[tuple[float, float]]:
    """Return places all over the picture, or over its left `share`: one per cell of a grid."""
    low, high = np.array([0.0012, 0.0012]), np.array(gel.size) * [share, 1.0] - 0.0012
    down = max(1, round(np.sqrt(count * (high - low)[1] / (high - low)[0])))
    across = -(-count // down)
    cell = rng.permutation(across * down)[:count]
    where = (np.stack([cell % across, cell // across], axis=-1) + rng.uniform(size=(count, 2))) / [
        across,
        down,
    ]
    return [(float(x), float(y)) for x, y in low + where * (high - low)]
