"""Forces between gels and objects, taxel by taxel, as Warp kernels.

A taxel is a cell of the gel's surface at rest. Where it lies inside of an object, the gel pushes
back along the object's surface normal n, and drags along the tangent plane (one law per area):

    f_n = max(k d + c d', 0)          d: depth of the taxel in the object, d' its rate
    f_t = k_t s + c_t s',  |f_t| <= mu f_n     s: how far the object has carried its anchor along

The anchor is the point of the object at which the taxel lay when they met. It is kept in the
object's frame, so that an object at rest is held for ever and one that turns drags its taxels
around. Where the drag would exceed friction, the anchor slips after, until `k_t s = mu f_n`.

A gel is stiff for the little mass of what it holds, so the law is taken at the end of the substep,
`d + h d'` and `s + h s'`, with the velocity that the object will have then. That velocity is
solved for each object (`solve`) from the linear law, its mass, and what else pushes it; the latter
is known from the last substep. Then the clamps are applied to each taxel (`push`).

Sources: Xu et al., "Efficient Tactile Simulation with Differentiability for Robotic Manipulation",
CoRL 2022, for the normal force and a drag without memory; Baraff and Witkin, "Large Steps in Cloth
Simulation", 1998, for the linear implicit step; the return to the cone is that of plasticity.

Frames: of the gel, as in `height_kernels`; a body's wrench is in the world frame, about its centre
of mass.
"""

# Warp's types are incomplete. Kernels need annotations that are objects: no `annotations` import.
# pyright: standard, reportArgumentType=false
# What a loop of Warp changes must not begin as a plain constant.

import warp as wp

from .distance_kernels import Shape, distance, head, outward, turn

NOTHING = wp.constant(-1)
"""What a taxel holds that lies in no object."""
STIFFNESS, SHEAR, DAMPING, SHEAR_DAMPING, FRICTION = range(5)
"""Numbers of a gel: k and k_t [N/m^3], c and c_t [N s/m^3], mu."""


@wp.struct
class Grid:
    """The taxels of a gel."""

    rows: int
    cols: int
    wide: float
    """Size of a taxel along the columns [m]."""
    high: float
    """Along the rows [m]."""
    bend: float
    """Curvature of the surface at rest, a dome towards the object [1/m]."""
    step: float
    """Length h of a substep [s]."""


@wp.struct
class Taxels:
    """What taxels remember, and what `probe` finds: arrays (I, T)."""

    holds: wp.array2d[int]
    """Which object they lie in."""
    finds: wp.array2d[int]
    """In which they lie deepest; said where there is a depth."""
    places: wp.array2d[wp.vec3]
    """Where in it [m]."""
    anchors: wp.array2d[wp.vec3]
    """Where they lay in it when they met [m]."""
    lasts: wp.array2d[wp.vec3]
    """Where they lay in it at the last substep [m]."""
    depths: wp.array2d[float]
    """[m]"""
    normals: wp.array2d[wp.vec3]
    """Out of the object, in the gel's frame."""
    moves: wp.array2d[wp.vec3]
    """Velocity as the object sees it, in the gel's frame [m/s]."""
    forces: wp.array2d[wp.vec3]
    """On the taxel, in the gel's frame [N]."""


@wp.func
def taxel(grid: Grid, t: int) -> wp.vec3:
    """Return the middle of a taxel [m]."""
    x = (float(t % grid.cols) + 0.5 - 0.5 * float(grid.cols)) * grid.wide
    y = (float(t / grid.cols) + 0.5 - 0.5 * float(grid.rows)) * grid.high
    return wp.vec3(x, y, -0.5 * grid.bend * (x * x + y * y))


@wp.func
def along(v: wp.vec3, n: wp.vec3) -> wp.vec3:
    """Return the part of a vector in the plane of a normal."""
    return v - wp.dot(v, n) * n


@wp.kernel(enable_backward=False)
def probe(
    grid: Grid,
    run: int,
    values: wp.array[float],
    shapes: wp.array[Shape],
    poses: wp.array3d[float],
    near: wp.array2d[wp.bool],
    taxels: Taxels,
):
    """Find in which object each taxel lies, how deep, and how it moves there.

    A thread looks at `run` taxels of a row, and jumps over those that the free distance at one
    shows to be free.
    """
    gel, row, part = wp.tid()
    t0 = row * grid.cols
    c0 = part * run
    c1 = wp.min(grid.cols, c0 + run)
    first = taxel(grid, t0 + c0)
    start = first[0]
    for col in range(c0, c1):
        taxels.depths[gel, t0 + col] = 0.0
    for k in range(shapes.shape[0]):
        if near[gel, k]:
            shape = shapes[k]
            back = wp.transpose(turn(poses[gel, k]))
            corner = back * (first - head(poses[gel, k]))
            col = int(c0)
            while col < c1:
                x = float(col - c0) * grid.wide
                bulge = -0.5 * grid.bend * x * (2.0 * start + x)
                at = corner + x * back[:, 0] + bulge * back[:, 2]
                s = distance(values, shape, shape.inverse * (at - shape.origin))
                t = t0 + col
                if -s > taxels.depths[gel, t]:
                    taxels.depths[gel, t] = -s
                    taxels.finds[gel, t] = k
                    taxels.places[gel, t] = at
                col += 1
                if s > 0.0 and grid.bend == 0.0:
                    col += int(s / grid.wide)
    turned = int(NOTHING)
    R = wp.mat33(0.0)
    for col in range(c0, c1):
        t = t0 + col
        who = int(NOTHING)
        if taxels.depths[gel, t] > 0.0:
            who = taxels.finds[gel, t]
            at = taxels.places[gel, t]
            if taxels.holds[gel, t] != who:
                taxels.anchors[gel, t] = at
                taxels.lasts[gel, t] = at
            if turned != who:
                R = turn(poses[gel, who])
                turned = who
            place = shapes[who].inverse * (at - shapes[who].origin)
            taxels.normals[gel, t] = R * outward(values, shapes[who], place)
            taxels.moves[gel, t] = (R * (at - taxels.lasts[gel, t])) / grid.step
            taxels.lasts[gel, t] = at
        taxels.holds[gel, t] = who


@wp.kernel(enable_backward=False)
def linearise(
    grid: Grid,
    gels: wp.array2d[float],
    poses: wp.array3d[float],
    taxels: Taxels,
    sums: wp.array3d[wp.vec3],
    resists: wp.array3d[wp.mat33],
):
    """Add up what an object feels from a gel at its present velocity, and how that changes.

    Writes force and torque about the gel's origin on the gel (I, K, 2), and their change by the
    velocity of the object: (I, K, 3), force by linear, force by angular, torque by angular.
    """
    gel, k = wp.tid()
    h = grid.step
    area = grid.wide * grid.high
    R = turn(poses[gel, k])
    stiff = h * gels[gel, STIFFNESS] + gels[gel, DAMPING]
    drags = h * gels[gel, SHEAR] + gels[gel, SHEAR_DAMPING]
    force = wp.vec3(0.0)
    torque = wp.vec3(0.0)
    D = wp.mat33(0.0)
    E = wp.mat33(0.0)
    F = wp.mat33(0.0)
    for t in range(grid.rows * grid.cols):
        if taxels.holds[gel, t] == k:
            p = taxel(grid, t)
            n = taxels.normals[gel, t]
            moved = taxels.moves[gel, t]
            pressure = gels[gel, STIFFNESS] * taxels.depths[gel, t] - stiff * wp.dot(moved, n)
            if pressure > 0.0:
                limit = gels[gel, FRICTION] * pressure
                carried = along(R * (taxels.anchors[gel, t] - taxels.lasts[gel, t]), n)
                drag = gels[gel, SHEAR] * carried - drags * along(moved, n)
                size = wp.length(drag)
                resist = drags
                if size > limit:
                    drag = (limit / size) * drag
                    resist = 0.0
                f = area * (pressure * n + drag)
                force += f
                torque += wp.cross(p, f)
                N = area * (
                    (stiff - resist) * wp.outer(n, n) + resist * wp.identity(3, dtype=float)
                )
                P = wp.skew(p)
                D += N
                E -= N * P
                F -= P * N * P
    sums[gel, k, 0] = force
    sums[gel, k, 1] = torque
    resists[gel, k, 0] = D
    resists[gel, k, 1] = E
    resists[gel, k, 2] = F


@wp.kernel(enable_backward=False)
def push(
    grid: Grid,
    run: int,
    gels: wp.array2d[float],
    poses: wp.array3d[float],
    changes: wp.array3d[wp.vec3],
    taxels: Taxels,
):
    """Write the force on each taxel at the velocities that objects will have.

    Args:
        grid: of the gels.
        run: how many taxels of a row a thread computes.
        gels: (I, 5) numbers of each.
        poses: (I, K, 7) in the gel's frame.
        changes: (I, K, 2) of the velocity of an object at the gel's origin, linear and angular.
        taxels: forces and anchors are written.
    """
    gel, row, part = wp.tid()
    h = grid.step
    stiff = h * gels[gel, STIFFNESS] + gels[gel, DAMPING]
    shear = gels[gel, SHEAR]
    drags = gels[gel, SHEAR_DAMPING] / h
    turned = int(NOTHING)
    R = wp.mat33(0.0)
    for col in range(part * run, wp.min(grid.cols, (part + 1) * run)):
        t = row * grid.cols + col
        force = wp.vec3(0.0)
        who = taxels.holds[gel, t]
        if who != NOTHING:
            n = taxels.normals[gel, t]
            if turned != who:
                R = turn(poses[gel, who])
                turned = who
            change = changes[gel, who, 0] + wp.cross(changes[gel, who, 1], taxel(grid, t))
            moved = taxels.moves[gel, t] - change
            pressure = gels[gel, STIFFNESS] * taxels.depths[gel, t] - stiff * wp.dot(moved, n)
            pressure = wp.max(pressure, 0.0)
            limit = gels[gel, FRICTION] * pressure
            at = taxels.lasts[gel, t]
            slide = h * along(moved, n)
            carried = along(R * (taxels.anchors[gel, t] - at), n) - slide  # when h has passed
            size = shear * wp.length(carried)
            if size > limit:
                carried = (limit / size) * carried
                taxels.anchors[gel, t] = at + wp.transpose(R) * (carried + slide)
            drag = shear * carried - drags * slide
            size = wp.length(drag)
            if size > limit:
                drag = (limit / size) * drag
            force = grid.wide * grid.high * (pressure * n + drag)
        taxels.forces[gel, t] = force


@wp.kernel(enable_backward=False)
def add_up(grid: Grid, taxels: Taxels, sums: wp.array3d[wp.vec3]):
    """Write force [N] and torque about the gel's origin [N m] of each object on each gel (I, K, 2).

    A thread adds up one object on one gel, always in the same order.
    """
    gel, k = wp.tid()
    force = wp.vec3(0.0)
    torque = wp.vec3(0.0)
    for t in range(grid.rows * grid.cols):
        if taxels.holds[gel, t] == k:
            f = taxels.forces[gel, t]
            force += f
            torque += wp.cross(taxel(grid, t), f)
    sums[gel, k, 0] = force
    sums[gel, k, 1] = torque
