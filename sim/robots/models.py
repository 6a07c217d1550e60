"""The robot models by the name of their robot: the one place where tasks get their robots from."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Protocol

import mujoco

from sim2arm.core.arms import prefixed
from sim2arm.core.robots import Robot

from . import franka, imported, so101, ur5e


class AddRobot(Protocol):
    """Adds one robot to the world body of a scene."""

    def __call__(
        self,
        spec: mujoco.MjSpec,
        robot: Robot,
        *,
        position: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        """Add the robot with its base at a position [m]."""
        ...


ROBOT_MODELS: dict[str, AddRobot] = {
    "panda": franka.add_robot,
    "fr3": franka.add_robot,
    "ur5e": ur5e.add_robot,
    "so101": so101.add_robot,
}
"""The builder of every robot of `core.robots.ROBOTS`."""


def add_robot(
    spec: mujoco.MjSpec,
    robot: Robot,
    *,
    position: tuple[float, float, float] = (0.0, 0.0, 0.0),
    prefix: str = "",
) -> None:
    """Add an arm with its gripper to the world body of a scene.

    Every model has: a hinge and an actuator per arm joint, both with the joint's name; the site
    `robot.chain.tool_frame`; with a gripper the actuator `<name>_gripper`, whose control is the
    distance between the pads [m], and bodies `<name>_leftfinger` and `_rightfinger`, which close
    along y of the tool. All bodies are called `<name>_...`. Arm and gripper are
    gravity-compensated, the actuators are the joint impedance law (control
    `q_des + (kd / kp) dq_des`), limited to the torque limits.

    Args:
        spec: the scene, changed in place; its angles become radians.
        robot: one that is known.
        position: of the base, with the world's axes [m].
        prefix: that its names begin with, of one of several arms (`core.arms.prefixed`).

    Raises:
        ValueError: the robot has no model.
    """
    named = prefixed(robot, prefix)
    if robot.model:
        imported.add_robot(spec, named, position=position)
    elif robot.name in ROBOT_MODELS:
        ROBOT_MODELS[robot.name](spec, named, position=position)
    else:
        raise ValueError(f"robot {robot.name!r} has no model. Known: {sorted(ROBOT_MODELS)}")
