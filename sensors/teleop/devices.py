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

    summary: str
    """One line for lists."""
    where: str
    """What the text behind the colon of `NAME:WHERE` is, for help and errors."""
    buttons: str
    """What its keys and buttons do; one line."""
    starts: bool = False
    """Whether one of them begins an episode."""
    needs_where: bool = False
    """Whether there is no device without it."""
    open: Callable[[str, bool], TeleopDevice]
    """Opens the device at a place, an empty text where none was given; the flag: the arm follows
    without the device's clutch. OSError or ValueError: one line."""


def _terminal(where: str, always: bool) -> TeleopDevice:
    if where:
        raise ValueError(f"terminal: expected no place, got {where!r}: it is the standard input")
    return open_terminal()


_KEYS = (
    "N begin, Enter keep, Backspace discard, R again, Esc end; W S A D Q E move, Z X T G C V turn, "
    "K gripper"
)


TELEOP_DEVICES: dict[str, TeleopEntry] = {
    "keyboard": TeleopEntry(
        summary="keys that are held, without a window; space is the clutch",
        where="words of its name, or /dev/input/event3",
        buttons=f"{_KEYS}; space is held while the arm follows",
        starts=True,
        open=lambda where, always: open_keyboard(
            KeyboardCfg(device=where, clutch_key="" if always else "space")
        ),
    ),
    "terminal": TeleopEntry(
        summary="keys typed into this terminal, over ssh too; coarse",
        where="nothing",
        buttons=_KEYS,
        starts=True,
        open=_terminal,
    ),
    "gamepad": TeleopEntry(
        summary="two sticks; the right bumper is the clutch",
        where="words of its name, or /dev/input/event3",
        buttons="start begin, east (B) keep, left bumper discard, north or west again, select end; "
        "south (A) gripper; the right bumper is held while the arm follows",
        starts=True,
        open=lambda where, always: open_gamepad(GamepadCfg(device=where, always=always)),
    ),
    "spacemouse": TeleopEntry(
        summary="a cap with six axes",
        where="words of its name, or /dev/hidraw3",
        buttons="left gripper, right keep; of larger models the third again, the fourth discard",
        open=lambda where, _: open_spacemouse(SpaceMouseCfg(device=where)),
    ),
    "so101-leader": TeleopEntry(
        summary="the SO-101's leader arm on its serial bus",
        where="path of the serial port (/dev/ttyACM0)",
        buttons="none",
        open=lambda where, _: open_leader(replace(SO101_LEADER, port=where or SO101_LEADER.port)),
    ),
    "leader": TeleopEntry(
        summary="any leader arm of Dynamixel X or Feetech STS servos",
        where="path of a YAML file with port, protocol, joint_names, ids, signs, zeros",
        buttons="none",
        needs_where=True,
        open=lambda where, _: open_leader(load_leader(Path(where))),
    ),
    "script": TeleopEntry(
        summary="steps of a YAML file",
        where="path of the file",
        buttons="those that the steps press",
        starts=True,
        needs_where=True,
        open=lambda where, _: ScriptedDevice(load_script(Path(where))),
    ),
}


def open_device(text: str, *, always: bool = False) -> TeleopDevice:
    """Return the open device of `NAME` or `NAME:WHERE`.

    Args:
        text: name and place.
        always: the arm follows without the device's clutch, if it has one.

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
    return entry.open(where, always)
