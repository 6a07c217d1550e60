"""Between the bodies of an engine and gels, as Warp kernels in the precision of the engine."""

# Closures of Warp need annotations that are objects: no `from __future__ import annotations`.
# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false
# What a loop of Warp changes must not begin as a plain constant.

from functools import cache
from types import SimpleNamespace
from typing import Any

import warp as wp

from sim2arm.sim.chain_kernels import warp_math

from .distance_kernels import Shape, cells, distance

SHARE = 0.5
"""Share of what else pushes an object that is believed at once, the rest as before (ours): an
impact lasts one substep, and a load that stays is known after a few."""


@cache
def coupling_kernels(real: Any) -> SimpleNamespace:
    """Return `relate`, `solve` and `hand_over`, and the struct `Scene` that they take."""
    m = warp_math(real)
    vec3, vec4 = m.vec3, m.vec4
    mat33, mat66, vec6 = (
        wp.types.matrix((3, 3), real), wp.types.matrix((6, 6), real), wp.types.vector(6, real)
    )  # fmt: skip
    quat_mul, quat_conjugate, quat_rotate = m.quat_mul, m.quat_conjugate, m.quat_rotate

    @wp.struct
    class Scene:
        """Bodies of N worlds, and which of them are gels (G places on fingers) or objects (K)."""

        positions: wp.array3d[real]
        rotations: wp.array3d[real]
        centres: wp.array3d[real]
        velocity: wp.array2d[real]
        mass: wp.array2d[real]
        inertia: wp.array3d[real]
        axes: wp.array3d[real]
        fingers: wp.array[int]
        places: wp.array2d[real]
        objects: wp.array[int]
        dofs: wp.array[int]
        """Where the free joint of an object begins in `velocity`; -1 for what does not move so."""

    @wp.func
    def three(values: wp.array3d[real], i: int, j: int):
        return vec3(values[i, j, 0], values[i, j, 1], values[i, j, 2])

    @wp.func
    def four(values: wp.array3d[real], i: int, j: int):
        return vec4(values[i, j, 0], values[i, j, 1], values[i, j, 2], values[i, j, 3])

    @wp.func
    def origin(s: Scene, world: int, gel: int):
        q = four(s.rotations, world, s.fingers[gel])
        p = vec3(s.places[gel, 0], s.places[gel, 1], s.places[gel, 2])
        return three(s.positions, world, s.fingers[gel]) + quat_rotate(q, p)

    @wp.func
    def frame(s: Scene, world: int, gel: int):
        place = vec4(s.places[gel, 3], s.places[gel, 4], s.places[gel, 5], s.places[gel, 6])
        return quat_mul(four(s.rotations, world, s.fingers[gel]), place)

    @wp.func
    def up(v: wp.vec3):
        return vec3(real(v[0]), real(v[1]), real(v[2]))

    @wp.func
    def down(v: vec3):
        return wp.vec3(float(v[0]), float(v[1]), float(v[2]))

    @wp.func
    def matrix(q: vec4):
        x = quat_rotate(q, vec3(real(1.0), real(0.0), real(0.0)))
        y = quat_rotate(q, vec3(real(0.0), real(1.0), real(0.0)))
        z = quat_rotate(q, vec3(real(0.0), real(0.0), real(1.0)))
        return mat33(x[0], y[0], z[0], x[1], y[1], z[1], x[2], y[2], z[2])

    @wp.func
    def turned(R: mat33, M: wp.mat33):
        wide = mat33()
        for a in range(3):
            for b in range(3):
                wide[a, b] = real(M[a, b])
        return R * wide * wp.transpose(R)

    @wp.func
    def solved(A: mat66, b: vec6):
        """Solve A x = b, A symmetric and positive, by Cholesky's L L^T."""
        L = mat66()
        for i in range(6):
            for j in range(i + 1):
                s = A[i, j]
                for k in range(j):
                    s -= L[i, k] * L[j, k]
                if i == j:
                    L[i, i] = wp.sqrt(s)
                else:
                    L[i, j] = s / L[j, j]
        x = vec6()
        for i in range(6):
            s = b[i]
            for k in range(i):
                s -= L[i, k] * x[k]
            x[i] = s / L[i, i]
        for i in range(6):
            r = 5 - i
            s = x[r]
            for k in range(r + 1, 6):
                s -= L[k, r] * x[k]
            x[r] = s / L[r, r]
        return x

    @wp.kernel(enable_backward=False, module="unique")
    def relate(
        s: Scene,
        values: wp.array[float],
        shapes: wp.array[Shape],
        reach: float,
        poses: wp.array3d[float],
        near: wp.array2d[wp.bool],
    ):
        """Write the poses of objects in the frames of gels, and whether they come near."""
        i, k = wp.tid()
        world = i / s.fingers.shape[0]
        gel = i % s.fingers.shape[0]
        back = quat_conjugate(frame(s, world, gel))
        body = s.objects[k]
        at = quat_rotate(back, three(s.positions, world, body) - origin(s, world, gel))
        rotation = quat_mul(back, four(s.rotations, world, body))
        for n in range(3):
            poses[i, k, n] = float(at[n])
        for n in range(4):
            poses[i, k, 3 + n] = float(rotation[n])
        place = cells(shapes[k], poses[i, k], wp.vec3(0.0))
        near[i, k] = distance(values, shapes[k], place) < reach

    @wp.kernel(enable_backward=False, module="unique")
    def solve(
        s: Scene,
        step: float,
        sums: wp.array3d[wp.vec3],
        resists: wp.array3d[wp.mat33],
        wrenches: wp.array3d[real],
        known: wp.array2d[wp.bool],
        before: wp.array3d[real],
        outside: wp.array3d[real],
        changes: wp.array3d[wp.vec3],
    ):
        """Write how the velocities of objects will change, at each gel; a thread per object.

        `(M + h D) dv = h (f + e)`: f and D are the sums of `linearise`, e is what else pushes.

        Args:
            s: the bodies.
            step: length h of a substep.
            sums: (I, K, 2) on the gels, in their frames.
            resists: (I, K, 3) in their frames.
            wrenches: (N, nbody, 6) that acted in the last substep.
            known: (N, K) whether there was one in this episode.
            before: (N, K, 6) velocities then, linear at the centre of mass and angular.
            outside: (N, K, 6) what else pushes, force and torque about the centre of mass.
            changes: (I, K, 2), of the linear velocity at the gel's origin and the angular one.
        """
        world, k = wp.tid()
        gels = s.fingers.shape[0]
        dof = s.dofs[k]
        if dof < 0:
            for gel in range(gels):
                changes[world * gels + gel, k, 0] = wp.vec3(0.0)
                changes[world * gels + gel, k, 1] = wp.vec3(0.0)
            return
        h = real(step)
        body = s.objects[k]
        q = four(s.rotations, world, body)
        c = three(s.centres, world, body)
        v = vec3(s.velocity[world, dof], s.velocity[world, dof + 1], s.velocity[world, dof + 2])
        w = quat_rotate(q, vec3(
            s.velocity[world, dof + 3], s.velocity[world, dof + 4], s.velocity[world, dof + 5]
        ))  # fmt: skip
        v += wp.cross(w, c - three(s.positions, world, body))
        R = matrix(quat_mul(q, four(s.axes, world, body)))
        inertia = R * wp.diag(three(s.inertia, world, body)) * wp.transpose(R)
        mass = s.mass[world, body]
        gain = mass * (v - three(before, world, k)) / h
        spin = (
            inertia * (w - vec3(before[world, k, 3], before[world, k, 4], before[world, k, 5])) / h
        )
        for n in range(3):
            share = real(SHARE)
            if not known[world, k]:
                share = real(0.0)
            now = gain[n] - wrenches[world, body, n]
            outside[world, k, n] += share * (now - outside[world, k, n])
            now = spin[n] - wrenches[world, body, 3 + n]
            outside[world, k, 3 + n] += share * (now - outside[world, k, 3 + n])
            before[world, k, n] = v[n]
            before[world, k, 3 + n] = w[n]
        known[world, k] = True
        A = mat66()
        b = vec6()
        for n in range(3):
            A[n, n] = mass
            b[n] = h * outside[world, k, n]
            b[3 + n] = h * outside[world, k, 3 + n]
            for o in range(3):
                A[3 + n, 3 + o] = inertia[n, o]
        for gel in range(gels):
            i = world * gels + gel
            G = matrix(frame(s, world, gel))
            arm = origin(s, world, gel) - c
            P = wp.skew(arm)
            D = turned(G, resists[i, k, 0])
            E = turned(G, resists[i, k, 1])
            F = turned(G, resists[i, k, 2])
            linear = E - D * P
            angular = F - wp.transpose(E) * P + P * linear
            force = -(G * up(sums[i, k, 0]))
            torque = wp.cross(arm, force) - G * up(sums[i, k, 1])
            for n in range(3):
                b[n] += h * force[n]
                b[3 + n] += h * torque[n]
                for o in range(3):
                    A[n, o] += h * D[n, o]
                    A[n, 3 + o] += h * linear[n, o]
                    A[3 + o, n] += h * linear[n, o]
                    A[3 + n, 3 + o] += h * angular[n, o]
        x = solved(A, b)
        dv = vec3(x[0], x[1], x[2])
        dw = vec3(x[3], x[4], x[5])
        for gel in range(gels):
            i = world * gels + gel
            back = quat_conjugate(frame(s, world, gel))
            there = dv + wp.cross(dw, origin(s, world, gel) - c)
            changes[i, k, 0] = down(quat_rotate(back, there))
            changes[i, k, 1] = down(quat_rotate(back, dw))

    @wp.kernel(enable_backward=False, module="unique")
    def hand_over(
        s: Scene, bodies: wp.array[int], sums: wp.array3d[wp.vec3], wrenches: wp.array3d[real]
    ):
        """Write force and torque of all gels and objects on one body; a thread does one body."""
        world, b = wp.tid()
        body = bodies[b]
        centre = three(s.centres, world, body)
        force = vec3()
        torque = vec3()
        for gel in range(s.fingers.shape[0]):
            q = frame(s, world, gel)
            arm = origin(s, world, gel) - centre
            for k in range(s.objects.shape[0]):
                sign = real(0.0)
                if s.fingers[gel] == body:
                    sign = real(1.0)
                if s.objects[k] == body:
                    sign -= real(1.0)
                if sign != real(0.0):
                    i = world * s.fingers.shape[0] + gel
                    push = sign * quat_rotate(q, up(sums[i, k, 0]))
                    force += push
                    torque += sign * quat_rotate(q, up(sums[i, k, 1])) + wp.cross(arm, push)
        for n in range(3):
            wrenches[world, body, n] = force[n]
            wrenches[world, body, 3 + n] = torque[n]

    return SimpleNamespace(Scene=Scene, relate=relate, solve=solve, hand_over=hand_over)
