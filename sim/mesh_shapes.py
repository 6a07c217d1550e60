"""Triangle meshes of the shapes that scenes are made of, with sharp edges where they have some.

A drawing program smooths between triangles that share a vertex, so vertices are doubled at edges.
Faces are wound so that their normals point outwards.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

SEGMENTS = 32
"""Corners of the circle that stands for a round cross-section."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Triangles:
    """A triangle mesh."""

    vertices: npt.NDArray[np.float32]
    """(V, 3) [m]"""
    faces: npt.NDArray[np.uint32]
    """(F, 3), counted anticlockwise from outside."""


def plane() -> Triangles:
    """Return the square with half sides 1 in x and y that looks up."""
    corners = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], dtype=np.float32)
    return Triangles(vertices=corners, faces=np.array([(0, 1, 2), (0, 2, 3)], dtype=np.uint32))


def box() -> Triangles:
    """Return the cube with half sides 1."""
    square, up = plane(), np.array((0.0, 0.0, 1.0))
    sides: list[Triangles] = []
    for axis, sign in product(range(3), (1.0, -1.0)):
        # The square lifted to z = 1 and turned: an even permutation of the axes is a rotation,
        # and so is a change of two signs.
        corners = np.roll(square.vertices + up, axis + 1, axis=1)
        corners[:, (axis, (axis + 1) % 3)] *= sign
        sides.append(Triangles(vertices=corners.astype(np.float32), faces=square.faces))
    return _joined(sides)


def cylinder() -> Triangles:
    """Return the cylinder of radius 1 around z from -1 to 1."""
    angles = np.arange(SEGMENTS) * (2.0 * np.pi / SEGMENTS)
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=-1)
    up = np.array((0.0, 0.0, 1.0))
    low, high = ring - up, ring + up
    here = np.arange(SEGMENTS)
    there = (here + 1) % SEGMENTS
    side = np.concatenate(
        [
            np.stack([here, there, there + SEGMENTS], axis=-1),
            np.stack([here, there + SEGMENTS, here + SEGMENTS], axis=-1),
        ]
    )
    fan = np.stack([np.zeros(SEGMENTS - 2, dtype=int), here[1:-1], here[2:]], axis=-1)
    return _joined(
        [
            _triangles(np.concatenate([low, high]), side),
            _triangles(high, fan),
            _triangles(low, fan[:, ::-1]),
        ]
    )


def sphere() -> Triangles:
    """Return the sphere of radius 1."""
    rows = SEGMENTS // 2
    tilt = np.linspace(0.0, np.pi, rows + 1)[1:-1]
    turn = np.arange(SEGMENTS) * (2.0 * np.pi / SEGMENTS)
    body = np.stack(
        [
            np.sin(tilt)[:, None] * np.cos(turn),
            np.sin(tilt)[:, None] * np.sin(turn),
            np.broadcast_to(np.cos(tilt)[:, None], (rows - 1, SEGMENTS)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    vertices = np.concatenate([body, [(0.0, 0.0, 1.0), (0.0, 0.0, -1.0)]])
    here = np.arange(SEGMENTS)
    there = (here + 1) % SEGMENTS
    top, bottom = len(body), len(body) + 1
    faces = [np.stack([np.full(SEGMENTS, top), here, there], axis=-1)]
    for row in range(rows - 2):
        above, below = SEGMENTS * row, SEGMENTS * (row + 1)
        faces += [
            np.stack([above + here, below + here, below + there], axis=-1),
            np.stack([above + here, below + there, above + there], axis=-1),
        ]
    last = SEGMENTS * (rows - 2)
    faces.append(np.stack([last + here, np.full(SEGMENTS, bottom), last + there], axis=-1))
    return _triangles(vertices, np.concatenate(faces))


def triangles_of_mesh(model: Any, name: str) -> Triangles:
    """Return a mesh of a model in the frame of its geoms.

    A vertex is doubled where the model gives it several normals, which keeps its sharp edges.
    """
    mesh = model.mesh(name)
    vertex = slice(int(mesh.vertadr[0]), int(mesh.vertadr[0] + mesh.vertnum[0]))
    face = slice(int(mesh.faceadr[0]), int(mesh.faceadr[0] + mesh.facenum[0]))
    corners, normals = model.mesh_face[face], model.mesh_facenormal[face]
    pairs, faces = np.unique(
        np.stack([corners.ravel(), normals.ravel()], axis=-1), axis=0, return_inverse=True
    )
    return _triangles(model.mesh_vert[vertex][pairs[:, 0]], faces.reshape(-1, 3))


def _triangles(vertices: npt.NDArray[Any], faces: npt.NDArray[Any]) -> Triangles:
    return Triangles(vertices=vertices.astype(np.float32), faces=faces.astype(np.uint32))


def _joined(parts: list[Triangles]) -> Triangles:
    """Return several meshes as one."""
    first = np.cumsum([0, *(len(part.vertices) for part in parts)])
    return _triangles(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, first, strict=False)]),
    )
