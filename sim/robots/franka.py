"""Add a Franka Panda or an FR3 with the Franka Hand to a MuJoCo scene.

The shapes are primitives of our own (`franka_shape`), the inertias published numbers
(`franka_inertia`), the law and the names those of `parts`.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from sim2arm.core.robots import Robot
from sim2arm.core.transforms import quat_from_matrix

from .franka_inertia import FINGER, FINGER_ARMATURE, FINGER_DAMPING, HAND, JOINTS, LINKS
from .franka_shape import COLLISION, PAD, VISUAL
from .parts import (
    Looks,
    PadContact,
    add_gripper_drive,
    add_links,
    add_shapes,
    add_slide_fingers,
    set_inertia,
)
from .parts import add_home_key as add_home_key

FINGER_MOUNT = (0.0, 0.0, 0.0584)
"""Finger frames in the hand [m], `end_effectors/common/franka_hand.xacro`, franka_description."""
PAD_FRICTION = 1.13
"""Sliding friction of the finger pads, `robots/common/franka_robot.xacro`, franka_description."""
GRIPPER_KP = 20000.0
"""Stiffness of the opening [N/m]: an object wider than 3.5 mm is held with the full 70 N (ours)."""

LOOKS = Looks(
    colours={
        "white": (0.93, 0.94, 0.95, 1.0),
        "grey": (0.62, 0.64, 0.67, 1.0),
        "dark": (0.13, 0.14, 0.16, 1.0),
        "accent": (0.16, 0.47, 0.80, 1.0),
    },
    visual=VISUAL,
    collision=COLLISION,
)


def add_robot(
    spec: mujoco.MjSpec, robot: Robot, *, position: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> None:
    """Add an arm with its hand to the world body of a scene.

    Bodies `<name>_link0` to `_link7`, `_hand`, `_leftfinger`, `_rightfinger`; site
    `<name>_hand_tcp`; joints as in `robot`; an actuator per arm joint with the joint's name and
    `<name>_gripper`, whose control is the distance between the pads [m]. Pads are named
    `<name>_leftpad` and `<name>_rightpad`.

    Args:
        spec: the scene, changed in place; its angles become radians.
        robot: `PANDA` or `FR3`.
        position: of the base, with the world's axes [m].

    Raises:
        ValueError: the robot is not a Franka arm.
    """
    if robot.name not in LINKS:
        raise ValueError(f"robot {robot.name!r} has no Franka model. Known: {list(LINKS)}")
    last = add_links(spec, robot, LINKS[robot.name], JOINTS[robot.name], LOOKS, position)
    _add_hand(last, robot)
    add_gripper_drive(spec, robot, GRIPPER_KP)


def _add_hand(link7: Any, robot: Robot) -> None:
    """Add hand, tool site and fingers."""
    name = robot.name
    R = robot.chain.T_last_tool[:3, :3]
    flange = (0.0, 0.0, 0.107)  # [m], link 8 of franka_description
    hand = link7.add_body(name=f"{name}_hand", pos=flange, quat=quat_from_matrix(R), gravcomp=1.0)
    set_inertia(hand, HAND)
    add_shapes(hand, name, "hand", LOOKS)
    tool = robot.chain.T_last_tool[:3, 3] - np.array(flange)
    hand.add_site(name=robot.chain.tool_frame, pos=R.T @ tool, size=[0.002] * 3, group=4)
    add_slide_fingers(
        hand,
        robot,
        mount=FINGER_MOUNT,
        finger=FINGER,
        looks=LOOKS,
        pad=PadContact(box=PAD, friction=PAD_FRICTION),
        armature=FINGER_ARMATURE,
        damping=FINGER_DAMPING,
    )
