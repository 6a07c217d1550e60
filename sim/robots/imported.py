"""Add an imported robot to a MuJoCo scene: its model stands beside its entry."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from pathlib import Path

import mujoco

from sim2arm.core.robots import Robot

from .import_model import add_copy
from .import_source import read_source


def add_robot(
    spec: mujoco.MjSpec, robot: Robot, *, position: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> None:
    """Add the robot whose bodies and joints `robot.model` has; see `models.add_robot`.

    Raises:
        ValueError: the model is not there, or not that of the robot; one line.
    """
    try:
        source = read_source(Path(robot.model))
        add_copy(spec, source, robot, source.body(f"{robot.name}_base"), position)
    except (OSError, ValueError) as error:
        raise ValueError(f"robot {robot.name!r}: {error}; import it again") from error
