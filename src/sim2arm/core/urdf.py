"""A kinematic chain to and from URDF, the text that ROS publishes as `/robot_description`.

What is written has the links, joints and limits of the chain and nothing to look at or to
simulate. What is read may be any robot: fixed joints between the joints of the chain are folded
into them, and a chain that the text does not have is an error, never a guess.

Source: ROS documentation, "XML Robot Description Format: joint" (origin, rpy about fixed axes x, y,
z, axis with the default 1 0 0).
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .robots import Chain, FloatArray, Robot

_TURNING = ("revolute", "continuous")


def urdf_from_robot(robot: Robot) -> str:
    """Return the URDF of a robot's chain, from its base frame to its tool frame.

    The link behind `x_joint1` is called `x_link1` (behind any other name `<name>_link`). Position,
    velocity and torque limits are those of the robot. `chain_from_urdf` gives the chain back.
    """
    chain, limits = robot.chain, robot.limits
    root = ET.Element("robot", name=robot.name)
    links = link_names(chain)
    for name in links:
        ET.SubElement(root, "link", name=name)
    for i, name in enumerate(chain.joint_names):
        joint = _add_joint(root, name, "revolute", links[i], links[i + 1], chain.T_parent_joint[i])
        ET.SubElement(joint, "axis", xyz=_text(chain.axes[i]))
        ET.SubElement(
            joint,
            "limit",
            lower=repr(limits.q_min[i]),
            upper=repr(limits.q_max[i]),
            effort=repr(limits.tau_max[i]),
            velocity=repr(limits.dq_max[i]),
        )
    _add_joint(root, f"{chain.tool_frame}_joint", "fixed", links[-2], links[-1], chain.T_last_tool)
    return urdf_text(root)


def urdf_text(root: ET.Element) -> str:
    """Return the text of a URDF."""
    ET.indent(root)
    return f'<?xml version="1.0"?>\n{ET.tostring(root, encoding="unicode")}\n'


def chain_from_urdf(
    text: str, joint_names: Sequence[str], base_frame: str, tool_frame: str
) -> Chain:
    """Return the chain of a URDF between two of its links.

    Args:
        text: the URDF.
        joint_names: the joints that move, from the base to the tool.
        base_frame: link in which the tool is wanted.
        tool_frame: link at the end.

    Raises:
        ValueError: not XML, with a DOCTYPE (entities can explode), a link that is missing, no
            path between the links, or a path whose moving joints are not `joint_names` in that
            order; one line.
    """
    path = _path(parse_urdf(text), base_frame, tool_frame)
    moving = [joint for joint in path if joint.get("type") != "fixed"]
    _check_joints(moving, list(joint_names), base_frame, tool_frame)
    parents: list[FloatArray] = []
    since_last: FloatArray = np.eye(4)  # the fixed joints since the last one that moves, folded
    for joint in path:
        since_last = since_last @ origin_of(joint)
        if joint.get("type") != "fixed":
            parents.append(since_last)
            since_last = np.eye(4)
    return Chain(
        base_frame=base_frame,
        tool_frame=tool_frame,
        joint_names=tuple(joint_names),
        T_parent_joint=np.array(parents).reshape(-1, 4, 4),
        axes=np.array([axis_of(joint) for joint in moving]).reshape(-1, 3),
        T_last_tool=since_last,
    )


def link_names(chain: Chain) -> list[str]:
    """Return the links of `urdf_from_robot`: the base, those behind the joints, the tool."""
    taken = {chain.base_frame, chain.tool_frame}
    names: list[str] = []
    for joint in chain.joint_names:
        name = joint.replace("joint", "link") if "joint" in joint else f"{joint}_link"
        while name in taken:
            name += "_link"
        taken.add(name)
        names.append(name)
    return [chain.base_frame, *names, chain.tool_frame]


def _add_joint(
    root: ET.Element, name: str, kind: str, parent: str, child: str, T: FloatArray
) -> ET.Element:
    joint = ET.SubElement(root, "joint", name=name, type=kind)
    set_origin(joint, T)
    ET.SubElement(joint, "parent", link=parent)
    ET.SubElement(joint, "child", link=child)
    return joint


def set_origin(element: ET.Element, T: FloatArray) -> None:
    """Put a joint or a shape (4, 4) [m] into the frame of its link."""
    ET.SubElement(element, "origin", xyz=_text(T[:3, 3]), rpy=_text(_rpy(T[:3, :3])))


def _text(numbers: FloatArray | tuple[float, ...]) -> str:
    return " ".join(repr(float(number) + 0.0) for number in numbers)


def _rpy(R: FloatArray) -> tuple[float, float, float]:
    """Return roll, pitch, yaw [rad] with R = Rz(yaw) Ry(pitch) Rx(roll).

    Near a pitch of 90 degrees yaw is not determined; roll and pitch are those of Rz(-yaw) R for
    the yaw that was found, so that the product is exact even there.
    """
    yaw = math.atan2(R[1, 0], R[0, 0])
    c, s = math.cos(yaw), math.sin(yaw)
    roll = math.atan2(s * R[0, 2] - c * R[1, 2], c * R[1, 1] - s * R[0, 1])
    pitch = math.atan2(-R[2, 0], c * R[0, 0] + s * R[1, 0])
    return roll, pitch, yaw


def parse_urdf(text: str) -> ET.Element:
    """Return the root of a URDF.

    Raises:
        ValueError: not XML, not a URDF, or with a DOCTYPE; one line.
    """
    if "<!DOCTYPE" in text:
        raise ValueError("URDF: a DOCTYPE is not accepted, entities in it can explode: remove it")
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, UnicodeError) as error:
        raise ValueError(f"URDF: not valid XML: {error}") from error
    if root.tag != "robot":
        raise ValueError(f"URDF: expected the root element <robot>, got <{root.tag}>")
    return root


def _path(root: ET.Element, base_frame: str, tool_frame: str) -> list[ET.Element]:
    """Return the joints from the base to the tool."""
    links = [link.get("name", "") for link in root.findall("link")]
    for label, frame in (("base", base_frame), ("tool", tool_frame)):
        if frame not in links:
            raise ValueError(f"URDF: the {label} frame {frame!r} is not a link. Links: {links}")
    above: dict[str, ET.Element] = {}
    for joint in root.findall("joint"):
        child = link_of(joint, "child")
        if child in above:
            raise ValueError(
                f"URDF: link {child!r} is the child of two joints, {above[child].get('name')!r} "
                f"and {joint.get('name')!r}: a robot is a tree"
            )
        above[child] = joint
    path: list[ET.Element] = []
    frame = tool_frame
    while frame != base_frame:
        if frame not in above or len(path) > len(above):
            raise ValueError(
                f"URDF: no joints lead from {base_frame!r} to {tool_frame!r}: the links above "
                f"the tool end at {frame!r}"
            )
        path.append(above[frame])
        frame = link_of(above[frame], "parent")
    return path[::-1]


def link_of(joint: ET.Element, side: str) -> str:
    """Return the link at a side of a joint, `parent` or `child`.

    Raises:
        ValueError: it names none.
    """
    element = joint.find(side)
    name = None if element is None else element.get("link")
    if not name:
        raise ValueError(f"URDF: joint {joint.get('name')!r} has no <{side} link=...>")
    return name


def _check_joints(
    moving: list[ET.Element], wanted: list[str], base_frame: str, tool_frame: str
) -> None:
    names = [joint.get("name", "") for joint in moving]
    between = f"between {base_frame!r} and {tool_frame!r}"
    for name in wanted:
        if name not in names:
            raise ValueError(f"URDF: joint {name!r} is not {between}. Joints there: {names}")
    for joint, name in zip(moving, names, strict=True):
        if name not in wanted:
            raise ValueError(
                f"URDF: joint {name!r} ({joint.get('type')}) {between} moves but is not listed. "
                f"Listed: {wanted}"
            )
        if joint.get("type") not in _TURNING or joint.find("mimic") is not None:
            kind = "a mimic joint" if joint.get("type") in _TURNING else joint.get("type")
            raise ValueError(f"URDF: joint {name!r}: expected a revolute joint, got {kind}")
    if names != wanted:
        raise ValueError(f"URDF: the joints {between} are {names} in this order, got {wanted}")


def origin_of(joint: ET.Element) -> FloatArray:
    """Return the frame of a joint, or of a shape, in its link, (4, 4) [m]."""
    T = np.eye(4)
    T[:3, 3] = numbers_of(joint, "origin", "xyz", (0.0, 0.0, 0.0))
    roll, pitch, yaw = numbers_of(joint, "origin", "rpy", (0.0, 0.0, 0.0))
    T[:3, :3] = _turn(yaw, 0, 1) @ _turn(pitch, 2, 0) @ _turn(roll, 1, 2)
    return T


def _turn(angle: float, i: int, j: int) -> FloatArray:
    """Return the rotation (3, 3) that turns axis i towards axis j."""
    R = np.eye(3)
    R[i, i] = R[j, j] = math.cos(angle)
    R[j, i] = math.sin(angle)
    R[i, j] = -R[j, i]
    return R


def axis_of(joint: ET.Element) -> FloatArray:
    """Return the axis of a joint in its frame, (3,), unit.

    Raises:
        ValueError: it has no direction.
    """
    axis = np.array(numbers_of(joint, "axis", "xyz", (1.0, 0.0, 0.0)))
    length = float(np.linalg.norm(axis))
    if length < 1e-6:
        raise ValueError(f"URDF: joint {joint.get('name')!r}: the axis has no direction")
    return axis / length


def numbers_of(
    joint: ET.Element, tag: str, attribute: str, default: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return three numbers of an element below a joint or a shape.

    Raises:
        ValueError: they are not three, or not finite.
    """
    element = joint.find(tag)
    text = None if element is None else element.get(attribute)
    if text is None:
        return default
    try:
        x, y, z = (float(word) for word in text.split())
    except ValueError:
        x = y = z = math.nan
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
        raise ValueError(
            f"URDF: joint {joint.get('name')!r}: {tag} {attribute}: expected 3 finite numbers, "
            f"got {text!r}"
        )
    return x, y, z


@dataclass(frozen=True, kw_only=True)
class UrdfLimits:
    """What a URDF says that joints may do; see `JointLimits`."""

    q_min: tuple[float, ...]
    q_max: tuple[float, ...]
    dq_max: tuple[float, ...]
    tau_max: tuple[float, ...]


def limits_from_urdf(text: str, joint_names: Sequence[str]) -> UrdfLimits:
    """Return the limits of joints of a URDF; of a continuous one a turn to either side.

    Raises:
        ValueError: a joint is missing, has no limit, or one that leaves it no range; one line.
    """
    joints = {joint.get("name"): joint for joint in parse_urdf(text).findall("joint")}
    rows: list[tuple[float, float, float, float]] = []
    for name in joint_names:
        if name not in joints:
            raise ValueError(
                f"URDF: joint {name!r} is not there. Joints: {sorted(map(str, joints))}"
            )
        joint = joints[name]
        low, high = -2.0 * math.pi, 2.0 * math.pi
        if joint.get("type") != "continuous":
            low, high = _limit(joint, "lower", "0"), _limit(joint, "upper", "0")
        velocity, effort = _limit(joint, "velocity"), _limit(joint, "effort")
        if not low < high or velocity <= 0.0 or effort <= 0.0:
            raise ValueError(
                f"URDF: joint {name!r}: expected lower below upper and velocity and effort above "
                f"0, got {low}, {high}, {velocity}, {effort}"
            )
        rows.append((low, high, velocity, effort))
    q_min, q_max, dq_max, tau_max = zip(*rows, strict=True)
    return UrdfLimits(q_min=q_min, q_max=q_max, dq_max=dq_max, tau_max=tau_max)


def _limit(joint: ET.Element, attribute: str, default: str | None = None) -> float:
    limit = joint.find("limit")
    text = default if limit is None else limit.get(attribute, default)
    if limit is None or text is None:
        raise ValueError(
            f"URDF: joint {joint.get('name')!r} has no <limit {attribute}=...>: add it to the file"
        )
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"URDF: joint {joint.get('name')!r}: limit {attribute}: expected a finite number, got "
            f"{text!r}"
        )
    return value


def links_of_urdf(text: str) -> tuple[str, dict[str, tuple[str, str]]]:
    """Return the root link, and by link the link above it and the type of the joint between.

    Raises:
        ValueError: not a URDF, or not one tree.
    """
    root = parse_urdf(text)
    above = {
        link_of(joint, "child"): (link_of(joint, "parent"), joint.get("type", ""))
        for joint in root.findall("joint")
    }
    tops = [link.get("name", "") for link in root.findall("link") if link.get("name") not in above]
    if len(tops) != 1:
        raise ValueError(f"URDF: expected one link that no joint leads to, got {tops}")
    return tops[0], above
