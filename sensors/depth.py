"""Heights of a gel's skin from its picture: slopes by the gradient table, heights by Poisson.

The table is inverted pixel by pixel (photometric stereo: three colours, two unknowns); the heights
are those whose differences come nearest to the slopes, with free edges, by a cosine transform.
Source of the second: T. Simchony, R. Chellappa, M. Shao, "Direct analytical methods for solving
Poisson equations in computer vision problems", IEEE PAMI 12(5), 1990.
"""

# SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn, idctn

from sim2arm.core.gradient_table import FloatArray, GradientTable, corners, forms, places, slope

STEPS = 8
"""Of Gauss-Newton; from a flat gel, four are enough up to slopes of 0.5."""
DAMPING = 2.0
"""Noise over scale, squared: what a normal component of 1 counts in grey levels squared."""
STEEPEST = 0.95
"""Largest length of the normal's components."""


def heights_of_picture(
    table: GradientTable,
    picture: npt.NDArray[np.uint8],
    background: npt.NDArray[np.floating] | None = None,
) -> FloatArray:
    """Return how far the skin is pushed in (rows, cols) [m].

    Args:
        table: of the sensor that took the picture.
        picture: (rows, cols, 3) RGB after the driver stage.
        background: (rows, cols, 3) of the flat gel as it looks now; the table's by default.

    Raises:
        ValueError: background and picture differ in size.
    """
    rows, cols = picture.shape[:2]
    pixel = (table.size[0] / cols, table.size[1] / rows)
    return integrate(slopes_of_picture(table, picture, background), pixel)


def slopes_of_picture(
    table: GradientTable,
    picture: npt.NDArray[np.uint8],
    background: npt.NDArray[np.floating] | None = None,
) -> FloatArray:
    """Return the slopes (rows, cols, 2) that explain a picture; arguments as above.

    Raises:
        ValueError: background and picture differ in size.
    """
    rows, cols = picture.shape[:2]
    flat = table.background_at(rows, cols) if background is None else background
    if flat.shape != picture.shape:
        raise ValueError(
            f"background: expected {picture.shape}, like the picture, got {flat.shape}"
        )
    change = (picture.astype(np.float64) - flat).reshape(-1, 3)
    basis = forms(*places(rows, cols)).reshape(-1, 6)
    n = np.zeros((rows * cols, 2))
    for _ in range(STEPS):
        value, jacobian = _answer(table, n, basis)
        # The prior keeps a gel flat where noise is all there is.
        square = np.einsum("pci,pcj->pij", jacobian, jacobian) + DAMPING * np.eye(2)
        pull = np.einsum("pci,pc->pi", jacobian, change - value) - DAMPING * n
        n = n + np.linalg.solve(square, pull[..., None])[..., 0]
        length = np.linalg.norm(n, axis=-1, keepdims=True)
        n *= np.minimum(1.0, STEEPEST / np.maximum(length, 1e-12))
    return slope(n).reshape(rows, cols, 2)


def integrate(slopes: npt.ArrayLike, pixel: tuple[float, float]) -> FloatArray:
    """Return the heights (rows, cols) [m] nearest to slopes, 0 in the median of the rim.

    Args:
        slopes: (rows, cols, 2) along x and y.
        pixel: width and height of a pixel on the gel [m].
    """
    g = np.asarray(slopes, dtype=np.float64)
    rows, cols = g.shape[:2]
    # Differences lie between pixels: h[i+1] - h[i] = pixel (g[i] + g[i+1]) / 2; none at the edges.
    across = np.pad(0.5 * (g[:, 1:, 0] + g[:, :-1, 0]), ((0, 0), (1, 1))) / pixel[0]
    down = np.pad(0.5 * (g[1:, :, 1] + g[:-1, :, 1]), ((1, 1), (0, 0))) / pixel[1]
    divergence = np.diff(across, axis=1) + np.diff(down, axis=0)
    eigen_x = (2.0 * np.cos(np.pi * np.arange(cols) / cols) - 2.0) / pixel[0] ** 2
    eigen_y = (2.0 * np.cos(np.pi * np.arange(rows) / rows) - 2.0) / pixel[1] ** 2
    eigen = eigen_x[None] + eigen_y[:, None]
    eigen[0, 0] = 1.0  # the mean is free
    spectrum = dctn(divergence, type=2, norm="ortho") / eigen
    spectrum[0, 0] = 0.0
    heights = np.asarray(idctn(spectrum, type=2, norm="ortho"))
    rim = np.concatenate([heights[0], heights[-1], heights[1:-1, 0], heights[1:-1, -1]])
    return heights - np.median(rim)


def _answer(
    table: GradientTable, n: FloatArray, basis: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the change of colour (P, 3) at normals (P, 2), and its derivative (P, 3, 2)."""
    where, weights = corners(n, table.nodes)
    nodes = table.coefficients.reshape(-1, 3, 6)
    colour = np.einsum("pkcf,pf->pkc", nodes[where].astype(np.float64), basis)  # (P, 4, 3)
    right = weights[:, 1] + weights[:, 3]
    below = weights[:, 2] + weights[:, 3]
    steps = 0.5 * (table.nodes - 1)  # nodes per unit of n
    along_x = (1.0 - below)[:, None] * (colour[:, 1] - colour[:, 0])
    along_x += below[:, None] * (colour[:, 3] - colour[:, 2])
    along_y = (1.0 - right)[:, None] * (colour[:, 2] - colour[:, 0])
    along_y += right[:, None] * (colour[:, 3] - colour[:, 1])
    value = np.einsum("pk,pkc->pc", weights, colour)
    return value, steps * np.stack([along_x, along_y], axis=-1)
