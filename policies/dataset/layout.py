"""Where a LeRobotDataset v3.0 keeps what, and what its columns are.

One file per episode and kind, so that an episode is committed or is not. Beside what the format
asks for, `meta/sim2arm.json` holds documents (contract, calibration, robot) and
`meta/sim2arm/chunk-000/file-000.json` the record of each episode: hashes of its files, and notes.
Other readers ignore both. Source: lerobot 0.4.4, `datasets/utils.py`; `make interop` compares with
lerobot itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np

from .files import DatasetError

VERSION = "v3.0"
CHUNK = 1000
"""Files per folder."""
INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
DOCUMENTS = "meta/sim2arm.json"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_EPISODE_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_RECORD_PATH = "meta/sim2arm/chunk-{chunk_index:03d}/file-{file_index:03d}.json"
_DEPTH_UNITS = ("m", "mm")
"""Units of depth that lerobot knows."""

DType: TypeAlias = Literal[
    "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool",
    "string", "image", "video",
]  # fmt: skip
"""`image`: lossless, a PNG per frame; `video`: compressed, with half the resolution of colour."""
PICTURES = ("image", "video")


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A column."""

    dtype: DType
    shape: tuple[int, ...]
    """Of a frame; pictures are (rows, columns, channels)."""
    names: tuple[str, ...] | None = None
    """Of the elements of a vector."""
    unit: str = ""
    """SI unit, `1` for pure numbers; mixed vectors name one per element, separated by spaces."""
    frame: str = ""
    """Frame in which the numbers are expressed."""
    bits: int = 8
    """Of a channel of an image: 8, or 16 of a depth image in units of `unit`."""

    def __post_init__(self) -> None:
        """Refuse what the format cannot hold."""
        if self.dtype not in get_args(DType):
            raise ValueError(f"dtype: expected one of {list(get_args(DType))}, got {self.dtype!r}")
        if not self.shape or len(self.shape) > 5 or min(self.shape) < 1:
            raise ValueError(f"shape: expected 1 to 5 sizes of 1 or more, got {list(self.shape)}")
        if self.dtype == "string" and self.shape != (1,):
            raise ValueError(f"shape: expected [1] of strings, got {list(self.shape)}")
        size = list(self.shape)[-1]
        if self.names is not None and size != len(self.names):
            raise ValueError(f"names: expected {size}, got {len(self.names)}")
        if self.dtype in PICTURES:
            self._check_picture()
        elif self.bits != 8:
            raise ValueError(f"bits: only images have them, got {self.bits}")

    def _check_picture(self) -> None:
        channels = self.shape[-1] if len(self.shape) == 3 else 0
        if channels not in (1, 3) or self.names is not None:
            raise ValueError(
                "pictures: expected the shape [rows, columns, 1 or 3] and no names, got "
                f"{list(self.shape)}"
            )
        if self.dtype == "video" and (channels != 3 or self.shape[0] % 2 or self.shape[1] % 2):
            raise ValueError(f"video: expected even sizes and 3 channels, got {list(self.shape)}")
        if (self.bits, channels) not in ((8, 1), (8, 3), (16, 1)):
            raise ValueError(f"bits: expected 8, or 16 of one channel, got {self.bits}")
        if self.dtype == "video" and self.bits != 8:
            raise ValueError(f"bits: expected 8 of a video, got {self.bits}")

    @property
    def numpy(self) -> np.dtype[Any]:
        """The type of a frame as it is given and read."""
        if self.dtype in PICTURES:
            return np.dtype(np.uint16 if self.bits == 16 else np.uint8)
        if self.dtype == "string":
            return np.dtype(object)
        return np.dtype(self.dtype)


DEFAULTS: Mapping[str, Feature] = {
    "timestamp": Feature(dtype="float32", shape=(1,)),
    "frame_index": Feature(dtype="int64", shape=(1,)),
    "episode_index": Feature(dtype="int64", shape=(1,)),
    "index": Feature(dtype="int64", shape=(1,)),
    "task_index": Feature(dtype="int64", shape=(1,)),
}
"""Columns of every dataset, which writers fill in themselves."""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """What every episode of a dataset has."""

    fps: int
    """Frames per second."""
    features: Mapping[str, Feature]
    """Columns beside `DEFAULTS`. What begins with `observation.` or `action` is what policies of
    lerobot see and do; clocks, delays and flags must be called otherwise."""
    robot_type: str = ""
    """Name of the robot."""
    documents: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Plain data that is stored with it: contract, calibration, description of the robot."""

    def __post_init__(self) -> None:
        """Refuse what the format cannot hold."""
        if self.fps < 1:
            raise ValueError(f"fps: expected 1 or more, got {self.fps}")
        for key in self.features:
            if not key or "/" in key or key in DEFAULTS:
                raise ValueError(
                    f"features: {key!r}: expected a name without '/' that is none of "
                    f"{list(DEFAULTS)}"
                )
        if not self.features:
            raise ValueError("features: expected one or more")

    @property
    def columns(self) -> dict[str, Feature]:
        """All features that data files hold."""
        every = {**self.features, **DEFAULTS}
        return {key: feature for key, feature in every.items() if feature.dtype != "video"}

    @property
    def videos(self) -> list[str]:
        """Keys of the videos."""
        return [key for key, feature in self.features.items() if feature.dtype == "video"]


# -- places ----------------------------------------------------------------------------------------


def _place(pattern: str, episode: int, **more: str) -> str:
    chunk, number = divmod(episode, CHUNK)
    return pattern.format(chunk_index=chunk, file_index=number, **more)


def data_file(episode: int) -> str:
    """Return where the rows of an episode lie, below the root."""
    return _place(DATA_PATH, episode)


def video_file(key: str, episode: int) -> str:
    """Return where a video of an episode lies."""
    return _place(VIDEO_PATH, episode, video_key=key)


def episode_file(episode: int) -> str:
    """Return where what is said about an episode lies."""
    return _place(_EPISODE_PATH, episode)


def record_file(episode: int) -> str:
    """Return where the hashes and notes of an episode lie."""
    return _place(_RECORD_PATH, episode)


# -- info.json -------------------------------------------------------------------------------------


def feature_json(feature: Feature, fps: int) -> dict[str, Any]:
    """Return a feature as info.json has it."""
    if feature.dtype not in PICTURES:
        names = None if feature.names is None else list(feature.names)
        plain = {"dtype": feature.dtype, "shape": list(feature.shape), "names": names}
        more = {"unit": feature.unit, "frame": feature.frame}
        return plain | {key: value for key, value in more.items() if value}
    rows, cols, channels = feature.shape
    names = ["height", "width", "channels"]
    found: dict[str, Any] = {
        "dtype": feature.dtype, "shape": list(feature.shape), "names": names,
    }  # fmt: skip
    if feature.unit or feature.frame or feature.bits != 8:
        found |= {"unit": feature.unit, "frame": feature.frame, "bits": feature.bits}
    if feature.dtype == "video":
        found["info"] = {
            "video.height": rows, "video.width": cols, "video.codec": "h264",
            "video.pix_fmt": "yuv420p", "video.is_depth_map": False, "video.fps": fps,
            "video.channels": channels, "has_audio": False,
        }  # fmt: skip
    if feature.bits == 16:  # so that lerobot takes the numbers as they are
        unit = {"depth_unit": feature.unit} if feature.unit in _DEPTH_UNITS else {}
        found["info"] = {"is_depth_map": True, **unit}
    return found


def read_features(features: Mapping[str, Any], path: Path) -> dict[str, Feature]:
    """Return the features of an info.json, `DEFAULTS` left out.

    Raises:
        DatasetError: one is nothing that can be read.
    """
    found: dict[str, Feature] = {}
    for key, given in features.items():
        if key in DEFAULTS:
            continue
        try:
            names = given.get("names")
            picture = given["dtype"] in PICTURES
            flat = isinstance(names, list) and not picture
            shape = tuple(int(size) for size in given["shape"])
            if picture and names and names[0] in ("channel", "channels"):
                shape = (*shape[1:], shape[0])
            usable = flat and len(cast(list[Any], names)) == shape[-1]
            info: dict[str, Any] = given.get("info") or {}
            deep = given["dtype"] == "image" and info.get("is_depth_map")
            found[key] = Feature(
                dtype=given["dtype"],
                shape=shape,
                names=tuple(map(str, cast(list[Any], names))) if usable else None,
                unit=str(given.get("unit") or info.get("depth_unit") or ""),
                frame=str(given.get("frame") or ""),
                bits=int(given.get("bits", 16 if deep else 8)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(f"{path}: features.{key}: {error}") from error
    return found


def read_json(path: Path) -> tuple[Any, bytes]:
    """Return the content of a JSON file, and its bytes.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        content = path.read_bytes()
        return json.loads(content, parse_constant=_refuse), content
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not JSON"
        raise DatasetError(f"{path}: cannot be read: {reason}") from error


def _refuse(word: str) -> float:
    raise ValueError(word)


def write_json(value: Any) -> bytes:
    """Return canonical JSON, whose numbers are finite."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
