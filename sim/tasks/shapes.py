"""What several scenes are made of: the arm at its table, rings around holes."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import mujoco

from sim2arm.core.arms import ArmPlace
from sim2arm.core.robots import Robot
from sim2arm.sim.robots.models import add_robot
from sim2arm.sim.worlds.compiled import UnknownNameError, add_pair_force_sensor

TABLE_MIDDLE, TABLE_HALF = (0.55, 0.0), (0.4, 0.5)
"""The table before the arm [m]; its top is at height 0, like the base."""

PAD_GAP = 2e-4
"""Distance of each pad from a held body at the start of an episode [m]: at exactly zero, single
precision rolls dice for the first contact, which then turned a peg by 0.03 rad."""

ONE = ArmPlace(prefix="", position=(0.0, 0.0, 0.0))
"""An arm alone."""
FLAT_GRIP: dict[str, Any] = {
    "priority": 2,
    "condim": 4,
    "friction": [1.13, 0.005, 0.0001],
    "solref": [0.005, 2.0],
    "solimp": [0.95, 0.99, 0.001, 0.5, 2.0],
}
"""Contact of a flat face that the pads hold: as the pads' (`sim/robots`), with twice the damping.

The drive of a finger is so heavy that the pads' own contact bounces on a flat face for good,
between 0 and 50 N nine times a second, and what is held slips by 2.4 mm/s. With this, a hexagon of
24 mm is held with 25 N at a command of 22 mm and slips by 0.01 mm/s."""


def arm_scene(robot: Robot, arms: Sequence[ArmPlace] = (ONE,)) -> mujoco.MjSpec:
    """Return a scene with arms and the body-less geom `table` before them, for work in contact.

    Args:
        robot: of which the arms are.
        arms: their names and places.
    """
    spec = mujoco.MjSpec()
    # Elliptic cones with stiff friction: a grasp creeps by 0.2 mm/s instead of 1 mm/s.
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 20.0
    for arm in arms:
        add_robot(spec, robot, position=arm.position, prefix=arm.prefix)
    spec.worldbody.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[*TABLE_HALF, 0.02],
        pos=[*TABLE_MIDDLE, -0.02],
        rgba=[0.75, 0.72, 0.68, 1.0],
    )
    return spec


def add_ring(
    body: Any,
    name: str,
    *,
    inner: float,
    wall: float,
    bottom: float,
    height: float,
    boxes: int,
    rgba: tuple[float, ...],
) -> None:
    """Add an upright ring of boxes about the z axis of a body, geoms `<name>_0` and so on.

    Args:
        body: of a scene, changed in place.
        name: of the ring.
        inner: radius of the circle that the faces of the boxes touch from outside [m].
        wall: thickness [m].
        bottom: height of its lower end in the body [m].
        height: from its lower to its upper end [m].
        boxes: how many; the hole is a polygon with as many sides.
        rgba: colour.
    """
    half_width = (inner + wall) * math.tan(math.pi / boxes)
    middle = inner + 0.5 * wall
    for k in range(boxes):
        angle = 2.0 * math.pi * k / boxes
        body.add_geom(
            name=f"{name}_{k}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.5 * wall, half_width, 0.5 * height],
            pos=[middle * math.cos(angle), middle * math.sin(angle), bottom + 0.5 * height],
            quat=[math.cos(0.5 * angle), 0.0, 0.0, math.sin(0.5 * angle)],
            rgba=rgba,
        )


def add_held_body(spec: mujoco.MjSpec, robot: Robot, name: str, *others: str) -> Any:
    """Add a free body for the gripper and the sensors of the forces on it; return the body.

    Args:
        spec: the scene, changed in place.
        robot: the arm in it.
        name: of the body; it has a free joint of that name and no geom yet.
        others: what else touches it, bodies.

    Raises:
        UnknownNameError: the arm has no fingers that can hold something.
    """
    _check_fingers(spec, robot)
    body = spec.worldbody.add_body(name=name)
    body.add_freejoint(name=name)
    for other, _ in held_forces(robot, name, *others):
        add_pair_force_sensor(spec, other, name)
    return body


def held_forces(robot: Robot, name: str, *others: str) -> list[tuple[str, str]]:
    """Return pairs of bodies: the fingers, and what else touches a body, each with that body."""
    fingers = [f"{robot.name}_{side}finger" for side in ("left", "right")]
    return [(other, name) for other in (*fingers, *others)]


def check_grip(robot: Robot, name: str, width: float) -> None:
    """See that something fits between the pads of a gripper.

    Args:
        robot: whose gripper it is.
        name: of the setting that gives the width.
        width: of what is to be held [m].

    Raises:
        ValueError: it does not, or there is no gripper.
    """
    if not robot.gripper.joint_names:
        raise ValueError(f"{robot.name} has no gripper, and this task holds something with one")
    if width >= robot.gripper.open_width:
        raise ValueError(
            f"{name} must be less than the opening of {robot.name}'s gripper, "
            f"{robot.gripper.open_width} m, got {width}"
        )


def _check_fingers(spec: mujoco.MjSpec, robot: Robot) -> None:
    for side in ("left", "right"):
        if spec.body(f"{robot.name}_{side}finger") is None:
            raise UnknownNameError(
                f"{robot.name} has no fingers that a task can hold something with; import it "
                "again, `sim2arm robot import` says what they lack"
            )
