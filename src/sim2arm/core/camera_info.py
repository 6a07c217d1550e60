"""Intrinsics of a camera as a file: the YAML that ROS's `camera_calibration` writes.

`camera_info_manager`, `camera_calibration` and `image_proc` read and write it; other keys than
those of the format are left to whoever wrote them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from .driver_stage import LENS_MODELS, Intrinsics
from .durable import write_durably


def lens_numbers(model: str, numbers: Sequence[float]) -> tuple[float, ...]:
    """Return the coefficients of a lens in ROS's words, nothing where it bends nothing.

    Raises:
        ValueError: it is of a model that is not in `LENS_MODELS`; one line.
    """
    # A fisheye bends also with zeros; it puts rays by their angle.
    if not any(numbers) and model != "equidistant":
        return ()
    if model == "plumb_bob" and len(numbers) in (4, 5):
        return (*numbers, 0.0)[:5]
    if model == "rational_polynomial" and len(numbers) == 8:
        return tuple(numbers) if any(numbers[5:]) else tuple(numbers[:5])
    if model == "equidistant" and len(numbers) == 4:
        return tuple(numbers)
    raise ValueError(
        f"lens model {model!r} with {len(numbers)} numbers; expected plumb_bob with 5, "
        "rational_polynomial with 8 or equidistant with 4"
    )


def read_camera_info(path: str | Path) -> Intrinsics:
    """Return the intrinsics of a file.

    Raises:
        ValueError: it cannot be read, or is no calibration; one line.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValueError(f"{path}: cannot be read: {reason}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    try:
        return camera_info_of(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def camera_info_yaml(given: Intrinsics, name: str) -> str:
    """Return intrinsics of a camera called `name` as text."""
    lens = list(given.distortion) or [0.0] * 5
    bare = [given.fx, 0.0, given.cx, 0.0, given.fy, given.cy, 0.0, 0.0, 1.0]
    still = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    data = {
        "image_width": given.width, "image_height": given.height, "camera_name": name,
        "camera_matrix": _matrix(3, 3, bare),
        "distortion_model": LENS_MODELS[len(lens)],
        "distortion_coefficients": _matrix(1, len(lens), lens),
        "rectification_matrix": _matrix(3, 3, still),
        "projection_matrix": _matrix(3, 4, [*bare[:3], 0.0, *bare[3:6], 0.0, *bare[6:], 0.0]),
    }  # fmt: skip
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None)


def write_camera_info(path: str | Path, name: str, given: Intrinsics) -> None:
    """Write intrinsics of a camera called `name`, durably.

    Raises:
        OSError: the file cannot be written.
    """
    write_durably(Path(path), camera_info_yaml(given, name).encode())


def _matrix(rows: int, cols: int, numbers: Sequence[float]) -> dict[str, Any]:
    return {"rows": rows, "cols": cols, "data": [float(v) for v in numbers]}


def camera_info_of(data: object) -> Intrinsics:
    """Return the intrinsics of such a file, or of a message as `ros2 topic echo` prints it.

    Raises:
        ValueError: they are neither, or of a lens that is not known; one line.
    """
    if not isinstance(data, Mapping):
        raise ValueError("expected a mapping with image_width, camera_matrix and so on")
    told = cast(Mapping[str, Any], data)
    keys = ("image_width", "image_height", "camera_matrix", "distortion_coefficients")
    if "k" in told and "camera_matrix" not in told:
        keys = ("width", "height", "k", "d")
    width, height = (_whole(told, key) for key in keys[:2])
    fx, skew, cx, _, fy, cy, *_ = _numbers(told, keys[2], 9)
    if skew != 0.0:
        raise ValueError(f"{keys[2]}: expected no skew, got {skew:g}")
    model, lens = str(told.get("distortion_model", "plumb_bob")), _numbers(told, keys[3])
    return Intrinsics(
        width=width, height=height, fx=fx, fy=fy, cx=cx, cy=cy,
        distortion=lens_numbers(model, lens),
    )  # fmt: skip


def _whole(told: Mapping[str, Any], key: str) -> int:
    value = told.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key}: expected a whole number, got {value!r}")
    return value


def _numbers(told: Mapping[str, Any], key: str, count: int | None = None) -> list[float]:
    """Return the numbers of a matrix `{rows, cols, data}`, or of a list."""
    value = told.get(key)
    data = cast(Mapping[str, Any], value).get("data") if isinstance(value, Mapping) else value
    numbers = cast(list[Any], data) if isinstance(data, list) else []
    if not numbers or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in numbers
    ):
        raise ValueError(f"{key}: expected a mapping with data: [finite numbers], got {value!r}")
    if count is not None and len(numbers) != count:
        raise ValueError(f"{key}: expected {count} numbers, got {len(numbers)}")
    return [float(v) for v in numbers]
