"""Add a Universal Robots UR5e with the Robotiq Hand-E to a MuJoCo scene.

The shapes are primitives of our own; inertias and frames are published numbers. Sources, named in
the comments by these letters:

- [U] Universal_Robots_ROS2_Description (BSD-3-Clause), `config/ur5e/physical_parameters.yaml`
  and, for joint friction, `urdf/ur_macro.xacro`.
- [M] MuJoCo Menagerie (BSD-3-Clause), `universal_robots_ur5e/ur5e.xml`; not tuned, it says.
- [G] robotiq_hande_description (MIT), `urdf/robotiq_hande_gripper.xacro`.
- [C] our choice: nothing is published.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from sim2arm.core.robots import Robot
from sim2arm.core.robots_ur5e import COUPLER_HEIGHT, FINGER_LENGTH, HAND_HEIGHT, PAD_TO_END
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
    add_shapes,
    add_slide_fingers,
    add_tool_site,
    set_inertia,
)

MOUNT = COUPLER_HEIGHT + HAND_HEIGHT
"""From the flange to the fingers [m]."""
HAND_RADIUS = 0.0375
"""[m] [G]"""
GRIPPER_KP = 20000.0
"""Stiffness of the opening [N/m] [C], as on the Franka Hand."""
FINGER_ARMATURE = 0.05
"""Inertia of the finger drive seen from the finger [kg] [C]."""
FINGER_DAMPING = 130.0 / 0.15
"""Friction of a finger drive [N s/m] [C]: the greatest force moves a finger at its speed [G]."""


def _turned(
    mass: float,
    com: tuple[float, float, float],
    inertia: tuple[float, float, float, float, float, float],
    quarter: int,
) -> Inertia:
    """Return an inertia whose axes are given turned about x by quarter turns of the body's."""
    xx, yy, zz, xy, xz, yz = inertia
    if quarter:  # y' = quarter z, z' = -quarter y
        yy, zz, xy, xz, yz = zz, yy, -quarter * xz, quarter * xy, -yz
    return Inertia(mass, com, (xx, yy, zz, xy, xz, yz))


LINKS = (
    # A cylinder of radius 0.06 m and length 0.05 m; [U] calls its mass "might be incorrect".
    Inertia(4.0, (0.0, 0.0, 0.025), (0.00443, 0.00443, 0.0072, 0.0, 0.0, 0.0)),
    _turned(  # [U], as all that follow
        3.761,
        (0.0, -0.00193, -0.02561),
        (0.0070021, 0.00648091, 0.00657286, 7.3e-07, -1.053e-05, 0.00049994),
        1,
    ),
    _turned(
        8.058,
        (-0.2125, 0.0, 0.11336),
        (0.01505885, 0.33388086, 0.33247207, -5.4e-05, 5.63e-06, -1.81e-06),
        0,
    ),
    _turned(
        2.846,
        (-0.2422, 0.0, 0.0265),
        (0.00399632, 0.07879254, 0.0784851, -1.365e-05, 0.00137272, -6.6e-06),
        0,
    ),
    _turned(
        1.37,
        (0.0, -0.01634, -0.0018),
        (0.00165491, 0.00135962, 0.00126279, -2.82e-06, -4.38e-06, 0.00010157),
        1,
    ),
    _turned(
        1.3,
        (0.0, 0.01634, -0.0018),
        (0.00135617, 0.00127827, 0.00096614, -2.74e-06, 4.44e-06, -5.048e-05),
        -1,
    ),
    _turned(
        0.365,
        (0.0, 0.0, -0.001159),
        (0.00018694, 0.00018908, 0.00025756, 6e-08, -1.7e-07, -9.2e-07),
        0,
    ),
)
JOINTS = JointDynamics(
    armature=(0.1,) * 6,  # [M]
    damping=(0.0,) * 6,  # [U] has none: randomise it, the real gears have
    frictionloss=(0.0,) * 6,  # [U], likewise
)
# Coupler 0.119 kg and gripper 0.86387 kg [G] as one cylinder of the height of both.
_MASS = 0.119 + 0.86387
_ACROSS = _MASS * (3 * HAND_RADIUS**2 + MOUNT**2) / 12
HAND = Inertia(
    _MASS, (0.0, 0.0, MOUNT / 2), (_ACROSS, _ACROSS, _MASS * HAND_RADIUS**2 / 2, 0.0, 0.0, 0.0)
)
# Mass [G], which gives no useful inertia: that of a box of 22 x 12 x 46.5 mm [C].
FINGER = Inertia(
    0.03804, (0.0, 0.006, FINGER_LENGTH / 2), (7.3e-06, 8.4e-06, 2.0e-06, 0.0, 0.0, 0.0)
)

# Dimensions are read off the data sheet's drawings to about a centimetre.
VISUAL: dict[str, tuple[Shape, ...]] = {
    "link0": (
        Bar("cylinder", (0.0, 0.0, 0.0), (0.0, 0.0, 0.02), 0.075, "grey"),
        Bar("cylinder", (0.0, 0.0, 0.02), (0.0, 0.0, 0.098), 0.062, "grey"),
    ),
    "link1": (
        Bar("cylinder", (0.0, 0.0, -0.064), (0.0, 0.0, 0.062), 0.060),
        Bar("cylinder", (0.0, -0.082, 0.0), (0.0, 0.06, 0.0), 0.058),
        Bar("cylinder", (0.0, 0.06, 0.0), (0.0, 0.068, 0.0), 0.056, "accent"),
    ),
    "link2": (
        Bar("cylinder", (0.0, 0.0, 0.082), (0.0, 0.0, 0.195), 0.058),
        Bar("cylinder", (0.0, 0.0, 0.195), (0.0, 0.0, 0.203), 0.056, "accent"),
        Bar("capsule", (-0.04, 0.0, 0.138), (-0.385, 0.0, 0.138), 0.046, "grey"),
        Bar("cylinder", (-0.425, 0.0, 0.072), (-0.425, 0.0, 0.195), 0.056),
        Bar("cylinder", (-0.425, 0.0, 0.195), (-0.425, 0.0, 0.203), 0.054, "accent"),
    ),
    "link3": (
        Bar("cylinder", (0.0, 0.0, -0.052), (0.0, 0.0, 0.068), 0.054),
        Bar("capsule", (-0.04, 0.0, 0.007), (-0.355, 0.0, 0.007), 0.038, "grey"),
        Bar("cylinder", (-0.3922, 0.0, -0.045), (-0.3922, 0.0, 0.075), 0.040),
    ),
    "link4": (
        Bar("cylinder", (0.0, 0.0, -0.058), (0.0, 0.0, 0.045), 0.040),
        Bar("cylinder", (0.0, 0.0, 0.0), (0.0, -0.055, 0.0), 0.040),
        Bar("cylinder", (0.0, 0.0, 0.045), (0.0, 0.0, 0.052), 0.038, "accent"),
    ),
    "link5": (
        Bar("cylinder", (0.0, 0.0, -0.045), (0.0, 0.0, 0.045), 0.040),
        Bar("cylinder", (0.0, 0.0, 0.0), (0.0, 0.055, 0.0), 0.040),
        Bar("cylinder", (0.0, 0.0, 0.045), (0.0, 0.0, 0.052), 0.038, "accent"),
    ),
    "link6": (Bar("cylinder", (0.0, 0.0, -0.044), (0.0, 0.0, 0.0), 0.038, "grey"),),
    "hand": (
        Bar("cylinder", (0.0, 0.0, 0.0), (0.0, 0.0, COUPLER_HEIGHT), HAND_RADIUS, "dark"),
        Bar("cylinder", (0.0, 0.0, COUPLER_HEIGHT), (0.0, 0.0, 0.085), HAND_RADIUS, "grey"),
        Box((0.0, 0.0, 0.0975), (0.020, 0.0375, 0.0125), "dark"),
    ),
    "finger": (Box((0.0, 0.0085, 0.02325), (0.011, 0.0045, 0.02325), "grey"),),
}
COLLISION: dict[str, tuple[Shape, ...]] = {
    "link2": (
        Bar("capsule", (0.0, 0.0, 0.138), (-0.425, 0.0, 0.138), 0.055),
        Bar("cylinder", (-0.425, 0.0, 0.072), (-0.425, 0.0, 0.203), 0.056),
    ),
    "link3": (
        Bar("capsule", (0.0, 0.0, 0.007), (-0.3922, 0.0, 0.007), 0.045),
        Bar("cylinder", (-0.3922, 0.0, -0.045), (-0.3922, 0.0, 0.075), 0.040),
    ),
    "link4": (Bar("capsule", (0.0, 0.0, -0.02), (0.0, 0.0, 0.012), 0.042),),
    "link5": (Bar("capsule", (0.0, 0.0, -0.008), (0.0, 0.0, 0.012), 0.042),),
    "link6": (Bar("cylinder", (0.0, 0.0, -0.044), (0.0, 0.0, 0.0), 0.038),),
    "hand": (Bar("cylinder", (0.0, 0.0, 0.0), (0.0, 0.0, MOUNT), HAND_RADIUS),),
    "finger": (Box((0.0, 0.0085, 0.02325), (0.011, 0.0045, 0.02325)),),
}
LOOKS = Looks(
    colours={
        "white": (0.82, 0.84, 0.86, 1.0),
        "grey": (0.55, 0.57, 0.60, 1.0),
        "dark": (0.12, 0.13, 0.14, 1.0),
        "accent": (0.45, 0.66, 0.82, 1.0),
    },
    visual=VISUAL,
    collision=COLLISION,
)
PAD = PadContact(
    box=Box((0.0, 0.002, FINGER_LENGTH - PAD_TO_END), (0.011, 0.002, PAD_TO_END), "dark"),
    friction=1.0,  # [C]: rubber; the manual's 0.3 is for silicone on lubricated steel
)


def add_robot(
    spec: mujoco.MjSpec, robot: Robot, *, position: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> None:
    """Add the arm with its gripper to the world body of a scene.

    Bodies `ur5e_link0` to `_link6`, `_hand`, `_leftfinger`, `_rightfinger`; pads `ur5e_leftpad` and
    `ur5e_rightpad`; joints, site and actuators as in `models.add_robot`.
    """
    last = add_links(spec, robot, LINKS, JOINTS, LOOKS, position)
    _add_hand(last, robot)
    add_gripper_drive(spec, robot, GRIPPER_KP)


def _add_hand(link6: Any, robot: Robot) -> None:
    place = np.eye(4)
    place[:3, :3] = robot.chain.T_last_tool[:3, :3]
    hand = link6.add_body(
        name=f"{robot.name}_hand", quat=quat_from_matrix(place[:3, :3]), gravcomp=1.0
    )
    set_inertia(hand, HAND)
    add_shapes(hand, robot.name, "hand", LOOKS)
    add_tool_site(hand, robot, place)
    add_slide_fingers(
        hand,
        robot,
        mount=(0.0, 0.0, MOUNT),
        finger=FINGER,
        looks=LOOKS,
        pad=PAD,
        armature=FINGER_ARMATURE,
        damping=FINGER_DAMPING,
    )
