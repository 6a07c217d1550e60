"""Cameras over V4L2 with OpenCV: the newest picture, its stamp, and what went wrong on the way.

`camera_thread.py` takes pictures from the driver as they come. Video4Linux stamps a picture by the
steady clock when it begins to arrive; the offset of the wall clock, measured as it is received,
makes ROS time of it.
"""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from sim2arm.core.driver_stage import Intrinsics, check_intrinsics, run_stage

from .base import Clocks
from .camera_thread import CameraThread, ThreadedCamera
from .devices import find_camera
from .uvc_cfg import REDUCED, UvcCfg, array_spec

OLDEST_STAMP = 2.0
"""How long before its receipt a picture may be stamped by the steady clock [s]."""
MOST_BROKEN = 10
"""Pictures without content in a row, after which the device is opened again; or with stamps of
another clock, after which they are given up."""


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that is used."""

    def isOpened(self) -> bool: ...  # noqa: D102
    def grab(self) -> bool: ...  # noqa: D102
    def retrieve(self) -> tuple[bool, Any]: ...  # noqa: D102
    def get(self, propId: int) -> float: ...  # noqa: D102
    def set(self, propId: int, value: float) -> bool: ...  # noqa: D102
    def release(self) -> None: ...  # noqa: D102


class UvcCamera(ThreadedCamera):
    """A camera as a sensor; use it in a `with` block or close it.

    Attributes:
        cfg: which camera and how.
        clocks: of its stamps and receipts.
        thread: that takes its pictures.
    """

    def __init__(
        self,
        cfg: UvcCfg,
        *,
        intrinsics: Intrinsics | None = None,
        open_capture: Callable[[str], Capture] | None = None,
        find: Callable[[str], Any] = find_camera,
        clocks: Clocks | None = None,
    ) -> None:
        """Find the device and start the thread; `wait` for the first picture.

        Args:
            cfg: which camera and how.
            intrinsics: of the decoded picture, where the stage undistorts.
            open_capture: makes a capture of a path; OpenCV's over V4L2 by default.
            find: returns the path of `cfg.device`, now and after the device went away.
            clocks: others than those of this machine.

        Raises:
            OSError: no such camera; one line with those that are there.
            ValueError: the stage undistorts, and there are no intrinsics or others.
        """
        self.cfg = cfg
        self._open = open_capture or _open_v4l2
        self._find, self.clocks = find, clocks or Clocks()
        check_intrinsics(cfg.stage, intrinsics)
        self._intrinsics = intrinsics
        self._last_stamp: int | None = None
        self._strange = 0
        self._find(cfg.device)
        self._spec = {cfg.name: array_spec(cfg)}
        self.thread = CameraThread(
            cfg.device, self._connect, self._decode, retry=cfg.retry, errors=(OSError, cv2.error)
        )
        self.thread.start()

    @property
    def stamp_quality(self) -> Literal["hardware", "receipt"]:
        """Where stamps come from."""
        return self.cfg.stamps

    def _decode(self, data: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.uint8]] | None:
        """Return the array of what the driver gave, or none if it is broken."""
        cfg, picture = self.cfg, data
        if cfg.jpeg_scale > 1:
            picture = cv2.imdecode(data.reshape(-1), REDUCED[cfg.jpeg_scale])
        if picture is None:
            return None
        colours = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        return {cfg.name: run_stage(cfg.stage, colours, self._intrinsics)}

    def _connect(self) -> None:
        """Open the device and take pictures until it fails."""
        capture = self._open(str(self._find(self.cfg.device)))
        try:
            if not capture.isOpened():
                self.thread.say("the device does not open (in use, or no permission: group video)")
                return
            self.thread.opened()
            self._last_stamp = None
            fault = self._set_up(capture)
            if fault:
                self.thread.give_up(fault)
            else:
                self.thread.say("waiting for a picture")
                self._stream(capture)
        finally:
            capture.release()

    def _set_up(self, capture: Capture) -> str:
        """Ask for the stream; return what of it the device does not give, or an empty string."""
        cfg = self.cfg
        capture.set(cv2.CAP_PROP_FOURCC, float(cv2.VideoWriter.fourcc(*cfg.fourcc)))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, cfg.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, cfg.height)
        capture.set(cv2.CAP_PROP_FPS, cfg.rate_hz)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if cfg.jpeg_scale > 1:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0.0)
        for name, value in cfg.controls.items():
            if not capture.set(getattr(cv2, f"CAP_PROP_{name.upper()}"), value):
                return f"the device refuses {name} = {value:g}"
        got = [int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        if got == [cfg.width, cfg.height]:
            return ""
        return f"expected {cfg.width} x {cfg.height} pixels, the device gives {got[0]} x {got[1]}"

    def _stream(self, capture: Capture) -> None:
        broken = 0
        while not self.thread.stopping and broken < MOST_BROKEN:
            if not capture.grab():
                self.thread.say("the device stopped to send pictures; opening it again")
                return
            # Before `retrieve`, which hands the buffer back to the driver.
            stamp, receipt = capture.get(cv2.CAP_PROP_POS_MSEC), self.clocks.steady_ns()
            done, data = capture.retrieve()
            if not done or data is None or data.size == 0:
                broken += 1
                self.thread.count(broken=1)
                continue
            broken = 0
            self._take(np.asarray(data), round(1e6 * stamp), receipt)

    def _take(self, data: npt.NDArray[np.uint8], stamp: int, receipt: int) -> None:
        """Keep a frame as the newest, unless it is none.

        Args:
            data: as the driver gave it.
            stamp: by the driver, on the steady clock [ns].
            receipt: on the steady clock [ns].
        """
        hardware, last, newest = self.cfg.stamps == "hardware", self._last_stamp, self.thread.newest
        if hardware and not self._is_steady(stamp, receipt):
            return
        mine = stamp if hardware else receipt
        same = stamp == last if hardware else newest is not None and _equal(newest.data, data)
        if same:
            self.thread.count(duplicates=1)
            return
        if last is not None and mine < last:
            self.thread.count(broken=1)
            return
        if last is not None:
            between = round(1e-9 * (mine - last) * self.cfg.rate_hz) - 1
            self.thread.count(drops=max(between, 0))
        self._last_stamp = mine
        offset = self.clocks.wall_ns() - self.clocks.steady_ns() if hardware else 0
        self.thread.keep(data, mine + offset, receipt)

    def _is_steady(self, stamp: int, receipt: int) -> bool:
        """Return whether a stamp is of the steady clock; drivers get a few wrong at the start."""
        if 0 <= receipt - stamp + 10**7 < OLDEST_STAMP * 1e9:
            self._strange = 0
            return True
        self._strange += 1
        self.thread.count(broken=1)
        if self._strange >= MOST_BROKEN:
            self.thread.give_up(
                f"the driver's stamps are not of the steady clock: {1e-9 * stamp:.3f} s at "
                f"{1e-9 * receipt:.3f} s: set stamps to receipt"
            )
        return False


def _equal(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> bool:
    return a.shape == b.shape and bool(np.array_equal(a, b))


def _open_v4l2(path: str) -> Capture:
    return cv2.VideoCapture(path, cv2.CAP_V4L2)
