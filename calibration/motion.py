"""What pictures and gels say of motion, one number or two for each: signals for `delay.py`."""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import cv2
import numpy as np

from sim2arm.core.driver_stage import FloatArray

from .delay import Signal

WIDTH = 160
"""To which pictures are reduced before their shift is measured [pixels]."""
FIRST = 5
"""Readings of a gel at the start, of which it is taken that nothing touches it."""


class PictureShifts:
    """How far the pictures of a camera move, each against the one before.

    The shift of a whole picture by the phase of its spectrum (Kuglin and Hines 1975): nothing needs
    to be found in it, but most of it must move alike. A picture like the one before is no new one.

    Attributes:
        repeated: pictures that came twice.
    """

    def __init__(self) -> None:
        """Begin."""
        self.repeated = 0
        self._stamps, self._shifts = list[float](), list[FloatArray]()
        self._last: FloatArray | None = None
        self._window: np.ndarray | None = None

    def add(self, stamp: float, picture: np.ndarray) -> bool:
        """Take a picture (rows, cols) or (rows, cols, 3) uint8; return whether it is a new one.

        Args:
            stamp: when it was taken [s].
            picture: of a size that does not change.

        Raises:
            ValueError: its size changed.
        """
        if self._stamps and stamp <= self._stamps[-1]:
            return False
        grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, WIDTH / grey.shape[1])
        size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
        small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float64)
        if self._last is not None and self._last.shape != small.shape:
            raise ValueError(f"pictures: the size changed to {picture.shape[1::-1]}")
        if self._last is not None and np.array_equal(small, self._last):
            self.repeated += 1
            return False
        if self._window is None:
            self._window = cv2.createHanningWindow(size, cv2.CV_64F)
        shift = np.zeros(2)
        if self._last is not None:
            (x, y), _ = cv2.phaseCorrelate(self._last.copy(), small.copy(), self._window)
            # OpenCV writes into what it is given, hence copies.
            shift = np.array([x, y]) / scale
        self._last = small
        self._stamps.append(stamp)
        self._shifts.append(shift)
        return True

    def signal(self) -> Signal:
        """Return the shifts (S, 2) [pixels].

        Raises:
            ValueError: there are too few.
        """
        return _signal(self._stamps, self._shifts, "pictures")


class GelLevels:
    """How much a gel is pressed: how far its picture is from that at rest, or its whole force."""

    def __init__(self) -> None:
        """Begin."""
        self._stamps, self._levels = list[float](), list[FloatArray]()
        self._rest = list[FloatArray]()

    def add(self, stamp: float, reading: np.ndarray) -> bool:
        """Take a picture (rows, cols, 3) uint8 or a field of forces (..., 3) [N]."""
        if self._stamps and stamp <= self._stamps[-1]:
            return False
        if reading.dtype == np.uint8:
            picture = reading.astype(np.float64)
            if len(self._rest) < FIRST:
                self._rest.append(picture)
            level = float(np.abs(picture - np.mean(self._rest, axis=0)).mean())
        else:
            level = float(np.linalg.norm(reading.reshape(-1, 3).astype(np.float64).sum(axis=0)))
        self._stamps.append(stamp)
        self._levels.append(np.array([level]))
        return True

    def signal(self) -> Signal:
        """Return the levels (S, 1) [grey levels, or N].

        Raises:
            ValueError: there are too few.
        """
        return _signal(self._stamps, self._levels, "readings of the gel")


class States:
    """Positions of joints over time."""

    def __init__(self) -> None:
        """Begin."""
        self._stamps, self._values = list[float](), list[FloatArray]()

    def add(self, stamp: float, values: FloatArray) -> bool:
        """Take positions (n,); return whether they are new."""
        if self._stamps and stamp <= self._stamps[-1]:
            return False
        self._stamps.append(stamp)
        self._values.append(np.asarray(values, dtype=np.float64))
        return True

    def signal(self, what: str) -> Signal:
        """Return them (T, n).

        Raises:
            ValueError: there are too few.
        """
        return _signal(self._stamps, self._values, what)


def _signal(stamps: list[float], values: list[FloatArray], what: str) -> Signal:
    if len(stamps) < 20:
        raise ValueError(f"expected 20 {what} or more, got {len(stamps)}")
    return Signal(np.array(stamps), np.stack(values))
