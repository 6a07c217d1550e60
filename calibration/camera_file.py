"""Calibrations of cameras as files: what programs read of them, and what ROS reads.

Intrinsics come from our records or from `camera_info` in YAML, as `camera_calibration` writes it or
as `ros2 topic echo --once` prints it. Poses come from our records. Nothing here needs OpenCV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sim2arm.core import plain
from sim2arm.core.calibration_file import parse_record, read_record
from sim2arm.core.calibration_record import CalibrationRecord
from sim2arm.core.camera_info import camera_info_of
from sim2arm.core.driver_stage import FloatArray, Intrinsics

INTRINSICS, HAND_EYE = "intrinsics", "hand-eye"
"""`what` of the records."""
CAMERA, DISTORTION, SIZE = "camera", "distortion", "size"
"""Values of intrinsics: fx fy cx cy; coefficients of the lens; width and height [pixels]."""
COVARIANCE = "covariance"
"""Of all of these numbers but the size, together."""
POSE, INTERVAL = "pose_camera", "interval_95"
"""Values of hand-eye: the optical frame in the one that carries it; halves of its intervals, shift
[m] and turn [rad] along and about the axes of that frame."""
LARGEST = 1_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredIntrinsics:
    """Intrinsics with the halves of their 95 % intervals."""

    camera: str
    """Name of the camera."""
    intrinsics: Intrinsics
    half: tuple[float, float, float, float]
    """Of fx fy cx cy [pixels]; zeros where they are not known."""
    covariance: FloatArray | None = None
    """(P, P) of fx fy cx cy and the coefficients; None where it is not known."""
    id: str = ""
    """Of the record."""


@dataclass(frozen=True, kw_only=True)
class MeasuredPose:
    """Where a camera is, with the halves of the 95 % intervals."""

    camera: str
    """Name of the camera."""
    frame: str
    """That carries it: the base or the tool of an arm."""
    pose: tuple[float, ...]
    """Of the optical frame in it, x y z [m], qw qx qy qz."""
    half: tuple[float, ...]
    """Shift along [m] and turn about [rad] the axes of the frame, 6 numbers."""
    id: str
    """Of the record."""


def accepted(path: str | Path, what: str) -> CalibrationRecord:
    """Return a record of a kind that was accepted.

    Raises:
        ValueError: it cannot be read, is of another kind, or was not accepted; one line.
    """
    record = read_record(path)
    if record.what != what:
        raise ValueError(f"{path}: what: expected a calibration of {what!r}, got {record.what!r}")
    for problem in record.problems:
        raise ValueError(f"{path}: not accepted: {problem}: calibrate again")
    return record


def read_intrinsics(path: str | Path) -> MeasuredIntrinsics:
    """Return the intrinsics of a file of either kind.

    Raises:
        ValueError: it cannot be read, is something else or was not accepted; one line.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    text = text.split("\n---", 1)[0]  # `ros2 topic echo` ends each message with a line
    data = plain.load_yaml(text, str(path))
    if isinstance(data, Mapping) and "what" not in data:
        return _of_camera_info(cast(Mapping[str, Any], data), path)
    parse_record(text, str(path))
    return intrinsics_of(accepted(path, INTRINSICS), path)


def intrinsics_of(record: CalibrationRecord, path: str | Path = "record") -> MeasuredIntrinsics:
    """Return what a record of intrinsics says.

    Raises:
        ValueError: its values are not those of intrinsics; one line.
    """
    try:
        fx, fy, cx, cy = (float(v) for v in record.value(CAMERA))
        width, height = (round(float(v)) for v in record.value(SIZE))
        found = Intrinsics(
            width=width, height=height, fx=fx, fy=fy, cx=cx, cy=cy,
            distortion=tuple(float(v) for v in record.value(DISTORTION)),
        )  # fmt: skip
        sigma = record.values[CAMERA].uncertainty or (0.0,) * 4
        half = tuple(1.96 * s for s in sigma)
        covariance = record.value(COVARIANCE)
        count = 4 + len(found.distortion)
        if covariance.shape != (count, count):
            raise ValueError(f"{COVARIANCE}: expected {(count, count)}, got {covariance.shape}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return MeasuredIntrinsics(
        camera=record.device, intrinsics=found, half=cast(Any, half), covariance=covariance,
        id=record.id,
    )  # fmt: skip


def read_pose(path: str | Path) -> MeasuredPose:
    """Return the pose of a camera.

    Raises:
        ValueError: it cannot be read, is something else or was not accepted; one line.
    """
    record = accepted(path, HAND_EYE)
    try:
        pose = tuple(float(v) for v in record.value(POSE))
        half = tuple(float(v) for v in record.value(INTERVAL))
        frame = record.values[POSE].frame
        if len(pose) != 7 or len(half) != 6 or not frame:
            raise ValueError(f"{POSE}: expected 7 numbers in a frame and {INTERVAL} of 6")
        if abs(sum(v * v for v in pose[3:]) - 1.0) > 1e-6:
            raise ValueError(f"{POSE}: expected a unit quaternion, got {pose[3:]}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return MeasuredPose(camera=record.device, frame=frame, pose=pose, half=half, id=record.id)


def _of_camera_info(data: Mapping[str, Any], path: Path) -> MeasuredIntrinsics:
    """Return intrinsics of `camera_info`, printed or written by a calibration of ROS."""
    try:
        found = camera_info_of(data)
    except ValueError as error:
        raise ValueError(
            f"{path}: expected a record of `sim2arm calibrate intrinsics` or camera_info of ROS: "
            f"{error}"
        ) from error
    name = str(data.get("camera_name", path.stem))
    return MeasuredIntrinsics(camera=name, intrinsics=found, half=(0.0, 0.0, 0.0, 0.0))
