"""Pictures of ball presses from a folder."""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sim2arm.core.calibration_record import InputFile, input_file

Image = npt.NDArray[np.uint8]
SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
FLAT = "background"
"""How the names of pictures of the flat gel begin."""
MOST_PIXELS = 1280 * 1024
LEAST_PRESSES = 6
"""A polynomial has six coefficients over the picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Presses:
    """Pictures of one gel, all (rows, cols, 3) RGB uint8 of one size."""

    flat: Sequence[Image]
    """Without a touch."""
    pressed: Sequence[Image]
    names: Sequence[str]
    """Of the presses, for messages."""
    inputs: tuple[InputFile, ...] = ()
    """Files they were read from."""


def read_presses(folder: str | Path) -> Presses:
    """Return the pictures of a folder: `background*` of the flat gel, all others of presses.

    Raises:
        ValueError: no folder, no pictures of either kind, or one that cannot be read; one line.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder with pictures, there is none")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    flat = [path for path in paths if path.name.lower().startswith(FLAT)]
    pressed = [path for path in paths if path not in flat]
    if not flat:
        raise ValueError(
            f"{folder}: no picture of the flat gel: expected {FLAT}*.png (10 or so), got "
            f"{len(pressed)} other pictures"
        )
    if len(pressed) < LEAST_PRESSES:
        raise ValueError(
            f"{folder}: expected {LEAST_PRESSES} or more pictures of presses (50 are good) beside "
            f"{FLAT}*, got {len(pressed)}"
        )
    pictures = {path: read_picture(path) for path in paths}
    first = pictures[flat[0]].shape
    for path, picture in pictures.items():
        if picture.shape != first:
            raise ValueError(
                f"{path}: expected {first[1]} x {first[0]} pixels like {flat[0].name}, got "
                f"{picture.shape[1]} x {picture.shape[0]}"
            )
    return Presses(
        flat=[pictures[path] for path in flat],
        pressed=[pictures[path] for path in pressed],
        names=[path.name for path in pressed],
        inputs=tuple(input_file(path) for path in paths),
    )


def read_picture(path: Path) -> Image:
    """Return a picture (rows, cols, 3) RGB.

    Raises:
        OSError: there is none.
        ValueError: it cannot be read, or is larger than tables need; one line.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
        raise ValueError(f"{path}: not a picture that can be read")
    if picture.shape[0] * picture.shape[1] > MOST_PIXELS:
        raise ValueError(
            f"{path}: {picture.shape[1]} x {picture.shape[0]} pixels are more than a table needs: "
            "give pictures after the sensor's driver stage, 320 x 240 or so"
        )
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8)
