"""What tasks measure in every control step, as Warp kernels: a thread computes one world.

As array operations these are a hundred small steps. They cost a tenth of the physics of 64 worlds,
because right after the physics their code is in no cache, and on a GPU each is a launch.
"""

# Closures of Warp need annotations that are objects: no `from __future__ import annotations`.

from functools import cache
from typing import Any

import warp as wp

from sim2arm.sim.chain_kernels import warp_math

PROGRESS, TIME, SUCCESS, LOST = range(4)
"""Rows of the terms that `progress_kernel` writes."""
SOLVED, TERMINATED, TRUNCATED = range(3)
"""Rows of its flags."""
SEAT, HALF_LENGTH, FAR, SIDE, DEPTH, ALIGNED_WIDTH, INSERTED, LEAVES = range(8)
"""Numbers of `peg_kernel`: height of the seated peg's centre in the socket frame and half its
length [m], rates of closeness [1/m], distances [m]."""


@cache
def progress_kernel(real: Any) -> Any:
    """Return the kernel that counts a step and writes terms and ends; see `ProgressEpisodes`."""

    @wp.kernel(enable_backward=False, module="unique")
    def advance(
        closeness: wp.array[real],
        met: wp.array[wp.bool],
        lost: wp.array[wp.bool],
        hold: int,
        most: int,
        last: wp.array[real],
        fresh: wp.array[wp.bool],
        held: wp.array[int],
        steps: wp.array[int],
        terms: wp.array2d[real],
        flags: wp.array2d[wp.bool],
    ):
        i = wp.tid()
        now = closeness[i]
        gain = real(0.0)
        if not fresh[i]:
            gain = now - last[i]
        last[i] = now
        fresh[i] = False
        count = wp.where(met[i], held[i] + 1, 0)
        held[i] = count
        steps[i] = steps[i] + 1
        solved = count >= hold
        ended = solved or lost[i]
        terms[PROGRESS, i] = gain
        terms[TIME, i] = real(-0.002)
        terms[SUCCESS, i] = wp.where(solved, real(1.0), real(0.0))
        terms[LOST, i] = wp.where(lost[i], real(-1.0), real(0.0))
        flags[SOLVED, i] = solved
        flags[TERMINATED, i] = ended
        flags[TRUNCATED, i] = steps[i] >= most and not ended

    return advance


@cache
def peg_kernel(real: Any) -> Any:
    """Return the kernel that measures pegs against their sockets; see `PegInsertion`.

    Closeness is `(f(10 d) + f(50 s) + 2 g f(30 h)) / 4` with `f(x) = 1 - tanh(x)` and the
    alignment `g = 1 / (1 + (s / 3 mm)^2)`: a peg that is not aligned gains little by going down.
    Here d and s are the mean distances of four keypoints along the peg from their seats and from
    the socket's axis, h the height of its centre above the seat; below counts like above.
    """
    m = warp_math(real)
    vec3, quat_rotate, row3, row4 = m.vec3, m.quat_rotate, m.row3, m.row4

    @wp.func
    def near(x: real):
        return real(1.0) - wp.tanh(x)

    @wp.kernel(enable_backward=False, module="unique")
    def measure(
        peg: wp.array2d[real],
        socket: wp.array2d[real],
        tool: wp.array2d[real],
        numbers: wp.array[real],
        closeness: wp.array[real],
        inserted: wp.array[wp.bool],
        left: wp.array[wp.bool],
    ):
        i = wp.tid()
        p = row3(peg, i, 0)
        middle = p - row3(socket, i, 0) - vec3(real(0.0), real(0.0), numbers[SEAT])
        # Keypoints lie along the peg's z axis. Seated, it points down: their seats lie along -z
        # of the socket, and a keypoint at a distance k from the centre is off by `middle + k tilt`.
        up = vec3(real(0.0), real(0.0), real(1.0))
        tilt = quat_rotate(row4(peg, i, 3), up) + up
        distance = real(0.0)
        side = real(0.0)
        for j in range(4):
            k = numbers[HALF_LENGTH] * (real(2.0) * real(j) / real(3.0) - real(1.0))
            away = middle + k * tilt
            distance += real(0.25) * wp.length(away)
            side += real(0.25) * wp.sqrt(away[0] * away[0] + away[1] * away[1])
        share = side / numbers[ALIGNED_WIDTH]
        aligned = real(1.0) / (real(1.0) + share * share)
        deep = near(numbers[DEPTH] * wp.abs(middle[2]))
        beside = near(numbers[SIDE] * side)
        closeness[i] = real(0.25) * (
            near(numbers[FAR] * distance) + beside + real(2.0) * aligned * deep
        )
        inserted[i] = distance < numbers[INSERTED]
        left[i] = wp.length(p - row3(tool, i, 0)) > numbers[LEAVES]

    return measure
