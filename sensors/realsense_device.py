"""RealSense devices: which one, which of its streams, its intrinsics and options."""

# pyrealsense2 has no types.
# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim2arm.core.driver_stage import Intrinsics

from .realsense_cfg import RealSenseCfg
from .realsense_lens import camera_intrinsics


@dataclass(frozen=True, kw_only=True)
class Streams:
    """Streams of a device, and the sensors that give them."""

    colour: tuple[Any, Any]
    """Sensor and profile."""
    depth: tuple[Any, Any] | None = None
    """The same, if there is depth; of a D405 the sensor is that of colour."""

    def by_sensor(self) -> list[tuple[Any, list[Any]]]:
        """Return each sensor once, with its profiles."""
        found: dict[str, tuple[Any, list[Any]]] = {}
        for pair in (self.colour, self.depth):
            if pair is not None:
                found.setdefault(_sensor_name(pair[0]), (pair[0], []))[1].append(pair[1])
        return list(found.values())


def connected_devices(sdk: Any) -> Callable[[], Sequence[Any]]:
    """Return what lists the devices that are plugged in."""
    context = sdk.context()
    return lambda: list(context.query_devices())


def load_recording(sdk: Any, path: str) -> Any:
    """Return a file that librealsense recorded as a device, which plays in real time.

    Raises:
        OSError: it is not there, or no recording.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such recording")
    try:
        return sdk.context().load_device(path)
    except RuntimeError as error:
        raise OSError(f"{path}: no recording of a RealSense camera: {_line(error)}") from error


def find_device(sdk: Any, devices: Sequence[Any], serial: str) -> Any:
    """Return the device with a serial number, or the only one.

    Raises:
        OSError: there is none, or there are several; one line with those that are there.
    """
    named = {_info(sdk, each, "serial_number"): each for each in devices}
    there = ", ".join(f"{number} ({_info(sdk, each, 'name')})" for number, each in named.items())
    words = f"cameras here: {there}" if there else "there is no RealSense camera here"
    if serial:
        if serial not in named:
            raise FileNotFoundError(f"no RealSense camera with the serial number {serial}: {words}")
        return named[serial]
    if len(named) != 1:
        found = f"{len(named)} RealSense cameras" if named else "no RealSense camera"
        raise FileNotFoundError(f"{found}: {words}{': name a serial number' if there else ''}")
    return next(iter(named.values()))


def wanted_streams(sdk: Any, device: Any, cfg: RealSenseCfg) -> Streams:
    """Return the streams that a config asks for.

    Raises:
        ValueError: the device does not have them; one line with the sizes and rates that it has.
    """
    colour = _stream(device, sdk.stream.color, sdk.format.rgb8, (cfg.width, cfg.height), cfg)
    if "depth" not in cfg.outputs:
        return Streams(colour=colour)
    return Streams(
        colour=colour, depth=_stream(device, sdk.stream.depth, sdk.format.z16, cfg.depth_size, cfg)
    )


def _stream(
    device: Any, kind: Any, pixels: Any, size: tuple[int, int], cfg: RealSenseCfg
) -> tuple[Any, Any]:
    others = set[tuple[int, int, int]]()
    for sensor in device.query_sensors():
        for profile in sensor.get_stream_profiles():
            if profile.stream_type() != kind or not profile.is_video_stream_profile():
                continue
            video = profile.as_video_stream_profile()
            found = (video.width(), video.height(), profile.fps())
            # A recording has the one format that was recorded.
            if profile.format() == pixels and found == (*size, cfg.rate_hz):
                return sensor, profile
            if profile.format() == pixels:
                others.add(found)
    has = ", ".join(f"{w} x {h} at {rate}" for w, h, rate in sorted(others)) or "none"
    what = f"{_word(kind)} of {size[0]} x {size[1]} pixels at {cfg.rate_hz} Hz"
    raise ValueError(f"expected {what} ({_word(pixels)}), the camera has {has}")


def read_intrinsics(sdk: Any, streams: Streams) -> Intrinsics:
    """Return the intrinsics of the colour stream, as the camera knows them from its factory.

    Raises:
        ValueError: its lens is none that we know; one line.
    """
    return camera_intrinsics(sdk, streams.colour[1].as_video_stream_profile().intrinsics)


def set_options(sdk: Any, streams: Streams, cfg: RealSenseCfg) -> None:
    """Set exposure and the like, and by which clock frames are stamped.

    Raises:
        ValueError: the device does not take an option; one line with what it takes.
    """
    known = sdk.option.global_time_enabled
    for sensor, _ in streams.by_sensor():
        if sensor.supports(known):
            sensor.set_option(known, 1.0 if cfg.stamps == "global" else 0.0)
        elif cfg.stamps == "global":
            raise ValueError(
                f"{_sensor_name(sensor)}: no global time: set stamps to hardware or receipt"
            )
    for name, value in cfg.controls.items():
        _set_option(sdk, streams.colour[0], name, value)
    if streams.depth is not None:
        for name, value in cfg.depth_controls.items():
            _set_option(sdk, streams.depth[0], name, value)


def _set_option(sdk: Any, sensor: Any, name: str, value: float) -> None:
    option, where = getattr(sdk.option, name, None), f"{_sensor_name(sensor)}: {name}"
    if option is None or not sensor.supports(option):
        has = ", ".join(sorted(_word(each) for each in sensor.get_supported_options()))
        raise ValueError(f"{where}: the camera has no such option; it has {has}")
    allowed = sensor.get_option_range(option)
    if not allowed.min <= value <= allowed.max:
        raise ValueError(f"{where}: expected {allowed.min:g} to {allowed.max:g}, got {value:g}")
    sensor.set_option(option, float(value))
    if abs(sensor.get_option(option) - value) > max(allowed.step, 1e-6):
        raise ValueError(
            f"{where}: set to {value:g}, the camera says {sensor.get_option(option):g}"
        )


def _info(sdk: Any, each: Any, what: str) -> str:
    info = getattr(sdk.camera_info, what)
    return str(each.get_info(info)) if each.supports(info) else ""


def _sensor_name(sensor: Any) -> str:
    return str(sensor.name)


def _word(value: Any) -> str:
    """Return `exposure` of `option.exposure`."""
    return str(getattr(value, "name", value)).rpartition(".")[2]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
