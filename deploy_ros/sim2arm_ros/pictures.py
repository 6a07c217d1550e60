"""Pictures and force fields as ROS has them: encodings, sizes, and which array each can be.

Of the encodings of `sensor_msgs/image_encodings.h` those that cameras and tactile sensors send.
16UC1 is depth in millimetres and 32FC1 in metres (REP 118); a force field is one 32FC3 image [N],
its gels one below the other.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Literal

from sim2arm.core.driver_stage import parse_stage
from sim2arm.core.spec import ArraySpec

Encoding = Literal["rgb8", "bgr8", "mono8", "16UC1", "32FC1", "32FC3"]
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
PICTURES = (IMAGE, COMPRESSED_IMAGE)
"""Types of messages that hold a picture."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How an encoding stores a pixel."""

    dtype: str
    """Of a channel, as numpy names it, without the order of bytes."""
    channels: int
    compressed: bool = False
    """Whether JPEG or PNG store it too."""


LAYOUTS: dict[str, Layout] = {
    "rgb8": Layout(dtype="u1", channels=3, compressed=True),
    "bgr8": Layout(dtype="u1", channels=3),
    "mono8": Layout(dtype="u1", channels=1, compressed=True),
    "16UC1": Layout(dtype="u2", channels=1, compressed=True),
    "32FC1": Layout(dtype="f4", channels=1),
    "32FC3": Layout(dtype="f4", channels=3),
}


def encodings_for(spec: ArraySpec) -> tuple[Encoding, ...]:
    """Return the encodings that can be an input, the one that loses nothing first; maybe none."""
    axes, last = len(spec.shape), spec.shape[-1] if spec.shape else 0
    if spec.dtype == "uint8":
        if axes == 3 and last == 3:
            return ("rgb8", "bgr8")
        return ("mono8",) if axes == 2 or (axes == 3 and last == 1) else ()
    if spec.dtype != "float32":
        return ()
    if axes == 2:
        return ("32FC1", "16UC1") if spec.unit == "m" else ("32FC1",)
    return ("32FC3",) if axes in (3, 4) and last == 3 else ()


def own_encoding(spec: ArraySpec) -> Encoding:
    """Return the encoding that holds an input without loss.

    Raises:
        ValueError: no image holds such an array.
    """
    known = encodings_for(spec)
    if not known:
        raise ValueError(
            f"input {spec.name!r}: no image holds {spec.dtype} of shape {list(spec.shape)}"
        )
    return known[0]


def spec_size(spec: ArraySpec) -> tuple[int, int]:
    """Return height and width of the image that is an input; of stacks the sum of heights."""
    grid = spec.shape if len(spec.shape) == 2 else spec.shape[:-1]
    return math.prod(grid[:-1]), grid[-1]


def message_size(spec: ArraySpec, *, staged: bool) -> tuple[int, int]:
    """Return height and width of the messages of an input.

    Args:
        spec: the input.
        staged: whether its driver stage has been run by who sends them.
    """
    if spec.driver_stage is None or staged:
        return spec_size(spec)
    stage = parse_stage(spec.driver_stage)
    return stage.height, stage.width


def camera_of(spec: ArraySpec) -> str | None:
    """Return the camera whose optical frame a picture is in, `<camera>_optical`, or none."""
    frame = spec.frame or ""
    return frame.removesuffix("_optical") if frame.endswith("_optical") else None


def picture_problem(
    spec: ArraySpec, *, compressed: bool, encoding: str, staged: bool, camera_info: str
) -> str | None:
    """Return why messages of an encoding cannot be an input, or None."""
    known = encodings_for(spec)
    if not known:
        return f"no image holds {spec.dtype} of shape {list(spec.shape)}"
    if encoding not in known:
        return f"encoding: expected {' or '.join(known)}, got {encoding!r}"
    if compressed and not LAYOUTS[encoding].compressed:
        kept = [name for name in known if LAYOUTS[name].compressed]
        words = f"expected {' or '.join(kept)}" if kept else "none of them, bind the raw image"
        return f"encoding: JPEG and PNG do not store {encoding}: {words}"
    if spec.driver_stage is None:
        return None
    try:
        stage = parse_stage(spec.driver_stage)
    except ValueError as error:
        return str(error)
    if (stage.out_height, stage.out_width) != spec_size(spec):
        return f"driver stage {spec.driver_stage!r} does not make {list(spec.shape)}"
    if stage.undistort and not staged and not camera_info:
        return "camera_info: its driver stage undistorts: name the topic with the intrinsics"
    return None


_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_NO_FRAME = (0xC4, 0xC8, 0xCC)
"""Markers of JPEG among those of frames that begin none."""


def stored_size(data: memoryview) -> tuple[int, int]:
    """Return height and width that a PNG or JPEG says it has, without decoding it.

    Source: PNG specification (ISO/IEC 15948), 11.2.2; JPEG (ITU-T T.81), annex B.

    Raises:
        ValueError: it is neither, or ends before it says so.
    """
    if bytes(data[:8]) == _PNG and bytes(data[12:16]) == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    at = 2
    while bytes(data[:2]) == _JPEG and at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return height, width
        else:
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    raise ValueError(f"{len(data)} bytes are neither JPEG nor PNG")
