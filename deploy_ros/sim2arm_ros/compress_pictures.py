"""Compressed images as image_transport has them, without cv_bridge: JPEG of colours, PNG of depth.

`<topic>/compressed` holds JPEG or PNG, `<topic>/compressedDepth` 12 bytes and a PNG of 16 bits. The
12 bytes (a kind of quantisation and its two numbers, all 0 for depth in millimetres) mean something
for 32FC1 only, whose depth is stored by its inverse: that is neither written nor read here.

Source: image_transport_plugins, `compressed_depth_image_transport`, struct `ConfigHeader`.
"""

from __future__ import annotations

import importlib.util
from array import array
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from .convert import to_stamp

DEPTH = "compressedDepth"
_HEAD = 12
_MOST = 65.535
"""What 16 bits of millimetres hold [m]; farther is as nothing measured."""


@dataclass(frozen=True, kw_only=True)
class Compression:
    """How pictures are compressed."""

    jpeg_quality: int = 95
    """Of colours, 1 to 100."""
    png_level: int = 1
    """Of depth, 0 to 9; more is smaller and slower, and never another depth."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality: expected 1 to 100, got {self.jpeg_quality}")
        if not 0 <= self.png_level <= 9:
            raise ValueError(f"png_level: expected 0 to 9, got {self.png_level}")


def can_compress() -> bool:
    """Return whether OpenCV is installed."""
    return importlib.util.find_spec("cv2") is not None


def transport_of(encoding: str, unit: str) -> str | None:
    """Return the last part of the topic on which an encoding is sent compressed, or none."""
    if encoding in ("rgb8", "mono8"):
        return "compressed"
    return DEPTH if encoding == "32FC1" and unit == "m" else None


def compressed_message(
    pixels: NDArray[Any], encoding: str, frame: str, stamp_ns: int, how: Compression
) -> CompressedImage:
    """Return an image with as much loss as it must have: colours as JPEG, depth in millimetres.

    Args:
        pixels: (h, w, 3) uint8 rgb8, (h, w[, 1]) uint8 mono8, (h, w) float32 32FC1 [m].
        encoding: of these.
        frame: in which frame.
        stamp_ns: when they were measured [ns].
        how: numbers of the two.

    Raises:
        ValueError: another encoding.
    """
    import cv2  # an extra: `can_compress`

    if encoding == "32FC1":
        near = np.where((pixels >= 0) & (pixels <= _MOST), pixels, np.float32(0.0))  # NaN too
        counts = np.rint(1e3 * near.astype(np.float64)).astype(np.uint16)
        words, head = f"16UC1; {DEPTH} png", bytes(_HEAD)
        good, data = cv2.imencode(".png", counts, [cv2.IMWRITE_PNG_COMPRESSION, how.png_level])
    elif encoding in ("rgb8", "mono8"):
        stored_as = pixels[..., ::-1] if encoding == "rgb8" else pixels
        words, head = (
            f"{encoding}; jpeg compressed {'bgr8' if encoding == 'rgb8' else 'mono8'}",
            b"",
        )
        quality = [cv2.IMWRITE_JPEG_QUALITY, how.jpeg_quality]
        good, data = cv2.imencode(".jpg", np.ascontiguousarray(stored_as), quality)
    else:
        raise ValueError(f"{encoding}: neither JPEG nor PNG stores it: send the raw image")
    assert good  # any size and all of these types are stored
    return CompressedImage(
        header=Header(stamp=to_stamp(stamp_ns), frame_id=frame),
        format=words,
        data=array("B", head + cast(Any, data).tobytes()),
    )


def stored(message: CompressedImage) -> memoryview:
    """Return the JPEG or PNG of a message.

    Raises:
        ValueError: its format is one that is not read.
    """
    data = memoryview(buffer_of(message.data)).cast("B")
    if DEPTH not in message.format:
        return data
    encoding, *rest = message.format.replace(";", " ").split()
    if encoding != "16UC1" or rest not in ([DEPTH], [DEPTH, "png"]):
        raise ValueError(f"of {DEPTH} only 16UC1 as png is read: bind the raw image")
    return data[_HEAD:]


def buffer_of(data: Any) -> Any:
    """Return the memory of the field `data`; a copy only of what has none, such as a list."""
    try:
        return memoryview(data)
    except TypeError:
        return bytes(data)
