"""The numbers of an imported robot: limits, gains, home, gripper, each from a file or a person."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from sim2arm.core.controller_file import Controller
from sim2arm.core.robots import NO_GRIPPER, Gripper, JointLimits
from sim2arm.core.urdf import limits_from_urdf

from .import_joints import Given, Numbers, numbers_of
from .import_source import Source

NONE = "none"
"""Name of the gripper of an arm without one."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person says beside the files; empty or None: the files say it.

    Numbers of joints: one for all, joint=number for each, or one each from base to tool.
    """

    name: str = ""
    """Of the robot; that in the file."""
    base: str = ""
    """Frame of the base; the root link of a URDF, what the first joint stands on in an MJCF."""
    tool: str = ""
    """Frame of the tool: a link, or a body or site of an MJCF; the only end of what is fixed to the
    last joint."""
    controller: str = ""
    """Controller of the arm; the only one with several joints."""
    gripper: str = ""
    """Controller of the gripper, or `none`: fingers stay as built; the only one of its type."""
    jaw_length: float | None = None
    """From the hinge of a jaw to where it grasps [m]."""
    grip_speed: float | None = None
    """Of one finger [m/s]; from the velocity limit of a URDF."""
    grip_force: float | None = None
    """Greatest grasping force [N]; the effort limit of a URDF."""
    pads: tuple[float, ...] = ()
    """Sizes of a pad on each finger, along x, y and z of the tool, which is their middle [m], for
    fingers whose shapes are meshes."""
    kp: Numbers = ()
    """Stiffness [N m/rad]: one for all joints, joint=number for each, or one each from base to
    tool (refused if the controllers file lists them otherwise); the controller's gains."""
    kd: Numbers = ()
    """Damping [N m s/rad], as --kp; the controller's gains."""
    velocity: Numbers = ()
    """Velocity limits [rad/s], as --kp; those of a URDF."""
    torque: Numbers = ()
    """Torque limits [N m], as --kp; those of the file."""
    acceleration: float = 5.0
    """Acceleration limit of all joints [rad/s^2], which no file has: an estimate."""
    jerk: float = 500.0
    """Jerk limit of all joints [rad/s^3], which no file has: an estimate."""
    home: Numbers = ()
    """Home posture [rad], as --kp; the middle of each joint's range."""

    def given(self, joints: tuple[str, ...], arm: Controller) -> Given:
        """Return what is said of each joint, from base to tool.

        Raises:
            ValueError: names or numbers are wrong or missing, or their order is; one line.
        """
        return Given(
            kp=numbers_of("kp", self.kp, joints, arm, above=0.0),
            kd=numbers_of("kd", self.kd, joints, arm, above=0.0),
            velocity=numbers_of("velocity", self.velocity, joints, arm, above=0.0),
            torque=numbers_of("torque", self.torque, joints, arm, above=0.0),
            home=numbers_of("home", self.home, joints, arm),
        )


def read_limits(
    source: Source, joints: tuple[str, ...], wanted: Wanted, given: Given, notes: dict[str, str]
) -> JointLimits:
    """Return the limits of the arm's joints.

    Raises:
        ValueError: one is in no file and not given; one line.
    """
    n = len(joints)
    notes["acceleration"] = f"{wanted.acceleration:g} rad/s^2, an estimate (--acceleration)"
    notes["jerk"] = f"{wanted.jerk:g} rad/s^3, an estimate (--jerk)"
    if source.kind == "urdf":
        read = limits_from_urdf(source.text, joints)
        q_min, q_max, dq_max, tau_max = read.q_min, read.q_max, read.dq_max, read.tau_max
    else:
        q_min, q_max, tau_max = _mjcf_limits(source, joints, given)
        dq_max = ()
        if not given.velocity:
            raise ValueError("an MJCF has no velocity limits: give --velocity [rad/s]")
    return JointLimits(
        q_min=q_min,
        q_max=q_max,
        dq_max=given.velocity or dq_max,
        ddq_max=(_positive("acceleration", wanted.acceleration),) * n,
        dddq_max=(_positive("jerk", wanted.jerk),) * n,
        tau_max=given.torque or tau_max,
    )


def _mjcf_limits(
    source: Source, joints: tuple[str, ...], given: Given
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Return lowest and highest angle and torque of an MJCF's joints."""
    model, rows = source.model, []
    for name in joints:
        joint = source.joint(name)
        low, high = model.jnt_range[joint] if model.jnt_limited[joint] else (-2 * np.pi, 2 * np.pi)
        torque = _torque_of(model, joint)
        if torque <= 0.0 and not given.torque:
            raise ValueError(
                f"{source.path}: joint {name!r} has no torque limit (actuatorfrcrange, or "
                "forcerange of its actuator): add it, or give --torque [N m]"
            )
        rows.append((float(low), float(high), torque))
    q_min, q_max, tau_max = zip(*rows, strict=True)
    return q_min, q_max, tau_max


def _torque_of(model: Any, joint: int) -> float:
    """Return the least of the limits on the torque of a joint, 0 if there is none."""
    found = [model.jnt_actfrcrange[joint, 1]] if model.jnt_actfrclimited[joint] else []
    for i in range(model.nu):
        moves = model.actuator_trntype[i] == mujoco.mjtTrn.mjTRN_JOINT
        if moves and model.actuator_trnid[i, 0] == joint and model.actuator_forcelimited[i]:
            found.append(model.actuator_forcerange[i, 1] * abs(model.actuator_gear[i, 0]))
    return float(min(found, default=0.0))


def _positive(option: str, number: float) -> float:
    if not 0.0 < number < 1e9:
        raise ValueError(f"--{option}: expected a number above 0, got {number}")
    return number


def read_gains(
    arm: Controller, joints: tuple[str, ...], given: Given
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return stiffness [N m/rad] and damping [N m s/rad] of the arm's joints.

    Raises:
        ValueError: the controller has none and they are not given; one line.
    """
    if given.kp and given.kd:
        return given.kp, given.kd
    read = arm.gains(joints)
    if read is None:
        raise ValueError(
            f"controller {arm.name!r} has no gains ({arm.type or 'its type is not told'}): give "
            "--kp [N m/rad] and --kd [N m s/rad] that describe the robot's own servos"
        )
    return given.kp or read[0], given.kd or read[1]


def choose_home(limits: JointLimits, given: Given, notes: dict[str, str]) -> tuple[float, ...]:
    """Return the home posture [rad]."""
    if given.home:
        return given.home
    notes["home"] = "the middle of each joint's range (--home)"
    return tuple(0.5 * (low + high) for low, high in zip(limits.q_min, limits.q_max, strict=True))


def read_pads(wanted: Wanted, fingers: tuple[str, ...], notes: dict[str, str]) -> tuple[float, ...]:
    """Return the sizes of the pads that fingers get [m], none if they get none.

    Raises:
        ValueError: they are no sizes, or there are no fingers; one line.
    """
    pads = wanted.pads
    if not pads:
        return ()
    if len(pads) != 3 or not all(0.0 < size < 1.0 for size in pads):
        raise ValueError(f"--pads: expected three sizes above 0 [m], got {list(pads)}")
    if not fingers:
        raise ValueError("--pads: there is no gripper that gets pads")
    sizes = " x ".join(f"{1e3 * size:g}" for size in pads)
    notes["pads"] = f"{sizes} mm on each finger, of rubber (--pads)"
    return pads


def read_gripper(
    source: Source, fingers: tuple[str, ...], wanted: Wanted, notes: dict[str, str]
) -> Gripper:
    """Return the gripper that finger joints make.

    Raises:
        ValueError: a number of it is in no file and not given; one line.
    """
    if not fingers:
        notes["gripper"] = "none"
        return NO_GRIPPER
    model, joint = source.model, source.joint(fingers[0])
    hinge = model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE
    if hinge and wanted.jaw_length is None:
        raise ValueError(
            f"{source.path}: joint {fingers[0]!r} is the hinge of a jaw: give --jaw-length, from "
            "its axis to the grasp [m], or --gripper none"
        )
    if not model.jnt_limited[joint]:
        raise ValueError(f"{source.path}: joint {fingers[0]!r} of the gripper has no range")
    opening = float(wanted.jaw_length or 1.0) if hinge else 1.0
    low, high = (float(v) for v in model.jnt_range[joint])
    speed, force = wanted.grip_speed, wanted.grip_force
    given = {"jaw-length": wanted.jaw_length, "grip-speed": speed, "grip-force": force}
    for option, value in given.items():
        if value is not None:
            _positive(option, value)
    if source.kind == "urdf" and (speed is None or force is None):
        read = limits_from_urdf(source.text, fingers[:1])
        rate = opening * len(fingers) * read.dq_max[0]
        speed, force = speed or 0.5 * rate, force or read.tau_max[0] / opening
    if speed is None or force is None:
        raise ValueError(
            "an MJCF has no speed of fingers: give --grip-speed [m/s] and --grip-force [N]"
        )
    notes["gripper"] = "closed at the low end of its range; a delay of 0.1 s, an assumption"
    return Gripper(
        joint_names=fingers,
        open_width=opening * len(fingers) * (high - low),
        speed=speed,
        force=force,
        delay_s=0.1,
        preemptible=False,
        closed=low,
        opening=opening,
    )
