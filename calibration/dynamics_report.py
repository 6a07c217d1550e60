"""The record of the numbers of an arm, and its pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy

import sim2arm
from sim2arm.core.calibration_file import write_record
from sim2arm.core.calibration_record import (
    CalibrationRecord,
    InputFile,
    make_picture,
    make_residuals,
    utc_now,
)
from sim2arm.core.driver_stage import FloatArray

from .board import Image
from .drawing import BLUE, LINE, ORANGE, RED, SOFT, busiest, canvas, dot, line, png, text
from .dynamics_file import KIND, quantities
from .identified import Identified

METHOD = (
    "Replays of the recording on the simulated arm, least squares over its numbers "
    "(mujoco.minimize, Huber weights); uncertainty of blocks of residuals; last part held out"
)
SHOWN = 4.0
"""How much of the held-out part is drawn [s]."""


def make_record(
    found: Identified,
    *,
    device: str,
    limit_mrad: float,
    settings: Mapping[str, float],
    inputs: Sequence[InputFile] = (),
    notes: Sequence[str] = (),
    pictures: Mapping[str, tuple[bytes, str]] | None = None,
) -> CalibrationRecord:
    """Return the record: the numbers that were told, and how well they explain what was held out.

    Args:
        found: of an arm.
        device: its name.
        limit_mrad: root mean square of what is left of the held-out part with which the
            identification is accepted [mrad].
        settings: of the method.
        inputs: files.
        notes: what a reader has to know.
        pictures: files and captions by name.

    Raises:
        ValueError: the motion told nothing.
    """
    told = [
        (n, float(s)) for n, s, t in zip(found.numbers, found.sigma, found.told, strict=True) if t
    ]
    if not told:
        raise ValueError("the motion told none of the numbers: record faster and wider motion")
    return CalibrationRecord(
        what=KIND,
        device=device,
        date=utc_now(),
        method=METHOD,
        settings={**settings, "seconds": found.seconds},
        inputs=tuple(inputs),
        values=quantities(told),
        residuals={
            "held out": make_residuals(
                1e3 * found.held_after, "mrad", limit=limit_mrad, note="of each joint"
            ),
            "fitted": make_residuals(1e3 * found.after, "mrad", note="of each joint"),
        },
        pictures=tuple(make_picture(n, d, words) for n, (d, words) in (pictures or {}).items()),
        notes=(*_notes(found), *notes),
        versions={
            "sim2arm": sim2arm.__version__, "numpy": np.__version__, "scipy": scipy.__version__
        },
    )  # fmt: skip


def _notes(found: Identified) -> list[str]:
    """Return what a reader should know first."""
    more = [
        f"Held-out motion: {1e3 * _mean(found.held_before):.2f} mrad before, "
        f"{1e3 * _mean(found.held_after):.2f} mrad with these numbers (root mean square)."
    ]
    if found.missing:
        names = ", ".join(found.missing)
        more.append(f"Not told by this motion, left as the model has them: {names}.")
    if found.tied:
        pairs = sorted(found.tied, key=lambda p: -abs(p[2]))[:3]
        words = ", ".join(f"{a} and {b} ({c:+.3f})" for a, b, c in pairs)
        more.append(f"Told only together (correlation): {words}.")
    return more


def summary(found: Identified) -> list[str]:
    """Return a line for each number."""
    lines = [
        f"{n.name}: {n.value:.4g} +- {1.96 * s:.2g} {n.unit}"
        for n, s in zip(found.numbers, found.sigma, strict=True)
    ]
    return [*lines, *(f"{name}: not told" for name in found.missing)]


def write_dynamics(
    path: Path,
    found: Identified,
    names: Sequence[str],
    motion: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    record: Callable[[Mapping[str, tuple[bytes, str]]], CalibrationRecord],
) -> CalibrationRecord:
    """Write record, page and pictures.

    Args:
        path: of the record.
        found: of an arm.
        names: of its joints.
        motion: (R,) times [s], (R, n) measured, simulated before and with the numbers [rad].
        record: makes the record with pictures.
    """
    files = {
        f"{path.stem}-joints.png": (
            png(draw_joints(found, names)),
            "How far the simulated arm is from the real one, on motion that was held out: with the "
            "numbers of the model (orange) and with those that were found (blue).",
        ),
        f"{path.stem}-numbers.png": (
            png(draw_numbers(found)),
            "Each number with its 95 % interval, on the scale on which it matters.",
        ),
        f"{path.stem}-motion.png": (
            png(draw_motion(found, names, motion)),
            f"Simulated less measured over {SHOWN:g} s that were held out: before (orange) and "
            "with these numbers (blue).",
        ),
    }
    made = record(files)
    write_record(path, made, {name: data for name, (data, _) in files.items()})
    return made


def draw_joints(found: Identified, names: Sequence[str]) -> Image:
    """Return bars of the differences of each joint (rows, cols, 3)."""
    width, edge, height = 640, 150, 34
    top = 1e3 * float(max(found.held_before.max(), found.held_after.max(), 1e-9))
    picture = canvas(width, height * len(names) + 26)
    for k, name in enumerate(names):
        y = height * k + 8
        text(picture, name[:20], 4, y + 16, size=0.42)
        for shift, value, colour in (
            (0, found.held_before[k], ORANGE), (12, found.held_after[k], BLUE)
        ):  # fmt: skip
            long = 1e3 * value / top * (width - edge - 90)
            for row in range(9):
                line(picture, (edge, y + shift + row), (edge + long, y + shift + row), colour)
            text(picture, f"{1e3 * value:.3g}", edge + long + 5, y + shift + 9, SOFT, 0.36)
    text(picture, "root mean square [mrad]", edge, height * len(names) + 20, SOFT, 0.4)
    return picture


def draw_numbers(found: Identified) -> Image:
    """Return each number with its interval (rows, cols, 3)."""
    width, edge, height = 640, 210, 19
    picture = canvas(width, height * len(found.numbers) + 6)
    for k, (number, sigma, told) in enumerate(
        zip(found.numbers, found.sigma, found.told, strict=True)
    ):
        y = height * k + 12
        colour = BLUE if told else RED
        text(picture, number.name[:28], 4, y + 4, size=0.38)
        half = min(1.96 * float(sigma), 4.0 * number.scale)
        top = max(abs(number.value) + half, number.scale)
        low = min(number.value - half, 0.0)
        span = max(top - low, 1e-12)

        def at(value: float, low: float = low, span: float = span) -> float:
            return edge + (value - low) / span * (width - edge - 145)

        line(picture, (edge, y), (at(top), y), LINE)
        line(picture, (at(number.value - half), y), (at(number.value + half), y), colour, 3)
        dot(picture, (at(number.value), y), 3.5, colour)
        words = f"{number.value:.4g} +- {1.96 * float(sigma):.1g} {number.unit}"
        text(picture, words, width - 128, y + 4, SOFT, 0.33)
    return picture


def draw_motion(
    found: Identified,
    names: Sequence[str],
    motion: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> Image:
    """Return differences over time, a strip per joint (rows, cols, 3)."""
    times, measured, before, after = motion
    held = times > times[0] + found.seconds
    speed = np.abs(np.gradient(measured, times, axis=0)).sum(axis=1) * held
    begin = busiest(times, speed, SHOWN)
    rows = (times >= begin) & (times < begin + SHOWN)
    t = times[rows] - begin
    width, height, edge = 640, 74, 120
    strips: list[Image] = []
    for k, name in enumerate(names):
        strip = canvas(width, height)
        off = [1e3 * (one[rows, k] - measured[rows, k]) for one in (before, after)]
        top = max(float(np.abs(np.concatenate(off)).max()), 1e-9)
        for one, colour in zip(off, (ORANGE, BLUE), strict=True):
            x = edge + t / max(SHOWN, 1e-9) * (width - edge - 8)
            y = height / 2 - one / top * (height / 2 - 8)
            places = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
            for a, b in pairwise(places):
                line(strip, a, b, colour)
        line(strip, (edge, height / 2), (width - 8, height / 2), LINE)
        text(strip, name[:16], 4, height / 2, size=0.4)
        text(strip, f"+-{top:.3g} mrad", 4, height / 2 + 17, SOFT, 0.35)
        line(strip, (0, height - 1), (width, height - 1), LINE)
        strips.append(strip)
    return np.concatenate(strips)


def _mean(values: FloatArray) -> float:
    return math.sqrt(float(np.mean(values**2)))
