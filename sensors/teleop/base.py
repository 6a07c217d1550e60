"""What a device in a person's hand is: its readings, their ages, its buttons.

Twists are in the axes of a person who stands behind the base of the arm and looks along its x
axis: x away from the person, y to the left, z up; rotations are about these axes, right-handed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from sim2arm.core.spec import ArraySpec, Reading
from sim2arm.sensors.base import Clocks, check_fresh

FloatArray: TypeAlias = npt.NDArray[np.float64]

MAX_AGE = 0.2
"""Silence of a device after which the arm holds [s]."""

PRESSES = {
    "start": "begin an episode",
    "keep": "end the episode and keep it",
    "discard": "end the episode and throw it away",
    "rerecord": "throw the episode away and record it again",
    "quit": "end the session",
    "gripper_open": "open the gripper",
    "gripper_close": "close the gripper",
    "gripper_toggle": "close the gripper if it was to be open, else open it",
}
"""What buttons may mean."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TeleopReading:
    """What a device says at a moment; exactly one of `twist` and `joints` is there."""

    twist: FloatArray | None = None
    """(6,) translation, then rotation, in [-1, 1]; zero where the device rests."""
    joints: FloatArray | None = None
    """(n,) positions of a leader [rad], in the order of the device's `joint_names`."""
    clutch: bool
    """Whether the person wants the arm to follow."""
    gripper: float | None = None
    """Of a trigger or a leader's grip: -1 closed, 1 open; none where buttons work the gripper."""
    presses: Mapping[str, int] = field(default_factory=dict[str, int])
    """How often each of `PRESSES` was pressed so far: whoever compares two readings misses none and
    sees none twice, however often it looks."""
    sequence: int
    """Number of the reading; the same number means the same reading again."""
    stamp_ns: int
    """When it was measured, by the wall clock [ns]."""
    receipt_ns: int
    """When it arrived, by the steady clock [ns]."""


class TeleopDevice(Protocol):
    """A device in a person's hand; use it in a `with` block or close it."""

    @property
    def kind(self) -> Literal["twist", "joints"]:
        """What its readings hold."""
        ...

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Of a leader; empty for twists."""
        ...

    def read(self) -> TeleopReading:
        """Return the newest reading; the same again if none is newer.

        Raises:
            StaleReading: it is too old, or none came yet; one line that says why.
            RuntimeError: the device failed for good.
        """
        ...

    def close(self) -> None:
        """Let the device go; a second time does nothing."""
        ...


def new_presses(before: Mapping[str, int], now: Mapping[str, int]) -> tuple[str, ...]:
    """Return what was pressed between two readings, once per press, in the order of `PRESSES`."""
    return tuple(
        name for name in PRESSES for _ in range(max(now.get(name, 0) - before.get(name, 0), 0))
    )


def teleop_spec(joint_names: tuple[str, ...], max_age: float) -> dict[str, ArraySpec]:
    """Return the spec of a device's numbers: of a twist where no joints are named; ages in s."""
    axes = ("x", "y", "z", "rx", "ry", "rz")
    name = "teleop_joints" if joint_names else "teleop_twist"
    names = joint_names or axes
    return {
        name: ArraySpec(
            name=name,
            kind="sensor",
            shape=(len(names),),
            dtype="float64",
            unit="rad" if joint_names else "1",
            element_names=names,
            max_receipt_age_s=max_age,
            clock="receipt",
        )
    }


def check_teleop(
    reading: TeleopReading | None, spec: Mapping[str, ArraySpec], clocks: Clocks, why: str = ""
) -> TeleopReading:
    """Return a reading that is fresh, by the same rules as those of sensors (`check_fresh`).

    Raises:
        StaleReading: there is none, or it is too old.
    """
    if reading is not None:
        numbers = reading.joints if reading.twist is None else reading.twist
        times = Reading(
            arrays=dict.fromkeys(spec, numbers),
            sequence=reading.sequence,
            stamp_ns=reading.receipt_ns,
            receipt_ns=reading.receipt_ns,
        )
        check_fresh(times, spec, clocks, why)
        return reading
    check_fresh(None, spec, clocks, why)
    raise AssertionError("check_fresh raises where there is no reading")
