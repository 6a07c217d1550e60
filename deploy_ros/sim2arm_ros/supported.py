"""What of a contract these nodes can keep; anything else is refused before it moves an arm."""

from __future__ import annotations

from sim2arm.core.contract import LEAD, SPEED, Contract, TrainedRange

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
    return found
