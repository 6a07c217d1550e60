"""The record of how far simulated pictures are from recorded ones, and its pictures."""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

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
from .drawing import GREEN, canvas, png, text
from .gap_report import KIND, bars

METHOD = (
    "The simulated arm put where it was when each picture was taken, and looked at; what explains "
    "the difference by linear regression on how pictures change, looked at again with the numbers "
    "found for delay, aim, place and focal length"
)
WORDS = {
    "brightness": "brightness", "colour": "brightness of each colour", "delay": "a delay",
    "dents": "how deep dents look", "aim": "where the camera looks", "place": "where the camera is",
    "focal": "its focal length", "still": "what is the same in all",
}  # fmt: skip
"""What is called how to a reader."""
NEXT = {
    "brightness": "set exposure and light alike, or train with ColourNoise and Light",
    "colour": "set the white balance, or train with ColourNoise",
    "delay": "sim2arm calibrate latency",
    "dents": "sim2arm calibrate tactile, sim2arm calibrate gel",
    "aim": "sim2arm calibrate hand-eye",
    "place": "sim2arm calibrate hand-eye",
    "focal": "sim2arm calibrate intrinsics",
    "still": "put what stands around, and its colours, into the scene",
}
"""What to do about each."""
SAME = 0.05
"""Difference below which pictures are the same [grey levels]."""
LOUDER = 4
"""By which differences are shown larger."""
_WIDE = 200  # of a picture in the report [pixels]


class Found(Protocol):
    """What is reported of a camera or gel (`sim.picture_gap.PictureGap`)."""

    @property
    def name(self) -> str:
        """Of the array."""
        ...

    @property
    def difference(self) -> float:
        """Root mean square [grey levels]."""
        ...

    @property
    def contrast(self) -> float:
        """Standard deviation of the recorded ones [grey levels]."""
        ...

    @property
    def shares(self) -> Mapping[str, float]:
        """Of the mean square, by what alone explains it."""
        ...

    @property
    def numbers(self) -> Mapping[str, FloatArray]:
        """By how much each is off, recorded against simulated."""
        ...

    @property
    def examples(self) -> Sequence[tuple[Image, Image]]:
        """Recorded and simulated pictures (H, W, 3)."""
        ...

    @property
    def moments(self) -> int:
        """How many pictures were compared."""
        ...


UNITS = {"brightness": "1 grey", "delay": "s", "dents": "1", "aim": "rad", "place": "m",
         "focal": "1"}  # fmt: skip


ELEMENTS = {"brightness": ("factor", "added"), "aim": ("x", "y", "z"), "place": ("x", "y", "z")}


def make_record(
    found: Sequence[Found],
    *,
    device: str,
    limit_grey: float,
    inputs: Sequence[InputFile] = (),
    notes: Sequence[str] = (),
    pictures: Mapping[str, tuple[bytes, str]] | None = None,
) -> CalibrationRecord:
    """Return the record.

    Args:
        found: of each camera and gel, one or more.
        device: the arm.
        limit_grey: root mean square up to which a difference counts as small [grey levels].
        inputs: files.
        notes: what a reader has to know.
        pictures: files and captions by name.
    """
    values = {
        "difference": make_quantity(
            [one.difference for one in found], "grey", element_names=[one.name for one in found],
            note="root mean square, recorded less simulated, blurred alike",
        )
    }  # fmt: skip
    for one in found:
        kinds = [kind for kind, _ in ranked(one)]
        values[f"{one.name}_explained"] = make_quantity(
            [one.shares[k] for k in kinds], "1", element_names=kinds,
            note="share of the mean square that each alone explains",
        )  # fmt: skip
        for kind, number in one.numbers.items():
            values[f"{one.name}_{kind}"] = make_quantity(
                number, UNITS[kind], element_names=ELEMENTS.get(kind, ()),
                note="recorded against simulated, if it were that alone",
            )  # fmt: skip
    return CalibrationRecord(
        what=KIND,
        device=device,
        date=utc_now(),
        method=METHOD,
        settings={"moments": float(max(one.moments for one in found))},
        inputs=tuple(inputs),
        values=values,
        residuals={
            one.name: make_residuals([one.difference], "grey", limit=limit_grey) for one in found
        },
        pictures=tuple(make_picture(n, d, words) for n, (d, words) in (pictures or {}).items()),
        notes=(*(line for one in found for line in summary(one)), *notes),
        versions={"sim2arm": sim2arm.__version__, "numpy": np.__version__},
    )


def ranked(found: Found) -> list[tuple[str, float]]:
    """Return what explains the difference, most first."""
    return sorted(found.shares.items(), key=lambda item: -item[1])


def summary(found: Found) -> list[str]:
    """Return what a reader should know first of a camera or gel."""
    if found.difference < SAME:
        return [f"{found.name}: the same, in {found.moments} pictures."]
    best = [(kind, share) for kind, share in ranked(found) if share > 0.05][:3]
    words = ", ".join(
        f"{WORDS[kind]} {100 * share:.0f} %{_how_much(kind, found)}" for kind, share in best
    )
    return [
        f"{found.name}: {found.difference:.2f} grey levels apart (root mean square over "
        f"{found.moments} pictures; pixels differ from their mean by {found.contrast:.1f}).",
        f"{found.name}: what alone explains most of it: {words}."
        if best
        else f"{found.name}: nothing alone explains more than 5 %: look at the pictures. It may be "
        "what is not modelled, or differ from episode to episode.",
    ]


def advice(found: Found) -> str:
    """Return what to do about what explains most."""
    return NEXT[ranked(found)[0][0]]


def _how_much(kind: str, found: Found) -> str:
    """Return in words by how much something is off."""
    if kind not in found.numbers:
        return ""
    number = found.numbers[kind]
    size = float(np.linalg.norm(number))
    words = {
        "aim": lambda: f"{math.degrees(size):.2f} deg",
        "place": lambda: f"{1e3 * size:.1f} mm",
        "delay": lambda: f"{1e3 * number[0]:.0f} ms",
        "brightness": lambda: f"x {number[0]:.2f} {number[1]:+.0f}",
    }
    return f" ({words[kind]() if kind in words else f'x {number[0]:.3f}'})"


def write_picture_gap(
    path: Path,
    found: Sequence[Found],
    record: Callable[[Mapping[str, tuple[bytes, str]]], CalibrationRecord],
) -> CalibrationRecord:
    """Write record, page and pictures."""
    files: dict[str, tuple[bytes, str]] = {}
    for one in found:
        files[f"{path.stem}-{one.name}.png"] = (
            png(draw_examples(one)),
            f"{one.name}: recorded, simulated, and recorded less simulated, {LOUDER} times as "
            "large, about grey.",
        )
        files[f"{path.stem}-{one.name}-explained.png"] = (
            png(draw_shares(one)),
            f"{one.name}: which share of the mean square each alone explains; shares overlap.",
        )
    made = record(files)
    write_record(path, made, {name: data for name, (data, _) in files.items()})
    return made


def draw_examples(found: Found) -> Image:
    """Return rows of recorded, simulated and different (rows, cols, 3)."""
    rows: list[Image] = []
    for recorded, simulated in found.examples:
        off = recorded.astype(np.float64) - simulated
        shown = (128.0 + LOUDER * off).clip(0, 255).astype(np.uint8)
        height = round(recorded.shape[0] * _WIDE / recorded.shape[1])
        row = canvas(3 * (_WIDE + 8), height + 8)
        for k, picture in enumerate((recorded, simulated, shown)):
            large = cv2.resize(picture, (_WIDE, height), interpolation=cv2.INTER_NEAREST)
            row[4 : 4 + height, 4 + k * (_WIDE + 8) :][:, :_WIDE] = large
        rows.append(row)
    head = canvas(rows[0].shape[1], 20)
    for k, words in enumerate(("recorded", "simulated", f"difference x {LOUDER}")):
        text(head, words, 6 + k * (_WIDE + 8), 15, size=0.42)
    return np.concatenate([head, *rows])


def draw_shares(found: Found) -> Image:
    """Return a bar for each of what may be wrong (rows, cols, 3)."""
    rows = [(WORDS[kind], [(100 * max(share, 0.0), GREEN)]) for kind, share in ranked(found)]
    return bars(rows, "%", top=100.0)
