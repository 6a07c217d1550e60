"""Build the model of an imported robot: its bodies and joints, our servos and finger drive."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from sim2arm.core.robots import FloatArray, Robot
from sim2arm.core.transforms import quat_from_matrix

from .import_fingers import find_fingers, owner_of, pad_places, place_in
from .import_source import Source, is_solid, matrix_of
from .parts import PAD, PAD_TURNING, add_gripper_drive, add_servo

QUICKEST = 100.0
"""Greatest natural frequency of a joint under its stiffness [rad/s]: above, steps of 1/480 s are
too long. A file without rotor inertia gets what keeps to it."""
FINGER_ARMATURE = 0.05
"""Inertia of a finger drive seen from the finger [kg], as on the Franka Hand."""
GRIPPER_KP = 20000.0
"""Stiffness of the opening [N/m], as on the Franka Hand."""
THICKNESS = 0.06
"""Radius of the capsules that are seen, as a share of the longest way between two joints."""
PAD_FRICTION = 1.0
"""Sliding friction of pads that are added: rubber, as on the UR5e's gripper."""
SOLID: dict[str, Any] = {"group": 2, "contype": 2, "conaffinity": 1, "density": 0.0}
"""What is seen and collides, but not with the robot itself, and has no mass of its own."""
_COLOUR, _DARK = (0.75, 0.78, 0.82, 1.0), (0.15, 0.15, 0.16, 1.0)


def add_copy(
    spec: mujoco.MjSpec,
    source: Source,
    robot: Robot,
    base: int,
    position: tuple[float, float, float] = (0.0, 0.0, 0.0),
    pads: tuple[float, ...] = (),
) -> None:
    """Add a robot to the world body of a scene, with names and actuators as all robots have.

    Bodies, inertias, primitive shapes that collide, and what resists the joints come from the
    source; ranges, gains, force limits and the gripper's numbers from the robot.

    Args:
        spec: the scene, changed in place; its angles become radians.
        source: the description, or the model that was made of it.
        robot: what was read from it.
        base: number of the body that is the base, which becomes `<name>_base`.
        position: of the base, with the world's axes [m].
        pads: sizes of a pad that each finger gets, along x, y and z of the tool [m]; none.
    """
    spec.compiler.degree = False
    root = spec.worldbody.add_body(name=f"{robot.name}_base", pos=position)
    ways = np.linalg.norm(robot.chain.T_parent_joint[:, :3, 3], axis=-1)
    radius = THICKNESS * float(max(ways.max(), np.linalg.norm(robot.chain.T_last_tool[:3, 3])))
    copied, (fingers, _) = {base: root}, find_fingers(source, robot, padded=bool(pads))
    for body in range(1, source.model.nbody):
        parent = int(source.model.body_parentid[body])
        if body != base and parent in copied:
            name = fingers.get(body) or _body_name(source, robot, body)
            copied[body] = _copy_body(source, robot, copied[parent], body, name)
    for body, copy in copied.items():
        if body != base:
            _copy_inertia(source, copy, body)
        owner = owner_of(source, fingers, body)
        place = place_in(source, owner, body)
        _copy_shapes(source, copied[owner], body, place, finger=fingers.get(owner, ""))
    if pads:
        for body, place in pad_places(source, robot, fingers, pads[1]).items():
            _add_pad(copied[body], fingers[body], place, pads)
    bodies = [copied[int(source.model.jnt_bodyid[source.joint(j)])] for j in robot.joint_names]
    _add_tool(robot, bodies[-1])
    _add_capsules(robot, [root, *bodies], radius)
    for i, joint in enumerate(robot.joint_names):
        gains = (robot.kp[i], robot.kd[i], robot.limits.tau_max[i])
        add_servo(spec, joint, joint, mujoco.mjtTrn.mjTRN_JOINT, gains=gains)
    if robot.gripper.joint_names:
        add_gripper_drive(spec, robot, GRIPPER_KP)


def write_model(spec: Any) -> str:
    """Return a model as MJCF with all digits of what kinematics and dynamics depend on.

    MuJoCo writes six digits, which would move a tool by micrometres.
    """
    model = spec.compile()
    root = ET.fromstring(spec.to_xml())
    for body in root.iter("body"):
        found = model.body(body.get("name"))
        _digits(body, pos=found.pos, quat=found.quat)
        for inertial in body.findall("inertial"):
            _digits(inertial, mass=found.mass, pos=found.ipos, quat=found.iquat)
            _digits(inertial, diaginertia=found.inertia)
        for joint in body.findall("joint"):
            hinge = model.joint(joint.get("name"))
            _digits(joint, pos=hinge.pos, axis=hinge.axis, range=hinge.range)
        for site in body.findall("site"):
            frame = model.site(site.get("name"))
            _digits(site, pos=frame.pos, quat=frame.quat)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _digits(element: ET.Element, **values: Any) -> None:
    for name, numbers in values.items():
        element.set(name, " ".join(repr(float(number)) for number in numbers))


def _body_name(source: Source, robot: Robot, body: int) -> str:
    """Return the name of a body, `<name>_<link>`, so that none clashes with those of scenes."""
    name, start = source.model.body(body).name or f"body{body}", f"{robot.name}_"
    name = name if name.startswith(start) else start + name
    return f"{start}link_base" if name == f"{start}base" else name  # the base has that name


def _copy_body(source: Source, robot: Robot, parent: Any, body: int, name: str) -> Any:
    model = source.model
    copy = parent.add_body(
        name=name,
        pos=model.body_pos[body],
        quat=model.body_quat[body],
        gravcomp=1.0,
    )
    first = int(model.body_jntadr[body])
    for joint in range(first, first + int(model.body_jntnum[body])):
        name = model.joint(joint).name
        if name in robot.joint_names:
            _copy_arm_joint(source, robot, copy, joint)
        elif name in robot.gripper.joint_names:
            _copy_finger_joint(source, robot, copy, joint)
    return copy


def _copy_arm_joint(source: Source, robot: Robot, body: Any, joint: int) -> None:
    model, dof = source.model, int(source.model.jnt_dofadr[joint])
    i = robot.joint_names.index(model.joint(joint).name)
    body.add_joint(
        name=robot.joint_names[i],
        type=mujoco.mjtJoint.mjJNT_HINGE,
        pos=model.jnt_pos[joint],
        axis=model.jnt_axis[joint],
        range=(robot.limits.q_min[i], robot.limits.q_max[i]),
        limited=True,
        armature=float(model.dof_armature[dof]) or robot.kp[i] / QUICKEST**2,
        damping=float(model.dof_damping[dof]),
        frictionloss=float(model.dof_frictionloss[dof]),
    )


def _copy_finger_joint(source: Source, robot: Robot, body: Any, joint: int) -> None:
    """Add the joint of a finger, with a drive that its greatest force moves at its speed."""
    model, gripper = source.model, robot.gripper
    count, lever = len(gripper.joint_names), abs(gripper.opening)
    ends = sorted((gripper.position(0.0), gripper.position(gripper.open_width)))
    body.add_joint(
        name=model.joint(joint).name,
        type=model.jnt_type[joint],
        pos=model.jnt_pos[joint],
        axis=model.jnt_axis[joint],
        range=ends,
        limited=True,
        armature=FINGER_ARMATURE * lever**2,
        damping=lever**2 * gripper.force / (2.0 * gripper.speed / count),
    )


def _copy_inertia(source: Source, copy: Any, body: int) -> None:
    model = source.model
    if model.body_mass[body] > 0.0:
        copy.explicitinertial = True
        copy.mass, copy.inertia = model.body_mass[body], model.body_inertia[body]
        copy.ipos, copy.iquat = model.body_ipos[body], model.body_iquat[body]


def _copy_shapes(source: Source, copy: Any, body: int, place: FloatArray, *, finger: str) -> None:
    """Add the primitive shapes that collide; objects meet them, the robot itself does not.

    Args:
        source: where they are.
        copy: body that gets them: that of the source, or the finger that it is fixed to.
        body: whose they are.
        place: (4, 4) pose of that in the frame of `copy`.
        finger: name of the finger, whose shapes are called `<finger>_0` and so on and hold as pads
            do; "" for what is none.
    """
    model = source.model
    first = int(model.body_geomadr[body])
    for geom in range(first, first + int(model.body_geomnum[body])):
        if not is_solid(model, geom):
            continue
        T = place @ matrix_of(model.geom_pos[geom], model.geom_quat[geom])
        slide, *turning = model.geom_friction[geom]
        pad = finger != "" and model.geom(geom).name == _pad_name(finger)
        name = _pad_name(finger) if pad else f"{finger}_{len(copy.geoms)}"
        copy.add_geom(
            name=name if finger else "",
            type=model.geom_type[geom],
            size=model.geom_size[geom],
            pos=T[:3, 3],
            quat=quat_from_matrix(T[:3, :3]),
            friction=(slide, *(PAD_TURNING if finger else turning)),
            rgba=_DARK if pad else _COLOUR,
            **SOLID,
            **(PAD if finger else {}),
        )


def _add_pad(finger: Any, name: str, place: FloatArray, sizes: tuple[float, ...]) -> None:
    """Add a pad to a finger of a name, at a pose (4, 4) in its frame."""
    finger.add_geom(
        name=_pad_name(name),
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.5 * size for size in sizes],
        pos=place[:3, 3],
        quat=quat_from_matrix(place[:3, :3]),
        friction=(PAD_FRICTION, *PAD_TURNING),
        rgba=_DARK,
        **SOLID,
        **PAD,
    )


def _pad_name(finger: str) -> str:
    return finger.removesuffix("finger") + "pad"


def _add_tool(robot: Robot, last: Any) -> None:
    """Add the site of the tool frame to the link behind the last joint.

    The joint frame of a chain is the body's up to the joint's place in it.
    """
    T = robot.chain.T_last_tool
    last.add_site(
        name=robot.chain.tool_frame,
        pos=T[:3, 3] + last.joints[0].pos,
        quat=quat_from_matrix(T[:3, :3]),
        size=[0.002] * 3,
        group=4,
    )


def _add_capsules(robot: Robot, bodies: Sequence[Any], radius: float) -> None:
    """Add what is seen: a capsule from each joint to the next, from the last to the tool."""
    ways = [*robot.chain.T_parent_joint[:, :3, 3], robot.chain.T_last_tool[:3, 3]]
    for body, way in zip(bodies, ways, strict=True):
        start = np.array(body.joints[0].pos) if len(body.joints) else np.zeros(3)
        if np.linalg.norm(way) > 1e-6:
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=[*start, *(start + way)],
                size=[radius, 0.0, 0.0],
                rgba=_COLOUR,
                group=2,
                contype=0,
                conaffinity=0,
                density=0.0,
            )
