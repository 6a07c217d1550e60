"""Signed distances of objects on a device: grids side by side in one array, read trilinearly."""

# Warp's types are incomplete. Kernels need annotations that are objects: no `annotations` import.
# pyright: standard, reportArgumentType=false

import warp as wp


@wp.struct
class Shape:
    """Where the grid of an object lies in the array of all, and in the object's frame."""

    start: int
    nx: int
    ny: int
    nz: int
    origin: wp.vec3
    inverse: float
    """1 / spacing [1/m]."""


@wp.func
def inside(shape: Shape, place: wp.vec3) -> wp.vec3:
    """Return the nearest place of the grid."""
    return wp.vec3(
        wp.clamp(place[0], 0.0, float(shape.nx - 1)),
        wp.clamp(place[1], 0.0, float(shape.ny - 1)),
        wp.clamp(place[2], 0.0, float(shape.nz - 1)),
    )


@wp.func
def cell_of(shape: Shape, place: wp.vec3):
    """Return the first node of the cell that holds a place of the grid, and its shares in it."""
    i = wp.min(int(place[0]), shape.nx - 2)
    j = wp.min(int(place[1]), shape.ny - 2)
    k = wp.min(int(place[2]), shape.nz - 2)
    node = shape.start + (i * shape.ny + j) * shape.nz + k
    return node, place[0] - float(i), place[1] - float(j), place[2] - float(k)


@wp.func
def distance(values: wp.array[float], shape: Shape, place: wp.vec3) -> float:
    """Return the signed distance [m] at a place given in cells of the grid.

    Outside of the grid a lower bound: whatever the grid encloses is at least as far as the nearest
    point of the grid, and from there as far as it says, at an obtuse angle.
    """
    near = inside(shape, place)
    a, fx, fy, fz = cell_of(shape, near)
    row = shape.nz
    b = a + shape.ny * row
    v00 = values[a] + fz * (values[a + 1] - values[a])
    v01 = values[a + row] + fz * (values[a + row + 1] - values[a + row])
    v10 = values[b] + fz * (values[b + 1] - values[b])
    v11 = values[b + row] + fz * (values[b + row + 1] - values[b + row])
    v0 = v00 + fy * (v01 - v00)
    v1 = v10 + fy * (v11 - v10)
    found = v0 + fx * (v1 - v0)
    away = place - near
    beyond = wp.dot(away, away)
    if beyond > 0.0:
        found = wp.sqrt(found * found + beyond / (shape.inverse * shape.inverse))
    return found


@wp.func
def outward(values: wp.array[float], shape: Shape, place: wp.vec3) -> wp.vec3:
    """Return the direction in which the distance grows at a place of the grid, in the object.

    It is the slope of the trilinear distance in the place's cell, of length 1; 0 where it is flat.
    """
    a, fx, fy, fz = cell_of(shape, inside(shape, place))
    row = shape.nz
    b = a + shape.ny * row
    z00 = values[a + 1] - values[a]
    z01 = values[a + row + 1] - values[a + row]
    z10 = values[b + 1] - values[b]
    z11 = values[b + row + 1] - values[b + row]
    v00 = values[a] + fz * z00
    v01 = values[a + row] + fz * z01
    v10 = values[b] + fz * z10
    v11 = values[b + row] + fz * z11
    z0 = z00 + fy * (z01 - z00)
    z1 = z10 + fy * (z11 - z10)
    return wp.normalize(
        wp.vec3(
            v10 - v00 + fy * (v11 - v01 - v10 + v00),
            v01 - v00 + fx * (v11 - v10 - v01 + v00),
            z0 + fx * (z1 - z0),
        )
    )


@wp.func
def cells(shape: Shape, pose: wp.array[float], point: wp.vec3) -> wp.vec3:
    """Return the place in the grid of a point of the frame in which the object has a pose."""
    return shape.inverse * (wp.transpose(turn(pose)) * (point - head(pose)) - shape.origin)


@wp.func
def head(pose: wp.array[float]) -> wp.vec3:
    """Return the position of a pose x y z qw qx qy qz."""
    return wp.vec3(pose[0], pose[1], pose[2])


@wp.func
def turn(pose: wp.array[float]) -> wp.mat33:
    """Return the rotation of a pose x y z qw qx qy qz, the quaternion normalised."""
    w = pose[3]
    x = pose[4]
    y = pose[5]
    z = pose[6]
    s = 2.0 / (w * w + x * x + y * y + z * z)
    return wp.mat33(
        1.0 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y),
        s * (x * y + w * z), 1.0 - s * (x * x + z * z), s * (y * z - w * x),
        s * (x * z - w * y), s * (y * z + w * x), 1.0 - s * (x * x + y * y),
    )  # fmt: skip


@wp.kernel(enable_backward=False)
def mesh_distance(
    mesh: wp.uint64,
    origin: wp.vec3,
    spacing: float,
    nx: int,
    ny: int,
    nz: int,
    reach: float,
    values: wp.array[float],
):
    """Write the signed distances of a triangle mesh on a grid; a thread computes one node."""
    node = wp.tid()
    k = node % nz
    j = (node // nz) % ny
    i = node // (nz * ny)
    point = origin + spacing * wp.vec3(float(i), float(j), float(k))
    found = wp.mesh_query_point_sign_winding_number(mesh, point, reach)
    nearest = wp.mesh_eval_position(mesh, found.face, found.u, found.v)
    values[node] = found.sign * wp.length(point - nearest)
