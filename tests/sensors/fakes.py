"""A clock that stands still, and a camera with the interface of `cv2.VideoCapture`."""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sim2arm.sensors.base import Clocks

Image = npt.NDArray[np.uint8]


class FakeClock:
    """All clocks, moved by hand; ROS's is 1000 s ahead of the steady one, the system's 2000 s."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def move(self, seconds: float) -> None:
        self.ns += round(1e9 * seconds)

    @property
    def clocks(self) -> Clocks:
        return Clocks(
            steady_ns=lambda: self.ns,
            wall_ns=lambda: self.ns + 10**12,
            system_ns=lambda: self.ns + 2 * 10**12,
        )


class FakeDevice:
    """What is plugged in: opened any number of times, one after the other.

    Attributes:
        size: width and height that the device gives.
        stamped: whether it stamps by the steady clock.
        refused: a property that it does not take.
    """

    def __init__(self, clock: FakeClock, size: tuple[int, int], *, jpeg: bool = False) -> None:
        self.clock, self.size, self.jpeg = clock, size, jpeg
        self.stamped, self.plugged, self.opened = True, True, 0
        self.refused = -1
        self.settings: dict[int, float] = {}
        self._frames: queue.Queue[tuple[Any, float] | None] = queue.Queue()

    def push(self, picture: Image | None, stamp_ns: int | None = None) -> None:
        """Send a picture (rows, cols, 3) RGB, or one without content."""
        data: Any = None if picture is None else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        if data is not None and self.jpeg:
            data = cv2.imencode(".jpg", data, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].reshape(1, -1)
        self.push_raw(data, stamp_ns)

    def push_raw(self, data: Any, stamp_ns: int | None = None) -> None:
        stamp = self.clock.ns if stamp_ns is None else stamp_ns
        self._frames.put((data, 1e-6 * stamp if self.stamped else 0.0))

    def unplug(self) -> None:
        self.plugged = False
        self._frames.put(None)

    def plug(self) -> None:
        self._frames = queue.Queue()  # what was on its way is lost
        self.plugged = True

    def find(self, wanted: str) -> str:
        if not self.plugged:
            raise FileNotFoundError(f"no camera matches {wanted!r}: there is no camera here")
        return "/dev/video7"

    def open(self, path: str) -> FakeCapture:
        self.opened += 1
        return FakeCapture(self)


class FakeCapture:
    """One opening of a device."""

    def __init__(self, device: FakeDevice) -> None:
        self._device, self._frame, self._released = device, (None, 0.0), False

    def isOpened(self) -> bool:
        return self._device.plugged

    def grab(self) -> bool:
        """Wait for a picture, as `select` does; false when the device is gone."""
        while not self._released:
            try:
                frame = self._device._frames.get(timeout=0.02)
            except queue.Empty:
                if not self._device.plugged:
                    return False
                continue
            if frame is None:
                return False
            self._frame = frame
            return True
        return False

    def retrieve(self) -> tuple[bool, Any]:
        return self._frame[0] is not None, self._frame[0]

    def get(self, propId: int) -> float:
        if propId == cv2.CAP_PROP_POS_MSEC:
            return self._frame[1]
        width, height = self._device.size
        size = {cv2.CAP_PROP_FRAME_WIDTH: width, cv2.CAP_PROP_FRAME_HEIGHT: height}
        return float(size.get(propId, self._device.settings.get(propId, 0.0)))

    def set(self, propId: int, value: float) -> bool:
        self._device.settings[propId] = value
        return propId != self._device.refused

    def release(self) -> None:
        self._released = True


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for what a thread does; fail if it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the thread did not do it in time"
        time.sleep(0.002)


def picture(rows: int, cols: int, seed: int) -> Image:
    """Return a picture with a red left half, a blue right half, and a green that tells the seed."""
    made = np.zeros((rows, cols, 3), np.uint8)
    made[:, : cols // 2, 0], made[:, cols // 2 :, 2] = 200, 180
    made[..., 1] = 10 * seed
    return made
