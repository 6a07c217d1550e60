"""From the slopes of a gel's skin to the picture that its camera takes, as Warp kernels.

The change of colour over the flat gel is read bilinearly from a table over the components of the
unit normal. A GPU computes each pixel by itself (`colours`). A CPU computes every fourth or second
pixel of as many rows, and those amid them where they do not lie on a curve with their neighbours;
what is done eight at a time and what is done one by one lies in loops of its own, as compilers like
it.
"""

# Warp's types are incomplete. Kernels need annotations that are objects: no `annotations` import.
# pyright: standard, reportArgumentType=false

from typing import Any

import warp as wp

from .membrane_kernels import BLOCK, amid, vec8

vec24: Any = wp.types.vector(24, float)
"""Of a node of the table: for red, green and blue the coefficients of x^2, y^2, xy, x, y, 1; and
six zeros, with which it fills registers."""
bytes8: Any = wp.types.vector(BLOCK, wp.uint8)
MARGIN = wp.constant(24)
"""Values beside a row of changes."""
UNKNOWN = wp.constant(1e6)
"""A change of colour beside the picture, with which nothing lies on a curve [grey level]."""
FLAT = wp.constant(2.5)
"""Root of the sum of squares of third differences that eight pixels on a curve may have, with the
known ones among their neighbours [grey level]."""

BEND = wp.constant(0.5)
"""Share of the second difference in what is called the third: with it, a peak amid is no curve."""


@wp.struct
class Look:
    """How slopes look."""

    nodes: int
    table: wp.array[vec24]
    across: float
    """From one column to the next, of what reaches from -1 to 1."""
    down: float
    """From one row to the next, of what reaches from -1 to 1."""


@wp.func
def mix(look: Look, g_x: float, g_y: float) -> vec24:
    """Return the coefficients for a slope of the skin."""
    half = 0.5 * float(look.nodes - 1)
    upright = half / wp.sqrt(1.0 + g_x * g_x + g_y * g_y)
    x = half + g_x * upright
    y = half + g_y * upright
    i = wp.min(int(x), look.nodes - 2)
    j = wp.min(int(y), look.nodes - 2)
    fx = x - float(i)
    fy = y - float(j)
    a = j * look.nodes + i
    b = a + look.nodes
    upper = ((1.0 - fx) * (1.0 - fy)) * look.table[a] + (fx * (1.0 - fy)) * look.table[a + 1]
    return upper + ((1.0 - fx) * fy) * look.table[b] + (fx * fy) * look.table[b + 1]


@wp.kernel(enable_backward=False)
def clear(
    chosen: wp.array[wp.bool],
    flat_blocks: wp.array2d[bytes8],
    flat: wp.array2d[wp.uint8],
    blocks: wp.array3d[bytes8],
    picture: wp.array3d[wp.uint8],
):
    """Make pictures of chosen gels flat; a thread does a row. Arrays come in pairs, as memory."""
    image, row = wp.tid()
    if not chosen[image]:
        return
    from_ = flat_blocks[row]
    to = blocks[image, row]
    count = blocks.shape[2]
    for b in range(count):
        to[b] = from_[b]
    for k in range(BLOCK * count, picture.shape[2]):
        picture[image, row, k] = flat[row, k]


@wp.kernel(enable_backward=False)
def colours(
    look: Look,
    across: wp.array3d[float],
    down: wp.array3d[float],
    background: wp.array2d[float],
    windows: wp.array2d[int],
    picture: wp.array3d[wp.uint8],
):
    """Write pixels of slopes across and down; a thread computes a pixel."""
    image, row, col = wp.tid()
    if row < windows[image, 0] or row >= windows[image, 1]:
        return
    if col < windows[image, 2] or col >= windows[image, 3]:
        return
    t = mix(look, across[image, row, col], down[image, row, col])
    x = (float(col) + 0.5) * look.across - 1.0
    y = (float(row) + 0.5) * look.down - 1.0
    for c in range(3):
        colour = (
            x * (t[6 * c] * x + t[6 * c + 2] * y + t[6 * c + 3])
            + y * (t[6 * c + 1] * y + t[6 * c + 4])
            + t[6 * c + 5]
        )
        colour += background[row, 3 * col + c]
        picture[image, row, 3 * col + c] = wp.uint8(wp.clamp(colour + 0.5, 0.0, 255.0))


@wp.kernel(enable_backward=False)
def compute(
    first_row: int,
    row_step: int,
    first: int,
    step: int,
    rest: int,
    look: Look,
    across: wp.array3d[float],
    down: wp.array3d[float],
    windows: wp.array2d[int],
    wanted: wp.array3d[int],
    mixed: wp.array3d[vec24],
    mixed_parts: wp.array3d[float],
    changes: wp.array3d[float],
    eights: wp.array3d[vec8],
):
    """Write the change of colour of pixels of wanted blocks; a thread computes a row.

    Rows are every `row_step`-th from the first on, pixels every `step`-th of a block; with `rest`
    other blocks become 0. Coefficients go through memory, as of `mixed` and `mixed_parts`, which
    are the same: in registers they are mixed one by one, which takes a CPU twice as long.
    """
    image, part = wp.tid()
    row = first_row + part * row_step
    if row < windows[image, 0] or row >= windows[image, 1]:
        return
    g_x = across[image, row]
    g_y = down[image, row]
    mine = mixed[image, part]
    t = mixed_parts[image, part]
    change = changes[image, row]
    eight = eights[image, row]
    want = wanted[image, row]
    y = (float(row) + 0.5) * look.down - 1.0
    for block in range(windows[image, 2] / BLOCK, (windows[image, 3] + BLOCK - 1) / BLOCK):
        if want[block] != 0:
            for col in range(BLOCK * block + first, BLOCK * block + BLOCK, step):
                mine[0] = mix(look, g_x[col], g_y[col])
                x = (float(col) + 0.5) * look.across - 1.0
                at = MARGIN + 3 * col
                for c in range(3):
                    change[at + c] = (
                        x * (t[6 * c] * x + t[6 * c + 2] * y + t[6 * c + 3])
                        + y * (t[6 * c + 1] * y + t[6 * c + 4])
                        + t[6 * c + 5]
                    )
        elif rest != 0:
            for k in range(3):
                eight[MARGIN + BLOCK * (3 * block + k)] = vec8()


@wp.func
def off_curve(a: vec8, b: vec8, c: vec8, d: vec8) -> vec8:
    """Return how far four equally spaced values are from a smooth curve, with sign."""
    return (1.0 + BEND) * a - (3.0 + BEND) * b + (3.0 - BEND) * c - (1.0 - BEND) * d


@wp.kernel(enable_backward=False)
def between_columns(
    rows: int,
    half: int,
    cols: int,
    masks: wp.array[vec8],
    windows: wp.array2d[int],
    steep: wp.array3d[int],
    samples: wp.array3d[float],
    eights: wp.array3d[vec8],
    wanted: wp.array3d[int],
    changes: wp.array3d[vec8],
):
    """Write every `rows`-th row, known in columns 2 `half` apart, and the columns amid those.

    Where four known pixels lie on a curve, so does the one amid them; blocks of which that does
    not hold are wanted. A thread computes a row. `masks` has ones at the values of pixels amid,
    then at those of known ones. `samples` and `eights` are the same memory: eight values from each
    on. Blocks that are not steep are 0.
    """
    image, part = wp.tid()
    row = part * rows
    c0 = windows[image, 2]
    c1 = windows[image, 3]
    if row < windows[image, 0] or row >= windows[image, 1] or c0 >= c1:
        return
    sample = samples[image, row]
    eight = eights[image, row]
    change = changes[image, row]
    shows = steep[image, row]
    want = wanted[image, row]
    # beside the window all is flat; beside the picture nothing is known
    before = wp.where(c0 == 0, UNKNOWN, 0.0)
    after = wp.where(c1 == cols, UNKNOWN, 0.0)
    for k in range(MARGIN):
        sample[MARGIN + 3 * c0 - 1 - k] = before
        sample[MARGIN + 3 * c1 + k] = after
    near = 3 * half
    far = 9 * half
    for block in range(c0 / BLOCK, (c1 + BLOCK - 1) / BLOCK):
        first = MARGIN + 3 * BLOCK * block
        if shows[block] == 0:
            want[block] = 0
            for k in range(3):
                change[first + BLOCK * k] = vec8()
        else:
            bumps = vec8()
            for k in range(3):
                i = first + BLOCK * k
                a = eight[i - far]
                b = eight[i - near]
                c = eight[i + near]
                d = eight[i + far]
                bump = wp.cw_mul(masks[k], off_curve(a, b, c, d))
                bumps += wp.cw_mul(bump, bump)
                between = wp.cw_mul(masks[k], amid(a, b, c, d))
                change[i] = wp.cw_mul(masks[3 + k], eight[i]) + between
            want[block] = wp.where(wp.dot(bumps, vec8(1.0)) < FLAT * FLAT, 0, 1)


@wp.kernel(enable_backward=False)
def between_rows(
    half: int,
    windows: wp.array2d[int],
    steep: wp.array3d[int],
    wanted: wp.array3d[int],
    changes: wp.array3d[vec8],
):
    """Write the rows amid those known, 2 `half` apart, as `between_columns` does columns."""
    image, part = wp.tid()
    row = (2 * part + 1) * half
    low = windows[image, 0]
    high = windows[image, 1]
    if row < low or row >= high:
        return
    inside = row - 3 * half >= low and row + 3 * half < high
    far = changes[image, wp.max(row - 3 * half, low)]
    above = changes[image, row - half]
    change = changes[image, row]
    below = changes[image, wp.min(row + half, high - 1)]
    near = changes[image, wp.min(row + 3 * half, high - 1)]
    shows = steep[image, row]
    want = wanted[image, row]
    for block in range(windows[image, 2] / BLOCK, (windows[image, 3] + BLOCK - 1) / BLOCK):
        first = MARGIN + 3 * BLOCK * block
        if shows[block] == 0:
            want[block] = 0
            for k in range(3):
                change[first + BLOCK * k] = vec8()
        else:
            bumps = vec8()
            for k in range(3):
                i = first + BLOCK * k
                bump = off_curve(far[i], above[i], below[i], near[i])
                bumps += wp.cw_mul(bump, bump)
                change[i] = amid(far[i], above[i], below[i], near[i])
            curved = inside and wp.dot(bumps, vec8(1.0)) < FLAT * FLAT
            want[block] = wp.where(curved, 0, 1)


@wp.kernel(enable_backward=False)
def expose(
    background: wp.array2d[vec8],
    windows: wp.array2d[int],
    steep: wp.array3d[int],
    eights: wp.array3d[vec8],
    changes: wp.array3d[float],
    blocks: wp.array3d[bytes8],
    picture: wp.array3d[wp.uint8],
):
    """Write pixels of changes of colour; a thread computes a row.

    `eights` and `changes`, `blocks` and `picture` are the same memory.
    """
    image, row = wp.tid()
    if row < windows[image, 0] or row >= windows[image, 1]:
        return
    flat = background[row]
    eight = eights[image, row]
    drawn = blocks[image, row]
    shows = steep[image, row]
    end = windows[image, 3]
    for block in range(windows[image, 2] / BLOCK, end / BLOCK):
        if shows[block] != 0:
            for b in range(3 * block, 3 * block + 3):
                colour = flat[b] + eight[MARGIN + BLOCK * b] + vec8(0.5)
                drawn[b] = bytes8(wp.min(wp.max(colour, vec8(0.0)), vec8(255.0)))
    for k in range(3 * (end - end % BLOCK), 3 * end):
        level = flat[k / BLOCK][k % BLOCK] + changes[image, row, MARGIN + k]
        picture[image, row, k] = wp.uint8(wp.clamp(level + 0.5, 0.0, 255.0))
