"""Keyboards and gamepads as the Linux kernel gives them: /dev/input/event*, without a library.

What is held is asked of the kernel at every poll (`EVIOCGKEY`, `EVIOCGABS`): a device at rest sends
no events, and the question fails when it is unplugged. Events tell what was pressed in between.

What the kernel cannot know, nobody here knows: a wireless keyboard or pad that goes out of reach
with a key held counts as holding it until its driver removes it. Wires do not have this fault.
Source: Linux, `include/uapi/linux/input.h` and `Documentation/input/input.rst`.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

EV_KEY, EV_SYN, SYN_DROPPED = 0x01, 0x00, 3
KEY_COUNT = 0x300
"""Keys and buttons have the codes below (`KEY_CNT`)."""
KEY_A, BTN_SOUTH = 30, 0x130
"""What makes a device a keyboard, or a gamepad (`BTN_GAMEPAD`)."""

_EVENT = struct.Struct("@llHHi")  # struct input_event: time, type, code, value
_AXIS = struct.Struct("@6i")  # struct input_absinfo: value, least, most, and three more


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Where an axis of a gamepad stands."""

    value: int
    least: int
    most: int

    @property
    def share(self) -> float:
        """From -1 at the least to 1 at the most; 0 for an axis without a range."""
        if self.most <= self.least:
            return 0.0
        return min(max(2.0 * (self.value - self.least) / (self.most - self.least) - 1.0, -1.0), 1.0)


class InputDevice(Protocol):
    """An open device of the kernel's input layer."""

    def held(self) -> frozenset[int]:
        """Return the codes of the keys that are down; OSError if the device is gone."""
        ...

    def pressed(self) -> list[int]:
        """Return the codes of the keys that went down since the last call, in order."""
        ...

    def axis(self, code: int) -> Axis:
        """Return where an axis stands; OSError if the device has none or is gone."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


def read_request(number: int, size: int) -> int:
    """Return the ioctl that reads `size` bytes from an input device (`_IOR('E', number, size)`)."""
    return 2 << 30 | size << 16 | ord("E") << 8 | number


def keys_of_bits(bits: bytes) -> frozenset[int]:
    """Return the codes whose bits are set, the least significant bit of the first byte first."""
    return frozenset(8 * i + j for i, byte in enumerate(bits) for j in range(8) if byte >> j & 1)


def presses_of_events(data: bytes) -> list[int]:
    """Return the codes of keys that went down in whole events; repeats of held keys do not count.

    Raises:
        OSError: the kernel lost events (`SYN_DROPPED`): what was pressed is not known.
    """
    found: list[int] = []
    whole = len(data) // _EVENT.size * _EVENT.size
    for _, _, kind, code, value in _EVENT.iter_unpack(data[:whole]):
        if kind == EV_SYN and code == SYN_DROPPED:
            raise OSError("the kernel lost events of the input device; opening it again")
        if kind == EV_KEY and value == 1:
            found.append(code)
    return found


class KernelDevice:
    """An `InputDevice` of a path."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            OSError: it does not open; one line.
        """
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise OSError(
                f"{path}: no permission: add the user to the group of the device (input)"
            ) from error

    def held(self) -> frozenset[int]:
        """Return the codes of the keys that are down."""
        return keys_of_bits(self._ask(0x18, KEY_COUNT // 8))

    def pressed(self) -> list[int]:
        """Return the codes of the keys that went down since the last call."""
        found: list[int] = []
        while True:
            try:
                data = os.read(self._file, 64 * _EVENT.size)
            except BlockingIOError:
                return found
            if not data:
                raise OSError("the input device closed")
            found += presses_of_events(data)

    def axis(self, code: int) -> Axis:
        """Return where an axis stands."""
        value, least, most, *_ = _AXIS.unpack(self._ask(0x40 + code, _AXIS.size))
        return Axis(value=value, least=least, most=most)

    def close(self) -> None:
        """Let it go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _ask(self, number: int, size: int) -> bytes:
        answer = bytearray(size)
        fcntl.ioctl(self._file, read_request(number, size), answer)
        return bytes(answer)


def find_input(wanted: str, kind: Literal["keyboard", "gamepad"], root: Path = Path("/")) -> Path:
    """Return the path of a keyboard or gamepad.

    Args:
        wanted: a path under /dev, or words of its name in any case; empty: the only one there is.
        kind: what it has to be.
        root: of the file system.

    Raises:
        OSError: there is none, or there are several; one line with those that are there.
    """
    if wanted.startswith("/"):
        path = root / wanted.lstrip("/")
        if not path.exists():
            raise FileNotFoundError(f"no {kind} at {path}: {_there(_inputs(kind, root), kind)}")
        return path
    there = _inputs(kind, root)
    found = [path for path, name in there if all(w in name.lower() for w in wanted.lower().split())]
    if len(found) == 1:
        return found[0]
    asked = f"matches {wanted!r}" if wanted.strip() else "is plugged in"
    if not found:
        raise FileNotFoundError(f"no {kind} {asked}: {_there(there, kind)}")
    raise OSError(f"{len(found)} of kind {kind}: {_there(there, kind)}: name one")


def _inputs(kind: str, root: Path) -> list[tuple[Path, str]]:
    """Return path and name of the devices with the key that makes them of a kind."""
    code = KEY_A if kind == "keyboard" else BTN_SOUTH
    found: list[tuple[Path, str]] = []
    folder = root / "sys/class/input"
    for entry in sorted(folder.glob("event*")) if folder.is_dir() else []:
        try:
            words = (entry / "device/capabilities/key").read_text().split()
            name = (entry / "device/name").read_text().strip()
        except OSError:
            continue  # unplugged while we look
        # Words of the size of a long, most significant first, without leading zeros.
        size = 8 * struct.calcsize("@l")
        bits = sum(int(word, 16) << size * i for i, word in enumerate(reversed(words)))
        if bits >> code & 1:
            found.append((root / "dev/input" / entry.name, name))
    return found


def _there(places: list[tuple[Path, str]], kind: str) -> str:
    listed = ", ".join(f"{path} ({name})" for path, name in places)
    return f"here: {listed}" if listed else f"there is no {kind} here"
