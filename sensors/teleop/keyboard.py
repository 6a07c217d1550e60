"""A keyboard: by the kernel's input layer, which knows what is held, or as typed into a terminal.

The keys are those of Isaac Lab's keyboard device: W S, A D, Q E move along x, y, z; Z X, T G, C V
turn about x, y, z; K works the gripper.
"""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim2arm.sensors.base import Clocks

from .base import MAX_AGE, FloatArray
from .evdev import InputDevice, KernelDevice, find_input
from .polling import PolledDevice, Sample

MOTIONS: dict[str, tuple[int, float]] = {
    "w": (0, 1.0), "s": (0, -1.0), "a": (1, 1.0), "d": (1, -1.0), "q": (2, 1.0), "e": (2, -1.0),
    "z": (3, 1.0), "x": (3, -1.0), "t": (4, 1.0), "g": (4, -1.0), "c": (5, 1.0), "v": (5, -1.0),
}  # fmt: skip
"""Key -> axis of the twist and its sign."""
PRESS_KEYS: dict[str, str] = {
    "k": "gripper_toggle", "n": "start", "enter": "keep", "backspace": "discard", "r": "rerecord",
    "escape": "quit",
}  # fmt: skip
"""Key -> what it means once per press."""
CODES: dict[int, str] = {
    1: "escape", 14: "backspace", 16: "q", 17: "w", 18: "e", 19: "r", 20: "t", 28: "enter", 30: "a",
    31: "s", 32: "d", 34: "g", 37: "k", 44: "z", 45: "x", 46: "c", 47: "v", 49: "n", 57: "space",
    97: "rightctrl", 100: "rightalt",
}  # fmt: skip
"""Code of the kernel -> key, by its place on a US keyboard (`input-event-codes.h`)."""
_SEQUENCE = re.compile(r"\x1b(?:[\[O][0-?]*[ -/]*[@-~]|[^\x1b\[O])")  # the latter: Alt and a key
_TORN = re.compile(r"\x1b(?:[\[O][0-?]*[ -/]*)?$")
_CHARACTERS = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace"}


def twist_of_keys(keys: frozenset[str], speed: float) -> FloatArray:
    """Return the twist (6,) of the keys that are held: `speed` per axis, opposite keys cancel."""
    twist = np.zeros(6)
    for key in keys & MOTIONS.keys():
        axis, sign = MOTIONS[key]
        twist[axis] += sign * speed
    return twist


@dataclass(frozen=True, kw_only=True)
class KeyboardCfg:
    """A keyboard of the kernel's input layer."""

    device: str = ""
    """Words of its name or a path; empty: the only keyboard there is."""
    clutch_key: str = "space"
    """Key that is held while the arm may move (one of `CODES`): the keyboard is heard whatever
    window has the focus. Empty: the arm follows at all times."""
    speed: float = 0.7
    """Twist of a key that is held, in (0, 1]."""
    max_age: float = MAX_AGE
    """Oldest reading that is still returned [s]."""

    def __post_init__(self) -> None:
        """Check speed and key."""
        _check_speed(self.speed)
        if self.clutch_key and self.clutch_key not in CODES.values():
            raise ValueError(
                f"clutch_key: expected one of {sorted(CODES.values())}, got {self.clutch_key!r}"
            )


class KeyboardSource:
    """A keyboard of the kernel as a source."""

    def __init__(self, device: InputDevice, cfg: KeyboardCfg) -> None:
        """Take an open device."""
        self._device, self._cfg = device, cfg

    def poll(self) -> Sample:
        """Return what is held and what was pressed."""
        keys = frozenset(CODES[code] for code in self._device.held() if code in CODES)
        names = [CODES.get(code, "") for code in self._device.pressed()]
        clutch = not self._cfg.clutch_key or self._cfg.clutch_key in keys
        return Sample(
            twist=twist_of_keys(keys, self._cfg.speed),
            clutch=clutch,
            pressed=tuple(PRESS_KEYS[name] for name in names if name in PRESS_KEYS),
        )

    def close(self) -> None:
        """Let the device go."""
        self._device.close()


def open_keyboard(
    cfg: KeyboardCfg | None = None,
    *,
    open_input: Callable[[Path], InputDevice] = KernelDevice,
    find: Callable[[str], Path] = lambda wanted: find_input(wanted, "keyboard"),
    clocks: Clocks | None = None,
) -> PolledDevice:
    """Return a keyboard as a device.

    Raises:
        OSError: no such keyboard; one line with those that are there.
    """
    chosen = cfg or KeyboardCfg()
    find(chosen.device)
    return PolledDevice(
        lambda: KeyboardSource(open_input(find(chosen.device)), chosen),
        max_age=chosen.max_age,
        clocks=clocks,
    )


@dataclass(frozen=True, kw_only=True)
class TerminalCfg:
    """Keys as a terminal gives them: typed characters, without word of their release."""

    hold: float = 0.12
    """A typed key counts as held for so long [s]; a key that is held repeats after a pause that
    the terminal's computer chooses, so that the arm makes one short step first."""
    speed: float = 0.7
    """Twist of a key, in (0, 1]."""
    max_age: float = MAX_AGE
    """Oldest reading that is still returned [s]."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        _check_speed(self.speed)
        if not 0.0 < self.hold < 1.0:
            raise ValueError(f"hold: expected more than 0 and less than 1 s, got {self.hold}")


def keys_of_text(text: str) -> tuple[list[str], str]:
    """Return the names of the keys of typed text, and the start of a sequence that is not whole.

    Arrows, function keys and Alt send sequences (ECMA-48, 5.4) and are none of ours.
    """
    keys: list[str] = []
    i = 0
    while i < len(text):
        if text[i] == "\x1b":
            if _TORN.match(text, i):
                return keys, text[i:]
            sequence = _SEQUENCE.match(text, i)
            if sequence is not None:
                i = sequence.end() - 1
            elif text.startswith("\x1b\x1b", i):
                keys.append("escape")
        else:
            keys.append(_CHARACTERS.get(text[i], text[i].lower()))
        i += 1
    return keys, ""


class TerminalSource:
    """A terminal in raw mode as a source; signals (Ctrl-C) still work."""

    def __init__(self, file: int, cfg: TerminalCfg, now: Callable[[], float]) -> None:
        """Put a terminal into raw mode; `close` puts it back.

        Raises:
            OSError: the file is not a terminal.
        """
        if not os.isatty(file):
            raise OSError("the standard input is not a terminal: keys cannot be read from it")
        self._file, self._cfg, self._now = file, cfg, now
        self._before: list[Any] | None = termios.tcgetattr(file)
        tty.setcbreak(file)
        self._until: dict[str, float] = {}
        self._torn = ""

    def poll(self) -> Sample:
        """Return what was typed lately."""
        now, typed = self._now(), ""
        while select.select([self._file], [], [], 0.0)[0]:
            data = os.read(self._file, 1024)
            if not data:
                raise OSError("the terminal closed")
            typed += data.decode("ascii", errors="ignore")
        keys, torn = keys_of_text(self._torn + typed)
        if torn and not typed:  # nothing follows: the escape key itself, or noise
            keys, torn = (["escape"] if torn == "\x1b" else []), ""
        self._torn = torn
        for key in keys:
            if key in MOTIONS:
                self._until[key] = now + self._cfg.hold
        self._until = {key: end for key, end in self._until.items() if end > now}
        return Sample(
            twist=twist_of_keys(frozenset(self._until), self._cfg.speed),
            pressed=tuple(PRESS_KEYS[key] for key in keys if key in PRESS_KEYS),
        )

    def close(self) -> None:
        """Give the terminal back as it was."""
        if self._before is not None:
            termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)
            self._before = None


def open_terminal(
    cfg: TerminalCfg | None = None,
    *,
    file: int | None = None,
    now: Callable[[], float] = time.monotonic,
    clocks: Clocks | None = None,
) -> PolledDevice:
    """Return a terminal, the standard input by default, as a device.

    Raises:
        OSError: it is not a terminal.
    """
    chosen = cfg or TerminalCfg()
    number = sys.stdin.fileno() if file is None else file
    if not os.isatty(number):
        raise OSError("the standard input is not a terminal: keys cannot be read from it")
    return PolledDevice(
        lambda: TerminalSource(number, chosen, now), max_age=chosen.max_age, clocks=clocks
    )


def _check_speed(speed: float) -> None:
    if not 0.0 < speed <= 1.0:
        raise ValueError(f"speed: expected more than 0 and at most 1, got {speed}")
