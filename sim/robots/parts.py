"""What robot models are made of: links with joints and servos, fingers with pads, their drive.

The low-level law is the actuator: `kp (ctrl - q) - kd dq`, limited to the torque limits, above
gravity compensation of arm and gripper; writing `q_des + (kd / kp) dq_des` to `ctrl` makes it joint
impedance control `kp (q_des - q) + kd (dq_des - dq)`.

A robot does not collide with itself: its geoms have contype 2 and conaffinity 1, so they meet
objects with MuJoCo's default 1 and 1 and not each other. Geoms of group 2 are seen, of group 3
collide.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import mujoco
import numpy as np

from sim2arm.core.robots import Robot
from sim2arm.core.transforms import quat_from_matrix

Point: TypeAlias = tuple[float, float, float]
Material: TypeAlias = Literal["white", "grey", "dark", "accent"]


PAD: Mapping[str, Any] = MappingProxyType(
    {
        "priority": 1,
        "condim": 4,
        "solref": (0.005, 1.0),  # the stiffest at 1/480 s: 15 N press a 50 g peg in by 0.2 mm
        "solimp": (0.95, 0.99, 0.001, 0.5, 2.0),
    }
)
"""Contact of what holds objects, but for its sliding friction."""
PAD_TURNING = (0.005, 0.0001)
"""Its friction against turning and rolling [m]."""


@dataclass(frozen=True)
class Bar:
    """A capsule or cylinder from `start` to `end` [m]."""

    kind: Literal["capsule", "cylinder"]
    start: Point
    end: Point
    radius: float
    material: Material = "white"


@dataclass(frozen=True)
class Box:
    """A box with its centre and half sizes [m]."""

    centre: Point
    half: Point
    material: Material = "white"


Shape: TypeAlias = Bar | Box
Shapes: TypeAlias = Mapping[str, tuple[Shape, ...]]
"""By the name of a body without its robot's: link0, link1 ..., hand, finger."""


@dataclass(frozen=True)
class Inertia:
    """Mass, centre of mass and inertia of one body, in the body frame."""

    mass: float
    """[kg]"""
    com: tuple[float, float, float]
    """[m]"""
    inertia: tuple[float, float, float, float, float, float]
    """xx yy zz xy xz yz about the centre of mass [kg m^2]."""


@dataclass(frozen=True)
class JointDynamics:
    """What resists the motion of each arm joint besides the inertia of the links."""

    armature: tuple[float, ...]
    """Rotor inertia seen from the joint [kg m^2]."""
    damping: tuple[float, ...]
    """Viscous friction [N m s/rad]."""
    frictionloss: tuple[float, ...]
    """Coulomb friction [N m]."""


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What is seen of a robot and what collides."""

    colours: Mapping[Material, tuple[float, float, float, float]]
    visual: Shapes
    collision: Shapes


@dataclass(frozen=True, kw_only=True)
class PadContact:
    """A pad of a finger: rubber, soft and rough; its contact wins over the object's."""

    box: Box
    """Its face towards the other finger is parallel to the plane y = 0."""
    friction: float
    """Sliding friction."""
    turn: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """Orientation of the box in the finger's frame."""


def add_links(
    spec: mujoco.MjSpec,
    robot: Robot,
    links: Sequence[Inertia],
    dynamics: JointDynamics,
    looks: Looks,
    position: Point,
) -> Any:
    """Add base and links to the world body of a scene; return the last link.

    Bodies `<name>_link0` (the base), `<name>_link1` and so on, one more than joints; joints and
    actuators have the robot's joint names. The scene's angles become radians
    (`compiler.degree` is MuJoCo's default).
    """
    spec.compiler.degree = False
    name = robot.name
    for colour, rgba in looks.colours.items():
        spec.add_material(name=f"{name}_{colour}", rgba=rgba, specular=0.35, shininess=0.4)
    body = spec.worldbody.add_body(name=f"{name}_link0", pos=position)
    set_inertia(body, links[0])
    add_shapes(body, name, "link0", looks)
    for i, inertia in enumerate(links[1:]):
        body = _add_link(spec, body, robot, i, dynamics)
        set_inertia(body, inertia)
        add_shapes(body, name, f"link{i + 1}", looks)
    return body


def _add_link(
    spec: mujoco.MjSpec, parent: Any, robot: Robot, i: int, dynamics: JointDynamics
) -> Any:
    """Add link i + 1 with its joint and actuator; return its body."""
    T, limits, joint = robot.chain.T_parent_joint[i], robot.limits, robot.joint_names[i]
    body = parent.add_body(
        name=f"{robot.name}_link{i + 1}",
        pos=T[:3, 3],
        quat=quat_from_matrix(T[:3, :3]),
        gravcomp=1.0,
    )
    body.add_joint(
        name=joint,
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=robot.chain.axes[i],
        range=(limits.q_min[i], limits.q_max[i]),
        limited=True,
        armature=dynamics.armature[i],
        damping=dynamics.damping[i],
        frictionloss=dynamics.frictionloss[i],
    )
    add_servo(
        spec,
        joint,
        joint,
        mujoco.mjtTrn.mjTRN_JOINT,
        gains=(robot.kp[i], robot.kd[i], limits.tau_max[i]),
    )
    return body


def add_servo(
    spec: mujoco.MjSpec,
    name: str,
    target: str,
    kind: Any,
    *,
    gains: tuple[float, float, float],
    zero: float = 0.0,
) -> None:
    """Add an actuator with force `kp (ctrl - x + zero) - kd dx`; gains: kp, kd, force limit."""
    kp, kd, limit = gains
    spec.add_actuator(
        name=name,
        target=target,
        trntype=kind,
        gaintype=mujoco.mjtGain.mjGAIN_FIXED,
        biastype=mujoco.mjtBias.mjBIAS_AFFINE,
        gainprm=[kp] + [0.0] * 9,
        biasprm=[kp * zero, -kp, -kd] + [0.0] * 7,
        forcelimited=True,
        forcerange=(-limit, limit),
    )


def add_tool_site(body: Any, robot: Robot, place: np.ndarray) -> None:
    """Add the site of the tool frame on a body that is fixed to the last link at (4, 4) [m]."""
    T = np.linalg.inv(place) @ robot.chain.T_last_tool
    body.add_site(
        name=robot.chain.tool_frame,
        pos=T[:3, 3],
        quat=quat_from_matrix(T[:3, :3]),
        size=[0.002] * 3,
        group=4,
    )


def add_slide_fingers(
    hand: Any,
    robot: Robot,
    *,
    mount: Point,
    finger: Inertia,
    looks: Looks,
    pad: PadContact,
    armature: float,
    damping: float,
) -> None:
    """Add `<name>_leftfinger` and `_rightfinger` on slides along y and -y of the hand.

    Args:
        hand: body, changed in place.
        robot: whose gripper it is.
        mount: origin of both fingers in the hand, between closed fingers [m].
        finger: mass and inertia of one.
        looks: its shapes, `finger`.
        pad: on it.
        armature: inertia of its drive seen from the finger [kg].
        damping: friction of its drive [N s/m].
    """
    for side, quat, joint in (
        ("left", (1.0, 0.0, 0.0, 0.0), robot.gripper.joint_names[0]),
        ("right", (0.0, 0.0, 0.0, 1.0), robot.gripper.joint_names[1]),
    ):
        body = hand.add_body(name=f"{robot.name}_{side}finger", pos=mount, quat=quat, gravcomp=1.0)
        set_inertia(body, finger)
        body.add_joint(
            name=joint,
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=(0.0, 1.0, 0.0),
            range=(0.0, robot.gripper.open_width / 2),
            limited=True,
            armature=armature,
            damping=damping,
        )
        add_shapes(body, robot.name, "finger", looks)
        add_pad(body, robot.name, side, pad)


def add_gripper_drive(spec: mujoco.MjSpec, robot: Robot, stiffness: float) -> None:
    """Add the actuator `<name>_gripper`, whose control is the distance between the pads [m].

    It pulls at the tendon `<name>_width`; two fingers are held together by an equality.

    Args:
        spec: the scene with the fingers, changed in place.
        robot: whose gripper it is.
        stiffness: of the opening [N/m].
    """
    name, gripper = robot.name, robot.gripper
    tendon = spec.add_tendon(name=f"{name}_width")
    for joint in gripper.joint_names:
        tendon.wrap_joint(joint, gripper.opening)
    for joint in gripper.joint_names[1:]:
        spec.add_equality(
            name=f"{name}_fingers",
            type=mujoco.mjtEq.mjEQ_JOINT,
            objtype=mujoco.mjtObj.mjOBJ_JOINT,
            name1=gripper.joint_names[0],
            name2=joint,
            data=[0.0, 1.0] + [0.0] * 10,
            solref=(0.01, 1.0),
        )
    add_servo(
        spec,
        f"{name}_gripper",
        tendon.name,
        mujoco.mjtTrn.mjTRN_TENDON,
        gains=(stiffness, 0.0, gripper.force),
        zero=gripper.opening * gripper.closed * len(gripper.joint_names),
    )


def add_pad(finger: Any, name: str, side: str, pad: PadContact) -> None:
    """Add the geom `<name>_<side>pad`, which is seen and collides."""
    finger.add_geom(
        name=f"{name}_{side}pad",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=pad.box.centre,
        quat=pad.turn,
        size=pad.box.half,
        material=f"{name}_{pad.box.material}",
        group=2,
        contype=2,
        conaffinity=1,
        density=0.0,
        friction=(pad.friction, *PAD_TURNING),
        **PAD,
    )


def set_inertia(body: Any, inertia: Inertia) -> None:
    """Give a body its mass and inertia."""
    body.explicitinertial = True
    body.mass = inertia.mass
    body.ipos = inertia.com
    body.fullinertia = inertia.inertia


def add_shapes(body: Any, name: str, link: str, looks: Looks) -> None:
    """Add the visual (group 2) and the collision geoms (group 3) of a link."""
    for shape in looks.visual.get(link, ()):
        geom = _add_geom(body, shape)
        geom.group, geom.contype, geom.conaffinity = 2, 0, 0
        geom.material = f"{name}_{shape.material}"
    for shape in looks.collision.get(link, ()):
        geom = _add_geom(body, shape)
        geom.group, geom.contype, geom.conaffinity = 3, 2, 1


def _add_geom(body: Any, shape: Shape) -> Any:
    if isinstance(shape, Bar):
        kind = f"mjGEOM_{shape.kind.upper()}"
        return body.add_geom(
            type=getattr(mujoco.mjtGeom, kind),
            fromto=[*shape.start, *shape.end],
            size=[shape.radius, 0.0, 0.0],
            density=0.0,
        )
    return body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX, pos=shape.centre, size=shape.half, density=0.0
    )


def add_home_key(spec: mujoco.MjSpec, *robots: Robot) -> None:
    """Add the keyframe `home`, to which a world resets; call it when the scene is complete.

    Everything is at its place in the model, the robots at home with an open gripper.
    """
    model = spec.compile()
    qpos, ctrl = model.qpos0.copy(), np.zeros(model.nu)
    for robot in robots:
        for joint, q in zip(robot.joint_names, robot.home, strict=True):
            qpos[model.joint(joint).qposadr[0]] = q
            ctrl[model.actuator(joint).id] = q
        width = robot.gripper.open_width
        for joint in robot.gripper.joint_names:
            qpos[model.joint(joint).qposadr[0]] = robot.gripper.position(width)
            ctrl[model.actuator(f"{robot.name}_gripper").id] = width
    spec.add_key(name="home", qpos=qpos, ctrl=ctrl)
