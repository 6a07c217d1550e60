"""Calibrations of Taxim (`polycalib.npz`) as gradient tables.

Such a file holds `bins` and, for each channel, `grad_r`, `grad_g`, `grad_b` (bins, bins, 6):
polynomials in pixels by the angle of the skin, atan |g| in [0, pi/2], and by its direction,
atan2(g_row, g_col) in [-pi, pi], each in `bins` - 1 equal steps. Three things go wrong when such
files are used as they are, and are put right here: the number of bins is read from the file (a
program that assumes another one turns the light by up to 15 degrees); what the table says of a flat
gel, often tens of grey levels, is taken from all of it; and the order of the channels is declared,
because files made from OpenCV's pictures hold blue under the name of red.

Source: Z. Si and W. Yuan, "Taxim: an example-based simulation model for GelSight tactile sensors",
IEEE Robotics and Automation Letters 7(2), 2022.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sim2arm.core.calibration_record import utc_now
from sim2arm.core.gradient_table import NODES, FloatArray, GradientTable, node_normals

Channels = Literal["rgb", "bgr"]
CHANNELS = ("grad_r", "grad_g", "grad_b")
LARGEST_FILE = 256_000_000
"""Largest file that is read [bytes]."""


def convert_taxim(
    path: str | Path,
    background: npt.NDArray[Any],
    *,
    channels: Channels,
    size: tuple[float, float],
    sensor: str,
    licence: str,
    nodes: int = NODES,
) -> GradientTable:
    """Return the gradient table of a file of Taxim.

    Args:
        path: `polycalib.npz`.
        background: (rows, cols, 3) RGB picture of the flat gel, 0 to 255, at the size in which the
            file was calibrated: its polynomials count these pixels.
        channels: what `grad_r`, `grad_g`, `grad_b` hold: `rgb` as they say, or `bgr`, as in files
            that were made from pictures of OpenCV.
        size: width and height of what the picture shows of the gel [m].
        sensor: name for the table.
        licence: under which the file is passed on (Taxim's own: MIT).
        nodes: of the new table.

    Raises:
        ValueError: the file cannot be read, or its arrays are not those; one line.
    """
    path, background = Path(path), np.asarray(background)
    if background.ndim != 3 or background.shape[2] != 3:
        raise ValueError(f"background: expected (rows, cols, 3), got {background.shape}")
    if channels not in ("rgb", "bgr"):
        raise ValueError(f"channels: expected rgb or bgr, got {channels!r}")
    table = read_bins(path)
    if channels == "bgr":
        table = table[:, :, ::-1]
    table = table - flat_gel(table)
    found = sample(table, node_normals(nodes)) @ across_picture(*background.shape[:2])
    found[nodes // 2, nodes // 2] = 0.0
    return GradientTable(
        coefficients=found.astype(np.float32),
        background=background.astype(np.float32),
        sensor=sensor,
        size=size,
        source=f"Taxim, {path.name}, {len(table)} bins, read as {channels}",
        licence=licence,
        date=utc_now(),
    )


def read_bins(path: Path) -> FloatArray:
    """Return (bins, bins, 3, 6) by angle, direction, channel in the file's order, form in pixels.

    Raises:
        ValueError: the file cannot be read, or its arrays do not agree; one line.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{path}: more than {LARGEST_FILE} bytes, not a table of Taxim")
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ("bins", *CHANNELS) if name not in file.files]
            if missing:
                raise ValueError(f"{path}: expected the arrays bins, {', '.join(CHANNELS)}; "
                                 f"missing: {', '.join(missing)}")  # fmt: skip
            bins = file["bins"]
            parts = [np.asarray(file[name], dtype=np.float64) for name in CHANNELS]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise ValueError(f"{path}: not an npz file: {error}") from error
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path}: not an npz file of plain arrays: {error}") from error
    if bins.size != 1 or not 3 <= int(bins.item()) < 10_000:
        raise ValueError(f"{path}: bins: expected a number of 3 or more, got {bins}")
    count = int(bins.item())
    for name, part in zip(CHANNELS, parts, strict=True):
        if part.shape != (count, count, 6):
            raise ValueError(
                f"{path}: {name}: expected ({count}, {count}, 6), as bins says, got {part.shape}"
            )
        if not np.isfinite(part).all():
            raise ValueError(f"{path}: {name}: contains numbers that are not finite")
    return np.stack(parts, axis=2)


def flat_gel(table: FloatArray) -> FloatArray:
    """Return (3, 6): what a table says of a gel without slope, the mean over all directions."""
    return table[0, :-1].mean(axis=0)


def sample(table: FloatArray, n: FloatArray) -> FloatArray:
    """Return the table (bins, bins, 3, 6) at unit normals (..., 2): bilinear, without a seam.

    The last bin of each axis is left out: it is met only at exactly 90 or 180 degrees. Components
    beyond a unit normal get the value at its rim.
    """
    last = len(table) - 1
    length = np.linalg.norm(n, axis=-1)
    angle = np.arcsin(np.minimum(length, 1.0)) / (0.5 * math.pi) * last - 0.5
    turn = (np.arctan2(n[..., 1], n[..., 0]) + math.pi) / (2.0 * math.pi) * last - 0.5
    angle = angle.clip(0.0, last - 1.0)
    i, j = np.floor(angle).astype(int), np.floor(turn).astype(int)
    upper, right = (angle - i)[..., None, None], (turn - j)[..., None, None]
    above = np.minimum(i + 1, last - 1)
    lower = (1.0 - right) * table[i, j % last] + right * table[i, (j + 1) % last]
    higher = (1.0 - right) * table[above, j % last] + right * table[above, (j + 1) % last]
    return (1.0 - upper) * lower + upper * higher


def across_picture(rows: int, cols: int) -> FloatArray:
    """Return (6, 6) that turns coefficients of pixels (right factor) into those of [-1, 1].

    A pixel's number is u = a x + b with a = cols / 2, b = (cols - 1) / 2, and v = c y + d likewise,
    so u^2 = a^2 x^2 + 2 a b x + b^2, u v = a c x y + a d x + b c y + b d.
    """
    a, b, c, d = 0.5 * cols, 0.5 * (cols - 1), 0.5 * rows, 0.5 * (rows - 1)
    return np.array(
        [
            [a * a, 0.0, 0.0, 2.0 * a * b, 0.0, b * b],
            [0.0, c * c, 0.0, 0.0, 2.0 * c * d, d * d],
            [0.0, 0.0, a * c, a * d, b * c, b * d],
            [0.0, 0.0, 0.0, a, 0.0, b],
            [0.0, 0.0, 0.0, 0.0, c, d],
            [0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        ]
    )
