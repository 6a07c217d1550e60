"""From the dented skin of a gel to the picture that its camera takes, as Warp kernels.

Slopes are those of the smoothed skin (binomial over five pixels in each direction, as in Taxim's
pipeline; none where pixels are wider than those of the table), central differences, with the rim of
the picture repeated beyond it. The change of colour
over the flat gel is read bilinearly from a table over the components of the unit normal.
"""

# Warp's types are incomplete. Kernels need annotations that are objects: no `annotations` import.
# pyright: standard, reportArgumentType=false
# What a loop of Warp changes must not begin as a plain constant.
# ruff: noqa: UP018

from typing import Any

import warp as wp

from .membrane_kernels import between, window_of

vec7 = wp.types.vector(7, float)
places7: Any = wp.types.vector(7, int)
vec18: Any = wp.types.vector(18, float)
"""Of a node of the table: for red, green and blue the coefficients of x^2, y^2, xy, x, y, 1."""


SMOOTH = (0.0, 1.0 / 16.0, 0.25, 0.375, 0.25, 1.0 / 16.0, 0.0)
"""Binomial weights of seven pixels in a row."""
CHANGE = (-1.0 / 32.0, -0.125, -5.0 / 32.0, 0.0, 5.0 / 32.0, 0.125, 1.0 / 32.0)
"""The same after central differences, per pixel."""
AS_IS = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
CHANGE_AS_IS = (0.0, 0.0, -0.5, 0.0, 0.5, 0.0, 0.0)
"""Both without smoothing."""


@wp.func
def skin_at(
    size: int,
    dents: wp.array3d[float],
    skin: wp.array3d[float],
    image: int,
    row: int,
    col: int,
    window: wp.vec4i,
    cells: wp.vec4i,
) -> float:
    """Return the dent of the skin at a pixel; beside the picture that of its rim."""
    c = wp.clamp(col, 0, dents.shape[2] - 1)
    if c < window[2] or c >= window[3]:
        return 0.0
    across = (float(c) + 0.5) / float(size) - 0.5
    down = (float(row) + 0.5) / float(size) - 0.5
    return wp.max(dents[image, row, c], between(skin, image, down, across, cells))


@wp.kernel(enable_backward=False)
def along_rows(
    size: int,
    run: int,
    smoothing: vec7,
    changing: vec7,
    dents: wp.array3d[float],
    skin: wp.array3d[float],
    windows: wp.array2d[int],
    heights: wp.array3d[float],
    smooth: wp.array3d[float],
    change: wp.array3d[float],
):
    """Write the skin and both filters along rows [m]; a thread computes `run` pixels of a row."""
    image, row, part = wp.tid()
    window = window_of(windows, image, 1)
    cells = window_of(windows, image, size)
    c0 = wp.max(window[2], part * run)
    c1 = wp.min(window[3], (part + 1) * run)
    if row < window[0] or row >= window[1] or c0 >= c1:
        return
    near = vec7()
    for k in range(6):
        near[k + 1] = skin_at(size, dents, skin, image, row, c0 - 3 + k, window, cells)
    for col in range(c0, c1):
        for k in range(6):
            near[k] = near[k + 1]
        near[6] = skin_at(size, dents, skin, image, row, col + 3, window, cells)
        heights[image, row, col] = near[3]
        smooth[image, row, col] = wp.dot(smoothing, near)
        change[image, row, col] = wp.dot(changing, near)


@wp.func
def shade(g_x: float, g_y: float, nodes: int, table: wp.array[vec18]) -> vec18:
    """Return the coefficients for a slope of the skin."""
    half = 0.5 * float(nodes - 1)
    upright = half / wp.sqrt(1.0 + g_x * g_x + g_y * g_y)
    x = half + g_x * upright
    y = half + g_y * upright
    i = wp.min(int(x), nodes - 2)
    j = wp.min(int(y), nodes - 2)
    fx = x - float(i)
    fy = y - float(j)
    a = j * nodes + i
    upper = (1.0 - fx) * table[a] + fx * table[a + 1]
    lower = (1.0 - fx) * table[a + nodes] + fx * table[a + nodes + 1]
    return (1.0 - fy) * upper + fy * lower


@wp.kernel(enable_backward=False)
def colours(
    run: int,
    smoothing: vec7,
    changing: vec7,
    slope: float,
    nodes: int,
    table: wp.array[vec18],
    background: wp.array2d[wp.vec3],
    smooth: wp.array3d[float],
    change: wp.array3d[float],
    windows: wp.array2d[int],
    picture: wp.array4d[wp.uint8],
):
    """Write the picture; a thread computes `run` pixels of a row; `slope` is 1 / pixel [1/m]."""
    image, row, part = wp.tid()
    rows = smooth.shape[1]
    cols = smooth.shape[2]
    window = window_of(windows, image, 1)
    weights = vec7()
    changes = vec7()
    where = places7()
    inside = row >= window[0] and row < window[1]
    for k in range(7):
        r = wp.clamp(row + k - 3, 0, rows - 1)
        if r >= window[0] and r < window[1]:
            weights[k] = slope * smoothing[k]
            changes[k] = slope * changing[k]
            where[k] = r
        else:
            where[k] = wp.clamp(r, window[0], wp.max(window[0], window[1] - 1))
    y = (2.0 * float(row) + 1.0) / float(rows) - 1.0
    for col in range(part * run, wp.min(cols, (part + 1) * run)):
        colour = background[row, col]
        if inside and col >= window[2] and col < window[3]:
            g_x = float(0.0)
            g_y = float(0.0)
            for k in range(7):
                g_x += weights[k] * change[image, where[k], col]
                g_y += changes[k] * smooth[image, where[k], col]
            if g_x != 0.0 or g_y != 0.0:
                x = (2.0 * float(col) + 1.0) / float(cols) - 1.0
                t = shade(g_x, g_y, nodes, table)
                for c in range(3):
                    colour[c] += (
                        x * (t[6 * c] * x + t[6 * c + 2] * y + t[6 * c + 3])
                        + y * (t[6 * c + 1] * y + t[6 * c + 4])
                        + t[6 * c + 5]
                    )
        for c in range(3):
            picture[image, row, col, c] = wp.uint8(wp.clamp(colour[c] + 0.5, 0.0, 255.0))
