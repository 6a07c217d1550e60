"""The record of offsets between a leader and its follower, and its picture."""

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
    make_quantity,
    make_residuals,
    utc_now,
)
from sim2arm.core.driver_stage import FloatArray

from .board import Image
from .drawing import BLUE, LINE, ORANGE, RED, SOFT, canvas, line, png, text
from .joint_drift import METHOD, DriftCfg, JointDrift

KIND = "joint-drift"
"""`what` of the record."""


def make_record(
    found: JointDrift,
    cfg: DriftCfg,
    *,
    device: str,
    inputs: Sequence[InputFile] = (),
    pictures: Mapping[str, tuple[bytes, str]] | None = None,
) -> CalibrationRecord:
    """Return the record; its offsets are judged against the alarm, all at once by the greatest."""
    names = found.names
    return CalibrationRecord(
        what=KIND,
        device=device,
        date=utc_now(),
        method=METHOD,
        settings={"alarm_deg": cfg.alarm_deg, "seconds": found.seconds},
        inputs=tuple(inputs),
        values={
            "offsets": make_quantity(
                found.offsets, "rad", uncertainty=found.sigma, note="follower less leader",
                element_names=names,
            ),
            "lag": make_quantity(
                found.lag, "rad", note="of the follower, against its motion: friction",
                element_names=names,
            ),
            "change": make_quantity(
                found.drift, "rad", uncertainty=found.drift_sigma,
                note="offset of the second half less that of the first", element_names=names,
            ),
            "delay": make_quantity(found.delay, "s", note="of the follower"),
        },
        residuals={
            "greatest offset that chance does not explain": make_residuals(
                [found.greatest_deg], "deg", limit=cfg.alarm_deg, note="or change of one"
            ),
            "left": make_residuals(found.residuals, "rad", note="of each joint, root mean square"),
        },
        pictures=tuple(make_picture(n, d, words) for n, (d, words) in (pictures or {}).items()),
        notes=(*(f"Alarm: {alarm}." for alarm in found.alarms), _offsets(found), *found.notes),
        versions={
            "sim2arm": sim2arm.__version__, "numpy": np.__version__, "scipy": scipy.__version__
        },
    )  # fmt: skip


def _offsets(found: JointDrift) -> str:
    parts = [
        f"{name} {math.degrees(o):+.2f} +- {math.degrees(1.96 * s):.2f}"
        for name, o, s in zip(found.names, found.offsets, found.sigma, strict=True)
    ]
    return f"Offsets of the follower [deg, 95 %]: {', '.join(parts)}."


def write_drift(
    path: Path,
    found: JointDrift,
    recording: tuple[FloatArray, FloatArray, FloatArray],
    record: Callable[[Mapping[str, tuple[bytes, str]]], CalibrationRecord],
) -> CalibrationRecord:
    """Write record, page and picture; the recording is stamps, leader and follower."""
    name = f"{path.stem}-difference.png"
    words = (
        "Follower less leader of each joint, the delay taken out (blue), its offset (orange) and "
        "the limits of the alarm (red)."
    )
    limit = record({}).settings["alarm_deg"]
    files = {name: (png(draw(found, recording, limit)), words)}
    made = record(files)
    write_record(path, made, {n: data for n, (data, _) in files.items()})
    return made


def draw(
    found: JointDrift, recording: tuple[FloatArray, FloatArray, FloatArray], alarm_deg: float
) -> Image:
    """Return the differences over time, a strip per joint (rows, cols, 3)."""
    stamps, leader, follower = recording
    width, height, left = 700, 84, 150
    strips: list[Image] = []
    times = stamps - stamps[0]
    for k, name in enumerate(found.names):
        late = np.interp(stamps - found.delay, stamps, leader[:, k])
        off = np.degrees(follower[:, k] - late)
        offset = math.degrees(float(found.offsets[k]))
        top = max(1.5 * alarm_deg, 1.3 * abs(offset), float(np.quantile(np.abs(off), 0.99)))
        strip = canvas(width, height)
        middle, scale = 0.5 * height, 0.42 * height / top

        def at(degrees: float, middle: float = middle, scale: float = scale) -> float:
            return float(np.clip(middle - scale * degrees, 2, height - 3))

        for level, colour in ((0.0, LINE), (alarm_deg, RED), (-alarm_deg, RED)):
            line(strip, (left, at(level)), (width, at(level)), colour)
        x = left + times / times[-1] * (width - left - 1)
        step = max(1, len(x) // 1200)
        places = [(float(a), at(float(b))) for a, b in zip(x[::step], off[::step], strict=True)]
        for a, b in pairwise(places):
            line(strip, a, b, BLUE)
        line(strip, (left, at(offset)), (width, at(offset)), ORANGE, 2)
        text(strip, name[:20], 4, 0.4 * height)
        text(strip, f"{offset:+.2f} deg", 4, 0.4 * height + 18, SOFT)
        text(strip, f"+-{top:.2g}", left - 42, 14, SOFT, 0.35)
        strips.append(strip)
    return np.concatenate(strips)
