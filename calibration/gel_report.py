"""The record of a gel that was pressed, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

from .board import Image
from .drawing import BLUE, LINE, ORANGE, SOFT, busiest, canvas, dot, line, png, strip, text
from .gel_file import KIND, quantities
from .gel_press import METHOD, GelFound, GelPressCfg, Indenter, Pressing, Told

SHOWN = 6.0
"""How much of a recording is drawn [s]."""
_DRAWN = 3000  # points


def make_record(
    found: GelFound,
    indenter: Indenter,
    cfg: GelPressCfg,
    *,
    device: str,
    how: str = "",
    inputs: Sequence[InputFile] = (),
    pictures: Mapping[str, tuple[bytes, str]] | None = None,
) -> CalibrationRecord:
    """Return the record: the numbers that were told, and how well they explain the forces.

    Args:
        found: of a gel.
        indenter: what was pressed.
        cfg: what is accepted.
        device: what was measured.
        how: it was recorded, for a reader.
        inputs: files.
        pictures: files and captions by name.
    """
    halves = {"stiffness": found.stiffness, "friction": found.friction}
    share = {n: t.half / abs(t.value) for n, t in halves.items() if t is not None}
    return CalibrationRecord(
        what=KIND,
        device=device,
        date=utc_now(),
        method=METHOD,
        settings={"area": indenter.area, "radius": indenter.radius, "run_in": cfg.run_in,
                  "slip_speed": cfg.slip_speed, "smooth_s": cfg.smooth_s},
        inputs=tuple(inputs),
        values=quantities(found),
        residuals={
            **{
                f"half of the interval of the {name}": make_residuals(
                    [100.0 * part], "%", limit=100.0 * cfg.limit
                )
                for name, part in share.items()
            },
            "held out": make_residuals(
                [found.held_out], "N", note="force of the last quarter of the presses"
            ),
        },
        pictures=tuple(make_picture(n, d, words) for n, (d, words) in (pictures or {}).items()),
        notes=(*notes(found), *filter(None, (how,))),
        versions={
            "sim2arm": sim2arm.__version__, "numpy": np.__version__, "scipy": scipy.__version__
        },
    )  # fmt: skip


def notes(found: GelFound) -> list[str]:
    """Return what a reader should know first."""
    k, c = found.stiffness, found.damping
    lines = [
        f"Stiffness {_words(k, 1e-6)} N/cm^3, from {found.presses} presses of up to "
        f"{1e3 * found.deepest:.2f} mm and {found.strongest:.1f} N; depth explains "
        f"{100 * found.explained:.1f} % of the force.",
    ]
    if c.half < abs(c.value):
        lines.append(
            f"Damping {_words(c, 1e-6)} N s/cm^3. A force that is stamped a millisecond late or "
            f"early changes it by {1e-9 * k.value:.3g}: training does not use it, its damping goes "
            "with the stiffness."
        )
    else:
        lines.append("Damping was not told: press at more different speeds.")
    if found.friction is None:
        lines.append(
            f"Friction was not told: {found.slides} presses had a slide, expected 3 or more."
        )
    else:
        lines.append(
            f"Friction {_words(found.friction, 1.0)}, from slides in {found.slides} presses."
        )
    lines.append(
        f"{100 * np.mean(found.wrong):.1f} % of the forces do not fit the others and do not count."
    )
    return lines


def _words(told: Told, scale: float) -> str:
    return f"{scale * told.value:.4g} +- {scale * told.half:.2g} (95 %)"


def write_gel(
    path: Path,
    press: Pressing,
    found: GelFound,
    indenter: Indenter,
    cfg: GelPressCfg,
    *,
    device: str,
    how: str = "",
    inputs: Sequence[InputFile],
) -> CalibrationRecord:
    """Write record, page and pictures."""
    files = {
        f"{path.stem}-force.png": (
            png(draw_law(press, found)),
            "Force over depth: what was measured (blue), and what the numbers explain (orange).",
        ),
        f"{path.stem}-time.png": (
            png(draw_time(press, found)),
            f"The {SHOWN:g} s with the most force: measured (blue dots), explained (orange).",
        ),
    }
    record = make_record(found, indenter, cfg, device=device, how=how, inputs=inputs,
                         pictures=files)  # fmt: skip
    write_record(path, record, {name: data for name, (data, _) in files.items()})
    return record


def draw_law(press: Pressing, found: GelFound) -> Image:
    """Return force over depth (rows, cols, 3)."""
    width, height, edge = 640, 320, 46
    picture, deep = canvas(width, height), 1e3 * found.deep
    force, told = press.force - found.bias, found.expected - found.bias
    rows = np.flatnonzero((deep > -0.2) & ~found.wrong)
    rows = rows[:: max(1, len(rows) // _DRAWN)]
    low, high = -0.2, float(deep.max()) * 1.05
    most = max(float(force[rows].max()), float(told.max())) * 1.05
    least = min(0.0, float(force[rows].min()))

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            edge + (x - low) / (high - low) * (width - 2 * edge),
            height - edge - (y - least) / (most - least) * (height - 2 * edge),
        )

    gap = next(s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 1e3) if (most - least) / s <= 7)
    for value in np.arange(0.0, most, gap):
        line(picture, at(low, value), at(high, value), LINE)
        text(picture, f"{value:.3g}", 4, at(low, value)[1] + 4, SOFT, 0.38)
    step = next(s for s in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if (high - low) / s <= 12)
    for value in np.arange(np.ceil(low / step) * step, high, step):
        x, y = at(float(value), least)
        line(picture, (x, y), (x, y + 5), SOFT)
        text(picture, f"{value + 0.0:.2g}", x - 8, y + 18, SOFT, 0.38)
    text(picture, "depth [mm]", width / 2 - 30, height - 6, SOFT, 0.42)
    text(picture, "force [N]", 4, 16, SOFT, 0.42)
    for values, size, colour in ((told, 2.2, ORANGE), (force, 1.0, BLUE)):
        for i in rows:
            dot(picture, at(float(deep[i]), float(values[i])), size, colour)
    return picture


def draw_time(press: Pressing, found: GelFound) -> Image:
    """Return force over time where it is greatest (rows, cols, 3)."""
    begin = busiest(press.times, press.force - found.bias, SHOWN)
    rows = (press.times >= begin) & (press.times < begin + SHOWN)
    force, told = press.force - found.bias, found.expected - found.bias
    return strip(press.times[rows] - begin, force[rows], told[rows], SHOWN, 640, 200, 46)
