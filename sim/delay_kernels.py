"""Late, lost and delayed commands of a control period as one Warp kernel, for N worlds.

It changes the controls that `command_kernels.plan` has written, in worlds where something is late.
The cubic on which a controller joins a motion is that of the motion plus the cubic of the offset:
it leads from the difference of both states, where the controller takes over, to none at the end.
"""

# Closures of Warp need annotations that are objects: no `from __future__ import annotations`.

from functools import cache
from typing import Any

import warp as wp

PERIOD, RAMP, LONGEST = range(3)
"""Places of the times in `cfg` [s]: of control, of the ramp of a stop, of the longest braking."""


@cache
def make_kernel(real: Any, n: int) -> Any:
    """Return the kernel `deliver` for arms of n joints, computed in `real`."""
    vec2, vec3 = wp.types.vector(2, real), wp.types.vector(3, real)

    @wp.func
    def go(x: vec3, jerk: real, t: real):
        """Return position, velocity and acceleration after t of constant jerk."""
        a = x[2] + t * jerk
        v = x[1] + t * (x[2] + real(0.5) * t * jerk)
        q = x[0] + t * (x[1] + t * (real(0.5) * x[2] + t * jerk / real(6.0)))
        return vec3(q, v, a)

    @wp.func
    def braking(world: int, end: wp.array3d[real], ddq_max: wp.array[real], cfg: wp.array[real]):
        """Return the time of constant braking after the coast, that of the slowest joint."""
        longest = real(0.0)
        for i in range(n):
            v = end[world, 1, i] + real(0.5) * cfg[PERIOD] * end[world, 2, i]
            longest = wp.max(longest, wp.abs(v) / ddq_max[i])
        return wp.min(wp.max(longest - cfg[RAMP], cfg[RAMP]), cfg[LONGEST])

    @wp.func
    def run_out(
        world: int, i: int, end: wp.array3d[real], brake: real, cfg: wp.array[real], t: real
    ):
        """Return position and velocity t after the end of a motion: coast, stop, rest."""
        dt = cfg[PERIOD]
        ramp = cfg[RAMP]
        x = vec3(end[world, 0, i], end[world, 1, i], end[world, 2, i])
        left = t
        x = go(x, -x[2] / dt, wp.min(left, dt))
        left = left - dt
        if left > real(0.0):
            p = -x[1] / (ramp + brake)
            x = go(vec3(x[0], x[1], real(0.0)), p / ramp, wp.min(left, ramp))
            left = left - ramp
            if left > real(0.0):
                x = go(vec3(x[0], x[1], p), real(0.0), wp.min(left, brake))
                left = left - brake
                if left > real(0.0):
                    x = go(vec3(x[0], x[1], p), -p / ramp, wp.min(left, ramp))
        return vec2(x[0], x[1])

    @wp.kernel(enable_backward=False, module="unique")
    def deliver(
        asked: wp.array3d[real],
        leading: wp.array[wp.bool],
        lead: wp.array2d[real],
        late: wp.array[wp.int32],
        delay: wp.array[wp.int32],
        ddq_max: wp.array[real],
        cfg: wp.array[real],
        column: int,
        count: wp.array[wp.int32],
        before: wp.array3d[real],
        end: wp.array3d[real],
        since: wp.array[real],
        rest: wp.array2d[real],
        past: wp.array3d[real],
        controls: wp.array3d[real],
    ):
        world = wp.tid()
        substeps = controls.shape[1]
        dt = cfg[PERIOD]
        if count[world] == 0:  # at rest where the first motion begins
            since[world] = real(0.0)
            for i in range(n):
                q = asked[world, 0, i]
                rest[world, i] = q
                before[world, 0, i] = q
                end[world, 0, i] = q
                for k in range(1, 3):
                    end[world, k, i] = real(0.0)
                for k in range(1, 4):
                    before[world, k, i] = real(0.0)
        waited = late[world]
        ago = since[world]
        disturbed = waited > 0 or ago > real(0.0)
        brake = real(0.0)
        if disturbed:
            brake = braking(world, end, ddq_max, cfg)
        joins = dt * real(waited) / real(substeps)
        for i in range(n):
            motion = vec3()
            jerk = real(0.0)
            if leading[world]:
                motion = vec3(before[world, 0, i], before[world, 1, i], before[world, 2, i])
                jerk = before[world, 3, i]
            else:
                motion = vec3(asked[world, 0, i], asked[world, 1, i], asked[world, 2, i])
                jerk = asked[world, 3, i]
            for k in range(4):
                before[world, k, i] = asked[world, k, i]
            if disturbed:
                old = run_out(world, i, end, brake, cfg, ago + joins)
                new = go(motion, jerk, joins)
                dq = old[0] - new[0]
                dv = old[1] - new[1]
                left = dt - joins
                for s in range(substeps):
                    t = dt * real(s + 1) / real(substeps)
                    q = real(0.0)
                    v = real(0.0)
                    if s < waited:
                        run = run_out(world, i, end, brake, cfg, ago + t)
                        q = run[0]
                        v = run[1]
                    else:
                        x = go(motion, jerk, t)
                        u = (t - joins) / left
                        w = real(1.0) - u
                        q = x[0] + w * w * ((real(1.0) + real(2.0) * u) * dq + left * u * dv)
                        v = x[1] + w * (
                            (real(1.0) - real(3.0) * u) * dv - real(6.0) * u * dq / left
                        )
                    controls[world, s, column + i] = q + lead[world, i] * v
            if waited < substeps:
                reached = go(motion, jerk, dt)
                for k in range(3):
                    end[world, k, i] = reached[k]
            first = count[world] * substeps
            length = past.shape[1]
            for s in range(substeps):
                past[world, (first + s) % length, i] = controls[world, s, column + i]
            for s in range(substeps):
                shown = first + s - delay[world]
                if shown < 0:
                    controls[world, s, column + i] = rest[world, i]
                else:
                    controls[world, s, column + i] = past[world, shown % length, i]
        if waited < substeps:
            since[world] = real(0.0)
        else:
            since[world] = ago + dt
        count[world] = count[world] + 1

    return deliver
