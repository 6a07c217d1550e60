"""What of a contract these nodes can keep; anything else is refused before it moves an arm."""

from __future__ import annotations

from sim2arm.core.contract import LEAD, Contract

UNMEASURED = ("physics/", "bias/", "noise/", "latency/", "lost/")
"""Beginnings of ranges that tell how training varied an arm; the activation report lists them.

Whether the real arm lies inside no node can measure: calibrations can."""


def check_supported(contract: Contract) -> None:
    """Check that every field of a contract has an effect here.

    Raises:
        ValueError: a field asks for what these nodes do not do; one line.
    """
    for problem in _problems(contract):
        raise ValueError(f"contract: {problem}")


def _problems(contract: Contract) -> list[str]:
    found: list[str] = []
    if contract.low_level.kind != "joint_impedance":
        found.append(
            f"low_level.kind {contract.low_level.kind!r}: these nodes compare joint impedance gains"
        )
    if contract.gripper is not None and contract.gripper.kind != "fixed":
        found.append(f"gripper.kind {contract.gripper.kind!r}: these nodes command no gripper")
    for trained in contract.ranges:
        if trained.name != LEAD and not trained.name.startswith(UNMEASURED):
            found.append(f"range {trained.name!r}: these nodes cannot measure it")
    for spec in contract.inputs:
        if spec.driver_stage is not None:
            found.append(f"input {spec.name!r}: driver stage {spec.driver_stage!r} is not known")
        if spec.kind == "prefix":
            found.append(f"input {spec.name!r}: prefix inputs are not made here")
    return found
