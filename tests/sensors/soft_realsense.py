"""A RealSense camera that librealsense makes in this process: `software_device`, frames by hand."""

# pyrealsense2 has no types.
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyrealsense2

from tests.sensors.fakes import FakeClock, picture

rs: Any = pyrealsense2  # without types
UNITS = 0.001
"""Of depth, as of a D435 [m]."""


class SoftRealSense:
    """A device with a stereo module and a colour camera, both of one size.

    Attributes:
        plugged: whether it is there.
        domain: of the clock that stamps frames.
        now: that clock [ns].
    """

    def __init__(
        self, clock: FakeClock, *, serial: str = "000123", size: tuple[int, int] = (64, 48),
        rate_hz: int = 25, global_time: bool = True, coefficients: Sequence[float] = (0.0,) * 5,
    ) -> None:  # fmt: skip
        self.clock, self.size, self.rate_hz = clock, size, rate_hz
        self.plugged, self.number, self.domain = True, 0, rs.timestamp_domain.global_time
        self.now = clock.clocks.system_ns
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.name, "RealSense D435, of software")
        self.device.register_info(rs.camera_info.serial_number, serial)
        self.coefficients = list(coefficients)
        self._sensors = {name: self.device.add_sensor(name) for name in ("Stereo", "RGB")}
        depth = self._stream("Stereo", rs.stream.depth, rs.format.z16, 2, 1)
        colour = self._stream("RGB", rs.stream.color, rs.format.rgb8, 3, 2)
        still = rs.extrinsics()
        still.rotation, still.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0]
        depth.register_extrinsics_to(colour, still)
        colour.register_extrinsics_to(depth, still)
        self._profiles = {"Stereo": depth, "RGB": colour}
        self._sensors["Stereo"].add_read_only_option(rs.option.depth_units, UNITS)
        for sensor in self._sensors.values():
            self._option(sensor, rs.option.exposure, 1, 10_000, 156)
            self._option(sensor, rs.option.enable_auto_exposure, 0, 1, 1)
            if global_time:
                self._option(sensor, rs.option.global_time_enabled, 0, 1, 0)
        self.device.create_matcher(rs.matchers.default)

    def _stream(self, sensor: str, kind: Any, pixels: Any, size: int, number: int) -> Any:
        lens = rs.intrinsics()
        lens.width, lens.height = self.size
        lens.ppx, lens.ppy, lens.fx, lens.fy = 31.0, 24.0, 60.0, 61.0
        lens.coeffs = self.coefficients
        lens.model = rs.distortion.inverse_brown_conrady
        stream = rs.video_stream()
        stream.type, stream.index, stream.uid = kind, 0, number
        stream.width, stream.height = self.size
        stream.fps, stream.bpp, stream.fmt, stream.intrinsics = self.rate_hz, size, pixels, lens
        return self._sensors[sensor].add_video_stream(stream)

    def _option(self, sensor: Any, option: Any, low: float, high: float, value: float) -> None:
        allowed = rs.option_range()
        allowed.min, allowed.max, allowed.default, allowed.step = low, high, value, 1
        sensor.add_option(option, allowed, True)

    def option(self, sensor: str, option: Any) -> float:
        """Return what an option is set to."""
        return self._sensors[sensor].get_option(option)

    def devices(self) -> list[Any]:
        """Return what is plugged in."""
        return [self.device] if self.plugged else []

    def push(
        self, seed: int, *, metres: float = 0.5, number: int | None = None,
        stamp_ns: int | None = None, only: str = "",
    ) -> None:  # fmt: skip
        """Send a frame of each sensor, or of one.

        Args:
            seed: of the colours, see `picture`.
            metres: depth everywhere but in the first column, where nothing is measured.
            number: of the frames; the next one by default.
            stamp_ns: by the clock that stamps; now by default.
            only: name of the one sensor that sends.
        """
        self.number = self.number + 1 if number is None else number
        stamp = self.now() if stamp_ns is None else stamp_ns
        width, height = self.size
        depth = np.full((height, width), round(metres / UNITS), np.uint16)
        depth[:, 0] = 0
        pixels = {"Stereo": depth, "RGB": picture(height, width, seed)}
        for name, sensor in self._sensors.items():
            if only in ("", name):
                frame = rs.software_video_frame()
                frame.bpp = 2 if name == "Stereo" else 3
                frame.stride, frame.pixels = width * frame.bpp, pixels[name]
                frame.timestamp, frame.domain = 1e-6 * stamp, self.domain
                frame.frame_number = self.number
                frame.profile = self._profiles[name].as_video_stream_profile()
                if name == "Stereo":
                    frame.depth_units = UNITS
                sensor.on_video_frame(frame)
