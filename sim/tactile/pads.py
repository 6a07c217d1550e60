"""Gels in place of the pads of a gripper."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from sim2arm.core.robots import Robot
from sim2arm.core.transforms import quat_from_matrix
from sim2arm.sim.worlds.law import LawError

from .field import GelPlace

SIDES = ("left", "right")
THICKNESS = 2.5e-3
"""How deep a gel gives before its rigid back [m] (ours): a little more than a camera sees."""
LEAST_BACK = 2e-4
"""Least thickness of what is left of a pad [m]."""


def put_gels(
    spec: mujoco.MjSpec, robot: Robot, *, height: float, width: float
) -> tuple[GelPlace, ...]:
    """Turn the pads of a gripper into gels; return where they are, left and right.

    The surface of a gel is where the face of the pad was, its end at the pad's end. What collides
    is a back of the same size, `THICKNESS` deeper: what lies between is the law's
    (`field.ForceField`).

    Args:
        spec: the scene with the robot, changed in place.
        robot: whose pads it has, geoms `<name>_leftpad` and `_rightpad`.
        height: of a gel, towards the end of the fingers [m].
        width: across [m].

    Raises:
        LawError: the robot has no pads, or too thin ones.
    """
    names = [f"{robot.name}_{side}pad" for side in SIDES]
    if any(spec.geom(name) is None for name in names):
        raise LawError(f"{robot.name} has no pads that could be gels: take an arm with a gripper")
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    tool = data.site(robot.chain.tool_frame).xmat.reshape(3, 3)[:, 2]
    middles = [data.geom(name).xpos for name in names]
    return tuple(
        _put_gel(spec, model, data, name, middles[1 - i] - middles[i], tool, (width, height))
        for i, name in enumerate(names)
    )


def _put_gel(
    spec: mujoco.MjSpec,
    model: Any,
    data: Any,
    name: str,
    towards: np.ndarray,
    tool: np.ndarray,
    size: tuple[float, float],
) -> GelPlace:
    """Change one pad; `towards` is the direction of the other, all in the world at the start."""
    geom, half = data.geom(name), model.geom(name).size
    R = geom.xmat.reshape(3, 3)
    z = R[:, 1] * np.sign(towards @ R[:, 1])
    x, y = _across(R, tool, z)
    G = np.stack([x, y, z], axis=1)
    back = 2.0 * half[1] - THICKNESS
    if back < LEAST_BACK:
        raise LawError(
            f"{name}: a gel of {1e3 * THICKNESS:g} mm and a back need more than the "
            f"{2e3 * half[1]:.1f} mm of this pad"
        )
    reach = half[0] * abs(R[:, 0] @ y) + half[2] * abs(R[:, 2] @ y)
    face = geom.xpos + half[1] * z + (reach - 0.5 * size[1]) * y
    body = data.body(int(model.geom(name).bodyid[0]))
    B = body.xmat.reshape(3, 3)

    def inside(point: np.ndarray) -> np.ndarray:
        return B.T @ (point - body.xpos)

    turn = quat_from_matrix(B.T @ G)
    pad = spec.geom(name)
    pad.pos, pad.quat = inside(face - (THICKNESS + 0.5 * back) * z), turn
    pad.size = [0.5 * size[0], 0.5 * size[1], 0.5 * back]
    spec.body(body.name).add_geom(
        name=name.replace("pad", "gel"),
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=inside(face - 0.5 * THICKNESS * z),
        quat=turn,
        size=[0.5 * size[0], 0.5 * size[1], 0.5 * THICKNESS],
        rgba=[0.80, 0.84, 0.88, 0.6],
        group=2,
        contype=0,
        conaffinity=0,
        density=0.0,
    )
    return GelPlace(body=body.name, place=(*inside(face).tolist(), *np.asarray(turn).tolist()))


def _across(R: np.ndarray, tool: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of a gel whose z is known: y along the edge nearest to the tool's axis."""
    edge = max((R[:, 0], R[:, 2]), key=lambda axis: abs(axis @ tool))
    y = edge * np.sign(edge @ tool)
    return np.cross(y, z), y
