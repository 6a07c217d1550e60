"""A scene as triangle meshes and their places in N worlds, for whatever draws it.

Boxes, cylinders and spheres of any size are one mesh each, scaled per place; a capsule is a
cylinder with two spheres. So a scene of an arm is a handful of meshes, and a page that draws each
of them at many places at once shows many worlds.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import mujoco
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sim2arm.core.transforms import quat_mul, quat_to_matrix, quat_z_axis

from .mesh_shapes import Triangles, box, cylinder, plane, sphere, triangles_of_mesh
from .worlds.base import World
from .worlds.pictures import VISIBLE_GROUPS

FloatArray: TypeAlias = npt.NDArray[np.float32]
Part: TypeAlias = tuple[str, int, int]
"""Mesh, geom, and how many half lengths it is shifted along the geom's z axis."""

DEFAULT_RGBA = (0.5, 0.5, 0.5, 1.0)
"""Colour of a geom that has none: its material's shows (MuJoCo's rule)."""
INFINITE = 20.0
"""Half size at which a plane without an end is drawn [m]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Form:
    """One mesh that is drawn K times in each world."""

    name: str
    triangles: Triangles
    geoms: tuple[int, ...]
    """The geom of each place, (K,)."""
    moving: bool
    """Whether places change during an episode."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Where a form is drawn."""

    positions: FloatArray
    """(N, K, 3), in the frame of each world [m]."""
    turns: FloatArray
    """(N, K, 4), unit quaternions wxyz."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Looks:
    """How large and in which colour a form is drawn; the same throughout an episode."""

    scales: FloatArray
    """(N, K, 3)"""
    colors: npt.NDArray[np.uint8]
    """(N, K, 3), sRGB."""
    opacities: FloatArray
    """(N, K), in (0, 1]."""


class SceneView:
    """The visible geoms (groups 0-2) of all worlds of a scene on one of MuJoCo's engines.

    Attributes:
        forms: the meshes; `places` and `looks` are in the same order.
        ground: height of the floor, a level plane of the world body that `forms` leave out,
            because worlds beside each other share it [m]; None where there is none.
    """

    def __init__(self, world: World) -> None:
        """Sort the geoms of the scene.

        Raises:
            ValueError: a visible geom is of a type that is not drawn.
        """
        self.world, self.model = world, model_of(world)
        parts: dict[tuple[str, bool], list[Part]] = {}
        self.ground: float | None = None
        for geom in visible_geoms(self.model):
            if _is_ground(self.model, geom):
                self.ground = float(self.model.geom_pos[geom, 2])
                continue
            moving = _moves(self.model, int(self.model.geom_bodyid[geom]))
            for part in _parts(self.model, geom):
                parts.setdefault((part[0], moving), []).append(part)
        self.forms = tuple(
            Form(
                name=f"{name}/{'moving' if moving else 'still'}",
                triangles=_triangles(self.model, name),
                geoms=tuple(geom for _, geom, _ in found),
                moving=moving,
            )
            for (name, moving), found in parts.items()
        )
        self._parts = list(parts.values())
        device = world.device
        self._geoms = [torch.tensor(form.geoms, device=device) for form in self.forms]
        self._bodies = [
            torch.tensor(self.model.geom_bodyid[list(form.geoms)], device=device)
            for form in self.forms
        ]
        self._shifts = [
            torch.tensor([shift for _, _, shift in found], device=device) for found in self._parts
        ]

    def places(self, *, moving_only: bool = False) -> list[Places | None]:
        """Return where each form is now; None for those that stand still, if they are left out."""
        centre, body_turn = read(self.world, "geom_xpos"), read(self.world, "xquat")
        turn, size = parameter(self.world, "geom_quat"), parameter(self.world, "geom_size")
        found: list[Places | None] = []
        for i, form in enumerate(self.forms):
            if moving_only and not form.moving:
                found.append(None)
                continue
            geoms, n = self._geoms[i], self.world.num_worlds
            turns = quat_mul(body_turn[:, self._bodies[i]], turn[:, geoms].expand(n, -1, -1))
            along = (self._shifts[i] * size[:, geoms, 1])[..., None]
            positions = centre[:, geoms] + along * quat_z_axis(turns)
            found.append(Places(positions=_host(positions), turns=_host(turns)))
        return found

    def looks(self) -> list[Looks]:
        """Return sizes and colours of each form, per world where they are randomised."""
        size, rgba = _numbers(self.world, "geom_size"), _colors(self.world, self.model)
        n = self.world.num_worlds
        found: list[Looks] = []
        for form, parts in zip(self.forms, self._parts, strict=True):
            color = np.broadcast_to(rgba[:, list(form.geoms)], (n, len(parts), 4))
            kinds = [int(self.model.geom_type[geom]) for geom in form.geoms]
            scales = [
                _scale(kind, mesh, size[:, geom])
                for kind, (mesh, geom, _) in zip(kinds, parts, strict=True)
            ]
            found.append(
                Looks(
                    scales=np.broadcast_to(np.stack(scales, axis=1), (n, len(parts), 3)).copy(),
                    colors=(255.0 * np.clip(color[..., :3], 0.0, 1.0) + 0.5).astype(np.uint8),
                    opacities=color[..., 3].astype(np.float32),
                )
            )
        return found

    def bounds(self) -> FloatArray:
        """Return the lowest and the highest corner (2, 3) of what is seen of the worlds now [m]."""
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        for form, place, look in zip(self.forms, self.places(), self.looks(), strict=True):
            assert place is not None
            vertices = form.triangles.vertices
            ends = np.stack([vertices.min(axis=0), vertices.max(axis=0)])
            corners = np.array(list(product(*ends.T)), dtype=np.float32)  # (8, 3)
            local = corners * look.scales[:, :, None]  # (N, K, 8, 3)
            points = local @ np.swapaxes(quat_to_matrix(place.turns), -1, -2)
            points += place.positions[:, :, None]
            low = np.minimum(low, points.min(axis=(0, 1, 2)))
            high = np.maximum(high, points.max(axis=(0, 1, 2)))
        return np.stack([low, high]).astype(np.float32)


def model_of(world: World) -> Any:
    """Return the `mujoco.MjModel` of a world on one of MuJoCo's engines.

    Raises:
        TypeError: the world is of another kind, whose scene is not known here.
    """
    model = getattr(world, "model", None)
    if not isinstance(model, mujoco.MjModel) or not hasattr(world, "read"):
        raise TypeError(
            f"expected a world of MuJoCo's C engine or of MuJoCo Warp, got {type(world).__name__}"
        )
    return model


def read(world: World, name: str) -> Tensor:
    """Return a derived field of the engine, (N, ...), at the present state."""
    return world.read(name)  # type: ignore[attr-defined]  # both engines have it


def parameter(world: World, name: str) -> Tensor:
    """Return the values of a model field without giving it values per world, (1 or N, ...)."""
    batch = getattr(world, "batch", None)
    if batch is not None:
        values = batch.expanded(name)
        return torch.from_numpy(
            np.array(getattr(model_of(world), name)[None] if values is None else values)
        )
    import warp

    return warp.to_torch(getattr(world.physics, name))  # type: ignore[attr-defined]


def visible_geoms(model: Any) -> list[int]:
    """Return the geoms that pictures show."""
    rgba = _material_rule(model.geom_rgba[None], model.mat_rgba[None], model.geom_matid)[0]
    groups = np.isin(model.geom_group, VISIBLE_GROUPS)
    return [int(geom) for geom in np.flatnonzero(groups & (rgba[:, 3] > 0.0))]


def _is_ground(model: Any, geom: int) -> bool:
    level = np.allclose(model.geom_quat[geom], (1.0, 0.0, 0.0, 0.0))
    plane_type = int(model.geom_type[geom]) == int(mujoco.mjtGeom.mjGEOM_PLANE)
    return bool(plane_type and level and model.geom_bodyid[geom] == 0)


def _moves(model: Any, body: int) -> bool:
    """Return whether a body moves: a joint or a mocap body lies between it and the world."""
    root = int(model.body_weldid[body])
    return root != 0 or bool(model.body_mocapid[model.body_rootid[body]] >= 0)


def _parts(model: Any, geom: int) -> list[Part]:
    kinds = mujoco.mjtGeom
    kind = int(model.geom_type[geom])
    if kind == int(kinds.mjGEOM_CAPSULE):
        return [("cylinder", geom, 0), ("sphere", geom, 1), ("sphere", geom, -1)]
    if kind in (int(kinds.mjGEOM_MESH), int(kinds.mjGEOM_SDF)):
        return [(f"mesh {model.mesh(int(model.geom_dataid[geom])).name}", geom, 0)]
    primitives = {
        int(kinds.mjGEOM_PLANE): "plane",
        int(kinds.mjGEOM_BOX): "box",
        int(kinds.mjGEOM_CYLINDER): "cylinder",
        int(kinds.mjGEOM_SPHERE): "sphere",
        int(kinds.mjGEOM_ELLIPSOID): "sphere",
    }
    if kind not in primitives:
        name = model.geom(geom).name or f"number {geom}"
        raise ValueError(
            f"geom {name!r} of type {kinds(kind).name} is not drawn: expected a plane, box, "
            "cylinder, sphere, capsule, ellipsoid or mesh; put it into group 3 to hide it"
        )
    return [(primitives[kind], geom, 0)]


def _triangles(model: Any, name: str) -> Triangles:
    shapes = {"plane": plane, "box": box, "cylinder": cylinder, "sphere": sphere}
    if name in shapes:
        return shapes[name]()
    return triangles_of_mesh(model, name.removeprefix("mesh "))


def _scale(kind: int, mesh: str, size: FloatArray) -> FloatArray:
    """Return the scale (N or 1, 3) of a part of a geom with the given sizes (N or 1, 3)."""
    radius = size[:, :1]
    if mesh == "plane":
        return np.concatenate(
            [np.where(size[:, :2] > 0.0, size[:, :2], INFINITE), np.ones_like(radius)], axis=-1
        )
    if mesh == "cylinder":
        return np.concatenate([radius, radius, size[:, 1:2]], axis=-1)
    if mesh == "box" or kind == int(mujoco.mjtGeom.mjGEOM_ELLIPSOID):
        return size
    if mesh == "sphere":
        return np.repeat(radius, 3, axis=-1)
    return np.ones_like(size)  # vertices of a mesh are in metres


def _colors(world: World, model: Any) -> FloatArray:
    """Return the colours of all geoms (N or 1, ngeom, 4)."""
    matid = _numbers(world, "geom_matid").astype(np.int64)
    return _material_rule(_numbers(world, "geom_rgba"), _numbers(world, "mat_rgba"), matid)


def _material_rule(rgba: Any, materials: Any, matid: Any) -> FloatArray:
    """Return the colours that show: a geom's own, or its material's where it has none."""
    rgba, materials = np.asarray(rgba), np.asarray(materials)
    matid = np.atleast_2d(matid)
    if materials.shape[1] == 0:
        return rgba.astype(np.float32)
    n = max(len(rgba), len(materials), len(matid))
    index = np.broadcast_to(np.maximum(matid, 0), (n, matid.shape[1]))[..., None]
    of_material = np.take_along_axis(
        np.broadcast_to(materials, (n, *materials.shape[1:])), np.repeat(index, 4, -1), axis=1
    )
    plain = (rgba == np.array(DEFAULT_RGBA, dtype=np.float32)).all(axis=-1, keepdims=True)
    return np.where(plain & (matid >= 0)[..., None], of_material, rgba).astype(np.float32)


def _numbers(world: World, name: str) -> npt.NDArray[Any]:
    return parameter(world, name).cpu().numpy()


def _host(values: Tensor) -> FloatArray:
    return values.to(torch.float32).cpu().numpy()
