"""What of a contract these nodes can keep; anything else is refused before it moves an arm."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sim2arm.core.contract import LEAD, SPEED, Contract, TrainedRange
from sim2arm.core.robot_files import find_robot
from sim2arm.core.spec import ArraySpec

from .graph import INTRINSICS, intrinsic_range
from .pictures import camera_of

UNMEASURED = (
    "physics/",
    "bias/",
    "noise/",
    "latency/",
    "lost/",
    "calibration/",
    "appearance/",
    "gain/",
)
"""Beginnings of ranges that tell how training varied an arm; the activation report lists them.

Whether the real arm lies inside no node can measure: calibrations can. Of cameras that the policy
sees `camera_info` tells the intrinsics, which are compared.
"""
OLDEST_S = 1.0
"""Most that a bundle may let joint states be old or silent [s]."""
_SLACK = 1e-9  # of a limit, for rounding


def check_supported(contract: Contract) -> None:
    """Check that every field of a contract has an effect here.

    Raises:
        ValueError: a field asks for what these nodes do not do; one line.
    """
    for problem in _problems(contract):
        raise ValueError(f"contract: {problem}")


def least_speed(contract: Contract) -> float:
    """Return the least share of its full speed at which an arm may run, 1 if training knew none.

    Raises:
        ValueError: the range is none of shares.
    """
    lows = [trained.low for trained in contract.ranges if trained.name == SPEED]
    if lows and not 0.0 < lows[0] <= 1.0:
        raise ValueError(f"contract: range {SPEED!r}: expected a low end up to 1, got {lows[0]}")
    return lows[0] if lows else 1.0


def unmeasured(contract: Contract) -> list[TrainedRange]:
    """Return the ranges of training that no node can measure."""
    measured = {LEAD, SPEED, *seen_intrinsics(contract)}
    ranges = [trained for trained in contract.ranges if trained.name not in measured]
    return [trained for trained in ranges if trained.name.startswith(UNMEASURED)]


def seen_intrinsics(contract: Contract) -> set[str]:
    """Return the names that ranges of the intrinsics have, of the cameras that a policy sees."""
    cameras = {camera_of(spec) for spec in contract.inputs} - {None}
    return {intrinsic_range(str(camera), what) for camera in cameras for what in INTRINSICS}


def _problems(contract: Contract) -> list[str]:
    found: list[str] = []
    if contract.arms:
        found.append(f"arms: these nodes drive one arm, got {len(contract.arms)}")
    if contract.low_level.kind != "joint_impedance":
        found.append(
            f"low_level.kind {contract.low_level.kind!r}: these nodes compare joint impedance gains"
        )
    for trained in contract.ranges:
        if trained.name not in (LEAD, SPEED) and not trained.name.startswith(UNMEASURED):
            found.append(f"range {trained.name!r}: these nodes cannot measure it")
    for spec in contract.inputs:
        if spec.clock == "receipt":
            found.append(f"input {spec.name!r}: clock 'receipt': these nodes go by stamps")
        if spec.kind == "sensor":
            found += _age_problems(spec)
    return [*found, *_limit_problems(contract)]


def _age_problems(spec: ArraySpec) -> Iterator[str]:
    """Yield why a sensor could fall silent without being noticed in time."""
    ages = {name: getattr(spec, name) for name in ("max_receipt_age_s", "max_stamp_age_s")}
    given = {name: age for name, age in ages.items() if age is not None}
    joints = spec.name == "joint_position"
    if not given or (joints and len(given) < len(ages)):
        yield f"input {spec.name!r}: expected {' and '.join(ages)}, got {given or 'none of them'}"
    for name, age in given.items():
        if joints and not 0.0 < age <= OLDEST_S:
            yield f"input {spec.name!r}: {name}: expected at most {OLDEST_S:g} s, got {age}"


def _limit_problems(contract: Contract) -> Iterator[str]:
    """Yield where a bundle asks for more than the robot that it names may do."""
    robot, own = find_robot(contract.robot), contract.limits
    for name in ("q_min", "q_max", "dq_max", "ddq_max", "dddq_max"):
        sign, word = (-1.0, "at least") if name == "q_min" else (1.0, "at most")
        theirs = getattr(robot.limits, name)
        for joint, asked, most in zip(
            contract.joint_names, getattr(own, name), theirs, strict=True
        ):
            beyond = sign * (asked - most)
            if not (math.isfinite(asked) and beyond <= _SLACK * max(1.0, abs(most))):
                yield (
                    f"limits.{name} of {joint}: expected {word} {most:g}, as {robot.name} has it, "
                    f"got {asked:g}"
                )
    profile = robot.limits.velocity_profile
    if profile is not None and own.velocity_profile != profile:
        yield f"limits.velocity_profile: expected that of {robot.name}, got another"
    if contract.gripper is not None and contract.grips:
        for name in ("open_width", "speed", "force"):
            asked, most = getattr(contract.gripper, name), getattr(robot.gripper, name)
            if not 0.0 <= asked <= most * (1.0 + _SLACK):
                yield f"gripper.{name}: expected at most {most:g} of {robot.name}, got {asked:g}"
