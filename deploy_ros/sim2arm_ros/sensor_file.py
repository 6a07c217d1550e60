"""The file that tells sensor_node what to publish: a camera of this computer, or a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim2arm.core import plain
from sim2arm.core.camera_info import read_camera_info
from sim2arm.core.driver_stage import Intrinsics, stage_intrinsics
from sim2arm.sensors.base import Clocks, Sensor
from sim2arm.sensors.realsense import RealSenseCamera
from sim2arm.sensors.realsense_cfg import RealSenseCfg
from sim2arm.sensors.replay import Replay, ReplayCfg
from sim2arm.sensors.uvc import UvcCamera, UvcCfg

if TYPE_CHECKING:
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
    """What is published: one of a camera, a RealSense camera and a recording."""

    camera: UvcCfg | None = None
    """A camera over V4L2, or the one of a gel: `sensors/tactile.py` knows some."""
    realsense: RealSenseCfg | None = None
    """A RealSense camera."""
    recording: RecordingCfg | None = None
    """A recording of pictures."""
    camera_info: str = ""
    """YAML file of ROS's `camera_calibration`, of the camera's own pictures; its path may be
    relative to this file. A RealSense camera needs none: it has its factory's."""

    def __post_init__(self) -> None:
        """Refuse nothing and several."""
        given = [name for name in ("camera", "realsense", "recording") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                "expected either camera, realsense or recording, got "
                f"{' and '.join(given) or 'none of them'}"
            )


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
        return open_sensor(file, Path(path).parent, clocks)
    except (OSError, ValueError) as error:
        raise ValueError(f"sensor: {path}: {error}") from error


def open_sensor(
    file: SensorFile, folder: Path, clocks: Clocks
) -> tuple[Sensor, Mapping[str, Intrinsics]]:
    """Return the sensor of a file and the intrinsics of its arrays, after the driver stage.

    Args:
        file: what is asked for.
        folder: in which the file lies.
        clocks: of stamps and receipts.

    Raises:
        OSError: the device is not there.
        ValueError: it has not what is asked for, or the calibration is of another picture.
    """
    given = read_camera_info(folder / file.camera_info) if file.camera_info else None
    if file.realsense is not None:
        live = RealSenseCamera(file.realsense, intrinsics=given, clocks=clocks)
        return live, live.intrinsics
    if file.camera is not None:
        stage = file.camera.stage
        sensor: Sensor = UvcCamera(file.camera, intrinsics=given, clocks=clocks)
    else:
        assert file.recording is not None  # one of them is there
        stage, path = file.recording.cfg.stage, file.recording.path
        sensor = Replay(path, file.recording.cfg, intrinsics=given, clocks=clocks)
    if given is None:
        return sensor, {}
    return sensor, dict.fromkeys(sensor.spec, stage_intrinsics(stage, given))
