"""Add a Franka Panda or an FR3 with the Franka Hand to a MuJoCo scene.

The shapes are primitives of our own (`franka_shape`), the inertias published numbers
(`franka_inertia`). The low-level law is the actuator: `kp (ctrl - q) - kd dq`, limited to the
torque limits, above gravity compensation of arm and hand; writing `q_des + (kd / kp) dq_des` to
`ctrl` makes it joint impedance control `kp (q_des - q) + kd (dq_des - dq)`.

The robot does not collide with itself: its geoms have contype 2 and conaffinity 1, so they meet
objects with MuJoCo's default 1 and 1 and not each other.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from sim2arm.core.robots import Robot
from sim2arm.core.transforms import quat_from_matrix

from .franka_inertia import FINGER, FINGER_ARMATURE, FINGER_DAMPING, HAND, JOINTS, LINKS, Inertia
from .franka_shape import COLLISION, PAD, VISUAL, Bar, Shape

FINGER_MOUNT = (0.0, 0.0, 0.0584)
"""Finger frames in the hand [m], `end_effectors/common/franka_hand.xacro`, franka_description."""
PAD_FRICTION = 1.13
"""Sliding friction of the finger pads, `robots/common/franka_robot.xacro`, franka_description."""
GRIPPER_KP = 20000.0
"""Stiffness of the opening [N/m]: an object wider than 3.5 mm is held with the full 70 N (ours)."""

_COLOURS = {
    "white": (0.93, 0.94, 0.95, 1.0),
    "grey": (0.62, 0.64, 0.67, 1.0),
    "dark": (0.13, 0.14, 0.16, 1.0),
    "accent": (0.16, 0.47, 0.80, 1.0),
}


def add_robot(
    spec: mujoco.MjSpec, robot: Robot, *, position: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> None:
    """Add an arm with its hand to the world body of a scene.

    Bodies `<name>_link0` to `_link7`, `_hand`, `_leftfinger`, `_rightfinger`; site
    `<name>_hand_tcp`; joints as in `robot`; an actuator per arm joint with the joint's name and
    `<name>_gripper`, whose control is the distance between the pads [m]. Geoms of group 2 are
    seen, of group 3 collide; pads are both and named `<name>_leftpad` and `<name>_rightpad`.
    The scene's angles become radians (`compiler.degree` is MuJoCo's default).

    Args:
        spec: the scene, changed in place.
        robot: `PANDA` or `FR3`.
        position: of the base, with the world's axes [m].

    Raises:
        ValueError: the robot is not a Franka arm.
    """
    if robot.name not in LINKS:
        raise ValueError(f"robot {robot.name!r} has no Franka model. Known: {list(LINKS)}")
    spec.compiler.degree = False
    name = robot.name
    for colour, rgba in _COLOURS.items():
        spec.add_material(name=f"{name}_{colour}", rgba=rgba, specular=0.35, shininess=0.4)
    body = spec.worldbody.add_body(name=f"{name}_link0", pos=position)
    _set_inertia(body, LINKS[name][0])
    _add_shapes(body, name, "link0")
    for i in range(7):
        body = _add_link(spec, body, robot, i)
    _add_hand(spec, body, robot)


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
        for joint in robot.gripper.joint_names:
            qpos[model.joint(joint).qposadr[0]] = robot.gripper.open_width / 2
        ctrl[model.actuator(f"{robot.name}_gripper").id] = robot.gripper.open_width
    spec.add_key(name="home", qpos=qpos, ctrl=ctrl)


def _add_link(spec: mujoco.MjSpec, parent: Any, robot: Robot, i: int) -> Any:
    """Add link i + 1 with its joint and actuator; return its body."""
    T = robot.chain.T_parent_joint[i]
    name, joint = f"{robot.name}_link{i + 1}", robot.joint_names[i]
    body = parent.add_body(name=name, pos=T[:3, 3], quat=quat_from_matrix(T[:3, :3]), gravcomp=1.0)
    _set_inertia(body, LINKS[robot.name][i + 1])
    dynamics, limits = JOINTS[robot.name], robot.limits
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
    _add_shapes(body, robot.name, f"link{i + 1}")
    kp, kd, tau = robot.kp[i], robot.kd[i], limits.tau_max[i]
    _add_servo(spec, joint, joint, mujoco.mjtTrn.mjTRN_JOINT, (kp, kd, tau))
    return body


def _add_servo(
    spec: mujoco.MjSpec, name: str, target: str, kind: Any, gains: tuple[float, float, float]
) -> None:
    """Add an actuator with force `kp (ctrl - x) - kd dx`, limited; gains: kp, kd, limit."""
    kp, kd, limit = gains
    spec.add_actuator(
        name=name,
        target=target,
        trntype=kind,
        gaintype=mujoco.mjtGain.mjGAIN_FIXED,
        biastype=mujoco.mjtBias.mjBIAS_AFFINE,
        gainprm=[kp] + [0.0] * 9,
        biasprm=[0.0, -kp, -kd] + [0.0] * 7,
        forcelimited=True,
        forcerange=(-limit, limit),
    )


def _add_hand(spec: mujoco.MjSpec, link7: Any, robot: Robot) -> None:
    """Add hand, tool site, fingers and the gripper's tendon, equality and actuator."""
    name, gripper = robot.name, robot.gripper
    R = robot.chain.T_last_tool[:3, :3]
    flange = (0.0, 0.0, 0.107)  # [m], link 8 of franka_description
    hand = link7.add_body(name=f"{name}_hand", pos=flange, quat=quat_from_matrix(R), gravcomp=1.0)
    _set_inertia(hand, HAND)
    _add_shapes(hand, name, "hand")
    tool = robot.chain.T_last_tool[:3, 3] - np.array(flange)
    hand.add_site(name=robot.chain.tool_frame, pos=R.T @ tool, size=[0.002] * 3, group=4)
    for side, quat, joint in (
        ("left", (1.0, 0.0, 0.0, 0.0), gripper.joint_names[0]),
        ("right", (0.0, 0.0, 0.0, 1.0), gripper.joint_names[1]),
    ):
        finger = hand.add_body(
            name=f"{name}_{side}finger", pos=FINGER_MOUNT, quat=quat, gravcomp=1.0
        )
        _set_inertia(finger, FINGER)
        finger.add_joint(
            name=joint,
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=(0.0, 1.0, 0.0),
            range=(0.0, gripper.open_width / 2),
            limited=True,
            armature=FINGER_ARMATURE,
            damping=FINGER_DAMPING,
        )
        _add_shapes(finger, name, "finger")
        _add_pad(finger, name, side)
    tendon = spec.add_tendon(name=f"{name}_width")
    for joint in gripper.joint_names:
        tendon.wrap_joint(joint, 1.0)
    left, right = gripper.joint_names
    spec.add_equality(
        name=f"{name}_fingers",
        type=mujoco.mjtEq.mjEQ_JOINT,
        objtype=mujoco.mjtObj.mjOBJ_JOINT,
        name1=left,
        name2=right,
        data=[0.0, 1.0] + [0.0] * 10,
        solref=(0.01, 1.0),
    )
    gains = (GRIPPER_KP, 0.0, gripper.force)
    _add_servo(spec, f"{name}_gripper", tendon.name, mujoco.mjtTrn.mjTRN_TENDON, gains)


def _add_pad(finger: Any, name: str, side: str) -> None:
    """Add the rubber pad of a finger: soft, rough, its contact parameters win over the object's."""
    finger.add_geom(
        name=f"{name}_{side}pad",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=PAD.centre,
        size=PAD.half,
        material=f"{name}_{PAD.material}",
        group=2,
        contype=2,
        conaffinity=1,
        density=0.0,
        priority=1,
        condim=4,
        friction=(PAD_FRICTION, 0.005, 0.0001),
        solref=(0.005, 1.0),  # the stiffest at 1/480 s: 15 N press a 50 g peg in by 0.2 mm
        solimp=(0.95, 0.99, 0.001, 0.5, 2.0),
    )


def _set_inertia(body: Any, inertia: Inertia) -> None:
    body.explicitinertial = True
    body.mass = inertia.mass
    body.ipos = inertia.com
    body.fullinertia = inertia.inertia


def _add_shapes(body: Any, name: str, link: str) -> None:
    """Add the visual (group 2) and the collision geoms (group 3) of a link."""
    for shape in VISUAL[link]:
        geom = _add_geom(body, shape)
        geom.group, geom.contype, geom.conaffinity = 2, 0, 0
        geom.material = f"{name}_{shape.material}"
    for shape in COLLISION.get(link, ()):
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
