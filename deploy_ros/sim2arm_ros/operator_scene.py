"""The arm in 3D as it is measured: shapes of its description, bones where a link has none."""

# pyright: standard

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.transforms import quat_from_matrix, quat_from_rotvec
from sim2arm.core.urdf_shapes import UrdfShape, UrdfTree

from .page import Page

FloatArray = NDArray[np.float64]
BONE = 0.02
"""Radius of a bone [m]."""
_BONE_COLOR = (176, 184, 196)
_LARGEST_MESH = 64 << 20
_SEEN = 1e-4
"""Smallest change that is drawn [rad], [m]."""


class ArmScene:
    """Draws an arm and the goals of its task on a page.

    Attributes:
        missing: mesh files that could not be read, one line each.
    """

    def __init__(self, page: Page, base_frame: str) -> None:
        """Begin with an empty scene.

        Args:
            page: where it is drawn.
            base_frame: link in which goals are given.
        """
        self._page, self._base = page, base_frame
        self._tree: UrdfTree | None = None
        self._text = ""
        self._links: dict[str, Any] = {}
        self._goals: dict[str, Any] = {}
        self._told: dict[str, Any] = {}
        self.missing: list[str] = []
        page.add_ground(-0.001)
        page.look((1.15, -0.85, 0.75), (0.25, 0.0, 0.3))

    def describe(self, urdf: str) -> None:
        """Take the description of the robot; the same text again changes nothing.

        Raises:
            ValueError: it is no URDF; one line.
        """
        if urdf == self._text:
            return
        tree = UrdfTree(urdf)
        for handle in self._links.values():
            handle.remove()
        self._tree, self._text = tree, urdf
        self.missing, self._links, self._told = [], {}, {}
        frames = tree.frames({})
        with self._page.at_once():
            for name in frames:
                self._links[name] = self._page.scene.add_frame(f"/arm/{name}", show_axes=False)
            drawn = {
                shape.link
                for k, shape in enumerate(tree.shapes)
                if self._add_shape(f"/arm/{shape.link}/{k}", shape)
            }
            for child, parent in tree.above.items():
                if child not in drawn and parent not in drawn:
                    self._add_bone(child, parent, frames)

    def draw(self, positions: Mapping[str, float], goals: Mapping[str, FloatArray]) -> None:
        """Show the arm at joint positions [rad], [m], and goals (7,) in the base."""
        told = {**positions, **{name: tuple(pose.tolist()) for name, pose in goals.items()}}
        if self._tree is None or _same(told, self._told):
            return
        self._told = told
        frames = self._tree.frames(positions)
        with self._page.at_once():
            for name, T in frames.items():
                _put(self._links[name], T[:3, 3], quat_from_matrix(T[:3, :3]))
            T_root_base = frames.get(self._base, np.eye(4))
            for name, pose in goals.items():
                if name not in self._goals:
                    self._goals[name] = self._page.scene.add_frame(
                        f"/goals/{name}", axes_length=0.06, axes_radius=0.003
                    )
                place = T_root_base[:3, :3] @ pose[:3] + T_root_base[:3, 3]
                _put(self._goals[name], place, pose[3:])  # the base is the root of the arms we know

    def _add_shape(self, name: str, shape: UrdfShape) -> bool:
        """Add a shape to its link; return whether there is something to see."""
        scene, T = self._page.scene, shape.T_link_shape
        color = np.round(255 * np.array(shape.color)).astype(np.uint8)
        at: dict[str, Any] = {
            "position": T[:3, 3], "wxyz": quat_from_matrix(T[:3, :3]), "cast_shadow": False,
            "receive_shadow": False,
        }  # fmt: skip
        if shape.kind == "box":
            scene.add_box(name, color=color, dimensions=np.array(shape.size), **at)
        elif shape.kind == "cylinder":
            scene.add_cylinder(name, *shape.size, color=color, **at)
        elif shape.kind == "sphere":
            scene.add_icosphere(name, *shape.size, color=color, **at)
        else:
            mesh = self._load(shape.mesh)
            if mesh is None:
                return False
            scene.add_mesh_trimesh(name, mesh.apply_scale(shape.size), **at)
        return True

    def _load(self, uri: str) -> Any:
        """Return a mesh, None where there is none to be had; `missing` says why."""
        import trimesh  # comes with viser

        path = find_mesh(uri)
        try:
            if path is None:
                raise ValueError("not on this computer")
            if path.stat().st_size > _LARGEST_MESH:
                raise ValueError(f"larger than {_LARGEST_MESH >> 20} MiB")
            return trimesh.load(path, force="mesh")
        except Exception as error:  # readers of a dozen formats raise whatever they like
            self.missing.append(f"{uri}: {' '.join(str(error).split())[:120]}")
            return None

    def _add_bone(self, child: str, parent: str, frames: Mapping[str, FloatArray]) -> None:
        """Draw what leads from a link to the next, and a ball where that begins."""
        scene = self._page.scene
        offset = (np.linalg.inv(frames[parent]) @ frames[child])[:3, 3]
        length = float(np.linalg.norm(offset))
        scene.add_icosphere(f"/arm/{child}/ball", 1.6 * BONE, color=_BONE_COLOR, cast_shadow=False)
        if length < 1e-3:
            return
        scene.add_cylinder(
            f"/arm/{parent}/to {child}", BONE, length, color=_BONE_COLOR, cast_shadow=False,
            position=0.5 * offset, wxyz=_z_to(offset / length),
        )  # fmt: skip


def find_mesh(uri: str) -> Path | None:
    """Return the file that a URDF means by the address of a mesh, None if it is not here.

    `package://NAME/PATH` is looked for in the installed packages of a sourced ROS.
    """
    parts = urlsplit(uri)
    if parts.scheme == "package":
        prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        inner = unquote(parts.path).lstrip("/")
        places = [Path(p) / "share" / parts.netloc / inner for p in prefixes if p]
    elif parts.scheme in ("", "file"):
        places = [Path(unquote(parts.path))]
    else:
        return None
    return next((path for path in places if path.is_absolute() and path.is_file()), None)


def _same(told: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Return whether nothing would be seen of a change: browsers are spared the rest."""
    return told.keys() == before.keys() and all(
        np.allclose(value, before[name], rtol=0.0, atol=_SEEN) for name, value in told.items()
    )


def _put(handle: Any, position: FloatArray, turn: FloatArray) -> None:
    handle.position, handle.wxyz = position, turn


def _z_to(axis: FloatArray) -> FloatArray:
    """Return a unit quaternion wxyz that turns z to a unit axis."""
    around = np.cross((0.0, 0.0, 1.0), axis)
    sine, cosine = float(np.linalg.norm(around)), float(axis[2])
    if sine < 1e-9:
        return np.array((1.0, 0.0, 0.0, 0.0) if cosine > 0 else (0.0, 1.0, 0.0, 0.0))
    return quat_from_rotvec(np.arctan2(sine, cosine) * around / sine)
