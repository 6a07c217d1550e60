"""Add an SO-101 with its jaw to a MuJoCo scene.

The shapes are primitives of our own; inertias, frames and joint friction are those of [S]:
SO-ARM100 (Apache-2.0), `Simulation/SO101/so101_new_calib.xml`.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from sim2arm.core.robots import Robot
from sim2arm.core.transforms import quat_from_matrix

from .parts import (
    Bar,
    Box,
    Inertia,
    JointDynamics,
    Looks,
    PadContact,
    Shape,
    add_gripper_drive,
    add_links,
    add_pad,
    add_shapes,
    add_tool_site,
    set_inertia,
)

ARMATURE, DAMPING, FRICTION = 0.028, 0.60, 0.052
"""Of every servo: rotor seen from the joint [kg m^2], viscous [N m s/rad], Coulomb [N m] [S]."""
GRIPPER_KP = 20000.0
"""Stiffness of the opening [N/m], ours: 128 N m/rad at the jaw."""

LINKS = (  # [S]
    Inertia(
        0.147,
        (0.0137179, -5.19711e-05, 0.0334843),
        (0.000114686, 0.000136117, 0.000130364, -4.59787e-07, 4.97151e-06, 9.75275e-08),
    ),
    Inertia(
        0.100006,
        (-0.0307604, -1.66727e-05, -0.0252713),
        (8.3759e-05, 8.10403e-05, 2.39783e-05, 7.55525e-08, -1.16342e-06, 1.54663e-07),
    ),
    Inertia(
        0.103,
        (-0.0898471, -0.00838224, 0.0184089),
        (4.08002e-05, 0.000147318, 0.000142487, -1.97819e-05, -4.03016e-08, 8.97326e-09),
    ),
    Inertia(
        0.104,
        (-0.0980701, 0.00324376, 0.0182831),
        (2.87438e-05, 0.000159844, 0.00014529, 7.41152e-06, 1.26409e-06, -4.90188e-08),
    ),
    Inertia(
        0.079,
        (-0.000103312, -0.0386143, 0.0281156),
        (3.68263e-05, 2.5391e-05, 2.1e-05, 1.7893e-08, -5.28128e-08, 3.6412e-06),
    ),
    Inertia(
        0.087,
        (0.000213627, 0.000245138, -0.025187),
        (2.75087e-05, 4.33657e-05, 3.45059e-05, -3.35241e-07, -5.7352e-06, -5.17847e-08),
    ),
)
JAW = Inertia(
    0.012,
    (-0.00157495, -0.0300244, 0.0192755),
    (6.61427e-06, 1.89032e-06, 5.28738e-06, -3.19807e-07, -5.90717e-09, -1.09945e-07),
)
JOINTS = JointDynamics(
    armature=(ARMATURE,) * 5, damping=(DAMPING,) * 5, frictionloss=(FRICTION,) * 5
)
JAW_AXIS = (0.0202, 0.0188, -0.0234)
"""Origin of the jaw in the last link [m]; it is turned by 90 degrees about x [S]."""

# Drawn along the joint axes; servos are 45 x 25 x 35 mm, the rest is estimated to a centimetre.
VISUAL: dict[str, tuple[Shape, ...]] = {
    "link0": (
        Box((0.0, 0.0, 0.008), (0.045, 0.040, 0.008)),
        Box((0.026, 0.0, 0.040), (0.025, 0.022, 0.024), "dark"),
    ),
    "link1": (
        Box((-0.030, 0.0, -0.042), (0.012, 0.018, 0.024), "dark"),
        Box((-0.015, 0.0, -0.010), (0.028, 0.024, 0.010)),
    ),
    "link2": (
        Bar("cylinder", (0.0, 0.0, 0.0), (0.0, 0.0, 0.037), 0.014, "dark"),
        Bar("capsule", (-0.012, -0.004, 0.0183), (-0.10, -0.020, 0.0183), 0.014),
        Box((-0.1126, -0.0155, 0.0187), (0.012, 0.023, 0.018), "dark"),
    ),
    "link3": (
        Bar("capsule", (-0.010, 0.0, 0.0183), (-0.105, 0.004, 0.0183), 0.013),
        Box((-0.1224, 0.0052, 0.0187), (0.023, 0.012, 0.018), "dark"),
    ),
    "link4": (
        Bar("cylinder", (0.0, 0.0, 0.0), (0.0, 0.0, 0.037), 0.013),
        Box((0.0, -0.040, 0.0240), (0.013, 0.020, 0.020), "dark"),
    ),
    "link5": (
        Box((0.004, 0.0, -0.020), (0.024, 0.020, 0.014), "dark"),
        Box((-0.0130, 0.0, -0.045), (0.0055, 0.015, 0.020)),
    ),
    "leftfinger": (Box((-0.0135, 0.0, -0.080), (0.0040, 0.012, 0.025)),),
    "rightfinger": (
        Bar("cylinder", (0.0, 0.0, 0.006), (0.0, 0.0, 0.034), 0.010),
        Bar("capsule", (0.0, -0.006, 0.0189), (-0.006, -0.045, 0.0189), 0.008),
        Bar("capsule", (-0.006, -0.045, 0.0189), (-0.0055, -0.082, 0.0189), 0.006),
    ),
}
COLLISION: dict[str, tuple[Shape, ...]] = {
    "link3": (
        Bar("capsule", (-0.010, 0.0, 0.0183), (-0.105, 0.004, 0.0183), 0.018),
        Box((-0.1224, 0.0052, 0.0187), (0.023, 0.012, 0.018)),
    ),
    "link4": (Box((0.0, -0.035, 0.0210), (0.013, 0.025, 0.021)),),
    "link5": (Box((0.0, 0.0, -0.035), (0.022, 0.018, 0.025)),),
    "leftfinger": (Box((-0.0135, 0.0, -0.080), (0.0040, 0.012, 0.025)),),
    "rightfinger": (
        Bar("capsule", (0.0, -0.006, 0.0189), (-0.006, -0.045, 0.0189), 0.008),
        Bar("capsule", (-0.006, -0.045, 0.0189), (-0.0055, -0.082, 0.0189), 0.006),
    ),
}
LOOKS = Looks(
    colours={
        "white": (0.93, 0.78, 0.25, 1.0),
        "grey": (0.62, 0.64, 0.67, 1.0),
        "dark": (0.11, 0.11, 0.12, 1.0),
        "accent": (0.20, 0.45, 0.75, 1.0),
    },
    visual=VISUAL,
    collision=COLLISION,
)
PAD_THICKNESS, PAD_HALF = 0.003, 0.010
"""Of both pads [m], ours."""
PAD_FRICTION = 0.6
"""Sliding friction, our estimate for printed plastic."""


def add_robot(
    spec: mujoco.MjSpec, robot: Robot, *, position: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> None:
    """Add the arm with its jaw to the world body of a scene.

    Bodies `so101_link0` to `_link5`, the fixed finger `_leftfinger` and the jaw `_rightfinger`;
    pads `so101_leftpad` and `so101_rightpad`; joints, site and actuators as in `models.add_robot`.
    """
    last = add_links(spec, robot, LINKS, JOINTS, LOOKS, position)
    add_tool_site(last, robot, np.eye(4))
    _add_fixed_finger(last, robot)
    _add_jaw(last, robot)
    add_gripper_drive(spec, robot, GRIPPER_KP)


def _add_fixed_finger(last: Any, robot: Robot) -> None:
    """Add the finger that does not move; its mass is the last link's."""
    finger = last.add_body(name=f"{robot.name}_leftfinger", gravcomp=1.0)
    set_inertia(finger, Inertia(1e-6, (0.0, 0.0, 0.0), (1e-9, 1e-9, 1e-9, 0.0, 0.0, 0.0)))
    add_shapes(finger, robot.name, "leftfinger", LOOKS)
    add_pad(finger, robot.name, "left", _pad(robot, np.eye(4), -1.0))


def _add_jaw(last: Any, robot: Robot) -> None:
    gripper, h = robot.gripper, np.sqrt(0.5)
    jaw = last.add_body(
        name=f"{robot.name}_rightfinger", pos=JAW_AXIS, quat=(h, h, 0.0, 0.0), gravcomp=1.0
    )
    set_inertia(jaw, JAW)
    jaw.add_joint(
        name=gripper.joint_names[0],
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=(0.0, 0.0, 1.0),
        range=(gripper.closed, gripper.position(gripper.open_width)),
        limited=True,
        armature=ARMATURE,
        damping=DAMPING,
        frictionloss=FRICTION,
    )
    add_shapes(jaw, robot.name, "rightfinger", LOOKS)
    c, s = np.cos(gripper.closed), np.sin(gripper.closed)
    closed = np.eye(4)
    closed[:3, :3] = ((c, -s, 0.0), (0.0, 0.0, -1.0), (s, c, 0.0))  # about x by 90 deg, about z
    closed[:3, 3] = JAW_AXIS
    add_pad(jaw, robot.name, "right", _pad(robot, closed, 1.0))


def _pad(robot: Robot, T_link_finger: np.ndarray, side: float) -> PadContact:
    """Return the pad on one side of the tool point, along y of the tool, with the jaw closed."""
    T = np.linalg.inv(T_link_finger) @ robot.chain.T_last_tool
    x, y, z = T[:3, 3] + 0.5 * side * PAD_THICKNESS * T[:3, 1]
    w, i, j, k = quat_from_matrix(T[:3, :3])
    box = Box((x, y, z), (PAD_HALF, 0.5 * PAD_THICKNESS, PAD_HALF), "dark")
    return PadContact(box=box, friction=PAD_FRICTION, turn=(w, i, j, k))
