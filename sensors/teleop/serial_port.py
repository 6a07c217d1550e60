"""A serial port with termios: raw bytes at a speed, one owner, reads that end in time."""

from __future__ import annotations

import fcntl
import os
import select
import termios
import time
import tty
from pathlib import Path
from typing import Protocol


class Port(Protocol):
    """What the bus needs of a serial port; every call raises OSError when the port is gone."""

    def clear(self) -> None:
        """Forget what was received."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def read(self, timeout: float) -> bytes:
        """Return what was received, empty if nothing came in time [s]."""
        ...

    def close(self) -> None:
        """Let it go; a second time does nothing."""
        ...


class SerialPort:
    """A `Port` of a path: 8 data bits, no parity, 1 stop bit, no flow control."""

    def __init__(self, path: str, baud: int) -> None:
        """Open it for this process alone.

        Raises:
            OSError: it does not open, is in use, or does not know the speed; one line.
        """
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise OSError(f"{path}: this system has no serial speed of {baud} baud")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise OSError(f"{path}: no permission: add the user to the group dialout") from error
        except FileNotFoundError as error:
            raise OSError(f"{path}: no such port; here: {_ports()}") from error
        try:
            self._set_up(path, speed)
        except BaseException:
            self.close()
            raise

    def clear(self) -> None:
        """Forget what was received."""
        _tcflush(self._file)

    def write(self, data: bytes) -> None:
        """Send bytes; a port that does not take them within 0.1 s is broken."""
        end = time.monotonic() + 0.1
        while data:
            left = end - time.monotonic()
            if left <= 0 or not select.select([], [self._file], [], left)[1]:
                raise OSError("the serial port takes no bytes")
            data = data[os.write(self._file, data) :]

    def read(self, timeout: float) -> bytes:
        """Return what was received, empty if nothing came in time [s]."""
        if not select.select([self._file], [], [], max(timeout, 0.0))[0]:
            return b""
        try:
            data = os.read(self._file, 4096)
        except BlockingIOError:
            return b""
        if not data:  # ready to read and nothing there: hung up
            raise OSError("the serial port was unplugged")
        return data

    def close(self) -> None:
        """Let it go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _set_up(self, path: str, speed: int) -> None:
        if not os.isatty(self._file):
            raise OSError(f"{path}: not a serial port")
        try:
            fcntl.ioctl(self._file, termios.TIOCEXCL)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(f"{path}: another program uses this port") from error
        try:
            tty.setraw(self._file)
            settings = termios.tcgetattr(self._file)
            settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
            settings[4] = settings[5] = speed
            termios.tcsetattr(self._file, termios.TCSANOW, settings)
            _tcflush(self._file)
        except termios.error as error:
            raise OSError(f"{path}: no serial settings ({error.args[-1]})") from error


def _tcflush(file: int) -> None:
    try:
        termios.tcflush(file, termios.TCIFLUSH)
    except termios.error as error:  # not an OSError, though it has its arguments
        raise OSError(*error.args) from error


def _ports(root: Path = Path("/")) -> str:
    folders = (root / "dev/serial/by-id", root / "dev")
    for folder, pattern in zip(folders, ("*", "tty[AU]*"), strict=True):
        found = [str(p) for p in sorted(folder.glob(pattern)) if "ttyAMA" not in p.name]
        found = [name for name in found if "ACM" in name or "USB" in name or "by-id" in name]
        if found:
            return ", ".join(found)
    return "none"
