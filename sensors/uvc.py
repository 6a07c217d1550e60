"""Cameras over V4L2 with OpenCV: the newest picture, its stamp, and what went wrong on the way.

A thread takes pictures from the driver as they come and keeps the newest; what is not read is never
decoded. Video4Linux stamps a picture by the steady clock when it begins to arrive; the offset of
the wall clock, measured as it is received, makes ROS time of it.
"""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from sim2arm.core.driver_stage import run_stage
from sim2arm.core.spec import ArraySpec, Reading

from .base import Clocks, check_fresh
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


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What happened to pictures since the start."""

    frames: int = 0
    """New ones."""
    duplicates: int = 0
    """That came again, with the same stamp (or bytes, where there is no stamp)."""
    drops: int = 0
    """That must have been between two that came, by their stamps and the rate."""
    broken: int = 0
    """That could not be decoded, or whose stamp went back."""
    reconnects: int = 0
    """Times the device was opened again."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Frame:
    data: npt.NDArray[np.uint8]
    sequence: int
    stamp_ns: int
    receipt_ns: int


class UvcCamera:
    """A camera as a sensor; use it in a `with` block or close it.

    Attributes:
        cfg: which camera and how.
        clocks: of its stamps and receipts.
    """

    def __init__(
        self,
        cfg: UvcCfg,
        *,
        open_capture: Callable[[str], Capture] | None = None,
        find: Callable[[str], Any] = find_camera,
        clocks: Clocks | None = None,
    ) -> None:
        """Find the device and start the thread; `wait` for the first picture.

        Args:
            cfg: which camera and how.
            open_capture: makes a capture of a path; OpenCV's over V4L2 by default.
            find: returns the path of `cfg.device`, now and after the device went away.
            clocks: others than those of this machine.

        Raises:
            OSError: no such camera; one line with those that are there.
        """
        self.cfg = cfg
        self._open = open_capture or _open_v4l2
        self._find, self.clocks = find, clocks or Clocks()
        self._news = threading.Condition()
        self._newest: _Frame | None = None
        self._decoded: Reading | None = None
        self._counters = Counters()
        self._why, self._fault = "", ""
        self._stop = threading.Event()
        self._last_stamp: int | None = None
        self._strange = 0
        self._find(cfg.device)
        self._spec = {cfg.name: array_spec(cfg)}
        self._thread = threading.Thread(target=self._run, name=f"uvc {cfg.device}", daemon=True)
        self._thread.start()

    @property
    def spec(self) -> Mapping[str, ArraySpec]:
        """The picture after the driver stage."""
        return self._spec

    @property
    def stamp_quality(self) -> Literal["hardware", "receipt"]:
        """Where stamps come from."""
        return self.cfg.stamps

    @property
    def counters(self) -> Counters:
        """What happened to pictures so far."""
        with self._news:
            return self._counters

    def wait(self, timeout: float) -> Reading:
        """Return the first reading, when it is there.

        Raises:
            StaleReading: nothing came in time [s].
            RuntimeError: as `read`.
        """
        with self._news:
            self._news.wait_for(lambda: self._newest is not None or bool(self._fault), timeout)
        return self.read()

    def read(self) -> Reading:
        """Return the newest picture, (rows, cols, 3) RGB after the driver stage.

        Raises:
            StaleReading: it is too old, as while a device that went away is looked for.
            RuntimeError: the device does not give what was asked for; it takes another config.
        """
        with self._news:
            frame, why, fault = self._newest, self._why, self._fault
        if fault:
            raise RuntimeError(f"{self.cfg.device}: {fault}")
        if frame is not None and not (
            self._decoded is not None and self._decoded.sequence == frame.sequence
        ):
            self._decode(frame)
        return check_fresh(self._decoded, self._spec, self.clocks, why)

    def close(self) -> None:
        """Stop the thread and let the device go."""
        self._stop.set()
        self._thread.join(timeout=2.0)  # OpenCV may sit in select() for 10 s; the thread is daemon

    def __enter__(self) -> UvcCamera:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _decode(self, frame: _Frame) -> None:
        """Make a reading of a frame; one that is broken leaves the reading before it."""
        cfg, picture = self.cfg, frame.data
        if cfg.jpeg_scale > 1:
            picture = cv2.imdecode(frame.data.reshape(-1), REDUCED[cfg.jpeg_scale])
        if picture is None:
            with self._news:
                self._count(broken=1)
                if self._newest is frame:
                    self._newest = None
            return
        array = run_stage(cfg.stage, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        array.flags.writeable = False
        self._decoded = Reading(
            arrays={cfg.name: array},
            sequence=frame.sequence,
            stamp_ns=frame.stamp_ns,
            receipt_ns=frame.receipt_ns,
        )

    def _run(self) -> None:
        """Keep the device open until the end."""
        first = True
        while not self._stop.is_set():
            try:
                self._connect(first)
            except (OSError, cv2.error) as error:
                self._say(" ".join(str(error).split()))
            except Exception as error:  # a fault of ours: `read` says so instead of waiting
                self._give_up(f"{type(error).__name__}: {error}")
                return
            if self._fault:
                return
            first = False
            self._stop.wait(self.cfg.retry)

    def _connect(self, first: bool) -> None:
        """Open the device and take pictures until it fails."""
        capture = self._open(str(self._find(self.cfg.device)))
        try:
            if not capture.isOpened():
                self._say("the device does not open (in use, or no permission: group video)")
                return
            if not first:
                with self._news:
                    self._count(reconnects=1)
            self._last_stamp = None
            if self._set_up(capture):
                self._say("waiting for a picture")
                self._stream(capture)
        finally:
            capture.release()

    def _set_up(self, capture: Capture) -> bool:
        """Ask for the stream; return whether the device gives it."""
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
                return self._give_up(f"the device refuses {name} = {value:g}")
        got = [int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        if got == [cfg.width, cfg.height]:
            return True
        return self._give_up(
            f"expected {cfg.width} x {cfg.height} pixels, the device gives {got[0]} x {got[1]}"
        )

    def _give_up(self, fault: str) -> bool:
        """Make `read` raise a fault from now on; return False."""
        with self._news:
            self._fault = fault
            self._news.notify_all()
        return False

    def _stream(self, capture: Capture) -> None:
        broken = 0
        while not self._stop.is_set() and not self._fault and broken < MOST_BROKEN:
            if not capture.grab():
                self._say("the device stopped to send pictures; opening it again")
                return
            # Before `retrieve`, which hands the buffer back to the driver.
            stamp, receipt = capture.get(cv2.CAP_PROP_POS_MSEC), self.clocks.steady_ns()
            done, data = capture.retrieve()
            if not done or data is None or data.size == 0:
                broken += 1
                with self._news:
                    self._count(broken=1)
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
        hardware, last, newest = self.cfg.stamps == "hardware", self._last_stamp, self._newest
        if hardware and not self._is_steady(stamp, receipt):
            return
        with self._news:
            mine = stamp if hardware else receipt
            same = stamp == last if hardware else newest is not None and _equal(newest.data, data)
            if same:
                self._count(duplicates=1)
                return
            if last is not None and mine < last:
                self._count(broken=1)
                return
            if last is not None:
                between = round(1e-9 * (mine - last) * self.cfg.rate_hz) - 1
                self._count(drops=max(between, 0))
            self._last_stamp = mine
            self._count(frames=1)
            offset = self.clocks.wall_ns() - self.clocks.steady_ns() if hardware else 0
            self._newest = _Frame(
                data=data,
                sequence=self._counters.frames,
                stamp_ns=mine + offset,
                receipt_ns=receipt,
            )
            self._why = ""
            self._news.notify_all()

    def _is_steady(self, stamp: int, receipt: int) -> bool:
        """Return whether a stamp is of the steady clock; drivers get a few wrong at the start."""
        if 0 <= receipt - stamp + 10**7 < OLDEST_STAMP * 1e9:
            self._strange = 0
            return True
        self._strange += 1
        with self._news:
            self._count(broken=1)
        if self._strange >= MOST_BROKEN:
            self._give_up(
                f"the driver's stamps are not of the steady clock: {1e-9 * stamp:.3f} s at "
                f"{1e-9 * receipt:.3f} s: set stamps to receipt"
            )
        return False

    def _count(self, **more: int) -> None:
        """Add to counters; the lock is held."""
        now = self._counters
        self._counters = replace(now, **{n: getattr(now, n) + k for n, k in more.items()})

    def _say(self, why: str) -> None:
        with self._news:
            self._why = why


def _equal(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> bool:
    return a.shape == b.shape and bool(np.array_equal(a, b))


def _open_v4l2(path: str) -> Capture:
    return cv2.VideoCapture(path, cv2.CAP_V4L2)
