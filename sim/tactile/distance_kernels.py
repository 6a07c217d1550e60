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
def distance(values: wp.array[float], shape: Shape, place: wp.vec3) -> float:
    """Return the signed distance [m] at a place given in cells of the grid.

    Outside of the grid a lower bound: whatever the grid encloses is at least as far as the nearest
    point of the grid, and from there as far as it says, at an obtuse angle.
    """
    x = wp.clamp(place[0], 0.0, float(shape.nx - 1))
    y = wp.clamp(place[1], 0.0, float(shape.ny - 1))
    z = wp.clamp(place[2], 0.0, float(shape.nz - 1))
    i = wp.min(int(x), shape.nx - 2)
    j = wp.min(int(y), shape.ny - 2)
    k = wp.min(int(z), shape.nz - 2)
    fx = x - float(i)
    fy = y - float(j)
    fz = z - float(k)
    row = shape.nz
    layer = shape.ny * row
    a = shape.start + i * layer + j * row + k
    v00 = values[a] + fz * (values[a + 1] - values[a])
    v01 = values[a + row] + fz * (values[a + row + 1] - values[a + row])
    b = a + layer
    v10 = values[b] + fz * (values[b + 1] - values[b])
    v11 = values[b + row] + fz * (values[b + row + 1] - values[b + row])
    v0 = v00 + fy * (v01 - v00)
    v1 = v10 + fy * (v11 - v10)
    found = v0 + fx * (v1 - v0)
    away = place - wp.vec3(x, y, z)
    beyond = wp.dot(away, away)
    if beyond > 0.0:
        found = wp.sqrt(found * found + beyond / (shape.inverse * shape.inverse))
    return found


@wp.func
def outward(values: wp.array[float], shape: Shape, place: wp.vec3) -> wp.vec3:
    """Return the direction in which the distance grows at a place inside the grid, in the object.

    It is the slope of the trilinear distance in the place's cell, of length 1; 0 where it is flat.
    """
    x = wp.clamp(place[0], 0.0, float(shape.nx - 1))
    y = wp.clamp(place[1], 0.0, float(shape.ny - 1))
    z = wp.clamp(place[2], 0.0, float(shape.nz - 1))
    i = wp.min(int(x), shape.nx - 2)
    j = wp.min(int(y), shape.ny - 2)
    k = wp.min(int(z), shape.nz - 2)
    fx = x - float(i)
    fy = y - float(j)
    fz = z - float(k)
    row = shape.nz
    layer = shape.ny * row
    a = shape.start + i * layer + j * row + k
    b = a + layer
    v000 = values[a]
    v001 = values[a + 1]
    v010 = values[a + row]
    v011 = values[a + row + 1]
    v100 = values[b]
    v101 = values[b + 1]
    v110 = values[b + row]
    v111 = values[b + row + 1]
    v00 = v000 + fz * (v001 - v000)
    v01 = v010 + fz * (v011 - v010)
    v10 = v100 + fz * (v101 - v100)
    v11 = v110 + fz * (v111 - v110)
    low = (1.0 - fy) * (v001 - v000) + fy * (v011 - v010)
    high = (1.0 - fy) * (v101 - v100) + fy * (v111 - v110)
    return wp.normalize(
        wp.vec3(
            (1.0 - fy) * (v10 - v00) + fy * (v11 - v01),
            (1.0 - fx) * (v01 - v00) + fx * (v11 - v10),
            (1.0 - fx) * low + fx * high,
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
