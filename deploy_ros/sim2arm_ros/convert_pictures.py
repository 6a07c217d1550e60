"""ROS images to arrays and back, without cv_bridge and without a copy where a view does.

What arrives is checked at once (`check_picture` looks at the header only) and decoded for the tick
that uses it (`read_picture`). Whatever does not fit is a `ValueError` of one line.
"""

from __future__ import annotations

import importlib.util
from array import array
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from sim2arm.core.camera_info import lens_numbers
from sim2arm.core.driver_stage import LENS_MODELS, Intrinsics, parse_stage, run_stage
from sim2arm.core.spec import ArraySpec

from .compress_pictures import buffer_of, stored
from .convert import check_frame, to_stamp
from .graph import InputBinding
from .pictures import COMPRESSED_IMAGE, LAYOUTS, Encoding, message_size, stored_size

_MILLIMETRE = 1000.0


def image_array(message: Image) -> NDArray[Any]:
    """Return the pixels of an image, (height, width) or (height, width, 3), as its bytes are.

    A view of the message: in its order of channels and bytes, without the padding of its rows.

    Raises:
        ValueError: an unknown encoding, or data that is not `step * height` bytes.
    """
    layout = LAYOUTS.get(message.encoding)
    if layout is None:
        raise ValueError(f"encoding: expected one of {list(LAYOUTS)}, got {message.encoding!r}")
    order = ">" if message.is_bigendian else "<"
    dtype = np.dtype(order + layout.dtype)
    height, width, step = int(message.height), int(message.width), int(message.step)
    row = width * layout.channels * dtype.itemsize
    if height < 1 or width < 1 or step < row:
        raise ValueError(
            f"image: {width} x {height} pixels of {message.encoding} in rows of {step} bytes: "
            f"expected 1 pixel or more and step of {row} or more"
        )
    data = np.frombuffer(buffer_of(message.data), dtype=np.uint8)
    if data.size != step * height:
        raise ValueError(f"image: expected step * height = {step * height} bytes, got {data.size}")
    pixels = data.reshape(height, step)[:, :row].view(dtype)
    return pixels if layout.channels == 1 else pixels.reshape(height, width, layout.channels)


def decoded(message: CompressedImage) -> NDArray[Any]:
    """Return the pixels of a JPEG or PNG, colours in the order r g b.

    Raises:
        ValueError: broken, of a format that is not read, or with something else than colours, grey
            or 16 bits.
    """
    import cv2  # an extra: `check_decoder`

    data = np.frombuffer(stored(message), dtype=np.uint8)
    # Neither turned as its camera was held, nor made to 8 bits or three channels.
    found = cast(Any, cv2.imdecode(data, cv2.IMREAD_UNCHANGED)) if data.size else None
    if found is None:
        raise ValueError(f"{data.size} bytes of format {message.format!r} cannot be decoded")
    pixels: NDArray[Any] = found
    if pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8:
        return pixels[:, :, ::-1]
    if pixels.ndim == 2 and pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:
        return pixels
    raise ValueError(
        f"format {message.format!r}: expected 8-bit colours, 8-bit or 16-bit grey, got "
        f"{pixels.dtype} of shape {pixels.shape}"
    )


def check_decoder(name: str, binding: InputBinding) -> None:
    """See that what an input needs to be decoded is installed.

    Raises:
        ValueError: it is not; one line.
    """
    if binding.type == COMPRESSED_IMAGE and importlib.util.find_spec("cv2") is None:
        raise ValueError(
            f"input {name!r}: CompressedImage is decoded by OpenCV, which is not installed: "
            "pip install 'sim2arm[vision]', or bind the topic with the raw Image"
        )


def check_picture(message: Image | CompressedImage, binding: InputBinding, spec: ArraySpec) -> None:
    """Check what is known of a picture without touching its pixels.

    Raises:
        ValueError: the frame, encoding or size is not what graph and contract say.
    """
    check_frame(message.header, spec)
    if isinstance(message, CompressedImage):
        try:
            height, width = stored_size(stored(message))
        except ValueError as error:
            raise ValueError(f"input {spec.name!r}: format {message.format!r}: {error}") from error
        _check_size(height, width, binding, spec)
    if isinstance(message, Image):
        if message.encoding != binding.encoding:
            raise ValueError(
                f"input {spec.name!r}: expected encoding {binding.encoding}, got "
                f"{message.encoding!r}: change the camera or graph.yaml"
            )
        _check_size(message.height, message.width, binding, spec)


def read_picture(
    message: Image | CompressedImage,
    binding: InputBinding,
    spec: ArraySpec,
    intrinsics: Intrinsics | None = None,
) -> NDArray[Any]:
    """Return the array of an input (*spec.shape): decoded, through its driver stage, in its unit.

    Depth without a measurement (REP 118: not finite) is 0 m, as in training.

    Args:
        message: what came.
        binding: its topic.
        spec: the input.
        intrinsics: of the camera, where the driver stage undistorts.

    Raises:
        ValueError: one line with the name of the input.
    """
    check_picture(message, binding, spec)
    try:
        pixels = image_array(message) if isinstance(message, Image) else decoded(message)
    except ValueError as error:
        raise ValueError(f"input {spec.name!r}: {error}") from error
    layout = LAYOUTS[str(binding.encoding)]
    if pixels.dtype.newbyteorder("<") != np.dtype("<" + layout.dtype) or (pixels.ndim == 3) != (
        layout.channels == 3
    ):
        raise ValueError(
            f"input {spec.name!r}: expected {binding.encoding} in the compressed image, got "
            f"{pixels.dtype} of shape {pixels.shape}"
        )
    _check_size(pixels.shape[0], pixels.shape[1], binding, spec)
    if binding.encoding == "bgr8":
        pixels = pixels[:, :, ::-1]
    if spec.driver_stage is not None and not binding.staged:
        try:
            pixels = run_stage(parse_stage(spec.driver_stage), pixels, intrinsics)
        except ValueError as error:
            raise ValueError(f"input {spec.name!r}: {error}") from error
    return _in_unit(pixels, str(binding.encoding), spec).reshape(spec.shape)


def _in_unit(pixels: NDArray[Any], encoding: str, spec: ArraySpec) -> NDArray[Any]:
    """Return pixels in type and unit of the input."""
    if encoding == "16UC1":
        return (pixels / _MILLIMETRE).astype(np.float32)
    values = pixels.astype(spec.dtype, copy=False)
    if encoding == "32FC1" and spec.unit == "m" and not np.isfinite(values).all():
        return np.where(np.isfinite(values), values, np.float32(0.0))
    return values


def _check_size(height: int, width: int, binding: InputBinding, spec: ArraySpec) -> None:
    expected = message_size(spec, staged=binding.staged)
    if (height, width) == expected:
        return
    what = "pixels"
    if spec.driver_stage is not None:
        what = "pixels after" if binding.staged else "pixels before"
        what += " its driver stage"
    raise ValueError(
        f"input {spec.name!r}: expected {expected[1]} x {expected[0]} {what}, got "
        f"{width} x {height}"
    )


def image_message(pixels: NDArray[Any], encoding: Encoding, frame: str, stamp_ns: int) -> Image:
    """Return an image of pixels (height, width[, 3]); more axes in front are stacked downwards.

    Args:
        pixels: in type and order of the encoding.
        encoding: how they are sent.
        frame: in which frame.
        stamp_ns: when they were measured [ns].

    Raises:
        ValueError: the pixels have another type or number of channels.
    """
    layout = LAYOUTS[encoding]
    dtype = np.dtype("<" + layout.dtype)
    grid = pixels.shape[:-1] if layout.channels == 3 else pixels.shape
    if pixels.dtype != dtype or len(grid) < 2 or (layout.channels == 3 and pixels.shape[-1] != 3):
        raise ValueError(f"{encoding}: no image of {pixels.dtype} of shape {pixels.shape}")
    width = grid[-1]
    data = array("B")
    data.frombytes(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)
    return Image(
        header=Header(stamp=to_stamp(stamp_ns), frame_id=frame),
        height=int(np.prod(grid[:-1])),
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * layout.channels * dtype.itemsize,
        data=data,
    )


# -- intrinsics --------------------------------------------------------------------------------


def camera_info_message(intrinsics: Intrinsics, frame: str, stamp_ns: int) -> CameraInfo:
    """Return intrinsics as a message."""
    k = intrinsics
    bare = [k.fx, 0.0, k.cx, 0.0, k.fy, k.cy, 0.0, 0.0, 1.0]
    return CameraInfo(
        header=Header(stamp=to_stamp(stamp_ns), frame_id=frame),
        height=k.height,
        width=k.width,
        distortion_model=LENS_MODELS[len(k.distortion)],
        d=list(k.distortion) or [0.0] * 5,
        k=bare,
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[*bare[:3], 0.0, *bare[3:6], 0.0, *bare[6:], 0.0],
    )


def intrinsics_from(message: CameraInfo) -> Intrinsics:
    """Return the intrinsics of a message.

    Raises:
        ValueError: not calibrated, of a part of the picture, or with another lens model.
    """
    fx, skew, cx, _, fy, cy, *_ = (float(v) for v in message.k)
    size = f"{message.width} x {message.height}"
    if fx == 0.0:
        raise ValueError(f"camera_info: the camera is not calibrated at {size}: K is zero")
    roi = message.roi
    whole = (0, 0, int(message.height), int(message.width))
    part = (int(roi.y_offset), int(roi.x_offset), int(roi.height), int(roi.width))
    if message.binning_x > 1 or message.binning_y > 1 or part not in ((0, 0, 0, 0), whole):
        raise ValueError(
            f"camera_info: it is of {size} pixels, the picture of a part: calibrate at the size "
            "that is used"
        )
    if skew != 0.0:
        raise ValueError(f"camera_info: K has skew {skew:g}, expected 0")
    try:
        lens = lens_numbers(message.distortion_model, [float(v) for v in message.d])
    except ValueError as error:
        raise ValueError(f"camera_info: {error}") from error
    return Intrinsics(
        width=int(message.width), height=int(message.height), fx=fx, fy=fy, cx=cx, cy=cy,
        distortion=lens,
    )  # fmt: skip
