"""From the clock of a device to the steady clock of this machine, by when its frames come.

A frame comes after it was taken, by a transport time that varies and is never negative. So the
least delay of each second lies on a line whose slope is the drift of the device's clock; the line
is laid through these minima and pushed below all of them. What stays unknown is the least transport
time itself: stamps are late by it (a calibration of latency measures it).
"""

from __future__ import annotations

from collections import deque

import numpy as np

WRAP_NS = 2**32 * 1000
"""A counter of microseconds in 32 bits, as in RealSense cameras, begins anew after this time."""
WINDOW_S = 1.0
"""Time of which the least delay is one point of the line [s]."""
WINDOWS = 60
"""Points that are kept: the drift of the last minute."""
SETTLED = 10
"""Points from which on the slope is used; before, 1e-4 of drift is an error of 1 ms."""
GREATEST_DRIFT = 5e-4
"""Largest drift that a quartz can have, with a wide margin; data sheets say 1e-4 at most."""


class DeviceClock:
    """One clock of one device since it was opened."""

    def __init__(self, wrap_ns: int = WRAP_NS) -> None:
        """Know nothing yet; `wrap_ns` as above."""
        self._wrap = wrap_ns
        self._turns = 0
        self._first: tuple[int, int] | None = None
        self._last = -1
        self._minima: deque[tuple[float, float]] = deque(maxlen=WINDOWS)
        self._window = (0.0, np.inf)
        self._window_end = WINDOW_S
        self._line = (0.0, 0.0)

    def to_steady(self, device_ns: int, receipt_ns: int) -> int | None:
        """Return when a frame was taken, by the steady clock; none if the device's went back [ns].

        Args:
            device_ns: stamp of the frame by the device's clock [ns].
            receipt_ns: when it came, by the steady clock [ns].
        """
        mine = device_ns + self._turns * self._wrap
        if mine < self._last - self._wrap // 2:
            self._turns += 1
            mine += self._wrap
        if self._first is None:
            self._first = (mine, receipt_ns)
        elif mine <= self._last:
            return None
        self._last = mine
        t = 1e-9 * (mine - self._first[0])
        delay = 1e-9 * (receipt_ns - self._first[1] - (mine - self._first[0]))
        self._add(t, delay)
        slope, offset = self._line
        return self._first[1] + (mine - self._first[0]) + round(1e9 * (offset + slope * t))

    @property
    def drift(self) -> float:
        """How much faster the steady clock runs than the device's, 0 while it is not known."""
        return self._line[0]

    @property
    def problem(self) -> str:
        """Why this can be no clock, or an empty string."""
        if abs(self.drift) <= GREATEST_DRIFT:
            return ""
        return (
            f"the device's clock drifts by {1e6 * self.drift:.0f} ppm against this machine's, "
            f"expected {1e6 * GREATEST_DRIFT:.0f} ppm at most: set stamps to receipt"
        )

    def _add(self, t: float, delay: float) -> None:
        """Take a delay [s] at a time of the device [s]; the line stays below all delays."""
        if t >= self._window_end:
            self._minima.append(self._window)
            self._window, self._window_end = (t, delay), t + WINDOW_S
            self._fit()
        elif delay < self._window[1]:
            self._window = (t, delay)
        slope = self._line[0]
        points = [*self._minima, self._window, (t, delay)]  # a slope may lead above the newest
        self._line = (slope, min(d - slope * at for at, d in points))

    def _fit(self) -> None:
        """Lay the slope through the minima of the windows that are full."""
        if len(self._minima) < SETTLED:
            return
        t, delay = np.array(self._minima).T
        t = t - t.mean()
        self._line = (float(t @ delay / (t @ t)), 0.0)
