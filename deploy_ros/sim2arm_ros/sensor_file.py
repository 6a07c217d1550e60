"""The file that tells sensor_node what to publish: a camera of this computer, or a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sim2arm.core import plain
from sim2arm.core.driver_stage import Intrinsics
from sim2arm.sensors.base import Clocks, Sensor
from sim2arm.sensors.replay import Replay, ReplayCfg
from sim2arm.sensors.uvc import UvcCamera, UvcCfg

from .sensor_node import SensorNode


@dataclass(frozen=True, kw_only=True)
class RecordingCfg:
    """A recording that is replayed."""

    path: str
    """Folder or video, see `sensors/replay.py`."""
    cfg: ReplayCfg
    """How."""


@dataclass(frozen=True, kw_only=True)
class SensorFile:
    """What is published: a camera or a recording."""

    camera: UvcCfg | None = None
    """A camera, or the one of a gel: `sensors/tactile.py` knows some."""
    recording: RecordingCfg | None = None
    """A recording."""
    intrinsics: Intrinsics | None = None
    """Of the array, after the driver stage, for `camera_info`; none of a gel."""

    def __post_init__(self) -> None:
        """Refuse nothing and both."""
        if (self.camera is None) == (self.recording is None):
            raise ValueError("expected either camera or recording")


def read_sensor_file(path: str) -> SensorFile:
    """Return the content of a file.

    Raises:
        ValueError: it cannot be read, or is not as expected; one line.
    """
    if not path:
        raise ValueError("parameter sensor: expected a YAML file with a camera or a recording")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValueError(f"sensor: {path}: cannot be read: {reason}") from error
    try:
        return plain.from_plain(SensorFile, plain.load_yaml(text, "YAML"))
    except ValueError as error:
        raise ValueError(f"sensor: {path}: {error}") from error


def open_file(node: SensorNode) -> tuple[Sensor, Mapping[str, Intrinsics]]:
    """Open what the parameter `sensor` of a node names, on the clock of the node.

    Raises:
        ValueError: the file is wrong, or the sensor is not there; one line.
    """
    node.declare_parameter("sensor", "")
    path = str(node.get_parameter("sensor").value)
    file, clocks = read_sensor_file(path), Clocks(wall_ns=node.now_ns)
    try:
        if file.camera is not None:
            sensor: Sensor = UvcCamera(file.camera, clocks=clocks)
        else:
            assert file.recording is not None  # one of them is there
            sensor = Replay(file.recording.path, file.recording.cfg, clocks=clocks)
    except (OSError, ValueError) as error:
        raise ValueError(f"sensor: {path}: {error}") from error
    given = file.intrinsics
    return sensor, {} if given is None else dict.fromkeys(sensor.spec, given)
