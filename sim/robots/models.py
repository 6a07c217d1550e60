"""The robot models by the name of their robot."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Protocol

import mujoco

from sim2arm.core.robots import Robot

from . import franka


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


ROBOT_MODELS: dict[str, AddRobot] = {"panda": franka.add_robot, "fr3": franka.add_robot}
"""The builder of every robot of `core.robots.ROBOTS`."""
