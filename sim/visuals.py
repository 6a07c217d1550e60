"""What a simulated arm looks like, as shapes of its URDF: a real one's description has them too.

Meshes are left out: they are files of a simulation, which whoever hears the description has not.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any, Literal, cast

import mujoco
import numpy as np

from sim2arm.core.kinematics import link_frames
from sim2arm.core.robots import FloatArray
from sim2arm.core.transforms import pose_to_matrix
from sim2arm.core.urdf import link_names, urdf_from_robot
from sim2arm.core.urdf_shapes import UrdfBranch, UrdfShape, with_shapes

from .arm import SimulatedArm
from .scene_view import SceneView, model_of, read

_KINDS = ("box", "cylinder", "sphere")


def seen_urdf(arm: SimulatedArm) -> str:
    """Return the URDF of an arm as it stands, with its fingers, and with shapes to look at.

    Of two arms, of which no node makes anything yet, the chain alone.
    """
    if arm.arms > 1:
        return urdf_from_robot(arm.robot)
    model, chain = model_of(arm.world), arm.robot.chain
    links = link_names(chain)
    frames = link_frames(chain, arm.joint_state()[0][0])
    T_world_body = pose_to_matrix(
        np.concatenate([_host(arm, "xpos"), _host(arm, "xquat")], axis=-1)
    )  # (bodies, 4, 4)
    first = int(model.joint(chain.joint_names[0]).bodyid[0])
    T_world_base = T_world_body[first] @ np.linalg.inv(frames[0])
    T_world_link = {chain.base_frame: T_world_base}
    owner = {body: chain.base_frame for body in _above(model, first)}
    for name, joint, frame in zip(links[1:-1], chain.joint_names, frames, strict=False):
        owner[int(model.joint(joint).bodyid[0])] = name
        T_world_link[name] = T_world_base @ frame
    branches: list[UrdfBranch] = []
    for i, joint in enumerate(arm.robot.gripper.joint_names):
        branch, body = _finger(model, joint, float(arm.finger_state()[0][0, i]), owner,
                               T_world_body, T_world_link)  # fmt: skip
        branches.append(branch)
        owner[body] = branch.link
        T_world_link[branch.link] = T_world_body[body]
    shapes = _shapes(arm, model, owner, T_world_link)
    return with_shapes(urdf_from_robot(arm.robot), shapes, branches)


def _host(arm: SimulatedArm, field: str) -> FloatArray:
    return read(arm.world, field)[0].cpu().numpy().astype(np.float64)


def _above(model: Any, body: int) -> list[int]:
    """Return the bodies above a body, without the world."""
    found: list[int] = []
    body = int(model.body_parentid[body])
    while body:
        found.append(body)
        body = int(model.body_parentid[body])
    return found


def _link(model: Any, body: int, owner: dict[int, str]) -> str | None:
    """Return the link that a body is fixed to, None for one that is no part of the arm."""
    while body and body not in owner:
        body = int(model.body_parentid[body])
    return owner.get(body)


def _finger(
    model: Any,
    joint: str,
    position: float,
    owner: dict[int, str],
    T_world_body: FloatArray,
    T_world_link: dict[str, FloatArray],
) -> tuple[UrdfBranch, int]:
    """Return a finger as a link of its own, and its body."""
    number = model.joint(joint)
    body, axis = int(number.bodyid[0]), np.array(number.axis)
    parent = _link(model, int(model.body_parentid[body]), owner)
    assert parent is not None  # a gripper is on its arm
    kind: Literal["prismatic", "revolute"] = "prismatic"
    back = np.eye(4)
    if int(number.type[0]) == int(mujoco.mjtJoint.mjJNT_SLIDE):
        back[:3, 3] = -position * axis
    else:
        kind = "revolute"
        turn = np.zeros(9)
        mujoco.mju_axisAngle2Quat(quat := np.zeros(4), axis, -position)
        mujoco.mju_quat2Mat(turn, quat)
        back[:3, :3] = turn.reshape(3, 3)
    T_parent_joint = np.linalg.inv(T_world_link[parent]) @ T_world_body[body] @ back
    name = model.body(body).name
    return UrdfBranch(link=name, joint=joint, parent=parent, kind=kind,
                      T_parent_joint=T_parent_joint, axis=axis), body  # fmt: skip


def _shapes(
    arm: SimulatedArm, model: Any, owner: dict[int, str], T_world_link: dict[str, FloatArray]
) -> list[UrdfShape]:
    view, found = SceneView(arm.world), list[UrdfShape]()
    for form, place, look in zip(view.forms, view.places(), view.looks(), strict=True):
        kind = form.name.partition("/")[0]
        if kind not in _KINDS or place is None:
            continue
        for k, geom in enumerate(form.geoms):
            link = _link(model, int(model.geom_bodyid[geom]), owner)
            if link is None:
                continue
            pose = np.concatenate([place.positions[0, k], place.turns[0, k]]).astype(np.float64)
            x, _, z = (float(value) for value in look.scales[0, k])
            size = {"box": tuple(2.0 * float(v) for v in look.scales[0, k]),
                    "cylinder": (x, 2.0 * z), "sphere": (x,)}[kind]  # fmt: skip
            red, green, blue = (float(value) / 255.0 for value in look.colors[0, k])
            found.append(UrdfShape(
                link=link, kind=cast(Any, kind), size=size, color=(red, green, blue),
                T_link_shape=np.linalg.inv(T_world_link[link]) @ pose_to_matrix(pose),
            ))  # fmt: skip
    return found
