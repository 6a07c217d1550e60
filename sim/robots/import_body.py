"""What an imported arm takes up: a capsule around each of its shapes, and which links to watch."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mujoco
import numpy as np

from sim2arm.core.bodies import Clearances
from sim2arm.core.robots import Body, Capsule, FloatArray, Robot

MARGIN = 0.02
"""What the links of an imported arm keep between them [m]: its shapes are somebody's guess."""
_TRIED = 2000
_ALWAYS = 0.95  # share of all joint positions in which links that belong together are too close
_AROUND = 24  # points around a round shape
_WIDTHS = 5  # of the gripper at which fingers are held


def fit_body(text: str, robot: Robot, notes: dict[str, str]) -> Body:
    """Return the body of a robot from the shapes of its model that collide.

    Links that are neighbours, that are too close at home or nearly always, are not watched: their
    shapes overlap where they are joined.

    Args:
        text: MJCF of the robot, as `write_model` writes it.
        robot: the robot, whose gripper moves the fingers.
        notes: where it is told what is not watched.
    """
    model = mujoco.MjModel.from_xml_string(text)
    capsules = tuple(
        _capsule_around(points, link, above_table=link > 1 and not finger)
        for link, finger, points in _shapes(model, robot)
    )
    links = sorted({capsule.link for capsule in capsules})
    far = tuple((i, j) for i in links for j in links if j > i + 1)
    body = Body(capsules=capsules, pairs=far, margin=MARGIN)
    kept = tuple(pair for pair in far if not _belong_together(robot, body, pair))
    if not kept:
        notes["body"] = "nothing keeps the arm from hitting itself: too few links have shapes"
    elif far != kept:
        notes["body"] = f"not kept apart, they overlap anyway: links {sorted(set(far) - set(kept))}"
    return replace(body, pairs=kept)


def _belong_together(robot: Robot, body: Body, pair: tuple[int, int]) -> bool:
    clearances = Clearances(robot.chain, replace(body, pairs=(pair,)))
    random, limits = np.random.default_rng(0), robot.limits
    q = random.uniform(limits.q_min, limits.q_max, (_TRIED, len(robot.home)))
    close = clearances(q).itself < body.margin
    return bool(clearances(np.array(robot.home)).itself < body.margin or close.mean() > _ALWAYS)


def _shapes(model: Any, robot: Robot) -> list[tuple[int, bool, FloatArray]]:
    """Return link, whether it is a finger's, and points (K, 3) of each shape in its link [m]."""
    data = mujoco.MjData(model)
    joints = {int(model.joint(name).bodyid[0]): i for i, name in enumerate(robot.joint_names, 1)}
    fingers = [model.joint(name) for name in robot.gripper.joint_names]
    moved = {int(joint.bodyid[0]) for joint in fingers}
    widths = np.linspace(0.0, robot.gripper.open_width, _WIDTHS if fingers else 1)
    found: list[tuple[int, bool, FloatArray]] = []
    for geom in range(model.ngeom):
        if not (model.geom_contype[geom] or model.geom_conaffinity[geom]):
            continue
        body, finger = int(model.geom_bodyid[geom]), False
        while body and body not in joints:
            finger |= body in moved
            body = int(model.body_parentid[body])
        frame = body or model.body(f"{robot.name}_base").id
        parts: list[FloatArray] = []
        for width in widths if finger else widths[:1]:
            for joint in fingers:
                data.qpos[joint.qposadr[0]] = robot.gripper.position(float(width))
            mujoco.mj_kinematics(model, data)
            R, p = data.xmat[frame].reshape(3, 3), data.xpos[frame]
            there = _surface(model, geom) @ data.geom_xmat[geom].reshape(3, 3).T
            parts.append((there + data.geom_xpos[geom] - p) @ R)
        found.append((joints.get(body, 0), finger, np.concatenate(parts)))
    return found


def _surface(model: Any, geom: int) -> FloatArray:
    """Return points (K, 3) on the outside of a shape in its own frame, whose hull holds it [m]."""
    kinds, kind, size = mujoco.mjtGeom, int(model.geom_type[geom]), model.geom_size[geom]
    if kind == int(kinds.mjGEOM_BOX):
        return np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * size
    angle = np.arange(_AROUND) * 2 * np.pi / _AROUND
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1) / np.cos(np.pi / _AROUND)
    if kind == int(kinds.mjGEOM_CYLINDER):
        rings = [np.c_[circle * size[0], np.full(_AROUND, z)] for z in (-size[1], size[1])]
        return np.concatenate(rings)
    tilt = np.linspace(-np.pi / 2, np.pi / 2, _AROUND // 2 + 1)
    ball = np.concatenate([np.c_[circle * np.cos(t), np.full(_AROUND, np.sin(t))] for t in tilt])
    if kind == int(kinds.mjGEOM_ELLIPSOID):
        return ball * size
    if kind == int(kinds.mjGEOM_CAPSULE):
        return ball * size[0] + np.sign(ball[:, 2:]) * (0.0, 0.0, size[1])
    return ball * size[0]


def _capsule_around(points: FloatArray, link: int, *, above_table: bool) -> Capsule:
    """Return the smallest capsule along a main axis of points (K, 3) that holds them all."""
    middle = points.mean(axis=0)
    axes = [*np.linalg.svd(points - middle)[2], *np.eye(3)]
    tried = [_along(points, axis) for axis in axes]
    start, end, radius = min(
        tried, key=lambda c: c[2] ** 2 * float(np.linalg.norm(c[1] - c[0]) + 4.0 / 3.0 * c[2])
    )
    low, high = (tuple(round(float(v), 6) for v in point) for point in (start, end))
    return Capsule(link, low, high, round(radius + 1e-5, 5), above_table)  # type: ignore[arg-type]


def _along(points: FloatArray, axis: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return start, end and radius of a capsule along an axis (3,)."""
    sides = np.linalg.svd(axis[None])[2][1:]
    across = points @ sides.T
    centre = 0.5 * (across.max(axis=0) + across.min(axis=0))
    for _ in range(200):  # towards the centre of the smallest circle around them
        away = np.linalg.norm(across - centre, axis=1)
        centre = centre + 0.02 * (across[away.argmax()] - centre)
    away = np.linalg.norm(across - centre, axis=1)
    radius = float(away.max())
    along, room = points @ axis, np.sqrt(np.maximum(radius**2 - away**2, 0.0))
    low, high = float((along + room).min()), float((along - room).max())
    if low > high:  # rounder than long: a ball
        low = high = 0.5 * (low + high)
        radius = float(np.linalg.norm(points - centre @ sides - low * axis, axis=1).max())
    return centre @ sides + low * axis, centre @ sides + high * axis, radius
