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

ABSENT = 1.0
"""What `cull` writes for a cell that nothing touches, above every height of a gel [m]."""
CLOSE = wp.constant(1e-6)
"""A surface is found when it is this near [m]."""
NEAR = wp.constant(5e-6)
"""How far from an object the place may lie to which its surface was followed [m]."""
BUMP = wp.constant(4e-6)
"""Largest third difference of dents that lie on a curve [m]."""
STEEP = wp.constant(0.5)
"""From this change of distance per length on, the secant is trusted for the next step."""


@wp.struct
class Plane:
    """The imaged part of a gel, in pixels."""

    rows: int
    cols: int
    pixel: float
    """Width of a pixel [m]."""
    cell: int
    """Pixels along a side of a cell of `cull`."""
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
    values: wp.array[float],
    shapes: wp.array[Shape],
    poses: wp.array3d[float],
    begins: wp.array3d[float],
):
    """Write from which height [m] on objects may lie above a cell; a thread computes a cell.

    A ball that holds the cell's width goes up along z as far as it is free.
    """
    image, row, col = wp.tid()
    half = 0.5 * float(plane.cell)
    x = across(plane, float(col * plane.cell) + half - 0.5)
    y = down(plane, float(row * plane.cell) + half - 0.5)
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
        windows[image, 0] = wp.max(0, r0 - m) * plane.cell
        windows[image, 1] = wp.min(plane.rows, (r1 + m) * plane.cell)
        windows[image, 2] = wp.max(0, c0 - m) * plane.cell
        windows[image, 3] = wp.min(plane.cols, (c1 + m) * plane.cell)


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


@wp.func
def search(
    plane: Plane,
    values: wp.array[float],
    shape: Shape,
    at: wp.vec3,
    along: wp.vec3,
    begin: float,
    top: float,
):
    """As `climb`, from where `cull` says that objects may begin, no deeper than the gel."""
    z = float(top)
    slope = float(1.0)
    if begin < ABSENT:
        z, slope = climb(values, shape, at, along, wp.max(begin, top - plane.depth), top)
    return z, slope


@wp.kernel(enable_backward=False)
def trace(
    plane: Plane,
    run: int,
    stride: int,
    values: wp.array[float],
    shapes: wp.array[Shape],
    poses: wp.array3d[float],
    begins: wp.array3d[float],
    windows: wp.array2d[int],
    dents: wp.array3d[float],
):
    """Write dents [m] inside the windows, in each `stride`-th row; a thread does `run` pixels.

    In a run every other pixel is looked for. Where the last three tell where the surface goes, one
    sample there is enough, and the pixel between lies on the same curve; else it is looked for.
    """
    image, part_row, part = wp.tid()
    row = part_row * stride
    c0 = wp.max(windows[image, 2], part * run)
    c1 = wp.min(windows[image, 3], (part + 1) * run)
    if row < windows[image, 0] or row >= windows[image, 1]:
        return
    y = down(plane, float(row))
    for col in range(c0, c1):
        dents[image, row, col] = 0.0
    for k in range(shapes.shape[0]):
        shape = shapes[k]
        pose = poses[image, k]
        first = cells(shape, pose, wp.vec3(0.0, y, 0.0))
        R = turn(pose)
        beside = shape.inverse * R[0]
        along = shape.inverse * R[2]
        known = int(0)  # how many of z1, z2, z3 are surfaces at 2, 4 and 6 pixels before
        z1 = float(0.0)
        z2 = float(0.0)
        z3 = float(0.0)
        slope = float(1.0)
        for col in range(c0, c1, 2):
            x = across(plane, float(col))
            top = rest(plane, x, y)
            deepest = top - plane.depth
            at = first + x * beside
            guess = float(top)
            if known > 2:
                guess = 3.0 * (z1 - z2) + z3
            elif known == 2:
                guess = 2.0 * z1 - z2
            found = bool(False)
            z = float(top)
            if guess < top and guess > deepest and slope > STEEP:
                s = distance(values, shape, at + guess * along)
                if wp.abs(s) < NEAR:
                    z = guess + s / slope
                    found = True
            if not found:
                begin = begins[image, row / plane.cell, col / plane.cell]
                z, slope = search(plane, values, shape, at, along, begin, top)
            touched = z < top and z > deepest
            if col > c0:
                before = across(plane, float(col - 1))
                height = rest(plane, before, y)
                between = 0.125 * (3.0 * z + 6.0 * z1 - z2)
                bump = wp.abs(z - 3.0 * (z1 - z2) - z3)
                if not (touched and known > 2 and bump < BUMP):
                    begin = begins[image, row / plane.cell, (col - 1) / plane.cell]
                    at = first + before * beside
                    between, slope = search(plane, values, shape, at, along, begin, height)
                dents[image, row, col - 1] = wp.max(dents[image, row, col - 1], height - between)
            dents[image, row, col] = wp.max(dents[image, row, col], top - z)
            z3 = z2
            z2 = z1
            z1 = z
            known = wp.where(touched, wp.min(known + 1, 3), 0)
        if (c1 - c0) % 2 == 0 and c1 > c0:
            x = across(plane, float(c1 - 1))
            top = rest(plane, x, y)
            begin = begins[image, row / plane.cell, (c1 - 1) / plane.cell]
            at = first + x * beside
            z, slope = search(plane, values, shape, at, along, begin, top)
            dents[image, row, c1 - 1] = wp.max(dents[image, row, c1 - 1], top - z)


@wp.kernel(enable_backward=False)
def trace_between(
    plane: Plane,
    run: int,
    values: wp.array[float],
    shapes: wp.array[Shape],
    poses: wp.array3d[float],
    begins: wp.array3d[float],
    windows: wp.array2d[int],
    dents: wp.array3d[float],
):
    """Write the dents [m] of odd rows from those of even ones; a thread does `run` pixels of a row.

    Where four rows lie on a curve, so does the one amid them; elsewhere the surface is looked for.
    """
    image, pair, part = wp.tid()
    row = 2 * pair + 1
    c0 = wp.max(windows[image, 2], part * run)
    c1 = wp.min(windows[image, 3], (part + 1) * run)
    if row < windows[image, 0] or row >= windows[image, 1]:
        return
    y = down(plane, float(row))
    inside = row - 3 >= windows[image, 0] and row + 3 < windows[image, 1]
    a = wp.max(row - 3, 0)
    b = row - 1
    c = wp.min(row + 1, plane.rows - 1 - (plane.rows - 1) % 2)
    d = wp.min(row + 3, plane.rows - 1 - (plane.rows - 1) % 2)
    for col in range(c0, c1):
        above = dents[image, b, col]
        below = dents[image, c, col]
        found = float(0.0)
        far = dents[image, a, col]
        near = dents[image, d, col]
        smooth = inside and wp.min(wp.min(above, below), wp.min(far, near)) > 0.0
        smooth = smooth and wp.max(wp.max(above, below), wp.max(far, near)) < plane.depth
        if smooth and wp.abs(far - 3.0 * (above - below) - near) < BUMP:
            found = 0.0625 * (9.0 * (above + below) - far - near)
        else:
            begin = begins[image, row / plane.cell, col / plane.cell]
            if begin < ABSENT:
                x = across(plane, float(col))
                top = rest(plane, x, y)
                for k in range(shapes.shape[0]):
                    pose = poses[image, k]
                    at = cells(shapes[k], pose, wp.vec3(x, y, 0.0))
                    along = shapes[k].inverse * turn(pose)[2]
                    z, _slope = search(plane, values, shapes[k], at, along, begin, top)
                    found = wp.max(found, top - z)
        dents[image, row, col] = found
