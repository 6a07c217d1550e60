"""Pictures for the report of a tactile calibration, and its files."""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sim2arm.core.calibration_file import write_record
from sim2arm.core.calibration_record import CalibrationRecord, Picture, input_file, make_picture
from sim2arm.core.gradient_table import FloatArray, corners, forms, places
from sim2arm.core.gradient_table_file import write_table

from .ball_press import contact_pixels, predict
from .press_pictures import Image, Presses
from .tactile import BallPressCfg, TactileCalibration
from .tactile_record import make_record

LOUDER = 8.0
"""By how much differences are enlarged in pictures."""


def write_calibration(
    path: str | Path, found: TactileCalibration, presses: Presses, cfg: BallPressCfg
) -> CalibrationRecord:
    """Write table, pictures, page and record; the record last.

    Args:
        path: of the table, `<name>.safetensors`; the others lie beside it.
        found: what was measured.
        presses: what it was measured on.
        cfg: how.

    Returns:
        The record.

    Raises:
        ValueError: another suffix.
    """
    path = Path(path)
    write_table(path, found.table)
    drawn = draw_report(found)
    data = {f"{path.stem}-{name}.png": _png(picture) for name, (picture, _) in drawn.items()}
    entries: list[Picture] = [
        make_picture(file, data[file], caption)
        for file, (_, caption) in zip(data, drawn.values(), strict=True)
    ]
    table = input_file(path, "the table that was made")
    record = make_record(found, cfg, inputs=(table, *presses.inputs), pictures=entries)
    write_record(path.with_suffix(".yaml"), record, data)
    return record


def draw_report(found: TactileCalibration) -> dict[str, tuple[Image, str]]:
    """Return pictures (rows, cols, 3) RGB with their captions, by name."""
    samples, rows_cols = found.samples, found.background.shape[:2]
    size = np.abs(found.held_out).mean(axis=1)
    where, weights = corners(samples.n, found.table.nodes)
    node = np.take_along_axis(where, weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    by_slope = _mean(node, size, found.table.nodes**2).reshape(found.fit.seen.shape)
    column, row = (samples.place / np.array(samples.size) * [32, 24]).astype(int).T
    by_place = _mean(row * 32 + column, size, 32 * 24).reshape(24, 32)
    return {
        "background": (_levels(found.background), "Mean of the pictures of the flat gel."),
        "contacts": (_contacts(found), "Contacts that were used, on the background."),
        "coverage": (
            _heat(found.fit.seen.astype(float), 6),
            f"Presses that touched each node: n_x to the right, n_y down, -1 to 1; brightest "
            f"{found.fit.seen.max()}.",
        ),
        "error-by-slope": (
            _heat(by_slope, 6),
            f"Mean error of held-out presses by node; brightest {np.nanmax(by_slope):.1f} levels.",
        ),
        "error-by-place": (
            _heat(by_place, max(rows_cols[1] // 32, 4)),
            f"Mean error of held-out presses by place; brightest {np.nanmax(by_place):.1f} levels.",
        ),
        "presses": (
            _compare(found),
            "From above, the best, the median and the worst press: measured, predicted under the "
            f"contact, and {LOUDER:g} times the difference on grey.",
        ),
    }


def _mean(index: npt.NDArray[np.int64], values: FloatArray, count: int) -> FloatArray:
    """Return (count,) the mean of the values of each index, NaN where there is none."""
    total = np.bincount(index, values, minlength=count)
    number = np.bincount(index, minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _heat(values: FloatArray, scale: int) -> Image:
    """Return values as colours, each a square of `scale` pixels; grey where there is none."""
    top = max(float(np.nanmax(values)), 1e-9)
    level = np.nan_to_num(255.0 * values / top).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    colour[np.isnan(values)] = 90
    return colour.repeat(scale, axis=0).repeat(scale, axis=1).astype(np.uint8)


def _contacts(found: TactileCalibration) -> Image:
    rows, cols = found.background.shape[:2]
    drawn = _levels(found.background).repeat(2, axis=0).repeat(2, axis=1)
    for circle in found.circles:
        x, y = 2 * circle.x / found.table.size[0] * cols, 2 * circle.y / found.table.size[1] * rows
        radius = 2 * circle.radius / found.table.size[0] * cols
        middle = (round(x), round(y))
        cv2.circle(drawn, middle, round(radius), (255, 255, 255), 1, cv2.LINE_AA)
    return drawn


def _compare(found: TactileCalibration) -> Image:
    order = np.argsort(found.press_errors)
    lines: list[Image] = []
    for k in (order[0], order[len(order) // 2], order[-1]):
        picture = found.pictures[k].astype(float)
        inside, change = _predicted(found, int(k))
        guess = np.where(inside[..., None], found.background + change, picture)
        off = np.where(inside[..., None], 128.0 + LOUDER * (picture - guess), 128.0)
        lines.append(np.concatenate([_levels(part) for part in (picture, guess, off)], axis=1))
    return np.concatenate(lines)


def _predicted(found: TactileCalibration, k: int) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Return which pixels lie under contact k, and the change of colour there."""
    rows, cols = found.background.shape[:2]
    width, height = found.table.size
    inside = contact_pixels(found.circles[k], (rows, cols), (width / cols, height / rows), 0.0)
    middle = found.samples.middle[found.samples.press == k][0]
    x, y = np.broadcast_arrays(*places(rows, cols))
    place = 0.5 * (np.stack([x, y], axis=-1)[inside] + 1.0) * [width, height]
    n = (middle - place) / found.samples.radius
    change = np.zeros((rows, cols, 3))
    change[inside] = predict(found.fit.coefficients, n, forms(x[inside], y[inside]))
    return inside, change


def _levels(picture: npt.NDArray[np.floating]) -> Image:
    return np.asarray(np.floor(np.clip(picture, 0.0, 255.0) + 0.5), dtype=np.uint8)


def _png(picture: Image) -> bytes:
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()
