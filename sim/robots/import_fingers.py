"""The fingers of an imported gripper: which bodies they are, and whether something can be held.

Tasks know fingers by name: `<name>_leftfinger` and `<name>_rightfinger`, which close on each other
along y of the tool. Of a jaw, the right one is the jaw, the left one what it is hinged to.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from sim2arm.core.robots import FloatArray, Robot

from .import_source import Source, is_solid, matrix_of

LEAST_ALONG = 0.9
"""Least share of a finger's motion, at the tool, along y of the tool: 25 degrees."""


def find_fingers(source: Source, robot: Robot) -> tuple[dict[int, str], str]:
    """Return the names that bodies of fingers get, by their number; none and why, if none fit.

    Args:
        source: the description, or the model that was made of it.
        robot: what was read from it.
    """
    joints = [source.joint(name) for name in robot.gripper.joint_names]
    if not joints:
        return {}, "there is no gripper"
    along = [float(way[1]) for way in _openings(source, robot, joints)]
    words = ", ".join(f"{name} {abs(share):.2f}" for name, share in
                      zip(robot.gripper.joint_names, along, strict=True))  # fmt: skip
    opposed = len(along) == 1 or along[0] * along[1] < 0.0
    if min(map(abs, along)) < LEAST_ALONG or not opposed:
        return {}, (
            f"at the tool, fingers must open along y of {robot.chain.tool_frame!r}, against each "
            f"other; shares of their motion along it: {words}; choose another --tool"
        )
    model = source.model
    bodies = [int(model.jnt_bodyid[joint]) for joint in joints]
    if len(bodies) == 1:
        bodies = [int(model.body_parentid[bodies[0]]), *bodies]
    elif along[0] < 0.0:
        bodies.reverse()
    names = {body: f"{robot.name}_{side}finger"
             for body, side in zip(bodies, ("left", "right"), strict=True)}  # fmt: skip
    owners = {owner_of(source, names, body) for body in _solid_bodies(source)}
    bare = [model.body(body).name for body in bodies if body not in owners]
    if bare:
        return {}, f"no primitive shape of {' and '.join(bare)} collides: meshes are left out"
    return names, ""


def owner_of(source: Source, fingers: dict[int, str], body: int) -> int:
    """Return the finger that a body is fixed to, or is; the body itself where there is none."""
    model, at = source.model, body
    while at not in fingers and at > 0 and model.body_jntnum[at] == 0:
        at = int(model.body_parentid[at])
    return at if at in fingers else body


def place_in(source: Source, owner: int, body: int) -> FloatArray:
    """Return the pose (4, 4) of a body that is fixed to another, in that other's frame."""
    model, T = source.model, np.eye(4)
    while body != owner:
        T = matrix_of(model.body_pos[body], model.body_quat[body]) @ T
        body = int(model.body_parentid[body])
    return T


def _solid_bodies(source: Source) -> set[int]:
    """Return the bodies that have shapes which are taken over."""
    model = source.model
    return {int(model.geom_bodyid[geom]) for geom in range(model.ngeom) if is_solid(model, geom)}


def _openings(source: Source, robot: Robot, joints: list[int]) -> list[FloatArray]:
    """Return in which direction (3,) each finger opens at the tool, in the tool's frame."""
    model, data = source.model, mujoco.MjData(source.model)
    for name, angle in zip(robot.joint_names, robot.home, strict=True):
        data.qpos[model.jnt_qposadr[source.joint(name)]] = angle
    for joint in joints:
        data.qpos[model.jnt_qposadr[joint]] = robot.gripper.closed
    mujoco.mj_kinematics(model, data)
    last = source.joint(robot.joint_names[-1])
    body = int(model.jnt_bodyid[last])
    R_last, T = data.xmat[body].reshape(3, 3), robot.chain.T_last_tool
    p_tool = data.xpos[body] + R_last @ (model.jnt_pos[last] + T[:3, 3])
    R_tool = R_last @ T[:3, :3]
    return [R_tool.T @ _way(model, data, joint, p_tool, robot.gripper.opening) for joint in joints]


def _way(model: Any, data: Any, joint: int, point: FloatArray, opening: float) -> FloatArray:
    """Return the direction in which a finger joint moves a point when it opens."""
    axis = np.sign(opening) * data.xaxis[joint]
    if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE:
        return axis
    way = np.cross(axis, point - data.xanchor[joint])
    return way / max(float(np.linalg.norm(way)), 1e-9)
