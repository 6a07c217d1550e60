"""The record of how far a simulated arm is from the real one, and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from .drawing import BLUE, GREEN, ORANGE, SOFT, canvas, line, png, text

KIND = "gap"
"""`what` of the record."""
METHOD = (
    "The recording on the simulated arm: from its start to its end (open loop), and restarted "
    "where the arm was measured every half second; what explains it by linear regression on the "
    "numbers of the arm"
)
WORDS = {
    "coulomb": "dry friction", "viscous": "viscous friction", "armature": "inertia of the rotors",
    "kp": "stiffness of the law", "kd": "damping of the law", "payload": "a payload",
    "delay": "a delay",
}  # fmt: skip
"""What kinds of numbers are called to a reader."""


@dataclass(frozen=True, kw_only=True, eq=False)
class JointGap:
    """What is reported of n joints."""

    names: tuple[str, ...]
    open_loop: FloatArray
    """(n,) root mean square [rad]."""
    restarted: FloatArray
    """(n,) root mean square [rad]."""
    moves: FloatArray
    """(n,) standard deviation of the joints themselves [rad]."""
    shares: Mapping[str, float]
    """By kind of number: which share of the mean square it alone may explain."""
    delay: tuple[float, float] | None
    """By which the measured joints are later than the simulated, and one standard deviation [s]."""

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Kinds of numbers, those that explain most first."""
        return sorted(self.shares.items(), key=lambda item: -item[1])


def make_record(
    found: JointGap,
    *,
    device: str,
    limit_mrad: float,
    seconds: float,
    inputs: Sequence[InputFile] = (),
    notes: Sequence[str] = (),
    pictures: Mapping[str, tuple[bytes, str]] | None = None,
) -> CalibrationRecord:
    """Return the record.

    Args:
        found: of an arm.
        device: its name.
        limit_mrad: root mean square of the open loop up to which it counts as small [mrad].
        seconds: of the recording.
        inputs: files.
        notes: what a reader has to know.
        pictures: files and captions by name.
    """
    kinds = [kind for kind, _ in found.ranked]
    values = {
        "open_loop": make_quantity(found.open_loop, "rad", element_names=found.names,
                                   note="root mean square, simulated less measured"),
        "restarted": make_quantity(found.restarted, "rad", element_names=found.names,
                                   note="the same, restarted every half second"),
        "explained": make_quantity([found.shares[k] for k in kinds], "1", element_names=kinds,
                                   note="share of the mean square that each alone may explain"),
    }  # fmt: skip
    if found.delay is not None:
        values["delay"] = make_quantity(
            found.delay[0], "s", uncertainty=[found.delay[1]], note="measured behind simulated"
        )
    return CalibrationRecord(
        what=KIND,
        device=device,
        date=utc_now(),
        method=METHOD,
        settings={"seconds": seconds},
        inputs=tuple(inputs),
        values=values,
        residuals={
            "open loop": make_residuals(
                1e3 * found.open_loop, "mrad", limit=limit_mrad, note="of each joint"
            )
        },
        pictures=tuple(make_picture(n, d, words) for n, (d, words) in (pictures or {}).items()),
        notes=(*summary(found), *notes),
        versions={
            "sim2arm": sim2arm.__version__, "numpy": np.__version__, "scipy": scipy.__version__
        },
    )  # fmt: skip


def summary(found: JointGap) -> list[str]:
    """Return what a reader should know first."""
    best = [(WORDS.get(kind, kind), share) for kind, share in found.ranked if share > 0.05][:3]
    words = ", ".join(f"{name} {100 * share:.0f} %" for name, share in best)
    worst = int(np.argmax(found.open_loop))
    lines = [
        f"Open loop {1e3 * _mean(found.open_loop):.2f} mrad, restarted every half second "
        f"{1e3 * _mean(found.restarted):.2f} mrad (root mean square over joints); the worst is "
        f"{found.names[worst]}, {1e3 * found.open_loop[worst]:.2f} mrad of "
        f"{1e3 * found.moves[worst]:.0f} that it moves.",
        f"What alone would explain most of it: {words}."
        if best
        else "None of the numbers of the arm explains it: the rest is noise, or not in the model.",
    ]
    if found.delay is not None:
        delay, sigma = found.delay
        lines.append(
            f"The arm is {1e3 * delay:.1f} +- {1.96e3 * sigma:.1f} ms (95 %) behind the simulated."
        )
    return lines


def write_gap(
    path: Path,
    found: JointGap,
    record: Callable[[Mapping[str, tuple[bytes, str]]], CalibrationRecord],
) -> CalibrationRecord:
    """Write record, page and pictures."""
    files = {
        f"{path.stem}-joints.png": (
            png(draw_joints(found)),
            "Root mean square of simulated less measured: from start to end (orange), and "
            "restarted every half second (blue).",
        ),
        f"{path.stem}-explained.png": (
            png(draw_shares(found)),
            "Which share of the open loop's mean square each kind of number alone may explain; "
            "shares overlap.",
        ),
    }
    made = record(files)
    write_record(path, made, {name: data for name, (data, _) in files.items()})
    return made


def draw_joints(found: JointGap) -> Image:
    """Return bars of each joint (rows, cols, 3)."""
    rows = [
        (name, [(1e3 * float(a), ORANGE), (1e3 * float(b), BLUE)])
        for name, a, b in zip(found.names, found.open_loop, found.restarted, strict=True)
    ]
    return bars(rows, "mrad")


def draw_shares(found: JointGap) -> Image:
    """Return a bar for each kind of number (rows, cols, 3)."""
    rows = [(WORDS.get(kind, kind), [(100 * share, GREEN)]) for kind, share in found.ranked]
    return bars(rows, "%", top=100.0)


def bars(
    rows: Sequence[tuple[str, Sequence[tuple[float, tuple[int, int, int]]]]],
    unit: str,
    top: float = 0.0,
) -> Image:
    """Return bars by name (rows, cols, 3), of the length of `top`, or the longest, at most."""
    width, edge = 640, 190
    height = 14 * max(len(each) for _, each in rows) + 10
    most = top or max(max(value for value, _ in each) for _, each in rows) or 1.0
    picture = canvas(width, height * len(rows) + 8)
    for k, (name, each) in enumerate(rows):
        y = height * k + 6
        text(picture, name[:26], 4, y + height / 2, size=0.42)
        for place, (value, colour) in enumerate(each):
            long = value / most * (width - edge - 100)
            for row in range(10):
                at = y + 14 * place + row
                line(picture, (edge, at), (edge + long, at), colour)
            text(picture, f"{value:.3g} {unit}", edge + long + 6, y + 14 * place + 10, SOFT, 0.38)
    return picture


def _mean(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))
