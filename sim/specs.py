"""The specs of the arrays that every arm provides and of the goals that tasks give."""

from __future__ import annotations

from collections.abc import Sequence

from sim2arm.core.contract import GripperSpec, LowLevelSpec
from sim2arm.core.robots import Robot
from sim2arm.core.spec import ArraySpec

POSE_NAMES = ("x", "y", "z", "qw", "qx", "qy", "qz")
POSE_UNITS = "m m m 1 1 1 1"
GRIPPER_ELEMENT = 6
"""Place of the gripper's element in actions that have one: after the six of the tool."""
LEAST_CHANGE = 0.002
"""Least change of the width that is a new command to the gripper [m] (ours)."""
SOFT = 0.002
"""How far the width of the gripper may be measured beyond its ends [m]: stops are soft."""
MAX_AGE = 0.05
"""Oldest joint state that is still used [s]: three periods at 60 Hz."""


def arm_specs(robot: Robot, prefixes: Sequence[str] = ("",)) -> dict[str, ArraySpec]:
    """Return the inputs that every arm provides, of several arms one after the other.

    Args:
        robot: of which the arms are.
        prefixes: of their names.
    """
    limits, arms = robot.limits, len(prefixes)
    names = tuple(prefix + name for prefix in prefixes for name in robot.chain.joint_names)
    poses = tuple(prefix + name for prefix in prefixes for name in POSE_NAMES)
    base = robot.chain.base_frame
    return {
        "joint_position": ArraySpec(
            name="joint_position",
            kind="sensor",
            shape=(len(names),),
            unit="rad",
            element_names=names,
            low=limits.q_min * arms,
            high=limits.q_max * arms,
            max_stamp_age_s=MAX_AGE,
            max_receipt_age_s=MAX_AGE,
            trained_age_s=(0.0, 0.0),
        ),
        "joint_velocity": ArraySpec(
            name="joint_velocity",
            kind="sensor",
            shape=(len(names),),
            unit="rad/s",
            element_names=names,
            low=tuple(-v for v in limits.dq_max) * arms,
            high=limits.dq_max * arms,
            max_stamp_age_s=MAX_AGE,
            max_receipt_age_s=MAX_AGE,
            trained_age_s=(0.0, 0.0),
        ),
        "ee_pose": ArraySpec(
            name="ee_pose",
            kind="derived",
            source="fk(joint_position)",
            shape=(7 * arms,),
            unit=" ".join([POSE_UNITS] * arms),
            frame=base,
            element_names=poses,
        ),
        "gripper_width": ArraySpec(
            name="gripper_width",
            kind="sensor",
            shape=(arms,),
            unit="m",
            low=(-SOFT,) * arms,
            high=(robot.gripper.open_width + SOFT,) * arms,
            max_stamp_age_s=MAX_AGE,
            max_receipt_age_s=MAX_AGE,
            trained_age_s=(0.0, 0.0),
        ),
    }


def gripper_spec(robot: Robot, *, acts: bool) -> GripperSpec:
    """Return how the gripper is commanded: by an action element, or not at all."""
    gripper = robot.gripper
    return GripperSpec(
        kind="share" if acts else "fixed",
        action_element=GRIPPER_ELEMENT if acts else None,
        least_change=LEAST_CHANGE if acts else 0.0,
        open_width=gripper.open_width,
        speed=gripper.speed,
        force=gripper.force,
        delay_s=gripper.delay_s,
        preemptible=gripper.preemptible,
    )


def law_of(robot: Robot, kp: float = 1.0, kd: float = 1.0) -> LowLevelSpec:
    """Return the law of a robot whose gains were changed by these factors and their inverses."""
    return LowLevelSpec(
        kind="joint_impedance",
        kp=robot.kp,
        kd=robot.kd,
        kp_range=tuple((k / kp, k * kp) for k in robot.kp),
        kd_range=tuple((k / kd, k * kd) for k in robot.kd),
    )


def goal_spec(
    name: str, robot: Robot, low: tuple[float, ...], high: tuple[float, ...]
) -> ArraySpec:
    """Return the spec of a pose that the task gives, in the base frame."""
    return ArraySpec(
        name=name,
        kind="goal",
        shape=(7,),
        unit=POSE_UNITS,
        frame=robot.chain.base_frame,
        element_names=POSE_NAMES,
        low=(*low, -1.0, -1.0, -1.0, -1.0),
        high=(*high, 1.0, 1.0, 1.0, 1.0),
        max_receipt_age_s=1.0,
    )
