"""A gamepad by the kernel's input layer, with its codes for sticks and buttons.

Left stick: x and y. Right stick: up and down z, sideways yaw. Cross: pitch and roll. The right
bumper is the clutch and is held. South (A) works the gripper, east (B) keeps, north and west record
again, the left bumper discards, start and select begin an episode and end the session.
Source: Linux, `Documentation/input/gamepad.rst`, which names the codes by place, not by maker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim2arm.sensors.base import Clocks

from .base import MAX_AGE
from .evdev import InputDevice, KernelDevice, find_input
from .polling import PolledDevice, Sample

AXES: tuple[tuple[int, int, float], ...] = (
    (0x01, 0, -1.0),  # ABS_Y, down positive: push the left stick away for x
    (0x00, 1, -1.0),  # ABS_X, right positive: y is to the left
    (0x04, 2, -1.0),  # ABS_RY
    (0x03, 5, -1.0),  # ABS_RX: turned to the left about z
    (0x11, 4, -1.0),  # ABS_HAT0Y, up is -1: nose down about y
    (0x10, 3, 1.0),  # ABS_HAT0X, right is 1: the right side down about x
)
"""Code of an axis -> axis of the twist, sign."""
BUTTONS: dict[int, str] = {
    0x130: "gripper_toggle",  # BTN_SOUTH
    0x131: "keep",  # BTN_EAST
    # Drivers of Xbox pads swap these two, so that they have to mean the same.
    0x133: "rerecord",  # BTN_NORTH
    0x134: "rerecord",  # BTN_WEST
    0x136: "discard",  # BTN_TL
    0x13A: "quit",  # BTN_SELECT
    0x13B: "start",  # BTN_START
}
CLUTCH = 0x137
"""BTN_TR, the right bumper."""


@dataclass(frozen=True, kw_only=True)
class GamepadCfg:
    """A gamepad."""

    device: str = ""
    """Words of its name or a path; empty: the only gamepad there is."""
    always: bool = False
    """Whether the arm follows without the bumper."""
    max_age: float = MAX_AGE
    """Oldest reading that is still returned [s]."""


class GamepadSource:
    """A gamepad as a source."""

    def __init__(self, device: InputDevice, cfg: GamepadCfg) -> None:
        """Take an open device; axes that it does not have stay at zero.

        Raises:
            OSError: it has neither of the axes of the left stick.
        """
        self._device, self._cfg = device, cfg
        self._axes = [entry for entry in AXES if self._has(entry[0])]
        if not {0x00, 0x01} <= {code for code, _, _ in self._axes}:
            raise OSError("the device has no left stick (ABS_X, ABS_Y): is it a gamepad?")

    def poll(self) -> Sample:
        """Return where the sticks stand and what was pressed."""
        twist = np.zeros(6)
        for code, axis, sign in self._axes:
            twist[axis] = sign * self._device.axis(code).share
        clutch = self._cfg.always or CLUTCH in self._device.held()
        pressed = tuple(BUTTONS[code] for code in self._device.pressed() if code in BUTTONS)
        return Sample(twist=twist, clutch=clutch, pressed=pressed)

    def close(self) -> None:
        """Let the device go."""
        self._device.close()

    def _has(self, code: int) -> bool:
        try:
            axis = self._device.axis(code)
        except OSError:
            return False
        return axis.most > axis.least


def open_gamepad(
    cfg: GamepadCfg | None = None,
    *,
    open_input: Callable[[Path], InputDevice] = KernelDevice,
    find: Callable[[str], Path] = lambda wanted: find_input(wanted, "gamepad"),
    clocks: Clocks | None = None,
) -> PolledDevice:
    """Return a gamepad as a device.

    Raises:
        OSError: no such gamepad; one line with those that are there.
    """
    chosen = cfg or GamepadCfg()
    find(chosen.device)
    return PolledDevice(
        lambda: GamepadSource(open_input(find(chosen.device)), chosen),
        max_age=chosen.max_age,
        clocks=clocks,
    )
