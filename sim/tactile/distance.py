"""Signed distances of objects as grids, built once for a shape and kept on disk by content.

A grid encloses its object with a margin; between its nodes the distance is trilinear. The error is
about `spacing^2 / (8 R)` on a surface of radius R (0.3 mm cells on a peg of 16 mm: 1.4 um), and
sharp edges are rounded by about a third of a cell.
"""

# MuJoCo's extension modules have no stubs; Warp's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import torch
import warp as wp
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from sim2arm.core.transforms import quat_to_matrix
from sim2arm.sim.warp_device import warp_device
from sim2arm.sim.worlds.law import LawError

from .distance_kernels import Shape, mesh_distance

SPACING = 3e-4
"""Size of a cell [m] unless asked otherwise: about four pixels of a GelSight."""
MARGIN = 1.5e-3
"""How far a grid reaches beyond its object [m]."""
MOST_NODES = 40_000_000
"""Largest grid, 160 MB."""
VERSION = 1
"""Rises when grids of the same shape would come out otherwise."""


@dataclass(frozen=True, eq=False)
class DistanceGrid:
    """Signed distances of one object, negative inside, in the object's frame."""

    values: npt.NDArray[np.float32]
    """(nx, ny, nz) [m]"""
    origin: npt.NDArray[np.float64]
    """Position of the first node, (3,) [m]."""
    spacing: float
    """Distance of the nodes [m]."""

    def at(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the distance [m] at points (..., 3), as the kernels do but in double precision."""
        place = (points - self.origin) / self.spacing
        top = np.array(self.values.shape) - 1.0
        inside = np.clip(place, 0.0, top)
        low = np.minimum(inside.astype(int), self.values.shape - np.array(2))
        share = inside - low
        found = np.zeros(points.shape[:-1])
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(corner, share, 1.0 - share), axis=-1)
            i, j, k = np.moveaxis(low + np.array(corner), -1, 0)
            found += weight * self.values[i, j, k]
        beyond = self.spacing * np.linalg.norm(place - inside, axis=-1)
        return np.where(beyond > 0.0, np.hypot(found, beyond), found)


def of_geoms(
    model: mujoco.MjModel, geoms: Sequence[int], *, spacing: float = SPACING
) -> DistanceGrid:
    """Return the distances of the union of geoms of one body, in the body's frame.

    Args:
        model: of the scene.
        geoms: numbers of geoms: spheres, capsules, cylinders, boxes, convex or other meshes.
        spacing: of the nodes [m].

    Raises:
        LawError: no geom, one of another type, a mesh without an inside, or too large a grid.
    """
    if not geoms:
        raise LawError("geoms: expected at least one")
    parts = [_part(model, geom) for geom in geoms]
    low = np.min([part.low for part in parts], axis=0) - MARGIN
    high = np.max([part.high for part in parts], axis=0) + MARGIN
    size = np.ceil((high - low) / spacing).astype(int) + 1
    if np.prod(size, dtype=float) > MOST_NODES:
        names = ", ".join(model.geom(geom).name or str(geom) for geom in geoms)
        raise LawError(
            f"spacing: {spacing:g} m needs {size} nodes for {names}: choose a larger one"
        )
    key = _key(parts, spacing)
    return _cached(key, lambda: _build(parts, low, size, spacing))


@dataclass(frozen=True, eq=False)
class Atlas:
    """The grids of several objects on one device, as kernels take them."""

    values: Any
    """All nodes, one after another, array of float."""
    shapes: Any
    """(K,) array of `Shape`."""


def make_atlas(grids: Sequence[DistanceGrid], device: torch.device) -> Atlas:
    """Put grids on a device."""
    shapes: list[Any] = []
    start = 0
    for grid in grids:
        shape = Shape()
        shape.start = start
        shape.nx, shape.ny, shape.nz = grid.values.shape
        shape.origin, shape.inverse = wp.vec3(*grid.origin), 1.0 / grid.spacing
        shapes.append(shape)
        start += grid.values.size
    values = np.concatenate([grid.values.ravel() for grid in grids])
    place = warp_device(device)
    return Atlas(
        values=wp.array(values, dtype=float, device=place),
        shapes=wp.array(shapes, dtype=Shape, device=place),
    )


# -- building --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Part:
    """One geom: numbers that say what it is, its box, and its distance at points (M, 3)."""

    content: bytes
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    distance: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] | None
    mesh: tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]] | None


def _part(model: mujoco.MjModel, geom: int) -> _Part:
    kind, size = int(model.geom_type[geom]), model.geom_size[geom].astype(float)
    place, turn = model.geom_pos[geom].astype(float), quat_to_matrix(model.geom_quat[geom])
    types = mujoco.mjtGeom
    if kind == int(types.mjGEOM_MESH):
        vertices, faces = _mesh(model, int(model.geom_dataid[geom]))
        if lone := _lone_edges(vertices, faces):
            raise LawError(
                f"geom {model.geom(geom).name or geom!r}: expected a closed mesh whose faces all "
                f"look outwards, got one with {lone} edges that no neighbour shares: inside and "
                "outside are not known; close it, or use a primitive"
            )
        vertices = (vertices @ turn.T + place).astype(np.float32)
        content = vertices.tobytes() + faces.tobytes()
        return _Part(content, vertices.min(axis=0), vertices.max(axis=0), None, (vertices, faces))
    if kind not in _PRIMITIVES:
        known = ", ".join(
            sorted(types(k).name.removeprefix("mjGEOM_").lower() for k in _PRIMITIVES)
        )
        raise LawError(
            f"geom {model.geom(geom).name!r}: no signed distance for its type "
            f"{types(kind).name.removeprefix('mjGEOM_').lower()}; expected mesh, {known}"
        )
    function, half = _PRIMITIVES[kind]
    extent = np.abs(turn) @ half(size)
    content = np.concatenate([[kind], size, place, turn.ravel()]).tobytes()

    def distance(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return function((points - place) @ turn, size)

    return _Part(content, place - extent, place + extent, distance, None)


def _type_name(kind: int) -> str:
    return mujoco.mjtGeom(kind).name.removeprefix("mjGEOM_").lower()


def _mesh(
    model: mujoco.MjModel, mesh: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
    start, faces = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
    return (
        np.array(model.mesh_vert[first : first + count], dtype=np.float32),
        np.array(model.mesh_face[start : start + faces], dtype=np.int32),
    )


def _lone_edges(vertices: npt.NDArray[np.float32], faces: npt.NDArray[np.int32]) -> int:
    """Return how many edges have no face that runs along them the other way.

    Vertices at the same place are one.
    """
    same = np.unique(vertices, axis=0, return_inverse=True)[1].reshape(-1)
    corners = same[faces].astype(np.int64)
    start, end = corners.ravel(), np.roll(corners, -1, axis=1).ravel()
    edges, which = np.unique(
        np.minimum(start, end) * len(vertices) + np.maximum(start, end), return_inverse=True
    )
    balance = np.bincount(which.reshape(-1), weights=np.sign(end - start), minlength=len(edges))
    return int(np.count_nonzero(balance))


def _of_box(points: npt.NDArray[np.float64], half: npt.NDArray[np.float64]) -> Any:
    away = np.abs(points) - half
    outside = np.linalg.norm(np.maximum(away, 0.0), axis=-1)
    return outside + np.minimum(away.max(axis=-1), 0.0)


def _of_sphere(points: npt.NDArray[np.float64], size: npt.NDArray[np.float64]) -> Any:
    return np.linalg.norm(points, axis=-1) - size[0]


def _of_cylinder(points: npt.NDArray[np.float64], size: npt.NDArray[np.float64]) -> Any:
    flat = np.stack([np.hypot(points[..., 0], points[..., 1]), points[..., 2]], axis=-1)
    return _of_box(flat, size[:2])


def _extent_of_capsule(size: npt.NDArray[np.float64]) -> Any:
    return np.array([size[0], size[0], size[0] + size[1]])


def _of_capsule(points: npt.NDArray[np.float64], size: npt.NDArray[np.float64]) -> Any:
    along = np.clip(points[..., 2], -size[1], size[1])
    away = points.copy()
    away[..., 2] -= along
    return np.linalg.norm(away, axis=-1) - size[0]


_PRIMITIVES: dict[int, tuple[Any, Any]] = {
    int(mujoco.mjtGeom.mjGEOM_BOX): (_of_box, lambda s: s),
    int(mujoco.mjtGeom.mjGEOM_SPHERE): (_of_sphere, lambda s: np.full(3, s[0])),
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): (_of_cylinder, lambda s: s[[0, 0, 1]]),
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): (
        _of_capsule,
        lambda s: np.array([s[0], s[0], s[0] + s[1]]),
    ),
}
"""Of each type of geom the distance, and half of its extent."""


def _build(
    parts: Sequence[_Part], low: npt.NDArray[np.float64], size: npt.NDArray[Any], spacing: float
) -> DistanceGrid:
    axes = [low[i] + spacing * np.arange(size[i]) for i in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    values = np.full(len(points), np.inf)
    for part in parts:
        found = part.distance(points) if part.distance else _of_mesh(part.mesh, low, size, spacing)
        values = np.minimum(values, found)
    return DistanceGrid(values.astype(np.float32).reshape(size), low, spacing)


def _of_mesh(
    mesh: Any, low: npt.NDArray[np.float64], size: npt.NDArray[Any], spacing: float
) -> npt.NDArray[np.float64]:
    device = warp_device(torch.device("cpu"))
    vertices, faces = mesh
    values = wp.empty(int(np.prod(size)), dtype=float, device=device)
    body = wp.Mesh(
        points=wp.array(vertices, dtype=wp.vec3, device=device),
        indices=wp.array(faces.ravel(), dtype=int, device=device),
        support_winding_number=True,
    )
    reach = float(np.linalg.norm(size * spacing))
    wp.launch(
        mesh_distance,
        dim=values.size,
        inputs=[body.id, wp.vec3(*low), spacing, *(int(n) for n in size), reach],
        outputs=[values],
        device=device,
    )
    return values.numpy().astype(float)


# -- kept on disk ----------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return where grids are kept: `sim2arm/distances` in XDG_CACHE_HOME or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "sim2arm" / "distances"


def _key(parts: Sequence[_Part], spacing: float) -> str:
    found = hashlib.sha256(f"{VERSION} {spacing!r} {MARGIN!r}".encode())
    for part in parts:
        found.update(part.content)
    return found.hexdigest()


def _cached(key: str, build: Callable[[], DistanceGrid]) -> DistanceGrid:
    """Return a grid of the disk, or build and keep it; a damaged file is built again."""
    path = cache_folder() / f"{key}.safetensors"
    if path.is_file():
        try:
            found = load_file(path)
            return DistanceGrid(found["values"], found["origin"], float(found["spacing"][0]))
        except (SafetensorError, OSError, KeyError):
            path.unlink(missing_ok=True)
    grid = build()
    tensors = {"values": grid.values, "origin": grid.origin, "spacing": np.array([grid.spacing])}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(dir=path.parent, suffix=".part")
        os.close(handle)
        save_file(tensors, fresh)
        Path(fresh).replace(path)  # appears whole: others may build the same
    except OSError:
        pass  # nothing is kept where nothing can be written; the grid is as good
    return grid
