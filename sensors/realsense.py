"""RealSense cameras: colour, and depth where the colour camera sees it, stamped by the camera.

The camera stamps by its own clock. librealsense maps that to the system's clock ("global time") if
asked, and says of each frame by which clock it is stamped; frames by another than was asked for are
left out, and many of them are a fault. The stream is opened by its sensors, so that the device is
the one of the serial number, and nothing is taken for granted of what it gives.
"""

# pyrealsense2 has no types.
# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from sim2arm.core.driver_stage import (
    Intrinsics,
    check_intrinsics,
    run_stage,
    stage_intrinsics,
)

from .base import Clocks
from .camera_thread import CameraThread, ThreadedCamera
from .device_clock import DeviceClock
from .realsense_cfg import RealSenseCfg, array_specs
from .realsense_device import (
    connected_devices,
    find_device,
    load_recording,
    read_intrinsics,
    set_options,
    wanted_streams,
)
from .realsense_pairs import DepthInColour, FramePairs
from .realsense_sdk import realsense_sdk

SILENCE = 1.0
"""Time without a frame after which the device is opened again [s]."""
OLDEST_STAMP = 2.0
"""How long before its receipt a frame may be stamped [s]."""
MOST_STRANGE = 150
"""Frames in a row by another clock than was asked for, after which they are given up: at the start
librealsense needs a second or two for its map of the clocks."""
_WAIT_MS = 100


class RealSenseCamera(ThreadedCamera):
    """A camera as a sensor; use it in a `with` block or close it.

    Attributes:
        cfg: which camera and how.
        clocks: of its stamps and receipts.
        intrinsics: by array, after the driver stage; as the camera says, or as calibrated.
        thread: that takes its pictures.
        drift: of the camera's clock against this machine's, as far as it is known.
    """

    def __init__(
        self,
        cfg: RealSenseCfg,
        *,
        intrinsics: Intrinsics | None = None,
        devices: Callable[[], Sequence[Any]] | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        """Find the device, ask for its intrinsics and start the thread.

        Args:
            cfg: which camera and how.
            intrinsics: of the colour picture by a calibration, in place of the camera's own.
            devices: returns those that are plugged in; librealsense's by default.
            clocks: others than those of this machine.

        Raises:
            OSError: no such camera, or several; one line with those that are there.
            ValueError: librealsense is not installed, the camera has no such streams, or
                intrinsics of another picture; one line.
        """
        self.cfg, self.clocks = cfg, clocks or Clocks()
        self._sdk = realsense_sdk()
        self._devices = devices or connected_devices(self._sdk)
        check_intrinsics(cfg.stage, intrinsics)
        self._given = intrinsics
        device = self._device()
        own = read_intrinsics(self._sdk, wanted_streams(self._sdk, device, cfg))
        self._own = own
        self._colour = intrinsics or own
        final = stage_intrinsics(cfg.stage, self._colour)
        self._spec = array_specs(cfg)
        self.intrinsics = dict.fromkeys(self._spec, final)
        self._nearest = replace(cfg.stage, resample="nearest")
        self._depth = DepthInColour(self._sdk)
        self.drift = 0.0
        del device  # the thread finds it again, as after it went away
        self.thread = CameraThread(
            cfg.device, self._connect, self._decode, retry=cfg.retry, errors=(OSError, RuntimeError)
        )
        self.thread.start()

    @property
    def stamp_quality(self) -> Literal["hardware", "receipt"]:
        """Where stamps come from."""
        return "receipt" if self.cfg.stamps == "receipt" else "hardware"

    def _device(self) -> Any:
        if self.cfg.recording:
            return load_recording(self._sdk, self.cfg.recording)
        return find_device(self._sdk, self._devices(), self.cfg.serial)

    def _connect(self) -> None:
        """Open the device and take frames until none come."""
        device = self._device()
        try:
            streams = wanted_streams(self._sdk, device, self.cfg)
            if read_intrinsics(self._sdk, streams) != self._own:
                raise ValueError("the camera has other intrinsics than before: another camera?")
            if not self.cfg.recording:
                set_options(self._sdk, streams, self.cfg)
        except ValueError as error:
            self.thread.give_up(str(error))
            return
        queue, opened = self._sdk.frame_queue(4, True), list[Any]()
        try:
            for sensor, profiles in streams.by_sensor():
                sensor.open(profiles)
                opened.append(sensor)
                sensor.start(queue)
            self.thread.opened()
            self.thread.say("waiting for a picture")
            self._clock, self._last, self._strange = DeviceClock(), -1, 0
            self._pairs = FramePairs(self._sdk, self.cfg.rate_hz)
            self._stream(device, queue)
        finally:
            for sensor in opened:
                with suppress(RuntimeError):  # it may be gone
                    sensor.stop()
                with suppress(RuntimeError):
                    sensor.close()

    def _stream(self, device: Any, queue: Any) -> None:
        """Take frames from librealsense."""
        last = self.clocks.steady_ns()
        while not self.thread.stopping:
            come, frame = queue.try_wait_for_frame(_WAIT_MS)
            now = self.clocks.steady_ns()
            if come:
                pair = self._pairs.add(frame) if "depth" in self.cfg.outputs else (frame, None)
                if pair is not None:
                    last = now
                    self._take(*pair, now)
            elif self.cfg.recording and str(device.as_playback().current_status()).endswith(
                "stopped"
            ):
                self.thread.say("the recording is over")
            elif now - last > 1e9 * SILENCE:
                self.thread.say("the device stopped to send pictures; opening it again")
                return

    def _take(self, colour: Any, depth: Any, receipt: int) -> None:
        """Keep a pair of frames as the newest, unless it is none; depth may be None."""
        number, count = int(colour.get_frame_number()), self.thread.count
        if number == self._last:
            return count(duplicates=1)
        if number < self._last:
            return count(broken=1)
        taken = self._taken(colour, receipt)
        if taken is None:
            return count(broken=1)
        if self._last >= 0:
            count(drops=number - self._last - 1)  # a picture whose depth was lost is one of them
        self._last = number
        offset = self.clocks.wall_ns() - self.clocks.steady_ns()
        stamp = taken + (0 if self.cfg.stamps == "receipt" else offset)
        self.thread.keep((colour, depth), stamp, receipt)

    def _taken(self, colour: Any, receipt: int) -> int | None:
        """Return when a frame was taken, by the steady clock [ns]; none if that is not known."""
        if self.cfg.stamps == "receipt":
            return receipt
        stamp, domain = round(1e6 * colour.get_timestamp()), colour.get_frame_timestamp_domain()
        mapped = self._clock.to_steady(stamp, receipt)
        self.drift = self._clock.drift
        wanted, taken = self._sdk.timestamp_domain.global_time, mapped
        if self.cfg.recording:  # its stamps are of the past, whatever clock they are of
            wanted = domain
        elif self.cfg.stamps == "hardware":
            wanted = self._sdk.timestamp_domain.hardware_clock
        else:
            taken = receipt - (self.clocks.system_ns() - stamp)
        good = taken is not None and 0 <= receipt - taken + 10**7 < OLDEST_STAMP * 1e9
        if domain == wanted and good:
            self._strange = 0
            if self.cfg.stamps == "hardware" and self._clock.problem:
                self.thread.give_up(self._clock.problem)
            return taken
        self._strange += 1
        if self._strange >= MOST_STRANGE:
            found = f"{1e-9 * stamp:.3f} s by {str(domain).rpartition('.')[2]}"
            self.thread.give_up(
                f"expected stamps by {str(wanted).rpartition('.')[2]} within {OLDEST_STAMP:g} s of "
                f"now, {1e-9 * self.clocks.system_ns():.3f} s; got {found}: set stamps to hardware "
                "or receipt; system_time means that the kernel gives no metadata of the camera"
            )
        return None

    def _decode(self, pair: tuple[Any, Any]) -> dict[str, np.ndarray] | None:
        """Return the arrays of a pair of frames, or none where librealsense cannot align them."""
        cfg, arrays, (colour, depth) = self.cfg, dict[str, np.ndarray](), pair
        if "rgb" in cfg.outputs:
            pixels = np.asanyarray(colour.get_data())
            arrays[f"{cfg.name}_rgb"] = run_stage(cfg.stage, pixels, self._colour)
        if depth is not None:
            try:
                aligned = self._depth.align(colour, depth)
            except RuntimeError:
                return None
            counts = run_stage(self._nearest, np.asanyarray(aligned.get_data()), self._colour)
            units = np.float32(aligned.as_depth_frame().get_units())
            arrays[f"{cfg.name}_depth"] = counts.astype(np.float32) * units
        return arrays
