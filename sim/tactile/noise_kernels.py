"""What the camera in a real gel adds to a picture, as Warp kernels.

Random numbers are a hash of an episode's seed, the number of its reading and the place in it: a
picture does not depend on the others, nor on the order of threads.
"""

# Warp's types are incomplete. Kernels need annotations that are objects: no `annotations` import.
# pyright: standard, reportArgumentType=false

from typing import Any

import warp as wp

vec5: Any = wp.types.vector(5, float)
"""Of a smooth field: the coefficients of x^2, y^2, xy, x, y, with x and y in [-1, 1]."""
vec7: Any = wp.types.vector(7, float)
"""Weights of seven pixels in a row."""
FOUR_BYTES = wp.constant(147.8)
"""Standard deviation of the sum of four random bytes: sqrt(4 (256^2 - 1) / 12)."""


@wp.func
def mixed(x: wp.uint32) -> wp.uint32:
    """Return 32 mixed bits, by the finaliser of MurmurHash3 (public domain)."""
    a = (x ^ (x >> wp.uint32(16))) * wp.uint32(0x85EBCA6B)
    b = (a ^ (a >> wp.uint32(13))) * wp.uint32(0xC2B2AE35)
    return b ^ (b >> wp.uint32(16))


@wp.func
def key_of(seed: int, number: int) -> wp.uint32:
    """Return what the numbers of one reading begin with."""
    return mixed(mixed(wp.uint32(seed)) + wp.uint32(number))


@wp.func
def nearly_normal(key: wp.uint32, place: int) -> float:
    """Return a number of mean 0 and deviation 1, up to 3.45: the sum of four random bytes."""
    bits = mixed(key + wp.uint32(place) * wp.uint32(0x9E3779B1))
    pairs = (bits & wp.uint32(0x00FF00FF)) + ((bits >> wp.uint32(8)) & wp.uint32(0x00FF00FF))
    total = (pairs & wp.uint32(0xFFFF)) + (pairs >> wp.uint32(16))
    return (float(total) - 510.0) / FOUR_BYTES


@wp.kernel(enable_backward=False)
def wander(
    chosen: wp.array[wp.bool],
    step: float,
    pixels: int,
    seeds: wp.array[int],
    numbers: wp.array[int],
    offsets: wp.array[wp.vec3],
):
    """Begin the next reading of chosen pictures: the background takes a step; a thread a picture.

    Its random numbers are those of places behind the last of the picture.
    """
    image = wp.tid()
    if not chosen[image]:
        return
    numbers[image] = numbers[image] + 1
    key = key_of(seeds[image], numbers[image])
    offsets[image] = offsets[image] + step * wp.vec3(
        nearly_normal(key, 3 * pixels),
        nearly_normal(key, 3 * pixels + 1),
        nearly_normal(key, 3 * pixels + 2),
    )


@wp.kernel(enable_backward=False)
def blur_down(
    run: int,
    chosen: wp.array[wp.bool],
    weights: wp.array[vec7],
    picture: wp.array4d[wp.uint8],
    blurred: wp.array3d[wp.vec3],
):
    """Write chosen pictures blurred along columns, their rim repeated; `run` pixels of a row."""
    image, row, part = wp.tid()
    if not chosen[image]:
        return
    rows = picture.shape[1]
    weight = weights[image]
    for col in range(part * run, wp.min(picture.shape[2], (part + 1) * run)):
        colour = wp.vec3()
        for k in range(7):
            r = wp.clamp(row + k - 3, 0, rows - 1)
            for c in range(3):
                colour[c] += weight[k] * float(picture[image, r, col, c])
        blurred[image, row, col] = colour


@wp.kernel(enable_backward=False)
def disturb(
    run: int,
    shot: float,
    read: float,
    chosen: wp.array[wp.bool],
    weights: wp.array[vec7],
    wears: wp.array[vec5],
    mixes: wp.array[wp.mat33],
    seeds: wp.array[int],
    numbers: wp.array[int],
    offsets: wp.array[wp.vec3],
    blurred: wp.array3d[wp.vec3],
    picture: wp.array4d[wp.uint8],
):
    """Write chosen pictures as the camera sends them; a thread computes `run` pixels of a row.

    `shot` is the variance per grey level, `read` the variance in the dark [grey levels^2].
    """
    image, row, part = wp.tid()
    if not chosen[image]:
        return
    rows = blurred.shape[1]
    cols = blurred.shape[2]
    weight = weights[image]
    wear = wears[image]
    key = key_of(seeds[image], numbers[image])
    y = (2.0 * float(row) + 1.0) / float(rows) - 1.0
    for col in range(part * run, wp.min(cols, (part + 1) * run)):
        colour = wp.vec3()
        for k in range(7):
            colour += weight[k] * blurred[image, row, wp.clamp(col + k - 3, 0, cols - 1)]
        x = (2.0 * float(col) + 1.0) / float(cols) - 1.0
        left = 1.0 + x * (wear[0] * x + wear[2] * y + wear[3]) + y * (wear[1] * y + wear[4])
        colour = mixes[image] * (left * colour) + offsets[image]
        place = 3 * (row * cols + col)
        for c in range(3):
            deviation = wp.sqrt(read + shot * wp.max(colour[c], 0.0))
            value = colour[c] + deviation * nearly_normal(key, place + c)
            picture[image, row, col, c] = wp.uint8(wp.clamp(value + 0.5, 0.0, 255.0))
