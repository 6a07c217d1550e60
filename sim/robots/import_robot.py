"""Make a robot of a description and its ros2_control controllers, and check its kinematics.

Nothing is guessed: what no file says is asked for in one line, or is one of a few estimates that
`Imported.notes` names.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np

from sim2arm.core.controller_file import GRIPPER_TYPE, Controller
from sim2arm.core.kinematics import forward
from sim2arm.core.robots import Robot
from sim2arm.core.urdf import links_of_urdf

from .import_body import fit_body
from .import_fingers import find_fingers
from .import_model import add_copy, write_model
from .import_numbers import (
    NONE,
    Wanted,
    choose_home,
    read_gains,
    read_gripper,
    read_limits,
    read_pads,
)
from .import_source import TRIED, Source, fk_residual, read_chain

RESIDUAL = 1e-9
"""Largest difference of our kinematics from MuJoCo's [m], [rad]."""
HELD = 0.005
"""What a joint may be off after half a second when it was 0.01 rad off before [rad]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Imported:
    """A robot, its model, and how it came about."""

    robot: Robot
    model: str
    """Its MJCF."""
    notes: Mapping[str, str]
    """What was decided or estimated, by what it is about."""
    residuals: Mapping[str, tuple[float, float]]
    """Our kinematics against MuJoCo's compile of the file and of the model: [m], [rad]."""


def import_robot(source: Source, controllers: Mapping[str, Controller], wanted: Wanted) -> Imported:
    """Return the robot of a description and its controllers.

    Raises:
        ValueError: something is missing, ambiguous or not supported; one line.
    """
    notes: dict[str, str] = {}
    arm = _arm_controller(controllers, wanted)
    joints = tuple(sorted(arm.joints, key=source.joint))  # bodies stand in order of the tree
    base = wanted.base or _base_of(source, joints[0])
    tool = wanted.tool or _tool_of(source, joints[-1])
    chain = read_chain(source, joints, base, tool)
    fingers = _finger_joints(source, controllers, wanted)
    _check_others(source, base, joints, fingers, wanted)
    given = wanted.given(joints, arm)
    limits = read_limits(source, joints, wanted, given, notes)
    kp, kd = read_gains(arm, joints, given)
    robot = Robot(
        name=wanted.name or source.name,
        chain=chain,
        limits=limits,
        home=choose_home(limits, given, notes),
        kp=kp,
        kd=kd,
        gripper=read_gripper(source, fingers, wanted, notes),
    )
    pads = read_pads(wanted, fingers, notes)
    if fingers:
        notes["fingers"] = _told_fingers(source, robot, padded=bool(pads))
    spec = mujoco.MjSpec()
    spec.modelname = robot.name
    add_copy(spec, source, robot, source.body(base), pads=pads)
    text = write_model(spec)
    residuals = {
        "file": _residual(source.model, source.body(base), source.tool(tool), robot),
        "model": _model_residual(text, robot),
    }
    for name, (metres, radians) in residuals.items():
        if max(metres, radians) > RESIDUAL:
            raise ValueError(
                f"{source.path}: the chain from {base!r} to {tool!r} differs from MuJoCo's compile "
                f"of the {name} by {metres:.3g} m and {radians:.3g} rad, expected at most "
                f"{RESIDUAL:g}: this file is read differently by the two"
            )
    _check_held(text, robot)
    robot = replace(robot, body=fit_body(text, robot, notes))
    return Imported(robot=robot, model=text, notes=notes, residuals=residuals)


def _told_fingers(source: Source, robot: Robot, *, padded: bool) -> str:
    """Return which fingers are which, or why they hold nothing.

    Raises:
        ValueError: they shall get pads and hold nothing with them.
    """
    named, why_not = find_fingers(source, robot, padded=padded)
    if padded and why_not:
        raise ValueError(f"--pads: {why_not}")
    sides = " and ".join(f"{source.model.body(b).name} is {name}" for b, name in named.items())
    return sides or f"no task can hold anything with them: {why_not}"


def _arm_controller(controllers: Mapping[str, Controller], wanted: Wanted) -> Controller:
    """Return the controller of the arm: the one that is named, or the only one it can be."""
    if wanted.controller:
        if wanted.controller not in controllers:
            raise ValueError(
                f"controller {wanted.controller!r} moves no joints in the controllers file. Those "
                f"that do: {sorted(controllers)}"
            )
        return controllers[wanted.controller]
    fitting = [c for c in controllers.values() if len(c.joints) > 1 and "roadcaster" not in c.type]
    if len(fitting) != 1:
        raise ValueError(
            f"expected one controller with several joints, found {sorted(c.name for c in fitting)}"
            ": choose the arm's with --controller"
        )
    return fitting[0]


def _base_of(source: Source, first: str) -> str:
    if source.kind == "urdf":
        return links_of_urdf(source.text)[0]
    body = source.model.jnt_bodyid[source.joint(first)]
    return source.model.body(source.model.body_parentid[body]).name


def _tool_of(source: Source, last: str) -> str:
    """Return the only end of what is fixed to the last link."""
    model = source.model
    fixed = {int(model.jnt_bodyid[source.joint(last)])}
    ends = set(fixed)
    for body in range(min(fixed) + 1, model.nbody):
        parent = int(model.body_parentid[body])
        if parent in fixed and model.body_jntnum[body] == 0:
            fixed.add(body)
            ends = (ends - {parent}) | {body}
    names = sorted(model.body(body).name for body in ends)
    if len(names) != 1:
        raise ValueError(
            f"{source.path}: several frames end behind {last!r}: {names}; choose --tool"
        )
    return names[0]


def _finger_joints(
    source: Source, controllers: Mapping[str, Controller], wanted: Wanted
) -> tuple[str, ...]:
    """Return the gripper's joint and the one that mimics it."""
    model = source.model
    if wanted.gripper == NONE:
        return ()
    grippers = [c for c in controllers.values() if GRIPPER_TYPE in c.type]
    if wanted.gripper:
        if wanted.gripper not in controllers:
            raise ValueError(
                f"gripper {wanted.gripper!r} is no controller with a joint. Those: "
                f"{sorted(controllers)}, or {NONE!r}"
            )
        grippers = [controllers[wanted.gripper]]
    if not grippers:
        return ()
    if len(grippers) > 1 or len(grippers[0].joints) != 1:
        names = {c.name: list(c.joints) for c in grippers}
        raise ValueError(f"expected one gripper with one joint, got {names}: choose --gripper")
    (first,) = grippers[0].joints
    followers: list[str] = []
    for i in range(model.neq):
        pair = [model.joint(j).name for j in (model.eq_obj1id[i], model.eq_obj2id[i])]
        if model.eq_type[i] != mujoco.mjtEq.mjEQ_JOINT or first not in pair:
            continue
        (other,) = [name for name in pair if name != first]
        factors = model.eq_data[i, :5].tolist()
        kinds = {int(model.jnt_type[source.joint(name)]) for name in pair}
        if factors != [0.0, 1.0, 0.0, 0.0, 0.0] or kinds != {int(mujoco.mjtJoint.mjJNT_SLIDE)}:
            raise ValueError(
                f"{source.path}: joint {other!r} mimics {first!r} by {factors[:2]} (offset, "
                "multiplier): only two slides that open alike are supported; with --gripper none "
                "the fingers stay as they are built"
            )
        followers.append(other)
    return tuple(sorted((first, *followers), key=source.joint))


def _check_others(
    source: Source, base: str, joints: tuple[str, ...], fingers: tuple[str, ...], wanted: Wanted
) -> None:
    """See that no joint behind the base is left over, but those of fingers that stay as built."""
    model, root = source.model, source.body(base)
    last = int(model.jnt_bodyid[source.joint(joints[-1])])
    for joint in range(model.njnt):
        name, body = model.joint(joint).name, int(model.jnt_bodyid[joint])
        above = _bodies_above(model, body)
        if name in (*joints, *fingers) or root not in above:
            continue
        if last not in above or wanted.gripper != NONE:
            raise ValueError(
                f"{source.path}: joint {name!r} belongs neither to the arm nor to the gripper: "
                "make it fixed in the file, name its controller with --gripper, or leave fingers "
                "as they are built with --gripper none"
            )


def _bodies_above(model: Any, body: int) -> list[int]:
    found: list[int] = []
    while body:
        body = int(model.body_parentid[body])
        found.append(body)
    return found


def _residual(model: Any, base: int, tool: tuple[str, int], robot: Robot) -> tuple[float, float]:
    limits = robot.limits
    random = np.random.default_rng(0)
    q = random.uniform(limits.q_min, limits.q_max, (TRIED, len(limits.q_min)))
    return fk_residual(model, base, tool, q, forward(robot.chain, q), robot.joint_names)


def _model_residual(text: str, robot: Robot) -> tuple[float, float]:
    model = mujoco.MjModel.from_xml_string(text)
    tool = ("site", model.site(robot.chain.tool_frame).id)
    return _residual(model, model.body(f"{robot.name}_base").id, tool, robot)


def _check_held(text: str, robot: Robot) -> None:
    """See that the servos hold the arm: it comes home from 0.01 rad beside it, in steps of ours."""
    model = mujoco.MjModel.from_xml_string(text)
    model.opt.timestep = 1.0 / 480.0
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    model.dof_frictionloss[:] = 0.0  # which would hold a joint beside its goal
    data, home = mujoco.MjData(model), np.array(robot.home)
    places = [int(model.joint(name).qposadr[0]) for name in robot.joint_names]
    data.qpos[places] = home + 0.01
    for joint in robot.gripper.joint_names:
        data.qpos[model.joint(joint).qposadr[0]] = robot.gripper.closed
    data.ctrl[: len(home)] = home
    for _ in range(240):
        mujoco.mj_step(model, data)
    off = np.abs(data.qpos[places] - home)
    if not np.isfinite(data.qpos).all() or data.warning.number.any() or off.max() > HELD:
        worst = int(np.argmax(np.where(np.isfinite(off), off, np.inf)))
        raise ValueError(
            f"joint {robot.joint_names[worst]!r} is not held in simulation with kp "
            f"{robot.kp[worst]:g} and kd {robot.kd[worst]:g}: after 0.5 s it is {off[worst]:.3g} "
            f"rad from home, expected {HELD} at most; check gains, inertias and torque limits"
        )
