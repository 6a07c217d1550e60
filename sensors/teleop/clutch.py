"""When an arm may follow a device at all, and twists as steps of the tool.

The one law of this file and of `following.py`: from a reading that is too old, not finite or out of
order, and while the clutch is open, nothing moves, gripper included; and closing the clutch again
moves nothing either. Nothing here waits, opens or reads a clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim2arm.core.transforms import quat_rotate

from .base import MAX_AGE, FloatArray, TeleopReading, new_presses

LONGEST_TICK = 0.1
"""A later tick does not ramp farther than one this long after the tick before [s]."""


class Watch:
    """Say of each reading whether the arm may follow it."""

    def __init__(self, max_age: float) -> None:
        """Allow readings up to an age [s]."""
        self._max_age_ns, self._sequence = 1e9 * max_age, -1

    def problem(self, reading: TeleopReading | None, now_ns: int, why: str = "") -> str:
        """Return why the arm must hold, or an empty string.

        Args:
            reading: the newest, or none where the device raised.
            now_ns: by the steady clock [ns].
            why: what is known about a device that gave none.
        """
        if reading is None:
            return why or "the device is silent"
        age = now_ns - reading.receipt_ns
        if age > self._max_age_ns:
            return f"the device is silent for {1e-9 * age:.3f} s"
        if age < -self._max_age_ns:
            return f"the reading is {-1e-9 * age:.3f} s ahead of the steady clock"
        if reading.sequence < self._sequence:
            return f"reading {reading.sequence} came after reading {self._sequence}"
        self._sequence = reading.sequence
        for numbers in (reading.twist, reading.joints, reading.gripper):
            if numbers is not None and not np.isfinite(numbers).all():
                return "the device gives numbers that are not finite"
        return "" if reading.clutch else OPEN


OPEN = "the clutch is open"
"""Why an arm holds that is not asked to follow."""
_NEAR = 0.05
"""Distance of a trigger from the gripper's element at which it takes it over."""


class GripperHand:
    """The gripper element of actions: -1 closed, 1 open; unchanged while the arm holds."""

    def __init__(self, rate: float, value: float) -> None:
        """Start at a value; triggers move it by at most `rate` per second."""
        self.value, self._rate = value, rate
        self._presses: dict[str, int] | None = None
        self._waits, self._side = False, 0.0  # for a trigger that stands elsewhere

    def resume(self, value: float) -> None:
        """Go on from a value that somebody else chose: a trigger has to pass it once."""
        self.value, self._waits, self._side = value, True, 0.0

    def step(self, reading: TeleopReading | None, follows: bool, dt: float) -> float:
        """Return the element; it moves only from one tick that is followed to the next."""
        if reading is None or not follows:
            self._presses = None
            return self.value
        before, self._presses = self._presses, dict(reading.presses)
        if before is None:
            return self.value
        for press in new_presses(before, self._presses):
            if press == "gripper_toggle":
                self.value = -1.0 if self.value > 0.0 else 1.0
            elif press.startswith("gripper_"):
                self.value = 1.0 if press == "gripper_open" else -1.0
        if reading.gripper is not None and self._passed(reading.gripper - self.value):
            wanted = min(max(reading.gripper, -1.0), 1.0)
            self.value += min(max(wanted - self.value, -self._rate * dt), self._rate * dt)
        return self.value

    def _passed(self, off: float) -> bool:
        """Return whether a trigger that is off the value by so much may move it."""
        if self._waits:
            self._side = self._side or off
            self._waits = abs(off) > _NEAR and off * self._side > 0.0
        return not self._waits


def tick_length(before_ns: int | None, now_ns: int) -> float:
    """Return the time since the tick before [s], 0 at the first, at most `LONGEST_TICK`."""
    passed = 0.0 if before_ns is None else 1e-9 * (now_ns - before_ns)
    return min(max(passed, 0.0), LONGEST_TICK)


@dataclass(frozen=True, kw_only=True)
class TwistCfg:
    """From the hand's twist to steps of the tool."""

    dead_zone: float = 0.1
    """Deflection below which an axis rests, as a share of its range; beyond it motion begins at
    zero."""
    expo: float = 0.5
    """Share of the cube in the curve of an axis: 0 is linear, 1 finest near the centre."""
    translation_scale: float = 0.5
    """Action at full deflection, 0 to 1; 0 locks translations. With the controller's 0.01 m per
    step and 50 steps per second a half is 0.25 m/s, the reduced speed of ISO 10218-1."""
    rotation_scale: float = 0.5
    """Action at full deflection, 0 to 1; 0 locks rotations."""
    frame: Literal["base", "tool"] = "base"
    """Whose axes the device's axes are: those of the base, or those of the tool."""
    heading: float = 0.0
    """base: where the person looks, an angle about z from the x axis of the base [rad]."""
    gripper_rate: float = 5.0
    """How fast a trigger moves the gripper's element, whose range is 2 [1/s]."""
    max_age: float = MAX_AGE
    """Silence after which the arm holds [s]."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0.0 <= self.dead_zone < 1.0:
            raise ValueError(f"dead_zone: expected 0 or more and less than 1, got {self.dead_zone}")
        for name in ("expo", "translation_scale", "rotation_scale"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        if self.frame not in ("base", "tool"):
            raise ValueError(f"frame: expected base or tool, got {self.frame!r}")
        if not math.isfinite(self.heading):
            raise ValueError(f"heading: expected an angle in rad, got {self.heading}")
        for name in ("gripper_rate", "max_age"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class TwistCommand:
    """What a policy would answer in the place of the person."""

    action: FloatArray
    """(7,) in [-1, 1]: an `ee_delta` action, translation and rotation about axes of the base, then
    the gripper's element. Zero translation and rotation hold."""
    follows: bool
    """Whether the arm follows the device."""
    why: str = ""
    """Why it holds; one line."""


class TwistTeleop:
    """From readings of a keyboard, a gamepad or a SpaceMouse to `ee_delta` actions.

    An axis that is deflected when the clutch closes (or the device comes back) moves nothing: the
    device has to rest once before the arm follows it.
    """

    def __init__(self, cfg: TwistCfg | None = None, *, gripper: float = 1.0) -> None:
        """Start holding, with a gripper's element (-1 closed, 1 open)."""
        self.cfg = cfg or TwistCfg()
        self.reset(gripper)

    def reset(self, gripper: float = 1.0) -> None:
        """Start again, as at the start of an episode."""
        self._watch = Watch(self.cfg.max_age)
        self._hand = GripperHand(self.cfg.gripper_rate, gripper)
        self._rested = False
        self._before_ns: int | None = None

    def resume(self, gripper: float) -> None:
        """Go on with another gripper's element than was asked for: somebody else changed it."""
        self._hand.resume(gripper)

    def step(
        self,
        reading: TeleopReading | None,
        now_ns: int,
        q_base_tool: FloatArray | None = None,
        why: str = "",
    ) -> TwistCommand:
        """Return the action of this control tick.

        Args:
            reading: the newest, or none where the device raised `StaleReading`.
            now_ns: by the steady clock [ns].
            q_base_tool: (4,) orientation of the tool in the base frame, for steps in its axes.
            why: the device's words where there is no reading.

        Raises:
            ValueError: the reading is not of a twist, or the frame needs an orientation.
        """
        if reading is not None and (reading.twist is None or reading.twist.shape != (6,)):
            raise ValueError("reading: expected a twist (6,), got one of another device")
        if self.cfg.frame == "tool" and q_base_tool is None:
            raise ValueError("q_base_tool: expected (4,), steps along axes of the tool need it")
        dt, self._before_ns = tick_length(self._before_ns, now_ns), now_ns
        problem = self._watch.problem(reading, now_ns, why)
        if problem or reading is None or reading.twist is None:
            self._rested = False
            return self._command(None, self._hand.step(reading, False, dt), problem)
        gripper = self._hand.step(reading, True, dt)
        if not self._rested:
            self._rested = bool(np.all(np.abs(reading.twist) <= self.cfg.dead_zone))
            waiting = "" if self._rested else "let the device rest once: then the arm follows"
            return self._command(None, gripper, waiting)
        return self._command(self._shape(reading.twist, q_base_tool), gripper)

    def _shape(self, twist: FloatArray, q_base_tool: FloatArray | None) -> FloatArray:
        """Return (6,) in [-1, 1] about axes of the base."""
        cfg = self.cfg
        size = np.clip((np.abs(twist) - cfg.dead_zone) / (1.0 - cfg.dead_zone), 0.0, 1.0)
        curve = np.sign(twist) * ((1.0 - cfg.expo) * size + cfg.expo * size**3)
        parts = curve[:3] * cfg.translation_scale, curve[3:] * cfg.rotation_scale
        if cfg.frame == "tool" and q_base_tool is not None:
            turn = q_base_tool
        elif cfg.heading != 0.0:
            turn = np.array([math.cos(cfg.heading / 2), 0.0, 0.0, math.sin(cfg.heading / 2)])
        else:
            return np.concatenate(parts)
        turned = [quat_rotate(turn, part) for part in parts]
        # Turned, a vector may stick out of the box of actions: it is shortened, not bent.
        return np.concatenate([part / max(1.0, float(np.abs(part).max())) for part in turned])

    def _command(self, motion: FloatArray | None, gripper: float, why: str = "") -> TwistCommand:
        action = np.zeros(7)
        action[6] = gripper
        if motion is not None:
            action[:6] = motion
        return TwistCommand(action=action, follows=not why, why=why)
