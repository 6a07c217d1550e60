"""Shadows that dents throw on the skin of a gel, as Warp kernels on grids of cells.

The skin is a height field seen from inside; a light stands beside it at an elevation e. From each
cell the skin is followed towards the light, as far as the window of the picture: the steepest rise
t = (h' - h) / distance says how high the horizon is there. A light is as wide as the angle between
two elevations; it is seen in full where t is below the tangent of the lower one, and not at all
where it is above the upper one's.
"""

# Warp's types are incomplete. Kernels need annotations that are objects: no `annotations` import.
# pyright: standard, reportArgumentType=false
# What a loop of Warp changes must not begin as a plain constant.
# ruff: noqa: UP018

from typing import Any

import warp as wp

from .membrane_kernels import peek, window_of
from .slope_kernels import vec7

vec6: Any = wp.types.vector(6, float)
"""Coefficients of x^2, y^2, xy, x, y, 1, with x and y in [-1, 1] across the picture."""
"""Weights of seven pixels in a row."""
GROWTH = wp.constant(1.15)
"""By which each step towards a light is longer than the last, the first a cell."""


@wp.struct
class Lamp:
    """A light beside a gel."""

    direction: wp.vec2
    """Towards it in the picture, right and down."""
    lean: float
    """Cosine of its elevation."""
    rise: float
    """Sine of its elevation."""
    full: float
    """Tangent of the horizon up to which it is seen in full."""
    none: float
    """From which it is not seen."""
    colour: wp.vec3
    """That a surface facing it shows in the middle [grey levels]."""
    bright: vec6
    """By place, about 1."""


@wp.kernel(enable_backward=False)
def coarsen(
    size: int,
    heights: wp.array3d[float],
    windows: wp.array2d[int],
    cells: wp.array3d[float],
    tops: wp.array2d[float],
):
    """Write the mean height of cells of `size` pixels [m], and the greatest of each row of cells.

    A thread computes a row.
    """
    image, row = wp.tid()
    pixels = window_of(windows, image, 1)
    window = window_of(windows, image, size)
    tops[image, row] = 0.0
    if row < window[0] or row >= window[1]:
        return
    top = float(0.0)
    for col in range(window[2], window[3]):
        total = float(0.0)
        for i in range(size * size):
            r = row * size + i / size
            total += peek(heights, image, r, col * size + i % size, pixels)
        found = total / float(size * size)
        cells[image, row, col] = found
        top = wp.max(top, found)
    tops[image, row] = top


@wp.func
def inside(grid: wp.array3d[float], image: int, row: float, col: float, window: wp.vec4i) -> float:
    """Return the value at a place in cells that lies in the window, bilinear."""
    r = int(row)
    c = int(col)
    below = wp.min(r + 1, window[1] - 1)
    right = wp.min(c + 1, window[3] - 1)
    fr = row - float(r)
    fc = col - float(c)
    upper = (1.0 - fc) * grid[image, r, c] + fc * grid[image, r, right]
    lower = (1.0 - fc) * grid[image, below, c] + fc * grid[image, below, right]
    return (1.0 - fr) * upper + fr * lower


@wp.kernel(enable_backward=False)
def hide(
    size: int,
    cell: float,
    lamps: wp.array[Lamp],
    cells: wp.array3d[float],
    tops: wp.array2d[float],
    windows: wp.array2d[int],
    hidden: wp.array3d[float],
):
    """Write how much of each light is hidden from cells, 0 to 1; a thread a row for one light.

    `cell` is the width of a cell [m]. Light l of image i is image `i L + l` of `hidden`.
    """
    image, which, row = wp.tid()
    window = window_of(windows, image, size)
    if row < window[0] or row >= window[1]:
        return
    lamp = lamps[which]
    top = float(0.0)
    for other in range(window[0], window[1]):
        top = wp.max(top, tops[image, other])
    low_row = float(window[0])
    high_row = float(window[1] - 1)
    low_col = float(window[2])
    high_col = float(window[3] - 1)
    for col in range(window[2], window[3]):
        here = cells[image, row, col]
        steepest = float(0.0)
        step = float(1.0)
        away = float(1.0)
        row_there = float(row) + lamp.direction[1]
        col_there = float(col) + lamp.direction[0]
        while (
            here + away * cell * wp.max(lamp.full, steepest) < top
            and row_there >= low_row
            and row_there <= high_row
            and col_there >= low_col
            and col_there <= high_col
        ):
            rise = inside(cells, image, row_there, col_there, window) - here
            steepest = wp.max(steepest, rise / (away * cell))
            step *= GROWTH
            away += step
            row_there += step * lamp.direction[1]
            col_there += step * lamp.direction[0]
        found = wp.clamp((steepest - lamp.full) / (lamp.none - lamp.full), 0.0, 1.0)
        hidden[image * lamps.shape[0] + which, row, col] = found


@wp.func
def slope_at(
    smoothing: vec7,
    changing: vec7,
    heights: wp.array3d[float],
    image: int,
    row: int,
    col: int,
    window: wp.vec4i,
) -> wp.vec2:
    """Return the slope per pixel of the smoothed skin, across and down."""
    g = wp.vec2()
    for i in range(7):
        smooth = float(0.0)
        change = float(0.0)
        for j in range(7):
            height = peek(heights, image, row + i - 3, col + j - 3, window)
            smooth += smoothing[j] * height
            change += changing[j] * height
        g += wp.vec2(smoothing[i] * change, changing[i] * smooth)
    return g


@wp.func
def shown(lamp: Lamp, g: wp.vec2, x: float, y: float) -> wp.vec3:
    """Return what a light adds to the colour of skin with a slope, by Lambert's law."""
    upright = 1.0 / wp.sqrt(1.0 + wp.dot(g, g))
    cosine = wp.max(0.0, upright * (lamp.rise - lamp.lean * wp.dot(lamp.direction, g)))
    b = lamp.bright
    bright = x * (b[0] * x + b[2] * y + b[3]) + y * (b[1] * y + b[4]) + b[5]
    return cosine * bright * lamp.colour


@wp.kernel(enable_backward=False)
def dim(
    size: int,
    run: int,
    slope: float,
    smoothing: vec7,
    changing: vec7,
    lamps: wp.array[Lamp],
    hidden: wp.array3d[float],
    heights: wp.array3d[float],
    windows: wp.array2d[int],
    picture: wp.array4d[wp.uint8],
):
    """Take what hidden lights have shown off pictures; a thread computes `run` pixels of a row.

    `slope` is 1 / pixel [1/m].
    """
    image, row, part = wp.tid()
    rows = picture.shape[1]
    cols = picture.shape[2]
    window = window_of(windows, image, 1)
    cells = window_of(windows, image, size)
    if row < window[0] or row >= window[1]:
        return
    count = lamps.shape[0]
    down = (float(row) + 0.5) / float(size) - 0.5
    down = wp.clamp(down, float(cells[0]), float(cells[1] - 1))
    y = (2.0 * float(row) + 1.0) / float(rows) - 1.0
    for col in range(wp.max(window[2], part * run), wp.min(window[3], (part + 1) * run)):
        across = (float(col) + 0.5) / float(size) - 0.5
        across = wp.clamp(across, float(cells[2]), float(cells[3] - 1))
        x = (2.0 * float(col) + 1.0) / float(cols) - 1.0
        less = wp.vec3()
        g = wp.vec2()
        known = bool(False)
        for which in range(count):
            share = inside(hidden, image * count + which, down, across, cells)
            if share > 0.0:
                if not known:
                    g = slope * slope_at(smoothing, changing, heights, image, row, col, window)
                    known = True
                less += share * shown(lamps[which], g, x, y)
        if known:
            for c in range(3):
                value = float(picture[image, row, col, c]) - less[c]
                picture[image, row, col, c] = wp.uint8(wp.max(value, 0.0) + 0.5)
