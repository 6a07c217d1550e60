"""Numbers that a person gives for the joints of an arm: one for all, a pair or a number each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from sim2arm.core.controller_file import Controller

Numbers: TypeAlias = tuple[float | str, ...]
"""One number for all joints, `joint=number` for each, or a number each; empty: not given."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What was given, each empty or one per joint from base to tool; units as in `Wanted`."""

    kp: tuple[float, ...]
    kd: tuple[float, ...]
    velocity: tuple[float, ...]
    torque: tuple[float, ...]
    home: tuple[float, ...]


def numbers_of(
    option: str,
    numbers: Numbers,
    joints: tuple[str, ...],
    arm: Controller,
    *,
    above: float = -math.inf,
) -> tuple[float, ...]:
    """Return one number per joint; none from none.

    Numbers without names are those of the joints from base to tool. Where the controllers file
    lists the joints in another order, a person may mean either, and gains that are swapped would
    not show: then only names are taken.

    Args:
        option: as on the command line, without dashes.
        numbers: what was given.
        joints: of the arm, from base to tool.
        arm: its controller.
        above: what they must be above.

    Raises:
        ValueError: names or numbers are wrong or missing, or it is not clear whose they are; one
            line.
    """
    if any(isinstance(number, str) for number in numbers):
        values = _named(option, numbers, joints)
    else:
        values = tuple(float(number) for number in numbers)
        if len(values) == len(joints) > 1 and arm.joints != joints:
            raise ValueError(
                f"--{option}: expected joint=number for each joint, got {list(values)}: controller "
                f"{arm.name!r} lists {list(arm.joints)}, from base to tool they are {list(joints)}"
            )
    n = len(joints)
    if values and (len(values) not in (1, n) or not all(above < v < 1e9 for v in values)):
        what = "numbers" if above == -math.inf else f"numbers above {above:g}"
        raise ValueError(f"--{option}: expected 1 or {n} {what}, got {list(values)}")
    return values * n if len(values) == 1 else values


def _named(option: str, pairs: Numbers, joints: tuple[str, ...]) -> tuple[float, ...]:
    """Return the numbers of `joint=number` pairs in the order of the joints."""
    found: dict[str, float] = {}
    for pair in pairs:
        name, _, number = str(pair).rpartition("=")
        if not name or name in found or not _is_number(number):
            raise ValueError(f"--{option}: expected joint=number, each joint once, got {pair!r}")
        found[name] = float(number)
    if set(found) != set(joints):
        raise ValueError(
            f"--{option}: expected joint=number for each of {list(joints)}, got {list(found)}"
        )
    return tuple(found[joint] for joint in joints)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
