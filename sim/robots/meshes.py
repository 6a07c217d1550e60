"""Full-detail meshes instead of our primitives, from MuJoCo Menagerie: only seen, never touched.

The meshes are those of Menagerie's `franka_fr3` and `franka_emika_panda` (Apache-2.0), which the
package `mujoco-menagerie` (extra `meshes`) downloads at first use and keeps. The environment
variable MENAGERIE_ROOT names a local copy instead. Menagerie's FR3 has no hand: both arms get the
Panda's, which is the same.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from sim2arm.core.robots import Robot
from sim2arm.core.transforms import Array, pose, pose_between, quat_normalize, quat_to_rotvec

POSITION_TOLERANCE = 0.001
"""Largest difference of a body frame in Menagerie from ours [m]."""
ROTATION_TOLERANCE_DEG = 0.1

_PANDA = ("franka_emika_panda", "panda")
_ARM = {"panda": (*_PANDA, "link"), "fr3": ("franka_fr3", "fr3", "fr3_link")}
"""Model of Menagerie, its entry point, and what precedes the number of a link there."""
_HAND = {"hand": "hand", "leftfinger": "left_finger", "rightfinger": "right_finger"}

_MESH_FIELDS = ("scale", "refpos", "refquat", "inertia", "smoothnormal")
_MATERIAL_FIELDS = ("rgba", "emission", "specular", "shininess", "reflectance")


def use_meshes(spec: mujoco.MjSpec, robot: Robot) -> None:
    """Replace what is seen of a robot by full-detail meshes, except the pads.

    Collision shapes, inertias, joints and names stay, so that the motion is the same to the last
    bit.

    Args:
        spec: a scene with the robot from `add_robot`, changed in place.
        robot: `PANDA` or `FR3`.

    Raises:
        ModuleNotFoundError: the package mujoco-menagerie is not installed.
        OSError: Menagerie's model can be neither found nor downloaded, or is not complete.
        ValueError: the robot has no meshes, or Menagerie's bodies are not where ours are.
    """
    if robot.name not in _ARM:
        raise ValueError(f"robot {robot.name!r} has no meshes. Known: {sorted(_ARM)}")
    model, entry, link = _ARM[robot.name]
    links = {f"{robot.name}_link{i}": f"{link}{i}" for i in range(8)}
    hand = {f"{robot.name}_{ours}": theirs for ours, theirs in _HAND.items()}
    arm_source, hand_source = _read(model, entry), _read(*_PANDA)
    _check_frames(spec, arm_source, links)
    _check_frames(spec, hand_source, {f"{robot.name}_link7": "link7"} | hand)
    for body in links | hand:
        for geom in spec.body(body).geoms:
            if geom.group == 2 and not geom.name.endswith("pad"):
                spec.delete(geom)
    _copy_visuals(spec, arm_source, links, f"{robot.name}_arm")
    _copy_visuals(spec, hand_source, hand, f"{robot.name}_hand")


@dataclass(frozen=True)
class _Source:
    """A model of Menagerie: its file, content, and where things are with all joints at 0."""

    path: Path
    spec: mujoco.MjSpec
    data: mujoco.MjData
    visuals: dict[str, list[tuple[Any, Array]]]
    """By body: the geoms that are meshes and seen, with their pose (7,) in the body."""

    def body_pose(self, name: str) -> Array:
        """Return the pose (7,) of a body in the world."""
        if self.spec.body(name) is None:
            known = [body.name for body in self.spec.bodies]
            raise ValueError(f"{self.path}: body {name!r} is not in the model. Known: {known}")
        body = self.data.body(name)
        return pose(body.xpos, body.xquat)


def _read(name: str, entry: str) -> _Source:
    """Read a model; small spheres stand for its meshes where it is compiled, to save seconds."""
    path = _fetch(name, entry)
    spec = mujoco.MjSpec.from_file(str(path))
    bare = spec.copy()
    for geom in bare.geoms:
        if geom.type == mujoco.mjtGeom.mjGEOM_MESH:
            geom.type, geom.size, geom.meshname = mujoco.mjtGeom.mjGEOM_SPHERE, [0.01, 0, 0], ""
    for mesh in bare.meshes:
        bare.delete(mesh)
    model = bare.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    visuals: dict[str, list[tuple[Any, Array]]] = {body.name: [] for body in spec.bodies}
    for geom, compiled in zip(spec.geoms, bare.geoms, strict=True):
        if geom.type == mujoco.mjtGeom.mjGEOM_MESH and geom.group == 2:
            place = pose(model.geom_pos[compiled.id], model.geom_quat[compiled.id])
            visuals[geom.parent.name].append((geom, place))
    return _Source(path, spec, data, visuals)


def _fetch(name: str, entry: str) -> Path:
    """Return the file of a model, downloaded at first use."""
    try:
        import mujoco_menagerie
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "full-detail meshes need the extra 'meshes' ('mujoco_menagerie' is not installed): "
            "pip install 'sim2arm[meshes]'",
            name="mujoco_menagerie",
        ) from error
    try:
        path = mujoco_menagerie.get(name).xml(entry)
    except mujoco_menagerie.MenagerieError as error:
        raise OSError(
            f"the meshes of {name!r} are not here ({error}): connect to the network once, or set "
            "MENAGERIE_ROOT to a copy of MuJoCo Menagerie"
        ) from error
    if not path.is_file():
        raise OSError(f"{path} does not exist: set MENAGERIE_ROOT to a copy of MuJoCo Menagerie")
    return path


def _check_frames(spec: mujoco.MjSpec, source: _Source, bodies: dict[str, str]) -> None:
    """Check that bodies (ours to theirs) lie in their parents as ours do."""
    for ours, theirs in bodies.items():
        body = spec.body(ours)
        if body is None:
            raise ValueError(f"body {ours!r} is not in the scene: call add_robot first")
        parent = bodies.get(body.parent.name)
        if parent is None:
            continue
        expected = pose(np.asarray(body.pos), quat_normalize(np.asarray(body.quat)))
        found = pose_between(source.body_pose(parent), source.body_pose(theirs))
        off = pose_between(expected, found)
        distance = float(np.linalg.norm(off[:3]))
        angle = float(np.rad2deg(np.linalg.norm(quat_to_rotvec(off[3:]))))
        if distance > POSITION_TOLERANCE or angle > ROTATION_TOLERANCE_DEG:
            raise ValueError(
                f"{source.path}: body {theirs!r} lies {1e3 * distance:.2f} mm and {angle:.2f} deg "
                f"from where {ours!r} is; expected at most {1e3 * POSITION_TOLERANCE:g} mm and "
                f"{ROTATION_TOLERANCE_DEG} deg: use a Menagerie with the same robot"
            )


def _copy_visuals(
    spec: mujoco.MjSpec, source: _Source, bodies: dict[str, str], prefix: str
) -> None:
    """Add the meshes seen on bodies (ours to theirs) with their materials, named with a prefix."""
    folder = source.path.parent / source.spec.meshdir
    meshes: set[str] = set()
    materials: set[str] = set()
    for ours, theirs in bodies.items():
        for geom, place in source.visuals[theirs]:
            mesh, material = f"{prefix}_{geom.meshname}", ""
            if mesh not in meshes:
                meshes.add(mesh)
                _copy_mesh(spec, source.spec.mesh(geom.meshname), folder, mesh)
            if geom.material:
                material = f"{prefix}_{geom.material}"
                if material not in materials:
                    materials.add(material)
                    _copy_material(spec, source.spec.material(geom.material), material)
            spec.body(ours).add_geom(
                type=mujoco.mjtGeom.mjGEOM_MESH,
                meshname=mesh,
                material=material,
                rgba=geom.rgba,
                pos=place[:3],
                quat=place[3:],
                group=2,
                contype=0,
                conaffinity=0,
                density=0.0,
            )


def _copy_mesh(spec: mujoco.MjSpec, mesh: Any, folder: Path, name: str) -> None:
    file = (folder / mesh.file).resolve()
    if not file.is_file():
        raise OSError(f"{file} does not exist: this copy of MuJoCo Menagerie is not complete")
    copied = {field: getattr(mesh, field) for field in _MESH_FIELDS}
    spec.add_mesh(name=name, file=str(file), **copied)


def _copy_material(spec: mujoco.MjSpec, material: Any, name: str) -> None:
    copied = {field: getattr(material, field) for field in _MATERIAL_FIELDS}
    spec.add_material(name=name, **copied)
