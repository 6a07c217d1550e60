"""A robot description that somebody else wrote, URDF or MJCF, as MuJoCo compiles it.

Meshes are left out: they are seen only, and files often point to where they are not. The inertia
of a body must therefore be written, not follow from its mesh.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from sim2arm.core.robots import Chain, FloatArray
from sim2arm.core.transforms import pose, pose_to_matrix
from sim2arm.core.urdf import chain_from_urdf, links_of_urdf

TRIED = 200
"""Joint positions at which two kinematics are compared."""
SHAPES = {
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{kind}"))
    for kind in ("SPHERE", "CAPSULE", "ELLIPSOID", "CYLINDER", "BOX")
}
"""Geoms that are taken over."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A description and MuJoCo's own compile of it, without meshes."""

    path: Path
    text: str
    kind: str
    """urdf or mjcf."""
    model: Any
    """`mujoco.MjModel`."""
    name: str
    """Of the robot in the file."""
    meshes: int
    """How many were left out."""

    def body(self, name: str) -> int:
        """Return the number of a body; the root link of a URDF is MuJoCo's world.

        Raises:
            ValueError: it is not there.
        """
        number = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_BODY, name)
        if number >= 0:
            return number
        if self.kind == "urdf" and name == links_of_urdf(self.text)[0]:
            return 0
        known = [self.model.body(i).name for i in range(self.model.nbody)]
        raise ValueError(f"{self.path}: body {name!r} is not there. Bodies: {known}")

    def tool(self, name: str) -> tuple[str, int]:
        """Return whether the frame of a tool is a body or a site, and its number.

        Raises:
            ValueError: it is neither.
        """
        site = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SITE, name)
        body = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_BODY, name)
        if body < 0 <= site:
            return "site", site
        if body < 0 and self.kind == "mjcf":
            known = [self.model.body(i).name for i in range(self.model.nbody)]
            sites = [self.model.site(i).name for i in range(self.model.nsite)]
            raise ValueError(
                f"{self.path}: the tool {name!r} is not there. Bodies: {known}, sites: {sites}"
            )
        return "body", self.body(name)

    def joint(self, name: str) -> int:
        """Return the number of a joint.

        Raises:
            ValueError: it is not there.
        """
        number = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_JOINT, name)
        if number < 0:
            known = [self.model.joint(i).name for i in range(self.model.njnt)]
            raise ValueError(
                f"{self.path}: joint {name!r} of the controller is not there. Joints: {known}"
            )
        return number


def is_solid(model: Any, geom: int) -> bool:
    """Return whether a geom of a model collides and is a primitive shape, which is taken over."""
    collides = model.geom_contype[geom] or model.geom_conaffinity[geom]
    return bool(collides) and int(model.geom_type[geom]) in SHAPES


def read_source(path: Path) -> Source:
    """Read and compile a description.

    Raises:
        ValueError: it is neither URDF nor MJCF, or MuJoCo does not compile it; one line.
        OSError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text in UTF-8: {error}") from error
    if "<!DOCTYPE" in text:
        raise ValueError(
            f"{path}: a DOCTYPE is not accepted, entities in it can explode: remove it"
        )
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise ValueError(f"{path}: not valid XML: {error}") from error
    if root.tag not in ("robot", "mujoco"):
        raise ValueError(
            f"{path}: expected a URDF (<robot>) or an MJCF (<mujoco>), got <{root.tag}>; expand "
            "xacro first"
        )
    if any("xacro}" in element.tag for element in root.iter()):
        raise ValueError(f"{path}: it holds xacro: expand it first, `xacro {path.name} > arm.urdf`")
    urdf = root.tag == "robot"
    try:
        spec, meshes = _without_meshes_urdf(root) if urdf else _without_meshes_mjcf(path)
        model = spec.compile()
    except ValueError as error:
        line = " ".join(str(error).split())
        raise ValueError(f"{path}: MuJoCo does not compile it without meshes: {line}") from error
    return Source(
        path=path,
        text=text,
        kind="urdf" if urdf else "mjcf",
        model=model,
        name=root.get("name" if urdf else "model", ""),
        meshes=meshes,
    )


def _without_meshes_urdf(root: ET.Element) -> tuple[Any, int]:
    count = 0
    for link in root.iter("link"):
        for element in [*link.findall("visual"), *link.findall("collision")]:
            if element.find("geometry/mesh") is not None:
                link.remove(element)
                count += 1
    for extension in root.findall("mujoco"):  # it could move what the file itself says
        root.remove(extension)
    spec = mujoco.MjSpec.from_string(ET.tostring(root, encoding="unicode"))
    spec.compiler.fusestatic = False  # keeps the links that are frames only
    return spec, count


def _without_meshes_mjcf(path: Path) -> tuple[Any, int]:
    spec = mujoco.MjSpec.from_file(str(path))
    geoms = [geom for geom in spec.geoms if geom.meshname]
    for geom in geoms:
        spec.delete(geom)
    for mesh in list(spec.meshes):
        spec.delete(mesh)
    return spec, len(geoms)


def read_chain(source: Source, joints: tuple[str, ...], base: str, tool: str) -> Chain:
    """Return the chain from a body to a tool: of a URDF by our reader, of an MJCF from its compile.

    Raises:
        ValueError: the joints are not those between the bodies, in that order, or no hinges.
    """
    if source.kind == "urdf":
        return chain_from_urdf(source.text, joints, base, tool)
    model, base_body = source.model, source.body(base)
    kind, number = source.tool(tool)
    path, body = [], number if kind == "body" else int(model.site_bodyid[number])
    while body != base_body:
        if body == 0:
            raise ValueError(f"{source.path}: no joints lead from {base!r} to {tool!r}")
        path.append(body)
        body = int(model.body_parentid[body])
    T, parents, axes, names = np.eye(4), [], [], []
    for body in reversed(path):
        T = T @ matrix_of(model.body_pos[body], model.body_quat[body])
        for joint in range(
            model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body]
        ):
            _check_hinge(source, joint)
            shift = np.eye(4)
            shift[:3, 3] = model.jnt_pos[joint]
            parents.append(T @ shift)
            shift[:3, 3] *= -1.0
            T = shift
            axes.append(model.jnt_axis[joint])
            names.append(model.joint(joint).name)
    if kind == "site":
        T = T @ matrix_of(model.site_pos[number], model.site_quat[number])
    if tuple(names) != joints:
        raise ValueError(
            f"{source.path}: the joints between {base!r} and {tool!r} are {names} in this order, "
            f"the controller's are {list(joints)}: choose --base and --tool, or --controller"
        )
    return Chain(
        base_frame=base,
        tool_frame=tool,
        joint_names=joints,
        T_parent_joint=np.array(parents),
        axes=np.array(axes),
        T_last_tool=T,
    )


def _check_hinge(source: Source, joint: int) -> None:
    model, name = source.model, source.model.joint(joint).name
    if model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_HINGE:
        raise ValueError(f"{source.path}: joint {name!r}: expected a hinge between base and tool")
    if model.qpos0[model.jnt_qposadr[joint]] != 0.0:
        raise ValueError(f"{source.path}: joint {name!r}: expected ref 0, the angle as built")


def matrix_of(position: FloatArray, turn: FloatArray) -> FloatArray:
    """Return the pose (4, 4) of a position [m] and a quaternion of any length."""
    return pose_to_matrix(pose(position, turn / np.linalg.norm(turn)))


def fk_residual(
    model: Any, base: int, tool: tuple[str, int], q: FloatArray, chain_poses: FloatArray,
    joints: tuple[str, ...],
) -> tuple[float, float]:  # fmt: skip
    """Return how far MuJoCo's tool poses are from given ones, worst of all: [m] and [rad].

    Args:
        model: `mujoco.MjModel`.
        base: number of the body in which the tool is seen.
        tool: "body" or "site", and its number.
        q: (K, n) joint angles [rad].
        chain_poses: (K, 4, 4) poses of the tool [m].
        joints: names of the n joints.
    """
    data, kind = mujoco.MjData(model), tool[0]
    places = [int(model.joint(name).qposadr[0]) for name in joints]
    metres = radians = 0.0
    for angles, expected in zip(q, chain_poses, strict=True):
        data.qpos[places] = angles
        mujoco.mj_kinematics(model, data)
        R_base, p_base = data.xmat[base].reshape(3, 3), data.xpos[base]
        R, p = (data.xmat, data.xpos) if kind == "body" else (data.site_xmat, data.site_xpos)
        p_tool = R_base.T @ (p[tool[1]] - p_base)
        R_off = expected[:3, :3].T @ R_base.T @ R[tool[1]].reshape(3, 3)
        metres = max(metres, float(np.linalg.norm(p_tool - expected[:3, 3])))
        skew = np.array(
            [R_off[2, 1] - R_off[1, 2], R_off[0, 2] - R_off[2, 0], R_off[1, 0] - R_off[0, 1]]
        )
        radians = max(radians, float(np.arctan2(np.linalg.norm(skew), np.trace(R_off) - 1.0)))
    return metres, radians
