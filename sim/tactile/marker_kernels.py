"""Dots on the skin of a gel: where drag carries them, and how dark they are, as Warp kernels.

A taxel that touches something is carried along the surface by what its force says: way = force
across / (stiffness of shear * area). Between touched taxels the skin is a membrane on an elastic
ground, as in `membrane_kernels`: its way u obeys `u = reach^2 lap(u)`, with a free rim. Dots go
along.
"""

# Warp's types are incomplete. Kernels need annotations that are objects: no `annotations` import.
# pyright: standard, reportArgumentType=false
# What a loop of Warp changes must not begin as a plain constant.
# ruff: noqa: UP018, RUF046

import warp as wp

from .field_kernels import SHEAR

SHEARS = wp.constant(SHEAR)


@wp.struct
class Print:
    """What is printed on a gel, and the picture and the taxels above it."""

    size: wp.vec2
    """Of the gel, across and down [m]."""
    spacing: float
    """Between dots [m]."""
    rows: int
    """Of dots."""
    cols: int
    radius: float
    """Where a dot is half as dark as in its middle [m]."""
    soft: float
    """Over which its edge fades [m]."""
    dark: float
    """Share of the light that its middle takes."""
    reach: float
    """Length over which the skin beside what drags it falls to 1/e of its way [m]."""
    shear: float
    """Stiffness of gels whose own is 0 [N/m^3]."""


@wp.kernel(enable_backward=False)
def drag_along(
    ink: Print,
    sweeps: int,
    forces: wp.array3d[wp.vec3],
    numbers: wp.array2d[float],
    ways: wp.array3d[wp.vec2],
):
    """Write how far each taxel was carried [m]; a thread computes a gel.

    Sweeps of Gauss and Seidel, to and fro, over taxels without pressure.
    """
    image = wp.tid()
    rows = forces.shape[1]
    cols = forces.shape[2]
    wide = ink.size[0] / float(cols)
    high = ink.size[1] / float(rows)
    stiffness = numbers[image, SHEARS]
    if stiffness == 0.0:
        stiffness = ink.shear
    touched = int(0)
    for row in range(rows):
        for col in range(cols):
            force = forces[image, row, col]
            way = wp.vec2()
            if force[2] != 0.0:
                way = wp.vec2(force[0], force[1]) / (stiffness * wide * high)
                touched += 1
            ways[image, row, col] = way
    if touched == 0:
        return
    across = ink.reach * ink.reach / (wide * wide)
    down = ink.reach * ink.reach / (high * high)
    for sweep in range(sweeps):
        for i in range(rows * cols):
            t = i
            if sweep % 2 == 1:
                t = rows * cols - 1 - i
            row = t / cols
            col = t % cols
            if forces[image, row, col][2] == 0.0:
                pulled = wp.vec2()
                held = float(1.0)
                if col > 0:
                    pulled += across * ways[image, row, col - 1]
                    held += across
                if col < cols - 1:
                    pulled += across * ways[image, row, col + 1]
                    held += across
                if row > 0:
                    pulled += down * ways[image, row - 1, col]
                    held += down
                if row < rows - 1:
                    pulled += down * ways[image, row + 1, col]
                    held += down
                ways[image, row, col] = pulled / held


@wp.kernel(enable_backward=False)
def carry(ink: Print, ways: wp.array3d[wp.vec2], places: wp.array2d[wp.vec2]):
    """Write where dots are, from the middle of the gel [m]; a thread computes a dot."""
    image, dot = wp.tid()
    rows = ways.shape[1]
    cols = ways.shape[2]
    rest = ink.spacing * wp.vec2(
        float(dot % ink.cols) - 0.5 * float(ink.cols - 1),
        float(dot / ink.cols) - 0.5 * float(ink.rows - 1),
    )
    x = (rest[0] / ink.size[0] + 0.5) * float(cols) - 0.5
    y = (rest[1] / ink.size[1] + 0.5) * float(rows) - 0.5
    x = wp.clamp(x, 0.0, float(cols - 1))
    y = wp.clamp(y, 0.0, float(rows - 1))
    c0 = int(x)
    r0 = int(y)
    c1 = wp.min(c0 + 1, cols - 1)
    r1 = wp.min(r0 + 1, rows - 1)
    fx = x - float(c0)
    fy = y - float(r0)
    upper = (1.0 - fx) * ways[image, r0, c0] + fx * ways[image, r0, c1]
    lower = (1.0 - fx) * ways[image, r1, c0] + fx * ways[image, r1, c1]
    places[image, dot] = rest + (1.0 - fy) * upper + fy * lower


@wp.kernel(enable_backward=False)
def darken(
    ink: Print,
    chosen: wp.array[wp.bool],
    places: wp.array2d[wp.vec2],
    picture: wp.array4d[wp.uint8],
):
    """Draw the dots onto pictures of chosen gels, one after the other; a thread computes a row."""
    image, row = wp.tid()
    if not chosen[image]:
        return
    cols = picture.shape[2]
    wide = ink.size[0] / float(cols)
    high = ink.size[1] / float(picture.shape[1])
    y = (float(row) + 0.5) * high - 0.5 * ink.size[1]
    edge = wp.max(ink.soft, wp.max(wide, high))
    for dot in range(places.shape[1]):
        place = places[image, dot]
        dy = y - place[1]
        if wp.abs(dy) < ink.radius + 0.5 * edge:
            left = (place[0] - ink.radius - 0.5 * edge + 0.5 * ink.size[0]) / wide
            right = (place[0] + ink.radius + 0.5 * edge + 0.5 * ink.size[0]) / wide
            for col in range(wp.max(0, int(left)), wp.min(cols, int(right) + 1)):
                dx = (float(col) + 0.5) * wide - 0.5 * ink.size[0] - place[0]
                away = wp.sqrt(dx * dx + dy * dy)
                cover = wp.clamp((ink.radius - away) / edge + 0.5, 0.0, 1.0)
                left_over = 1.0 - ink.dark * cover
                for c in range(3):
                    value = float(picture[image, row, col, c]) * left_over
                    picture[image, row, col, c] = wp.uint8(value + 0.5)
