"""What a URDF looks like: shapes on its links, and where its links are at given joint positions.

Source: ROS documentation, "XML Robot Description Format: link" (visual, geometry, material) and
"joint" (mimic).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .robots import FloatArray
from .transforms import quat_from_rotvec, quat_to_matrix
from .urdf import (
    axis_of,
    link_of,
    numbers_of,
    origin_of,
    parse_urdf,
    set_origin,
    urdf_text,
)

GREY = (0.75, 0.76, 0.78)
"""Of shapes without a colour, red, green and blue from 0 to 1."""
_MOVES = ("revolute", "continuous", "prismatic")
_SIZES = {"box": ("size", 3), "cylinder": ("radius length", 2), "sphere": ("radius", 1)}


@dataclass(frozen=True, kw_only=True, eq=False)
class UrdfShape:
    """Something to look at on a link."""

    link: str
    T_link_shape: FloatArray
    """(4, 4) [m]"""
    kind: Literal["box", "cylinder", "sphere", "mesh"]
    size: tuple[float, ...]
    """Lengths of a box along x, y, z; radius and length of a cylinder along z; radius of a sphere
    [m]; factors of a mesh along x, y, z."""
    mesh: str = ""
    """Where the mesh lies, as the URDF says."""
    color: tuple[float, float, float] = GREY
    """Red, green and blue from 0 to 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class UrdfBranch:
    """A link that is no part of the chain, such as a finger, and the joint that moves it."""

    link: str
    joint: str
    parent: str
    kind: Literal["prismatic", "revolute"]
    T_parent_joint: FloatArray
    """(4, 4) [m]"""
    axis: FloatArray
    """(3,) unit"""


class UrdfTree:
    """The links of a URDF at given joint positions.

    Attributes:
        shapes: what there is to see.
        root: the link that no joint leads to.
        joints: names of those that move.
        above: the parent of every link but the root.
    """

    def __init__(self, text: str) -> None:
        """Read a URDF.

        Raises:
            ValueError: not a URDF, not one tree, or with a number that is none; one line.
        """
        root = parse_urdf(text)
        links = [link.get("name", "") for link in root.findall("link")]
        self._above = {link_of(joint, "child"): joint for joint in root.findall("joint")}
        self.above = {child: link_of(joint, "parent") for child, joint in self._above.items()}
        tops = [name for name in links if name not in self._above]
        if len(tops) != 1:
            raise ValueError(f"URDF: expected one link that no joint leads to, got {tops}")
        self.root = tops[0]
        self._origins = {child: origin_of(joint) for child, joint in self._above.items()}
        self._axes = {
            child: axis_of(joint)
            for child, joint in self._above.items()
            if joint.get("type") in _MOVES
        }
        self.joints = [self._above[child].get("name", "") for child in self._axes]
        self._order = self._sorted(links)
        colors = {m.get("name", ""): c for m in root.findall("material") if (c := _color(m))}
        self.shapes = [
            _shape(link.get("name", ""), visual, colors)
            for link in root.findall("link")
            for visual in link.findall("visual")
        ]

    def _sorted(self, links: Sequence[str]) -> list[str]:
        """Return the links below the root, each behind its parent."""
        known, left = {self.root}, [name for name in links if name != self.root]
        order: list[str] = []
        while left:
            ready = [name for name in left if self.above[name] in known]
            if not ready:
                raise ValueError(f"URDF: no joints lead from {self.root!r} to {left}")
            order += ready
            known.update(ready)
            left = [name for name in left if name not in known]
        return order

    def frames(self, positions: Mapping[str, float]) -> dict[str, FloatArray]:
        """Return where the links are, (4, 4) [m] each, in the root.

        Args:
            positions: by joint [rad], of those that slide [m]; one that is not named stands at 0.
        """
        found: dict[str, FloatArray] = {self.root: np.eye(4)}
        for child in self._order:
            joint = self._above[child]
            found[child] = found[self.above[child]] @ self._origins[child]
            if child in self._axes:
                position = _position(joint, positions)
                found[child] = found[child] @ _moved(joint, self._axes[child], position)
        return found


def with_shapes(urdf: str, shapes: Sequence[UrdfShape], branches: Sequence[UrdfBranch] = ()) -> str:
    """Return a URDF with further links and with shapes on its links.

    Raises:
        ValueError: a shape is on a link that is not there.
    """
    root = parse_urdf(urdf)
    for branch in branches:
        ET.SubElement(root, "link", name=branch.link)
        joint = ET.SubElement(root, "joint", name=branch.joint, type=branch.kind)
        set_origin(joint, branch.T_parent_joint)
        ET.SubElement(joint, "parent", link=branch.parent)
        ET.SubElement(joint, "child", link=branch.link)
        ET.SubElement(joint, "axis", xyz=_text(branch.axis))
        ET.SubElement(joint, "limit", lower="-10", upper="10", effort="1000", velocity="10")
    links = {link.get("name", ""): link for link in root.findall("link")}
    for shape in shapes:
        if shape.link not in links:
            raise ValueError(f"shape on link {shape.link!r}: expected one of {sorted(links)}")
        visual = ET.SubElement(links[shape.link], "visual")
        set_origin(visual, shape.T_link_shape)
        geometry = ET.SubElement(visual, "geometry")
        if shape.kind == "mesh":
            ET.SubElement(geometry, "mesh", filename=shape.mesh, scale=_text(shape.size))
        elif shape.kind == "box":
            ET.SubElement(geometry, "box", size=_text(shape.size))
        else:
            names = _SIZES[shape.kind][0].split()
            sizes = {name: _text((value,)) for name, value in zip(names, shape.size, strict=True)}
            ET.SubElement(geometry, shape.kind, sizes)
        material = ET.SubElement(visual, "material", name="")
        ET.SubElement(material, "color", rgba=_text((*shape.color, 1.0)))
    return urdf_text(root)


def _text(numbers: Sequence[float] | FloatArray) -> str:
    return " ".join(f"{float(number):.6g}" for number in numbers)


def _position(joint: ET.Element, positions: Mapping[str, float]) -> float:
    mimic = joint.find("mimic")
    if mimic is None:
        return float(positions.get(joint.get("name", ""), 0.0))
    factor, offset = (float(mimic.get(key, value)) for key, value in (("multiplier", "1"),
                                                                      ("offset", "0")))  # fmt: skip
    return factor * float(positions.get(mimic.get("joint", ""), 0.0)) + offset


def _moved(joint: ET.Element, axis: FloatArray, position: float) -> FloatArray:
    T = np.eye(4)
    if joint.get("type") == "prismatic":
        T[:3, 3] = position * axis
    else:
        T[:3, :3] = quat_to_matrix(quat_from_rotvec(position * axis))
    return T


def _color(element: ET.Element) -> tuple[float, float, float] | None:
    color = element.find("color")
    words = "" if color is None else color.get("rgba", "")
    try:
        red, green, blue, *_ = (min(max(float(word), 0.0), 1.0) for word in words.split())
    except ValueError:
        return None  # a colour is no reason not to show a robot
    return red, green, blue


def _shape(
    link: str, visual: ET.Element, colors: Mapping[str, tuple[float, float, float]]
) -> UrdfShape:
    material = visual.find("material")
    color = None
    if material is not None:
        color = _color(material) or colors.get(material.get("name", ""))
    where = f"URDF: link {link!r}: visual"
    geometry = visual.find("geometry")
    shape = None if geometry is None or not len(geometry) else geometry[0]
    T = origin_of(visual)
    if shape is not None and shape.tag == "mesh" and shape.get("filename"):
        factors = numbers_of(visual, "geometry/mesh", "scale", (1.0, 1.0, 1.0))
        return UrdfShape(link=link, T_link_shape=T, kind="mesh", size=factors,
                         mesh=shape.get("filename", ""), color=color or GREY)  # fmt: skip
    for kind in ("box", "cylinder", "sphere"):
        if shape is not None and shape.tag == kind:
            names, count = _SIZES[kind]
            words = " ".join(shape.get(name, "") for name in names.split()).split()
            try:
                size = tuple(float(word) for word in words)
            except ValueError:
                size = ()
            if len(size) != count or not all(0.0 < value < 100.0 for value in size):
                raise ValueError(f"{where}: {kind}: expected {names} in metres, got {words}")
            return UrdfShape(link=link, T_link_shape=T, kind=kind, size=size, color=color or GREY)
    found = "nothing" if shape is None else f"<{shape.tag}>"
    raise ValueError(f"{where}: expected a box, cylinder, sphere or mesh file, got {found}")
