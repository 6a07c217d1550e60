"""The record of intrinsics, its pictures, and the comparison with a calibration of the factory."""

# OpenCV's and SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import scipy
from scipy.optimize import least_squares

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
from sim2arm.core.camera_info import camera_info_yaml
from sim2arm.core.driver_stage import FloatArray, Intrinsics, undistort
from sim2arm.core.durable import write_durably
from sim2arm.core.transforms import quat_from_rotvec, quat_to_matrix

from .board import Image
from .board_views import BoardView
from .camera_file import CAMERA, COVARIANCE, DISTORTION, INTRINSICS, SIZE
from .coverage import ENOUGH, GRID
from .drawing import (
    BLUE,
    GREEN,
    INK,
    LINE,
    RED,
    SOFT,
    canvas,
    contact_sheet,
    dot,
    line,
    map_with_scale,
    png,
    text,
)
from .intrinsics import METHOD, IntrinsicsCalibration, IntrinsicsCfg
from .lens import Lens, project

LOUDER = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""How much longer than they are residuals are drawn: the typical one about `LENGTH` pixels."""
LENGTH = 9.0
SHEET = 9
"""Most pictures of a contact sheet."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """How far another calibration of the same camera puts things elsewhere."""

    apart: FloatArray
    """(rows, cols) distance over the picture, the best turn of the camera taken out [pixels]."""
    other: Intrinsics

    @property
    def rms(self) -> float:
        """Root mean square [pixels]."""
        return float(np.sqrt(np.mean(self.apart**2)))


def compare(lens: Lens, other: Intrinsics) -> Comparison:
    """Return how far two lenses differ, which is not told by their numbers one by one.

    Raises:
        ValueError: the other is of another size, or has no inverse over the picture.
    """
    if (other.width, other.height) != (lens.width, lens.height):
        raise ValueError(
            f"the other calibration is of {other.width} x {other.height} pixels, the pictures have "
            f"{lens.width} x {lens.height}"
        )
    v, u = np.meshgrid(
        np.linspace(0.0, lens.height - 1.0, 16), np.linspace(0.0, lens.width - 1.0, 21),
        indexing="ij",
    )  # fmt: skip
    pixels = np.stack([u.ravel(), v.ravel()], axis=-1)
    ideal = undistort(other, (pixels - (other.cx, other.cy)) / (other.fx, other.fy))
    rays = np.concatenate([ideal, np.ones((len(ideal), 1))], axis=1)

    def off(turn: FloatArray) -> FloatArray:
        R = quat_to_matrix(quat_from_rotvec(turn))
        return (project(lens, rays @ R.T)[0] - pixels).ravel()

    best = least_squares(off, np.zeros(3))
    apart = np.linalg.norm(np.asarray(best.fun).reshape(-1, 2), axis=1).reshape(u.shape)
    return Comparison(apart=apart, other=other)


def make_record(
    found: IntrinsicsCalibration,
    cfg: IntrinsicsCfg,
    *,
    camera: str,
    board: Mapping[str, float],
    inputs: Sequence[InputFile] = (),
    factory: Comparison | None = None,
    pictures: Mapping[str, tuple[bytes, str]] | None = None,
) -> CalibrationRecord:
    """Return the record; pictures are files and captions by name."""
    lens, names = found.lens, found.element_names
    values = {
        CAMERA: make_quantity(
            lens.numbers[:4], "px", uncertainty=found.sigma[:4], element_names=names[:4],
            note="focal lengths and the optical axis in the picture",
        ),
        DISTORTION: make_quantity(
            lens.numbers[4:], "1", uncertainty=found.sigma[4:], element_names=names[4:],
            note=f"model {found.model}",
        ),
        SIZE: make_quantity(
            [lens.width, lens.height], "px", element_names=("width", "height")
        ),
        COVARIANCE: make_quantity(
            found.covariance, "1",
            note="of fx fy cx cy [px] and the coefficients together, such that 1.96 deviations are "
            "the half of a 95 % interval",
        ),
        "noise": make_quantity(
            found.noise_px, "px", note="of a corner's coordinate, by the residuals"
        ),
        "view": make_quantity(
            [2.0 * math.degrees(math.atan(0.5 * n / f)) for n, f in
             zip((lens.width, lens.height), lens.numbers[:2], strict=True)],
            "deg", element_names=("across", "down"), note="without the lens's distortion",
        ),
    }  # fmt: skip
    if factory is not None:
        k = factory.other
        values["other"] = make_quantity(
            [k.fx, k.fy, k.cx, k.cy],
            "px",
            element_names=names[:4],
            note="of the calibration that was compared",
        )
        values["other apart"] = make_quantity(
            [factory.rms, float(factory.apart.max())], "px", element_names=("rms", "greatest"),
            note="how far it puts things elsewhere in the picture, a turn of the camera aside",
        )  # fmt: skip
    residuals = {
        "held-out view": make_residuals(
            found.held_out, "px", limit=cfg.limit_px, excluded=found.wrong,
            note="per coordinate, by a lens of other views and a pose of every second corner",
        ),
        "view": make_residuals(
            found.errors, "px", excluded=found.wrong, note="per coordinate, by the found lens"
        ),
    }  # fmt: skip
    return CalibrationRecord(
        what=INTRINSICS,
        device=camera,
        date=utc_now(),
        method=METHOD,
        settings={**board, "folds": float(cfg.folds), "seed": float(cfg.seed)},
        inputs=tuple(inputs),
        values=values,
        residuals=residuals,
        pictures=tuple(make_picture(n, data, words) for n, (data, words) in
                       (pictures or {}).items()),
        notes=_notes(found, factory),
        versions={
            "sim2arm": sim2arm.__version__, "numpy": np.__version__, "scipy": scipy.__version__,
            "opencv": cv2.__version__,
        },
    )  # fmt: skip


def _notes(found: IntrinsicsCalibration, factory: Comparison | None) -> tuple[str, ...]:
    used = len(found.names) - len(found.wrong)
    notes = [
        f"{used} of {used + len(found.rejected)} views were used; a held-out view is off by "
        f"{found.error:.2f} px."
    ]
    if found.rejected:
        lines = "; ".join(f"{name}: {why}" for name, why in found.rejected.items())
        notes.append(f"Not used: {lines}.")
    if found.wrong_corners:
        notes.append(f"{found.wrong_corners} single corners in views that were used are left out.")
    if len(found.alternatives) > 1:
        tried = ", ".join(f"{name} {e:.3f} px" for name, e in found.alternatives.items())
        notes.append(f"Models of the lens by their error on held-out views: {tried}.")
    if found.coverage.missing:
        notes.append(f"To know it better: {'; '.join(found.coverage.missing)}.")
    if factory is not None:
        notes.append(
            f"The other calibration puts things {factory.rms:.2f} px elsewhere (rms over the "
            f"picture, greatest {factory.apart.max():.2f} px)."
        )
    return tuple(notes)


def write_intrinsics(
    path: Path,
    found: IntrinsicsCalibration,
    record: Callable[[Mapping[str, tuple[bytes, str]]], CalibrationRecord],
    views: Sequence[BoardView],
    picture: Callable[[str], Image],
    factory: Comparison | None,
) -> CalibrationRecord:
    """Write record, page, pictures and `<name>.camera_info.yaml`.

    Args:
        path: of the record, `<name>.yaml`.
        found: what was measured.
        record: makes the record of the pictures.
        views: corners, all of them.
        picture: returns a picture by name.
        factory: what it was compared with.
    """
    drawn = draw(found, views, picture, factory)
    files = {f"{path.stem}-{name}.png": (png(image), words) for name, (image, words) in
             drawn.items()}  # fmt: skip
    made = record(files)
    write_durably(
        path.with_suffix(".camera_info.yaml"),
        camera_info_yaml(found.lens.intrinsics, made.device).encode(),
    )
    write_record(path, made, {name: data for name, (data, _) in files.items()})
    return made


def draw(
    found: IntrinsicsCalibration,
    views: Sequence[BoardView],
    picture: Callable[[str], Image],
    factory: Comparison | None = None,
) -> dict[str, tuple[Image, str]]:
    """Return pictures (rows, cols, 3) RGB with captions, by name."""
    louder = _louder(found)
    drawn = {
        "coverage": (
            _coverage(found, louder),
            f"Corners of all views that were used, and what is left unexplained, {louder} times "
            f"as long. Numbers: corners in each cell, red below {ENOUGH}. Lines that point the "
            "same way in one region would mean a lens model that does not fit there.",
        ),
        "uncertainty": (
            map_with_scale(_uncertainty(found), _half(found.lens), "px"),
            "How far a thing may be from where this calibration puts it in the picture (half of a "
            "95 % interval).",
        ),
        "views": _sheet(found, views, picture),
    }
    if factory is not None:
        drawn["other"] = (
            map_with_scale(factory.apart, _half(found.lens), "px"),
            "How far the other calibration puts things elsewhere in the picture, a turn of the "
            "camera taken out.",
        )
    return drawn


def _half(lens: Lens) -> tuple[int, int]:
    width = 560
    return width, round(width * lens.height / lens.width)


def _louder(found: IntrinsicsCalibration) -> int:
    typical = float(np.median(np.linalg.norm(found.residuals[:, 2:], axis=1)))
    drawn = typical * _half(found.lens)[0] / found.lens.width
    return min(LOUDER, key=lambda factor: abs(np.log(factor * max(drawn, 1e-9) / LENGTH)))


def _coverage(found: IntrinsicsCalibration, louder: int) -> Image:
    lens, (width, height) = found.lens, _half(found.lens)
    scale = width / lens.width
    picture = canvas(width, height)
    cells = found.coverage.cells
    columns, rows = GRID
    for k in range(1, columns):
        line(picture, (k * width / columns, 0), (k * width / columns, height), LINE)
    for k in range(1, rows):
        line(picture, (0, k * height / rows), (width, k * height / rows), LINE)
    for u, v, du, dv in found.residuals:
        start = (u * scale, v * scale)
        line(picture, start, (start[0] + louder * du * scale, start[1] + louder * dv * scale), BLUE)
        dot(picture, start, 1.2, INK)
    for row in range(rows):
        for column in range(columns):
            count = int(cells[row, column])
            colour = SOFT if count >= ENOUGH else RED
            x, y = round(column * width / columns), round((row + 1) * height / rows)
            picture[y - 20 : y - 1, x + 1 : x + 12 + 9 * len(str(count))] = 255
            text(picture, str(count), column * width / columns + 4, (row + 1) * height / rows - 5,
                 colour)  # fmt: skip
    cv2.rectangle(picture, (0, 0), (width - 1, height - 1), SOFT, 1)
    return picture


def _uncertainty(found: IntrinsicsCalibration) -> FloatArray:
    """Return the half of a 95 % interval of where rays lie (rows, cols) [pixels]."""
    lens = found.lens
    v, u = np.meshgrid(
        np.linspace(0.0, lens.height - 1.0, 24), np.linspace(0.0, lens.width - 1.0, 32),
        indexing="ij",
    )  # fmt: skip
    k = lens.intrinsics
    pixels = np.stack([u.ravel(), v.ravel()], axis=-1)
    try:
        ideal = undistort(k, (pixels - (k.cx, k.cy)) / (k.fx, k.fy))
    except ValueError:  # beyond the views the lens folds: what it says there is worth nothing
        return np.full(u.shape, np.inf)
    rays = np.concatenate([ideal, np.ones((len(ideal), 1))], axis=1)
    _, J, by_ray = project(lens, rays)
    # A turn of the camera is nobody's error: what it explains of a change is taken out.
    turn = np.cross(rays[:, None], by_ray)  # (M, 2, 3)
    flat, turned = J.reshape(-1, J.shape[-1]), turn.reshape(-1, 3)
    flat = flat - turned @ np.linalg.lstsq(turned, flat, rcond=None)[0]
    variance = np.einsum("mp,pq,mq->m", flat, found.covariance, flat).reshape(-1, 2).sum(axis=1)
    return 1.96 * np.sqrt(variance / 2.0).reshape(u.shape)


def _sheet(
    found: IntrinsicsCalibration, views: Sequence[BoardView], picture: Callable[[str], Image]
) -> tuple[Image, str]:
    """Return the worst views and some others, with what was found and what was expected."""
    by_name = {view.name: view for view in views}
    order = list(np.argsort(-found.errors))
    wrong = [k for k in order if int(k) in found.wrong]
    right = [k for k in order if int(k) not in found.wrong]
    some = right[:: max(1, len(right) // max(1, SHEET - min(len(wrong), 4)))]
    chosen = [int(k) for k in (*wrong[:4], *some)][:SHEET]
    images: list[Image] = []
    titles: list[str] = []
    for k in chosen:
        view, T = by_name[found.names[k]], found.T_camera_board[k]
        image = picture(view.name).copy()
        wide = max(1.0, image.shape[1] / 320.0)
        points = view.points @ T[:3, :3].T + T[:3, 3]
        points[:, 2] = points[:, 2].clip(1e-3)
        for at, expected in zip(view.pixels, project(found.lens, points)[0], strict=True):
            line(image, at, expected, RED, max(1, round(wide)))
            dot(image, at, 2.5 * wide, GREEN if k not in found.wrong else RED)
        images.append(image)
        titles.append(f"{view.name}  {found.errors[k]:.2f} px")
    bad = [k in found.wrong for k in chosen]
    return contact_sheet(images, titles, bad), (
        "Views with their error, framed red those that were left out; dots: corners as found; red "
        "lines lead to where the calibration expects them."
    )
