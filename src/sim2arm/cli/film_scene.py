"""What a film needs around a task: floor, sky, light, a bench and two cameras.

Nothing that is added collides or moves, so the filmed episodes are those of the plain scene.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any, cast

import mujoco
import numpy as np

from sim2arm.sim.scene import add_surroundings
from sim2arm.sim.tasks.base import Task

OVERVIEW, CLOSE = "film_overview", "film_close"
"""The cameras: the whole arm, and the goal with what the hand does there."""

Point = tuple[float, float, float]


class _Furnished:
    """A task with a furnished scene; everything else is the task's own."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def scene(self) -> mujoco.MjSpec:
        spec = self._task.scene()
        furnish(spec)
        return spec


def furnished(task: Task) -> Task:
    """Return the same task in a scene that can be filmed."""
    return cast(Task, _Furnished(task))


def furnish(spec: mujoco.MjSpec) -> None:
    """Add surroundings and cameras to a scene.

    The close camera stays beside the first mocap body, which is the goal of our tasks.
    """
    add_surroundings(spec)
    for geom in spec.geoms:
        if geom.name == "table":
            geom.group = 3  # it still collides; the bench shows its surface
    spec.add_material(name="bench", rgba=(0.80, 0.70, 0.56, 1.0), specular=0.1, shininess=0.1)
    spec.add_material(name="bench_legs", rgba=(0.32, 0.34, 0.37, 1.0), specular=0.1)
    _add_seen_box(spec, (0.36, 0.0, -0.0205), (0.56, 0.5, 0.02), "bench")
    for x in (-0.14, 0.86):
        for y in (-0.44, 0.44):
            _add_seen_box(spec, (x, y, -0.395), (0.03, 0.03, 0.355), "bench_legs")
    _add_camera(spec.worldbody, OVERVIEW, (1.42, -0.92, 0.72), (0.27, 0.02, 0.27), 40.0)
    goals = [body for body in spec.bodies if body.mocap]
    if goals:
        camera = _add_camera(goals[0], CLOSE, (0.22, -0.22, 0.17), (0.0, 0.0, 0.045), 36.0)
        camera.mode = mujoco.mjtCamLight.mjCAMLIGHT_TRACK
    else:
        _add_camera(spec.worldbody, CLOSE, (0.72, -0.22, 0.17), (0.5, 0.0, 0.045), 36.0)


def _add_seen_box(spec: mujoco.MjSpec, centre: Point, half: Point, material: str) -> None:
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=centre,
        size=half,
        material=material,
        contype=0,
        conaffinity=0,
        group=2,
    )


def _add_camera(body: Any, name: str, eye: Point, target: Point, angle_deg: float) -> Any:
    """Add a camera that stands at `eye` and looks at `target` [m], the picture's top upwards."""
    backwards = np.subtract(eye, target)
    right = np.cross((0.0, 0.0, 1.0), backwards)
    up = np.cross(backwards, right)
    return body.add_camera(name=name, pos=eye, xyaxes=[*right, *up], fovy=angle_deg)
