"""The skin of a gel beside what dents it, as Warp kernels on grids coarser than the picture.

Between objects the skin is a membrane on an elastic ground: its dent u obeys `u = reach^2 lap(u)`
and is nowhere less than the dent of an object. It is solved from coarse to fine, each level by
a few sweeps in the colours of a chess board: results do not depend on the order of threads.
"""

# Warp's types are incomplete. Kernels need annotations that are objects: no `annotations` import.
# pyright: standard, reportArgumentType=false

from typing import Any

import warp as wp

BLOCK = 8
"""Pixels of a row that are computed together."""
vec8: Any = wp.types.vector(BLOCK, float)


@wp.func
def amid(far: vec8, before: vec8, after: vec8, near: vec8) -> vec8:
    """Return what lies halfway between the middle two of four equally spaced values, on a cubic."""
    return 0.0625 * (9.0 * (before + after) - far - near)


@wp.func
def peek(grid: wp.array3d[float], image: int, row: int, col: int, window: wp.vec4i) -> float:
    """Return a value; beside the gel that of its rim, beside the window 0."""
    r = wp.clamp(row, 0, grid.shape[1] - 1)
    c = wp.clamp(col, 0, grid.shape[2] - 1)
    if r < window[0] or r >= window[1] or c < window[2] or c >= window[3]:
        return 0.0
    return grid[image, r, c]


@wp.func
def window_of(windows: wp.array2d[int], image: int, size: int) -> wp.vec4i:
    """Return the window in cells of `size` pixels."""
    return wp.vec4i(
        windows[image, 0] / size,
        (windows[image, 1] + size - 1) / size,
        windows[image, 2] / size,
        (windows[image, 3] + size - 1) / size,
    )


@wp.kernel(enable_backward=False)
def gather_dents(
    size: int, dents: wp.array3d[float], windows: wp.array2d[int], floor: wp.array3d[float]
):
    """Write the dent in the middle of cells of `size` pixels; a thread per row of cells."""
    image, row = wp.tid()
    window = window_of(windows, image, size)
    if row < window[0] or row >= window[1]:
        return
    r0 = wp.min(row * size + (size - 1) / 2, dents.shape[1] - 1)
    r1 = wp.min(row * size + size / 2, dents.shape[1] - 1)
    for col in range(window[2], window[3]):
        c0 = wp.min(col * size + (size - 1) / 2, dents.shape[2] - 1)
        c1 = wp.min(col * size + size / 2, dents.shape[2] - 1)
        floor[image, row, col] = 0.25 * (
            dents[image, r0, c0]
            + dents[image, r0, c1]
            + dents[image, r1, c0]
            + dents[image, r1, c1]
        )


@wp.kernel(enable_backward=False)
def halve(size: int, fine: wp.array3d[float], windows: wp.array2d[int], coarse: wp.array3d[float]):
    """Write the mean of two by two cells; `size` pixels along a coarse one; a thread per row."""
    image, row = wp.tid()
    window = window_of(windows, image, size)
    finer = window_of(windows, image, size / 2)
    if row < window[0] or row >= window[1]:
        return
    for col in range(window[2], window[3]):
        coarse[image, row, col] = 0.25 * (
            peek(fine, image, 2 * row, 2 * col, finer)
            + peek(fine, image, 2 * row, 2 * col + 1, finer)
            + peek(fine, image, 2 * row + 1, 2 * col, finer)
            + peek(fine, image, 2 * row + 1, 2 * col + 1, finer)
        )


@wp.func
def between(grid: wp.array3d[float], image: int, row: float, col: float, window: wp.vec4i) -> float:
    """Return the value at a place in cells, bilinear."""
    r = int(wp.floor(row))
    c = int(wp.floor(col))
    fr = row - float(r)
    fc = col - float(c)
    upper = (1.0 - fc) * peek(grid, image, r, c, window) + fc * peek(grid, image, r, c + 1, window)
    lower = (1.0 - fc) * peek(grid, image, r + 1, c, window) + fc * peek(
        grid, image, r + 1, c + 1, window
    )
    return (1.0 - fr) * upper + fr * lower


@wp.kernel(enable_backward=False)
def begin_level(
    size: int,
    floor: wp.array3d[float],
    coarse: wp.array3d[float],
    windows: wp.array2d[int],
    skin: wp.array3d[float],
):
    """Write the first guess of a level: what the coarser one found; a thread per row."""
    image, row = wp.tid()
    window = window_of(windows, image, size)
    coarser = window_of(windows, image, 2 * size)
    if row < window[0] or row >= window[1]:
        return
    for col in range(window[2], window[3]):
        found = floor[image, row, col]
        if coarse.shape[0] > 0:
            at = 0.5 * float(row) - 0.25
            found = wp.max(found, between(coarse, image, at, 0.5 * float(col) - 0.25, coarser))
        skin[image, row, col] = found


@wp.kernel(enable_backward=False)
def relax(
    size: int,
    colour: int,
    pull: float,
    chess: wp.array[vec8],
    floors: wp.array3d[vec8],
    windows: wp.array2d[int],
    skins: wp.array3d[vec8],
    skin: wp.array3d[float],
):
    """Sweep over the cells of one colour: `pull` is (reach / cell)^2; a thread per row.

    `chess` has ones at odd places, then at even ones. Of `floors` and `skins` eight values from
    each on are an element; the first eight of a row lie beside the grid. `skin` is the grid in the
    same memory as `skins`.
    """
    image, row = wp.tid()
    window = window_of(windows, image, size)
    if row < window[0] or row >= window[1]:
        return
    share = pull / (1.0 + 4.0 * pull)
    rows = skin.shape[1]
    cols = skin.shape[2] - 2 * BLOCK
    upper = wp.max(row - 1, 0)
    lower = wp.min(row + 1, rows - 1)
    above = wp.where(upper >= window[0], share, 0.0)
    below = wp.where(lower < window[1], share, 0.0)
    upper = wp.max(upper, window[0])
    lower = wp.min(lower, window[1] - 1)
    mine = skin[image, row]
    begin = window[2] + BLOCK
    end = window[3] + BLOCK
    mine[begin - 1] = wp.where(window[2] == 0, mine[begin], 0.0)
    mine[end] = wp.where(window[3] == cols, mine[end - 1], 0.0)
    floor = floors[image, row]
    here = skins[image, row]
    over = skins[image, upper]
    under = skins[image, lower]
    turn = (window[2] + row + colour) % 2
    now = chess[1 - turn]
    other = chess[turn]
    for at in range(begin, end, BLOCK):
        around = above * over[at] + below * under[at] + share * (here[at - 1] + here[at + 1])
        here[at] = wp.cw_mul(other, here[at]) + wp.cw_mul(now, wp.max(floor[at], around))
