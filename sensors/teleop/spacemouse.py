"""A SpaceMouse of 3Dconnexion by its raw reports: /dev/hidraw*, without a library.

Report 1 holds the translation x y z and, on wireless models, the rotation behind it; report 2 the
rotation; report 3 the buttons, a bit each. Numbers are int16, little-endian, about -350 to 350.
While the cap is deflected the device sends every 8 to 16 ms, and nothing while it rests: a
deflection that is not repeated is not believed.

Sources: USB HID Usage Tables 1.21, section 4.2 (x to the right, y to the person, z down,
rotations right-handed), as spacenavd and the ROS node `spacenav` read it; the reports of
a SpaceNavigator and a SpaceMouse Wireless recorded at https://andunhh.github.io/spacemouse.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from sim2arm.sensors.base import Clocks

from .base import MAX_AGE, PRESSES, FloatArray
from .polling import PolledDevice, Sample

FULL = 350.0
"""Number at full deflection (logical maximum of the report descriptor)."""
MULTI_AXIS = bytes((0x05, 0x01, 0x09, 0x08))
"""Report descriptor of such a device: generic desktop, multi-axis controller."""
PAIR = 0.05
"""A deflected half (translation, rotation) that is this much older than the other is stale [s]."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one report says; none where it says nothing."""

    translation: tuple[int, int, int] | None = None
    """x to the right, y to the person, z down."""
    rotation: tuple[int, int, int] | None = None
    """About the same axes, right-handed."""
    buttons: int | None = None
    """A bit each, the first button the lowest."""


def parse_report(data: bytes) -> Report | None:
    """Return what a report says, or none for reports of other things (battery, lights).

    Raises:
        ValueError: the report is too short for its number.
    """
    if not data:
        raise ValueError("report: expected a number and content, got nothing")
    number, body = data[0], data[1:]
    if number in (1, 2) and len(body) < 6:
        raise ValueError(f"report {number}: expected 6 or 12 bytes, got {len(body)}")
    if number == 1:
        rotation = struct.unpack_from("<3h", body, 6) if len(body) >= 12 else None
        return Report(translation=struct.unpack_from("<3h", body), rotation=rotation)
    if number == 2:
        return Report(rotation=struct.unpack_from("<3h", body))
    if number == 3:
        if not body:
            raise ValueError("report 3: expected at least 1 byte, got 0")
        return Report(buttons=int.from_bytes(body[:4], "little"))
    return None


def hand_axes(numbers: tuple[int, int, int]) -> FloatArray:
    """Return (3,) in [-1, 1] along the axes of the person: away, left, up."""
    right, near, down = numbers
    return np.clip(np.array((-near, -right, -down), dtype=np.float64) / FULL, -1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class SpaceMouseCfg:
    """A SpaceMouse."""

    device: str = ""
    """Words of its name or a path (/dev/hidraw3); empty: the only one there is."""
    buttons: dict[int, str] = field(
        default_factory=lambda: {0: "gripper_toggle", 1: "keep", 2: "rerecord", 3: "discard"}
    )
    """Number of a button, 0 the left one -> what it means; small models have two."""
    clutch_button: int | None = None
    """Button that is held while the arm may move; none: a cap that rests holds the arm."""
    max_age: float = MAX_AGE
    """Oldest reading that is still returned [s]."""

    def __post_init__(self) -> None:
        """Check the meanings."""
        for name in self.buttons.values():
            if name not in PRESSES:
                raise ValueError(f"buttons: expected some of {list(PRESSES)}, got {name!r}")


class RawDevice(Protocol):
    """An open raw HID device."""

    def read(self) -> bytes:
        """Return the next report, empty if there is none now; OSError if the device is gone."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


class HidrawDevice:
    """A `RawDevice` of a path."""

    def __init__(self, path: Path) -> None:
        """Open it; OSError if it does not open, one line."""
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise OSError(
                f"{path}: no permission: a udev rule gives it "
                '(KERNEL=="hidraw*", ATTRS{idVendor}=="256f", MODE="0660", TAG+="uaccess")'
            ) from error

    def read(self) -> bytes:
        """Return the next report, empty if there is none now."""
        try:
            data = os.read(self._file, 64)
        except BlockingIOError:
            return b""
        if not data:
            raise OSError("the device closed")
        return data

    def close(self) -> None:
        """Let it go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class SpaceMouseSource:
    """A SpaceMouse as a source."""

    def __init__(self, device: RawDevice, cfg: SpaceMouseCfg, now: Callable[[], float]) -> None:
        """Take an open device, at rest until it says something else; `now` is steady [s]."""
        self._device, self._cfg, self._now = device, cfg, now
        self._halves = [np.zeros(3), np.zeros(3)]
        self._heard = [now(), now()]
        self._buttons = 0

    def poll(self) -> Sample | None:
        """Return what the reports say, or none if a deflection was not repeated."""
        pressed, moved, now = 0, False, self._now()
        while data := self._device.read():
            try:
                report = parse_report(data)
            except ValueError as error:
                raise OSError(f"not a SpaceMouse: {error}") from error
            if report is None:
                continue
            for i, numbers in enumerate((report.translation, report.rotation)):
                if numbers is not None:
                    self._halves[i], self._heard[i], moved = hand_axes(numbers), now, True
            if report.buttons is not None:
                pressed |= report.buttons & ~self._buttons
                self._buttons = report.buttons
        deflected = [i for i in (0, 1) if np.any(self._halves[i] != 0.0)]
        silent = any(now - self._heard[i] > PAIR for i in deflected)
        if pressed == 0 and deflected and (silent or not moved):
            return None
        return self._sample(pressed, silent)

    def close(self) -> None:
        """Let the device go."""
        self._device.close()

    def _sample(self, pressed: int, silent: bool) -> Sample:
        """Return the state; a press beside a stale deflection comes with an open clutch."""
        cfg = self._cfg
        clutch = cfg.clutch_button is None or bool(self._buttons >> cfg.clutch_button & 1)
        return Sample(
            twist=np.concatenate(self._halves),
            clutch=clutch and not silent,
            pressed=tuple(name for bit, name in sorted(cfg.buttons.items()) if pressed >> bit & 1),
        )


def find_spacemouse(wanted: str, root: Path = Path("/")) -> Path:
    """Return the raw device of a multi-axis controller.

    Args:
        wanted: a path, or words of its name in any case; empty: the only one there is.
        root: of the file system.

    Raises:
        OSError: there is none, or there are several; one line with those that are there.
    """
    there: list[tuple[Path, str]] = []
    folder = root / "sys/class/hidraw"
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            described = (entry / "device/report_descriptor").read_bytes()
            facts = (entry / "device/uevent").read_text()
        except OSError:
            continue  # unplugged while we look
        if described.startswith(MULTI_AXIS):
            names = [line[9:] for line in facts.splitlines() if line.startswith("HID_NAME=")]
            there.append((root / "dev" / entry.name, names[0] if names else "without a name"))
    listed = ", ".join(f"{path} ({name})" for path, name in there) or "none"
    if wanted.startswith("/"):
        path = root / wanted.lstrip("/")
        if not path.exists():
            raise FileNotFoundError(f"no SpaceMouse at {path}; here: {listed}")
        return path
    found = [path for path, name in there if all(w in name.lower() for w in wanted.lower().split())]
    if len(found) == 1:
        return found[0]
    if not found:
        asked = f"matches {wanted!r}" if wanted.strip() else "is plugged in"
        raise FileNotFoundError(f"no SpaceMouse {asked}; here: {listed}")
    raise OSError(f"{len(found)} of them match; name one by its path; here: {listed}")


def open_spacemouse(
    cfg: SpaceMouseCfg | None = None,
    *,
    open_raw: Callable[[Path], RawDevice] = HidrawDevice,
    find: Callable[[str], Path] = find_spacemouse,
    now: Callable[[], float] = time.monotonic,
    clocks: Clocks | None = None,
) -> PolledDevice:
    """Return a SpaceMouse as a device.

    Raises:
        OSError: no such device; one line with those that are there.
    """
    chosen = cfg or SpaceMouseCfg()
    find(chosen.device)
    return PolledDevice(
        lambda: SpaceMouseSource(open_raw(find(chosen.device)), chosen, now),
        max_age=chosen.max_age,
        clocks=clocks,
    )
