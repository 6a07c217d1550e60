"""The record of a delay that motion told, with its pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
)
from sim2arm.core.driver_stage import FloatArray

from .board import Image
from .delay import METHOD, Delay, DelayCfg
from .drawing import BLUE, LINE, RED, SOFT, busiest, canvas, line, png, strip, text
from .latency import latency_record

EARLY_MS = 2.0
"""By how much a reading may seem to arrive before what it shows [ms]."""
SHOWN = 6.0
"""How much of a recording is drawn [s]."""


def make_record(
    found: Delay,
    cfg: DelayCfg,
    *,
    device: str,
    relative: str,
    on_the_way: FloatArray,
    clocks_agree: bool = True,
    inputs: Sequence[InputFile] = (),
    notes: Sequence[str] = (),
    pictures: Mapping[str, tuple[bytes, str]] | None = None,
) -> CalibrationRecord:
    """Return the record: each message's age as it arrives, and the delay alone.

    Args:
        found: the delay of the stamps.
        cfg: what is accepted.
        device: what was measured.
        relative: what the delay is relative to, for a reader.
        on_the_way: (M,) time from the stamp of each message to its arrival [s]; zero where that
            was not recorded.
        clocks_agree: whether stamps and arrivals are of one clock; if not it is not accepted.
        inputs: files.
        notes: what a reader has to know.
        pictures: of the report, file to PNG and caption.

    Raises:
        ValueError: an age is not 0 to below 1 s.
    """
    half = 1e3 * 1.96 * found.sigma
    early = max(0.0, -1e3 * float(np.median(found.delay + on_the_way)))
    record = latency_record(
        np.maximum(found.delay + on_the_way, 0.0),
        device=device,
        method=METHOD,
        settings={"low": cfg.low, "high": cfg.high},
        inputs=inputs,
        notes=(*_notes(found, relative, on_the_way), *notes),
        versions={
            "sim2arm": sim2arm.__version__, "numpy": np.__version__, "scipy": scipy.__version__
        },
        delay=(found.delay, found.sigma),
    )  # fmt: skip
    return replace(
        record,
        residuals={
            "half of the 95 % interval": make_residuals([half], "ms", limit=cfg.limit_ms),
            "clocks that differ": make_residuals([0.0 if clocks_agree else 1.0], "1", limit=0.5),
            "arrival before it happened": make_residuals([early], "ms", limit=EARLY_MS),
            "left": make_residuals(
                np.linalg.norm(found.seen - found.expected, axis=1)[~found.wrong], "1",
                note="what is seen less what motion explains, in its own unit",
            ),
        },
        pictures=tuple(make_picture(n, d, words) for n, (d, words) in (pictures or {}).items()),
    )  # fmt: skip


def _notes(found: Delay, relative: str, on_the_way: FloatArray) -> list[str]:
    """Return what a reader should know first."""
    half = 1e3 * 1.96 * found.sigma
    return [
        f"Stamps lie {1e3 * found.delay:.2f} +- {half:.2f} ms (95 %) behind {relative}; messages "
        f"take {1e3 * np.median(on_the_way):.2f} ms more to arrive (median; at most "
        f"{1e3 * np.max(on_the_way):.2f}).",
        f"Motion explains {100 * found.explained:.1f} % of what is seen; "
        f"{100 * np.mean(found.wrong):.1f} % of the readings do not fit the others and hardly "
        "count.",
    ]


def write_delay(
    path: Path,
    found: Delay,
    record: Callable[[Mapping[str, tuple[bytes, str]]], CalibrationRecord],
) -> CalibrationRecord:
    """Write record, page and pictures."""
    files = {
        f"{path.stem}-delays.png": (
            png(draw_curve(found)),
            "Share of what is seen that is left unexplained, by delay: one deep valley tells it.",
        ),
        f"{path.stem}-motion.png": (
            png(draw_motion(found)),
            f"The {SHOWN:g} s with the most motion: what was seen (blue dots), and what "
            "motion explains, moved by the delay (orange).",
        ),
    }
    made = record(files)
    write_record(path, made, {name: data for name, (data, _) in files.items()})
    return made


def draw_curve(found: Delay) -> Image:
    """Return what is left by delay (rows, cols, 3)."""
    width, height, edge = 640, 220, 40
    picture = canvas(width, height)
    low, high = float(found.tried[0]), float(found.tried[-1])

    def at(delay: float, left: float) -> tuple[float, float]:
        x = edge + (delay - low) / (high - low) * (width - 2 * edge)
        return x, height - edge - min(left, 1.2) / 1.2 * (height - 2 * edge)

    for share in (0.0, 0.5, 1.0):
        line(picture, at(low, share), at(high, share), LINE)
        text(picture, f"{100 * share:.0f} %", 2, at(low, share)[1] + 4, SOFT, 0.38)
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / s <= 10)
    for delay in np.arange(np.ceil(low / step) * step, high + 1e-9, step):
        x, y = at(float(delay), 0.0)
        line(picture, (x, y), (x, y + 5), SOFT)
        text(picture, f"{1e3 * delay + 0.0:.0f}", x - 10, y + 18, SOFT, 0.38)
    text(picture, "delay [ms]", width / 2 - 30, height - 5, SOFT, 0.4)
    places = [at(float(a), float(b)) for a, b in zip(found.tried, found.left, strict=True)]
    for a, b in pairwise(places):
        line(picture, a, b, BLUE, 2)
    line(picture, at(found.delay, 0.0), at(found.delay, 1.2), RED)
    half = 1.96e3 * found.sigma
    text(picture, f"{1e3 * found.delay:.2f} +- {half:.2f} ms", at(found.delay, 0)[0] + 6, 22, RED)
    return picture


def draw_motion(found: Delay) -> Image:
    """Return what was seen beside what was expected, a strip per number (rows, cols, 3)."""
    width, height, edge = 640, 110, 40
    times = found.stamps
    size = np.linalg.norm(found.seen - found.seen.mean(axis=0), axis=1)
    begin = busiest(times, size, SHOWN)
    rows = (times >= begin) & (times < begin + SHOWN)
    strips = [
        strip(
            times[rows] - begin,
            found.seen[rows, k],
            found.expected[rows, k],
            SHOWN,
            width,
            height,
            edge,
        )
        for k in range(found.seen.shape[1])
    ]
    return np.concatenate(strips)
