"""Where objects dent a gel: which parts they may touch, and how deep, as Warp kernels.

The gel frame is that of the camera inside: x right along columns, y down along rows, z out of the
gel, towards what touches it; the flat gel is the plane z = 0. A dent is the distance from the gel's
surface at rest down to the lowest point of an object on the line along z.
"""

# Warp's types are incomplete. Kernels need annotations that are objects: no `annotations` import.
# pyright: standard, reportArgumentType=false
# What a loop of Warp changes must not begin as a plain constant.
# ruff: noqa: UP018, RUF046

import warp as wp

from .distance_kernels import Shape, cells, distance, turn
from .membrane_kernels import BLOCK, amid, vec8

ABSENT = 1.0
"""What `cull` writes for a cell that nothing touches, above every height of a gel [m]."""
WIDER = wp.constant(4)
"""How many times wider the cells are that are looked at first."""
MISSING = wp.constant(-1.0)
"""A dent that is still to be looked for [m]."""
CLOSE = wp.constant(1e-6)
"""A surface is found when it is this near [m]."""
NEAR = wp.constant(5e-6)
"""How far from an object the place may lie to which its surface was followed [m]."""
BUMP = wp.constant(4e-6)
"""Largest third difference of dents that lie on a curve [m]."""
ABOVE = wp.constant(1.2)
"""How far above the beginning of its cell a surface is followed [widths of the cell]."""
CURVED = wp.constant(700.0)
"""Largest curvature of what is filled in [1/m]; what is sharper may be an edge."""
STEEP = wp.constant(0.5)
"""From this change of distance per length on, the secant is trusted for the next step."""


@wp.struct
class Plane:
    """The imaged part of a gel, in pixels."""

    rows: int
    cols: int
    pixel: float
    """Width of a pixel [m]."""
    depth: float
    """Largest dent [m]."""
    bend: float
    """Curvature of the surface at rest, towards z [1/m]; 0: flat."""
    margin: int
    """Cells around touched ones that the membrane pulls along."""


@wp.func
def rest(plane: Plane, x: float, y: float) -> float:
    """Return the height of the surface at rest [m]."""
    return -0.5 * plane.bend * (x * x + y * y)


@wp.func
def across(plane: Plane, col: float) -> float:
    """Return x of a column [m]."""
    return (col + 0.5 - 0.5 * float(plane.cols)) * plane.pixel


@wp.func
def down(plane: Plane, row: float) -> float:
    """Return y of a row [m]."""
    return (row + 0.5 - 0.5 * float(plane.rows)) * plane.pixel


@wp.kernel(enable_backward=False)
def cull(
    plane: Plane,
    size: int,
    chosen: wp.array[wp.bool],
    values: wp.array[float],
    shapes: wp.array[Shape],
    poses: wp.array3d[float],
    wider: wp.array3d[float],
    begins: wp.array3d[float],
):
    """Write from which height [m] on objects may lie above cells of `size` pixels.

    Nothing lies above gels that are not chosen. A ball that holds the cell's width goes up along z
    as far as it is free; not where `wider`, empty at first, says that a cell of `WIDER` times the
    size is free. A thread computes a cell.
    """
    image, row, col = wp.tid()
    begins[image, row, col] = ABSENT
    if not chosen[image]:
        return
    if wider.shape[0] > 0 and wider[image, row / WIDER, col / WIDER] >= ABSENT:
        return
    half = 0.5 * float(size)
    x = across(plane, float(col * size) + half - 0.5)
    y = down(plane, float(row * size) + half - 0.5)
    wide = 1.4143 * half * plane.pixel
    top = rest(plane, x, y) + wide
    found = float(ABSENT)
    for k in range(shapes.shape[0]):
        shape = shapes[k]
        at = cells(shape, poses[image, k], wp.vec3(x, y, 0.0))
        along = shape.inverse * turn(poses[image, k])[2]
        z = top - wide - plane.depth - wide
        going = bool(True)
        while going:
            free = distance(values, shape, at + z * along) - wide
            if free < CLOSE:
                found = wp.min(found, z)
                going = False
            z += free
            if z > top:
                going = False
    begins[image, row, col] = found


@wp.kernel(enable_backward=False)
def frame(plane: Plane, begins: wp.array3d[float], windows: wp.array2d[int]):
    """Write rows and columns (from, to, from, to) that a dent may reach; a thread per picture."""
    image = wp.tid()
    rows = begins.shape[1]
    cols = begins.shape[2]
    r0 = int(rows)
    r1 = int(0)
    c0 = int(cols)
    c1 = int(0)
    for row in range(rows):
        for col in range(cols):
            if begins[image, row, col] < ABSENT:
                r0 = wp.min(r0, row)
                r1 = wp.max(r1, row + 1)
                c0 = wp.min(c0, col)
                c1 = wp.max(c1, col + 1)
    windows[image, 0] = 0
    windows[image, 1] = 0
    windows[image, 2] = 0
    windows[image, 3] = 0
    if r1 > 0:
        m = plane.margin
        windows[image, 0] = wp.max(0, r0 - m) * BLOCK
        windows[image, 1] = wp.min(plane.rows, (r1 + m) * BLOCK)
        windows[image, 2] = wp.max(0, c0 - m) * BLOCK
        windows[image, 3] = wp.min(plane.cols, (c1 + m) * BLOCK)


@wp.func
def climb(
    values: wp.array[float], shape: Shape, at: wp.vec3, along: wp.vec3, low: float, top: float
):
    """Return the height of the lowest surface on a line between two heights, `top` if none [m].

    And how fast the distance falls there per length.
    """
    z0 = low
    s0 = distance(values, shape, at + z0 * along)
    z1 = z0 + s0
    found = float(low)
    slope = float(1.0)
    going = s0 > CLOSE
    while going:
        if z1 >= top:
            found = top
            going = False
        else:
            s1 = distance(values, shape, at + z1 * along)
            slope = (s0 - s1) / (z1 - z0)
            if s1 < CLOSE:
                found = z1
                going = False
            elif slope < STEEP:
                z0 = z1
                s0 = s1
                z1 += s1
            else:
                z2 = wp.min(z1 + s1 / slope, top)
                s2 = distance(values, shape, at + z2 * along)
                slope = (s1 - s2) / (z2 - z1)
                if s2 < CLOSE:
                    found = z1 + s1 / slope
                    going = False
                else:
                    z0 = z2
                    s0 = s2
                    z1 = z2 + s2
    return found, slope


@wp.struct
class Trail:
    """Where the surface was in a row, one, two and three strides before [m]."""

    one: float
    two: float
    three: float
    known: int
    """How many of them are surfaces."""
    slope: float
    """How fast the distance fell at the last one, per length."""


@wp.func
def go_on(
    plane: Plane,
    values: wp.array[float],
    shape: Shape,
    at: wp.vec3,
    along: wp.vec3,
    start: float,
    top: float,
    trail: Trail,
) -> Trail:
    """Return the trail with the surface at the next place of a row.

    Where the last three tell where it goes, one sample of the distance is enough.
    """
    after = Trail()
    after.two = trail.one
    after.three = trail.two
    deepest = top - plane.depth
    guess = float(top)
    if trail.known > 2:
        guess = 3.0 * (trail.one - trail.two) + trail.three
    elif trail.known == 2:
        guess = 2.0 * trail.one - trail.two
    z = float(top)
    slope = float(trail.slope)
    found = bool(start >= ABSENT)
    # far above where something may begin, something else may lie below
    sure = guess - start < ABOVE * float(BLOCK) * plane.pixel
    if not found and sure and guess < top and guess > deepest and slope > STEEP:
        s = distance(values, shape, at + guess * along)
        if wp.abs(s) < NEAR:
            z = guess + s / slope
            found = True
    if not found:
        z, slope = climb(values, shape, at, along, wp.max(start, deepest), top)
    after.one = z
    after.slope = slope
    touched = start < ABSENT and z < top and z > deepest
    after.known = wp.where(touched, wp.min(trail.known + 1, 3), 0)
    return after


@wp.kernel(enable_backward=False)
def follow(
    plane: Plane,
    stride: int,
    values: wp.array[float],
    shapes: wp.array[Shape],
    poses: wp.array3d[float],
    begins: wp.array3d[float],
    windows: wp.array2d[int],
    dents: wp.array3d[float],
):
    """Write dents [m] in each `stride`-th row and column of the windows; a thread does two rows.

    A processor works on the second while it waits for the first.
    """
    image, part = wp.tid()
    low = windows[image, 0]
    high = windows[image, 1]
    c0 = windows[image, 2]
    c1 = windows[image, 3]
    row_a = 2 * part * stride
    row_b = row_a + stride
    if row_a >= high or row_b < low:
        return
    # a row beyond the window: the other one twice
    if row_a < low:
        row_a = row_b
    if row_b >= high:
        row_b = row_a
    dent_a = dents[image, row_a]
    dent_b = dents[image, row_b]
    begin_a = begins[image, row_a / BLOCK]
    begin_b = begins[image, row_b / BLOCK]
    y_a = down(plane, float(row_a))
    y_b = down(plane, float(row_b))
    for col in range(c0, c1, stride):
        dent_a[col] = 0.0
        dent_b[col] = 0.0
    for k in range(shapes.shape[0]):
        shape = shapes[k]
        pose = poses[image, k]
        first_a = cells(shape, pose, wp.vec3(0.0, y_a, 0.0))
        first_b = cells(shape, pose, wp.vec3(0.0, y_b, 0.0))
        R = turn(pose)
        beside = shape.inverse * R[0]
        along = shape.inverse * R[2]
        a = Trail()
        b = Trail()
        a.slope = 1.0
        b.slope = 1.0
        for col in range(c0, c1, stride):
            x = across(plane, float(col))
            top_a = rest(plane, x, y_a)
            top_b = rest(plane, x, y_b)
            start_a = begin_a[col / BLOCK]
            start_b = begin_b[col / BLOCK]
            a = go_on(plane, values, shape, first_a + x * beside, along, start_a, top_a, a)
            b = go_on(plane, values, shape, first_b + x * beside, along, start_b, top_b, b)
            dent_a[col] = wp.max(dent_a[col], wp.min(top_a - a.one, plane.depth))
            dent_b[col] = wp.max(dent_b[col], wp.min(top_b - b.one, plane.depth))


@wp.func
def bend_of_curve(plane: Plane, apart: int) -> float:
    """Return the largest second difference of four dents some pixels apart on a curve [m]."""
    step = float(apart) * plane.pixel
    return 2.0 * step * step * CURVED


@wp.kernel(enable_backward=False)
def fill_columns(
    plane: Plane,
    rows: int,
    stride: int,
    begins: wp.array3d[float],
    windows: wp.array2d[int],
    dents: wp.array3d[float],
):
    """Write columns halfway between those known, `stride` apart, in each `rows`-th row.

    Where four known dents lie on a curve, so does the one amid them; else it is `MISSING`. A thread
    does a row.
    """
    image, part_row = wp.tid()
    row = part_row * rows
    c0 = windows[image, 2]
    c1 = windows[image, 3]
    if row < windows[image, 0] or row >= windows[image, 1]:
        return
    half = stride / 2
    most_bend = bend_of_curve(plane, stride)
    dent = dents[image, row]
    begin = begins[image, row / BLOCK]
    for col in range(c0 + half, c1, stride):
        found = float(0.0)
        if begin[col / BLOCK] < ABSENT:
            found = MISSING
            if col - 3 * half >= c0 and col + 3 * half < c1:
                far = dent[col - 3 * half]
                left = dent[col - half]
                right = dent[col + half]
                near = dent[col + 3 * half]
                least = wp.min(wp.min(far, left), wp.min(right, near))
                most = wp.max(wp.max(far, left), wp.max(right, near))
                bump = wp.abs(far - 3.0 * (left - right) - near)
                bend = wp.abs(far - left - right + near)
                touched = least > 0.0 and most < plane.depth
                if touched and bump < BUMP and bend < most_bend:
                    found = 0.0625 * (9.0 * (left + right) - far - near)
        dent[col] = found


@wp.kernel(enable_backward=False)
def fill_rows(
    plane: Plane,
    stride: int,
    begins: wp.array3d[float],
    windows: wp.array2d[int],
    blocks: wp.array3d[vec8],
):
    """Write rows halfway between those known, `stride` apart, as `fill_columns` does columns."""
    image, part_row = wp.tid()
    half = stride / 2
    row = part_row * stride + half
    low = windows[image, 0]
    high = windows[image, 1]
    if row < low or row >= high:
        return
    inside = row - 3 * half >= low and row + 3 * half < high
    most_bend = bend_of_curve(plane, stride)
    fars = blocks[image, wp.max(row - 3 * half, 0)]
    aboves = blocks[image, row - half]
    belows = blocks[image, wp.min(row + half, plane.rows - 1)]
    nears = blocks[image, wp.min(row + 3 * half, plane.rows - 1)]
    found = blocks[image, row]
    begin = begins[image, row / BLOCK]
    for block in range(windows[image, 2] / BLOCK, (windows[image, 3] + BLOCK - 1) / BLOCK):
        if begin[block] >= ABSENT:
            found[block] = vec8()
        else:
            far = fars[block]
            above = aboves[block]
            below = belows[block]
            near = nears[block]
            least = wp.min(wp.min(wp.min(far, above), below), near)
            most = wp.max(wp.max(wp.max(far, above), below), near)
            bump = wp.abs(far - 3.0 * (above - below) - near)
            bend = wp.abs(far - above - below + near)
            spare = wp.min(wp.min(vec8(BUMP) - bump, least), vec8(plane.depth) - most)
            spare = wp.min(spare, vec8(most_bend) - bend)
            between = amid(far, above, below, near)
            if not inside:
                between = vec8(MISSING)
            elif wp.min(spare) <= 0.0:
                for k in range(8):
                    between[k] = wp.where(spare[k] > 0.0, between[k], MISSING)
            found[block] = between


@wp.kernel(enable_backward=False)
def find_missing(
    plane: Plane,
    run: int,
    first: int,
    rows: int,
    values: wp.array[float],
    shapes: wp.array[Shape],
    poses: wp.array3d[float],
    begins: wp.array3d[float],
    windows: wp.array2d[int],
    dents: wp.array3d[float],
):
    """Write dents [m] that are `MISSING` in each `rows`-th row from the first on.

    A thread does `run` pixels of a row.
    """
    image, part_row, part = wp.tid()
    row = first + part_row * rows
    if row < windows[image, 0] or row >= windows[image, 1]:
        return
    dent = dents[image, row]
    begin = begins[image, row / BLOCK]
    y = down(plane, float(row))
    c0 = wp.max(windows[image, 2], part * run)
    for col in range(c0, wp.min(windows[image, 3], (part + 1) * run)):
        if dent[col] < 0.0:
            x = across(plane, float(col))
            top = rest(plane, x, y)
            found = float(top)
            if begin[col / BLOCK] < ABSENT:
                low = wp.max(begin[col / BLOCK], top - plane.depth)
                for k in range(shapes.shape[0]):
                    at = cells(shapes[k], poses[image, k], wp.vec3(x, y, 0.0))
                    along = shapes[k].inverse * turn(poses[image, k])[2]
                    z, _slope = climb(values, shapes[k], at, along, low, top)
                    found = wp.min(found, z)
            dent[col] = top - found
