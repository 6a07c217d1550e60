"""From the dents of gels to the slopes of their skin, as Warp kernels.

Slopes are those of the smoothed skin (binomial over five pixels in each direction, as in Taxim's
pipeline; none where pixels are wider than those of the table), central differences, with the rim of
the picture repeated beyond it. Both filters are taken down columns here, eight at a time, and along
rows where a slope is wanted.
"""

# Warp's types are incomplete. Kernels need annotations that are objects: no `annotations` import.
# pyright: standard, reportArgumentType=false

from typing import Any

import warp as wp

from .membrane_kernels import BLOCK, peek, vec8, window_of

vec7: Any = wp.types.vector(7, float)
places7: Any = wp.types.vector(7, int)

SMOOTH = (0.0, 1.0 / 16.0, 0.25, 0.375, 0.25, 1.0 / 16.0, 0.0)
"""Binomial weights of seven pixels in a row."""
CHANGE = (-1.0 / 32.0, -0.125, -5.0 / 32.0, 0.0, 5.0 / 32.0, 0.125, 1.0 / 32.0)
"""The same after central differences, per pixel."""
AS_IS = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
CHANGE_AS_IS = (0.0, 0.0, -0.5, 0.0, 0.5, 0.0, 0.0)
"""Both without smoothing."""


@wp.func
def beside(skin: wp.array3d[float], image: int, row: int, share: float, col: int, cells: wp.vec4i):
    """Return the skin between two rows of cells."""
    upper = peek(skin, image, row, col, cells)
    return upper + share * (peek(skin, image, row + 1, col, cells) - upper)


@wp.kernel(enable_backward=False)
def stretch(
    size: int,
    run: int,
    shares: wp.array[vec8],
    dents: wp.array3d[vec8],
    skin: wp.array3d[float],
    windows: wp.array2d[int],
    heights: wp.array3d[vec8],
):
    """Write the skin [m]: dents, or what lies between cells of `size` pixels.

    `shares` says how much of eight pixels comes from the cell before them, each of theirs and the
    one after. A thread computes `run` blocks.
    """
    image, row, part = wp.tid()
    window = window_of(windows, image, 1)
    cells = window_of(windows, image, size)
    b0 = wp.max(window[2] / BLOCK, part * run)
    b1 = wp.min((window[3] + BLOCK - 1) / BLOCK, (part + 1) * run)
    if row < window[0] or row >= window[1] or b0 >= b1:
        return
    down = (float(row) + 0.5) / float(size) - 0.5
    r = int(wp.floor(down))
    share = down - float(r)
    count = BLOCK / size
    dent = dents[image, row]
    height = heights[image, row]
    before = beside(skin, image, r, share, b0 * count - 1, cells)
    now = beside(skin, image, r, share, b0 * count, cells)
    for b in range(b0, b1):
        found = before * shares[0]
        for k in range(count):
            found += now * shares[k + 1]
            before = now
            now = beside(skin, image, r, share, b * count + k + 1, cells)
        found += now * shares[count + 1]
        height[b] = wp.max(dent[b], found)


@wp.kernel(enable_backward=False)
def down_columns(
    run: int,
    cols: int,
    smoothing: vec7,
    changing: vec7,
    blocks: wp.array3d[vec8],
    windows: wp.array2d[int],
    smooth_blocks: wp.array3d[vec8],
    change_blocks: wp.array3d[vec8],
    smooth: wp.array3d[float],
    change: wp.array3d[float],
):
    """Write both filters down columns, with a block more at either side of a row.

    There lies what filters along rows find beyond the window: its rim where it ends with the
    picture, else a flat gel. The last two arrays are the two before, pixel by pixel. A thread
    computes `run` blocks.
    """
    image, row, part = wp.tid()
    window = window_of(windows, image, 1)
    first = window[2] / BLOCK
    last = (window[3] + BLOCK - 1) / BLOCK
    b0 = wp.max(first, part * run)
    b1 = wp.min(last, (part + 1) * run)
    if row < window[0] or row >= window[1] or b0 >= b1:
        return
    weights = vec7()
    changes = vec7()
    where = places7()
    for k in range(7):
        r = wp.clamp(row + k - 3, 0, blocks.shape[1] - 1)
        if r >= window[0] and r < window[1]:
            weights[k] = smoothing[k]
            changes[k] = changing[k]
            where[k] = r
        else:
            where[k] = row
    for b in range(b0, b1):
        total = vec8()
        differences = vec8()
        for k in range(7):
            here = blocks[image, where[k], b]
            total += weights[k] * here
            differences += changes[k] * here
        smooth_blocks[image, row, b + 1] = total
        change_blocks[image, row, b + 1] = differences
    if b0 == first:
        at = window[2] + BLOCK
        shows = wp.where(window[2] == 0, 1.0, 0.0)
        for k in range(1, 4):
            smooth[image, row, at - k] = shows * smooth[image, row, at]
            change[image, row, at - k] = shows * change[image, row, at]
    if b1 == last:
        at = window[3] + BLOCK - 1
        shows = wp.where(window[3] == cols, 1.0, 0.0)
        for k in range(1, 4):
            smooth[image, row, at + k] = shows * smooth[image, row, at]
            change[image, row, at + k] = shows * change[image, row, at]


@wp.kernel(enable_backward=False)
def along_rows(
    run: int,
    smoothing: vec7,
    changing: vec7,
    quiet: float,
    smooth_eights: wp.array3d[vec8],
    change_eights: wp.array3d[vec8],
    windows: wp.array2d[int],
    across: wp.array3d[vec8],
    down: wp.array3d[vec8],
    steep: wp.array3d[int],
):
    """Write slopes across and down of what was filtered down columns, and which can be seen.

    Of the filtered, eight values from each on are an element. A block whose squares sum up to less
    than `quiet` is not steep. A thread computes `run` blocks.
    """
    image, row, part = wp.tid()
    b0 = wp.max(windows[image, 2] / BLOCK, part * run)
    b1 = wp.min((windows[image, 3] + BLOCK - 1) / BLOCK, (part + 1) * run)
    if row < windows[image, 0] or row >= windows[image, 1]:
        return
    smooth = smooth_eights[image, row]
    change = change_eights[image, row]
    for b in range(b0, b1):
        a = BLOCK * b + BLOCK
        g_x = changing[4] * (smooth[a + 1] - smooth[a - 1])
        g_x += changing[5] * (smooth[a + 2] - smooth[a - 2])
        g_x += changing[6] * (smooth[a + 3] - smooth[a - 3])
        g_y = smoothing[3] * change[a] + smoothing[4] * (change[a + 1] + change[a - 1])
        g_y += smoothing[5] * (change[a + 2] + change[a - 2])
        across[image, row, b] = g_x
        down[image, row, b] = g_y
        squares = wp.dot(g_x, g_x) + wp.dot(g_y, g_y)
        steep[image, row, b] = wp.where(squares > quiet, 1, 0)
