"""Intrinsics of cameras whose lens is known, beside `cv2.calibrateCamera` on the same corners."""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from _calibration_rigs import BOARD, SIZE, look, make_lens, make_views
from _calibration_rows import error_rows, every, interval_rows, share_row

from sim2arm.calibration.board_views import BoardView
from sim2arm.calibration.intrinsics import IntrinsicsCfg, calibrate_intrinsics
from sim2arm.calibration.lens import Lens
from sim2arm.cli.table import Row
from sim2arm.core.driver_stage import FloatArray

VIEWS = 40
WRONG = 0.2
"""Share of views that are wrong in contaminated cases."""
Model = Literal["pinhole", "rational", "fisheye"]


@dataclass(frozen=True, eq=False)
class _Found:
    truth: FloatArray
    """(4,) fx fy cx cy."""
    ours: FloatArray
    sigma: FloatArray
    opencv: FloatArray
    flagged: bool
    """Whether the wrong views, and no others, were named."""


def intrinsics(seeds: int) -> list[Row]:
    """Return the rows of lenses."""
    rows: list[Row] = []
    models: tuple[Model, ...] = ("pinhole", "rational", "fisheye")
    for model in models:
        case = f"intrinsics, {model}, {VIEWS} views"
        found = every(case, seeds, lambda rng, m=model: _measure(m, rng, wrong=False))
        rows += _rows(case, found)
    case = f"intrinsics, pinhole, {VIEWS} views, {100 * WRONG:.0f} % wrong"
    found = every(case, seeds, lambda rng: _measure("pinhole", rng, wrong=True))
    rows += _rows(case, found)
    rows.append(share_row(case, "wrong views named, and no others", [f.flagged for f in found]))
    case = "intrinsics, the board always parallel to the picture"
    refused = every(case, seeds, _refuses_parallel)
    rows.append(share_row(case, "refused, with the reason", refused))
    return rows


def _rows(case: str, found: list[_Found]) -> list[Row]:
    truth, ours, opencv = (np.stack([getattr(f, n) for f in found]) for n in
                           ("truth", "ours", "opencv"))  # fmt: skip
    sigma = np.stack([f.sigma for f in found])
    others = {"OpenCV": 100.0 * np.abs(opencv - truth)[:, :2].max(axis=1) / truth[:, 0]}
    focal = 100.0 * np.abs(ours - truth)[:, :2].max(axis=1) / truth[:, 0]
    axis = np.linalg.norm((ours - truth)[:, 2:], axis=1)
    return [
        *error_rows(case, "error of the focal length", "%", focal, others),
        *error_rows(case, "error of the optical axis", "px", axis,
                    {"OpenCV": np.linalg.norm((opencv - truth)[:, 2:], axis=1)}),
        *interval_rows(case, "fx fy cx cy", ours - truth, sigma),
    ]  # fmt: skip


def _measure(model: Model, rng: np.random.Generator, *, wrong: bool) -> _Found:
    lens = make_lens(model, rng)
    views = make_views(lens, VIEWS, rng)
    bad: set[str] = set()
    if wrong:
        for k in rng.choice(VIEWS, round(WRONG * VIEWS), replace=False):
            views[k] = spoil(views[k], rng)
            bad.add(views[k].name)
    found = calibrate_intrinsics(views, SIZE, IntrinsicsCfg(model=model))
    return _Found(
        truth=lens.numbers[:4],
        ours=found.lens.numbers[:4],
        sigma=found.sigma[:4],
        opencv=_opencv(model, views),
        flagged={found.names[k] for k in found.wrong} == bad,
    )


def spoil(view: BoardView, rng: np.random.Generator) -> BoardView:
    """Return a view that is wrong: moved while it was exposed row by row, blurred, or bent."""
    pixels = view.pixels.copy()
    kind = rng.integers(3)
    middle = pixels.mean(axis=0)
    if kind == 0:
        pixels[:, 0] += 6.0 * np.sin((pixels[:, 1] - middle[1]) / 60.0)
    elif kind == 1:
        pixels += rng.normal(0.0, 3.0, pixels.shape)
    else:
        pixels[:, 1] += 5.0 * ((pixels[:, 0] - middle[0]) / 120.0) ** 2
    return replace(view, pixels=pixels)


def _opencv(model: Model, views: list[BoardView]) -> FloatArray:
    """Return fx fy cx cy as OpenCV finds them."""
    points = [np.ascontiguousarray(v.points, dtype=np.float32) for v in views]
    pixels = [np.ascontiguousarray(v.pixels, dtype=np.float32) for v in views]
    K = np.eye(3)
    try:
        if model == "fisheye":
            known: Any = cv2.fisheye if hasattr(cv2.fisheye, "CALIB_FIX_SKEW") else cv2
            flags = known.CALIB_RECOMPUTE_EXTRINSIC + known.CALIB_FIX_SKEW
            flat = [v.points[None].astype(np.float64) for v in views]
            found = cv2.fisheye.calibrate(
                flat, [v.pixels[None].astype(np.float64) for v in views], SIZE, K, np.zeros(4),
                flags=flags,
            )  # fmt: skip
        else:
            flags = cv2.CALIB_RATIONAL_MODEL if model == "rational" else 0
            found = cv2.calibrateCamera(points, pixels, SIZE, K, np.zeros(8 if flags else 5),
                                        flags=flags)  # fmt: skip
    except cv2.error:
        return np.full(4, np.inf)
    K = np.asarray(found[1])
    return np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])


def _refuses_parallel(rng: np.random.Generator) -> bool:
    """Return whether views without tilt are refused with a reason that says so."""
    lens: Lens = make_lens("pinhole", rng)
    width, height = BOARD.size
    views: list[BoardView] = []
    for k in range(20):
        depth = rng.uniform(0.3, 0.45)
        middle = (rng.uniform(0.35, 0.65, 2) * SIZE - lens.numbers[2:4]) / lens.numbers[:2] * depth
        T = np.eye(4)
        T[:3, 3] = [middle[0] - 0.5 * width, middle[1] - 0.5 * height, depth]
        views.append(look(lens, T, f"{k}", rng))
    try:
        calibrate_intrinsics(views, SIZE, IntrinsicsCfg(model="pinhole"))
    except ValueError as error:
        return "tilt" in str(error)
    return False
