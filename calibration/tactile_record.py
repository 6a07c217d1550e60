"""The record of a tactile calibration: coverage, errors, and what it could not see."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import scipy

import sim2arm
from sim2arm.core.calibration_record import (
    CalibrationRecord,
    InputFile,
    Picture,
    make_quantity,
    make_residuals,
)

from .tactile import ENOUGH, METHOD, RINGS, BallPressCfg, TactileCalibration

KIND = "tactile"
"""`what` of the record."""


def make_record(
    found: TactileCalibration,
    cfg: BallPressCfg,
    *,
    inputs: Sequence[InputFile] = (),
    pictures: Sequence[Picture] = (),
    notes: Sequence[str] = (),
) -> CalibrationRecord:
    """Return the record of a calibration, with what it could not see as notes."""
    names = tuple(f"|n| {k / RINGS:.1f} to {(k + 1) / RINGS:.1f}" for k in range(RINGS))
    longest = float(np.linalg.norm(found.samples.n, axis=-1).max())
    steepest = longest / math.sqrt(1.0 - longest**2)
    values = {
        "slopes": make_quantity(
            found.slope_coverage,
            "1",
            element_names=names,
            note=f"share of the nodes in a ring of the normal that {ENOUGH} presses touched",
        ),
        "steepest": make_quantity(
            steepest, "1", note="slope that was seen; beyond it the table repeats its rim"
        ),
        "presses": make_quantity(len(found.names), "1", note=f"of {_given(found)} pictures"),
        "background": make_quantity(
            found.background.mean(axis=(0, 1)), "level", element_names=("red", "green", "blue")
        ),
        "picture": make_quantity(
            found.picture_coverage, "press", note="per ninth of the picture, as it is seen"
        ),
    }
    residuals = {
        "held-out press": make_residuals(
            found.press_errors,
            "level",
            limit=cfg.limit,
            note="mean error under a contact, by a table of other presses; middles are common",
        ),
        "brightness elsewhere": make_residuals(
            found.drift,
            "level",
            limit=cfg.drift_limit,
            note="change far from the contact: automatic exposure, ambient light",
        ),
    }
    return CalibrationRecord(
        what=KIND,
        device=cfg.sensor,
        date=found.table.date,
        method=METHOD,
        settings={
            "ball_radius": cfg.ball_radius,
            "width": cfg.size[0],
            "height": cfg.size[1],
            "nodes": float(cfg.nodes),
            "margin_px": cfg.margin_px,
            "smoothness": cfg.smoothness,
            "folds": float(cfg.folds),
        },
        inputs=tuple(inputs),
        values=values,
        residuals=residuals,
        pictures=tuple(pictures),
        notes=(*_notes(found, longest), *notes),
        versions={
            "sim2arm": sim2arm.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "opencv": cv2.__version__,
        },
    )


def _given(found: TactileCalibration) -> int:
    return len(found.names) + len(found.refused)


def _notes(found: TactileCalibration, longest: float) -> list[str]:
    notes: list[str] = []
    inner = found.slope_coverage[: max(1, int(RINGS * longest))]  # rings that were reached
    empty = [k for k, share in enumerate(inner) if share < 0.5]
    if empty:
        rings = ", ".join(f"{k / RINGS:.1f}" for k in empty)
        notes.append(
            f"Fewer than half of the slopes with |n| from {rings} on (rings of 0.1) were touched "
            f"by {ENOUGH} presses: press deeper or more often."
        )
    places = ("upper left", "upper middle", "upper right", "left", "middle", "right",
              "lower left", "lower middle", "lower right")  # fmt: skip
    bare = [n for n, c in zip(places, found.picture_coverage.ravel(), strict=True) if c < 1.0]
    if bare:
        notes.append(
            f"Less than one press lies in: {', '.join(bare)}. Colours there are extrapolated."
        )
    if found.refused:
        lines = "; ".join(f"{name}: {why}" for name, why in found.refused.items())
        notes.append(f"Not used: {lines}.")
    return notes
