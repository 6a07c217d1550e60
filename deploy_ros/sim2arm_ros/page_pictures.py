"""Arrays of cameras and gels as pictures that a person can look at."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]
"""(height, width, 3), RGB."""

NEAR, FAR = 0.05, 3.0
"""Distances that are white and black [m]; between them grey falls with the logarithm."""
FIRM = 0.5
"""Pressure on a taxel that is white [N]."""
NOTHING = (84, 20, 60)
"""Where depth is 0."""
_FRAME, _STALE = 4, (198, 47, 47)
"""Width [pixels] and colour of the frame around a picture that is old."""
PAPER = (255, 255, 255)
"""Between the gels of a field."""


def enlarge(picture: Picture, factor: int) -> Picture:
    """Return a picture with each pixel repeated along both axes."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def fitted(picture: Picture, least: int, most: int) -> Picture:
    """Return a picture for a narrow place: enlarged or thinned out by whole numbers.

    Args:
        picture: what is seen.
        least: rows that it gets at least [pixels].
        most: columns that it has at most [pixels].
    """
    if picture.shape[1] > most:
        step = math.ceil(picture.shape[1] / most)
        return np.ascontiguousarray(picture[::step, ::step])
    factor = min(math.ceil(least / picture.shape[0]), max(1, most // picture.shape[1]))
    return enlarge(picture, factor)


def grey_field(field: NDArray[np.float32]) -> Picture:
    """Return the pressure (gels, H, W, 3) [N] of gels beside each other: `FIRM` is white."""
    share = np.sqrt((field[..., 0] / FIRM).clip(0.0, 1.0))  # light touches show, too
    grey = np.repeat((255.0 * share + 0.5).astype(np.uint8)[..., None], 3, axis=-1)
    gap = np.full((field.shape[1], 1, 3), PAPER, dtype=np.uint8)
    parts = [part for gel in grey for part in (gel, gap)]
    return np.concatenate(parts[:-1], axis=1)


def grey_depth(depth: NDArray[np.float32]) -> Picture:
    """Return depth (H, W) [m] as colours (H, W, 3): `NEAR` white, `FAR` black."""
    share = np.log(FAR / depth.clip(NEAR, FAR)) / math.log(FAR / NEAR)
    grey = np.repeat((255.0 * share + 0.5).astype(np.uint8)[..., None], 3, axis=-1)
    grey[depth == 0.0] = NOTHING
    return grey


def picture_of(pixels: NDArray[Any], encoding: str, gels: int = 1) -> Picture:
    """Return the pixels of an image of an encoding of `pictures.LAYOUTS` as colours (H, W, 3).

    Args:
        pixels: (H, W) or (H, W, 3), as `convert_pictures` reads them.
        encoding: of the message.
        gels: of a field of forces, one below the other.
    """
    if encoding == "rgb8":
        return pixels
    if encoding == "bgr8":
        return pixels[:, :, ::-1]
    if encoding == "mono8":
        return np.repeat(pixels[..., None], 3, axis=-1)
    if encoding == "32FC3":
        field = np.nan_to_num(pixels.astype(np.float32))
        return grey_field(field.reshape(gels, -1, *field.shape[1:]))
    metres = pixels / np.float32(1000.0) if encoding == "16UC1" else pixels
    return grey_depth(np.nan_to_num(metres.astype(np.float32), posinf=0.0, neginf=0.0))


def faded(picture: Picture) -> Picture:
    """Return a picture as one that is old: pale, without colours, in a red frame."""
    pale = np.full_like(picture, 160)
    pale += (picture.mean(axis=-1, keepdims=True) / 4.0).astype(np.uint8)
    for edge in (pale, pale.swapaxes(0, 1)):
        edge[:_FRAME] = edge[-_FRAME:] = _STALE
    return pale


def blended(reference: Picture, live: Picture) -> Picture:
    """Return two pictures of one size over each other, half and half; of other sizes the live one.

    What stands where it stood is sharp, what does not is there twice.
    """
    if reference.shape != live.shape:
        return live
    return ((reference.astype(np.uint16) + live) // 2).astype(np.uint8)


def read_png(path: Path) -> Picture:
    """Return the picture of a PNG file."""
    import av

    with av.open(str(path)) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8)


def png(picture: Picture) -> bytes:
    """Return a picture as a PNG file."""
    import av

    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height = picture.shape[1], picture.shape[0]  # pyright: ignore[reportAttributeAccessIssue]
    encoder.pix_fmt = "rgb24"  # pyright: ignore[reportAttributeAccessIssue]
    encoder.time_base = Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    packets = [*encoder.encode(frame), *encoder.encode(None)]  # pyright: ignore
    return b"".join(bytes(packet) for packet in packets)  # pyright: ignore
