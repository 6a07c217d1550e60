"""All devices by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .base import TeleopDevice
from .gamepad import GamepadCfg, open_gamepad
from .keyboard import KeyboardCfg, open_keyboard, open_terminal
from .leader import SO101_LEADER, load_leader, open_leader
from .script import ScriptedDevice, load_script
from .spacemouse import SpaceMouseCfg, open_spacemouse


@dataclass(frozen=True, kw_only=True)
class TeleopEntry:
    """One device by name."""

    about: str
    """One line for lists."""
    where: str
    """What the text behind the colon of `NAME:WHERE` is, for help and errors."""
    needs_where: bool = False
    """Whether there is no device without it."""
    open: Callable[[str], TeleopDevice]
    """Opens the device at a place; an empty text where none was given. OSError or ValueError: one
    line."""


def _terminal(where: str) -> TeleopDevice:
    if where:
        raise ValueError(f"terminal: expected no place, got {where!r}: it is the standard input")
    return open_terminal()


TELEOP_DEVICES: dict[str, TeleopEntry] = {
    "keyboard": TeleopEntry(
        about="keys that are held, without a window; space is the clutch",
        where="words of its name, or /dev/input/event3",
        open=lambda where: open_keyboard(KeyboardCfg(device=where)),
    ),
    "terminal": TeleopEntry(
        about="keys typed into this terminal, over ssh too; coarse",
        where="nothing",
        open=_terminal,
    ),
    "gamepad": TeleopEntry(
        about="two sticks; the right bumper is the clutch",
        where="words of its name, or /dev/input/event3",
        open=lambda where: open_gamepad(GamepadCfg(device=where)),
    ),
    "spacemouse": TeleopEntry(
        about="a cap with six axes",
        where="words of its name, or /dev/hidraw3",
        open=lambda where: open_spacemouse(SpaceMouseCfg(device=where)),
    ),
    "so101-leader": TeleopEntry(
        about="the SO-101's leader arm on its serial bus",
        where="path of the serial port (/dev/ttyACM0)",
        open=lambda where: open_leader(replace(SO101_LEADER, port=where or SO101_LEADER.port)),
    ),
    "leader": TeleopEntry(
        about="any leader arm of Dynamixel X or Feetech STS servos",
        where="path of a YAML file with port, protocol, joint_names, ids, signs, zeros",
        needs_where=True,
        open=lambda where: open_leader(load_leader(Path(where))),
    ),
    "script": TeleopEntry(
        about="steps of a YAML file",
        where="path of the file",
        needs_where=True,
        open=lambda where: ScriptedDevice(load_script(Path(where))),
    ),
}


def open_device(text: str) -> TeleopDevice:
    """Return the open device of `NAME` or `NAME:WHERE`.

    Raises:
        ValueError: no such name; one line with those there are.
        OSError: the device is not there; one line.
    """
    name, _, where = text.partition(":")
    entry = TELEOP_DEVICES.get(name)
    if entry is None:
        raise ValueError(f"no teleoperation device {name!r}. Devices: {', '.join(TELEOP_DEVICES)}")
    if entry.needs_where and not where:
        raise ValueError(f"{name}: expected {name}:WHERE, where WHERE is the {entry.where}")
    return entry.open(where)
