"""Pictures in files: PNG without loss, H.264 video with, both by PyAV."""

# PyAV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from .files import DatasetError
from .layout import Feature

CODEC = "libx264"
OPTIONS = {"preset": "ultrafast", "crf": "18", "bf": "0", "threads": "1"}
"""Larger than `veryfast` and cheaper, which real time needs; no frames out of order."""
KEY_HZ = 15.0
"""Key frames per second, at most one of two frames: any frame is soon decoded."""
Image = npt.NDArray[Any]
_STARTS = {"mjpeg": b"\xff\xd8", "tiff": (b"II*\x00", b"MM\x00*")}


def encode_png(picture: Image) -> bytes:
    """Return a PNG of (rows, columns, 1 or 3) uint8, or (rows, columns, 1) uint16."""
    rows, cols, channels = picture.shape
    wide = picture.dtype == np.uint16
    pixels = {(1, False): "gray", (3, False): "rgb24", (1, True): "gray16be"}[channels, wide]
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = cols, rows, pixels
    encoder.time_base = Fraction(1, 1)
    given = picture[..., 0] if channels == 1 else picture
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(given), format=_native(pixels))
    if frame.format.name != pixels:
        frame = frame.reformat(format=pixels)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


def decode_picture(content: bytes, feature: Feature) -> Image:
    """Return the picture of a file (rows, columns, channels), of the type of the feature.

    We write PNG; others also TIFF and JPEG.

    Raises:
        ValueError: it is none of this size.
    """
    channels, wide = feature.shape[2], feature.bits == 16
    kind = "gray16le" if wide else ("gray" if channels == 1 else "rgb24")
    starts = [codec for codec, first in _STARTS.items() if content.startswith(first)]
    try:
        decoder: Any = av.CodecContext.create(starts[0] if starts else "png", "r")
        frames = [*decoder.decode(av.Packet(content)), *decoder.decode(None)]
    except FFmpegError as error:
        raise ValueError(f"it is no picture: {error}") from error
    if len(frames) != 1:
        raise ValueError(f"expected one picture, got {len(frames)}")
    deep = frames[0].format.name.startswith("gray16")
    if deep != wide:
        raise ValueError(f"expected {feature.bits} bits, got {frames[0].format.name}")
    found = frames[0].to_ndarray(format=kind)
    found = found[..., None] if channels == 1 else found
    if found.shape != feature.shape:
        raise ValueError(f"expected a picture {list(feature.shape)}, got {list(found.shape)}")
    return found


def _native(pixels: str) -> str:
    return "gray16le" if pixels == "gray16be" else pixels


class VideoFile:
    """A video that is being written, frame k at k / fps."""

    def __init__(self, path: Path, feature: Feature, fps: int) -> None:
        """Open it.

        Raises:
            OSError: it cannot be written.
        """
        rows, cols, _ = feature.shape
        self._container = av.open(str(path), "w", format="mp4")
        options = OPTIONS | {"g": str(max(2, round(fps / KEY_HZ)))}
        stream: Any = self._container.add_stream(CODEC, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = cols, rows, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, fps)
        self._stream, self._count = stream, 0
        self._frame: Any = None

    def add(self, picture: Image, *, again: bool = False) -> None:
        """Encode a picture (rows, columns, 3) uint8, or the one before again.

        Raises:
            OSError: it cannot be written.
        """
        if not again:
            colours = av.VideoFrame.from_ndarray(picture, format="rgb24")
            self._frame = colours.reformat(format="yuv420p")
        frame = self._frame
        frame.pts, frame.time_base = self._count, self._stream.codec_context.time_base
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is left.

        Raises:
            OSError: it cannot be written.
        """
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


def read_video(path: Path, first: float, indices: Sequence[int], fps: float) -> list[Image]:
    """Return frames of an episode in a video, (rows, columns, 3) uint8, in the order asked for.

    Args:
        path: of the video.
        first: time of the episode's first frame in it [s].
        indices: of frames in the episode.
        fps: frames per second.

    Raises:
        DatasetError: a frame is not there; one line that names the file.
    """
    wanted, found = sorted(set(indices)), dict[int, Image]()
    try:
        with av.open(str(path)) as container:
            for run in _runs(wanted):
                found |= _decode(container, first, run, fps)
    except (FFmpegError, OSError, IndexError) as error:
        raise DatasetError(f"{path}: it is no video that can be read: {error}") from error
    absent = [index for index in wanted if index not in found]
    if absent:
        raise DatasetError(f"{path}: frame {absent[0]} is not in the video")
    return [found[index] for index in indices]


def _runs(indices: Sequence[int], gap: int = 16) -> Iterator[list[int]]:
    """Cut sorted indices where it is quicker to look for the next one."""
    run: list[int] = []
    for index in indices:
        if run and index - run[-1] > gap:
            yield run
            run = []
        run.append(index)
    if run:
        yield run


def _decode(container: Any, first: float, run: Sequence[int], fps: float) -> dict[int, Image]:
    stream, found = container.streams.video[0], dict[int, Image]()
    begin = first + run[0] / fps
    container.seek(int((begin - 0.5 / fps) / stream.time_base), stream=stream, backward=True)
    wanted = set(run)
    for frame in container.decode(stream):
        if frame.pts is None:
            continue
        index = round((float(frame.pts * stream.time_base) - first) * fps)
        if index in wanted:
            found[index] = frame.to_ndarray(format="rgb24")
        if index >= run[-1]:
            break
    return found
