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
FARTHEST = 0.01
"""Greatest distance of the tool from a ball around a shape of each closed finger [m]."""
STRAIGHT = np.array([1.0, 0.0, 0.0, 0.0])
"""The quaternion of no turn."""


def find_fingers(
    source: Source, robot: Robot, *, padded: bool = False
) -> tuple[dict[int, str], str]:
    """Return the names that bodies of fingers get, by their number; none and why, if none fit.

    Args:
        source: the description, or the model that was made of it.
        robot: what was read from it.
        padded: whether they get pads at the tool, whatever else they have.
    """
    joints = [source.joint(name) for name in robot.gripper.joint_names]
    if not joints:
        return {}, "there is no gripper"
    data, T_tool = _closed(source, robot, joints)
    along = [float(T_tool[:3, 1] @ _way(source.model, data, joint, T_tool[:3, 3], robot))
             for joint in joints]  # fmt: skip
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
    if padded:
        return names, ""
    why_not = _problem(source, names, data, T_tool[:3, 3], robot.chain.tool_frame)
    return ({}, why_not) if why_not else (names, "")


def pad_places(
    source: Source, robot: Robot, fingers: dict[int, str], thickness: float
) -> dict[int, FloatArray]:
    """Return the pose (4, 4) of a pad in the frame of each finger, by its number.

    Pads stand as the tool does, and touch each other there when the gripper is closed.
    """
    joints = [source.joint(name) for name in robot.gripper.joint_names]
    data, T_tool = _closed(source, robot, joints)
    places: dict[int, FloatArray] = {}
    moved = {int(source.model.jnt_bodyid[joint]): joint for joint in joints}
    for body in fingers:
        # What is hinged to a jaw lies on the other side of the tool.
        side = 1.0 if body in moved else -1.0
        joint = moved.get(body, joints[0])
        side *= np.sign(T_tool[:3, 1] @ _way(source.model, data, joint, T_tool[:3, 3], robot))
        shift = matrix_of(np.array([0.0, 0.5 * side * thickness, 0.0]), STRAIGHT)
        T_body = matrix_of(data.xpos[body], data.xquat[body])
        places[body] = np.linalg.inv(T_body) @ T_tool @ shift
    return places


def _problem(
    source: Source, fingers: dict[int, str], data: Any, point: FloatArray, tool: str
) -> str:
    """Return why fingers that are closed hold nothing at a point; "" if they do."""
    model, far = source.model, dict[str, float]()
    for body in fingers:
        solids = [geom for geom in range(model.ngeom) if is_solid(model, geom)
                  and owner_of(source, fingers, int(model.geom_bodyid[geom])) == body]  # fmt: skip
        label = model.body(body).name
        if not solids:
            return f"no primitive shape of {label} collides: meshes are left out; give --pads"
        away = np.linalg.norm(data.geom_xpos[solids] - point, axis=-1)
        far[label] = float((away - model.geom_rbound[solids]).min())
    label = max(far, key=far.__getitem__)
    if far[label] <= FARTHEST:
        return ""
    return (
        f"the tool {tool!r} is {1e3 * far[label]:.0f} mm from what of {label} collides: choose a "
        "--tool between the tips"
    )


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


def _closed(source: Source, robot: Robot, joints: list[int]) -> tuple[Any, FloatArray]:
    """Return the state of the model at home with closed fingers, and the tool's pose (4, 4)."""
    model, data = source.model, mujoco.MjData(source.model)
    for name, angle in zip(robot.joint_names, robot.home, strict=True):
        data.qpos[model.jnt_qposadr[source.joint(name)]] = angle
    for joint in joints:
        data.qpos[model.jnt_qposadr[joint]] = robot.gripper.closed
    mujoco.mj_kinematics(model, data)
    last = source.joint(robot.joint_names[-1])
    body = int(model.jnt_bodyid[last])
    shift = matrix_of(model.jnt_pos[last], STRAIGHT)
    T_last = matrix_of(data.xpos[body], data.xquat[body])
    return data, T_last @ shift @ robot.chain.T_last_tool


def _way(model: Any, data: Any, joint: int, point: FloatArray, robot: Robot) -> FloatArray:
    """Return the direction in which a finger joint moves a point when it opens."""
    axis = np.sign(robot.gripper.opening) * data.xaxis[joint]
    if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE:
        return axis
    way = np.cross(axis, point - data.xanchor[joint])
    return way / max(float(np.linalg.norm(way)), 1e-9)
