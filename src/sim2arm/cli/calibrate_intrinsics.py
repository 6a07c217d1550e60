"""`sim2arm calibrate intrinsics FOLDER`: a camera's lens from pictures of a board."""

# pyright: standard

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.calibration.board import BoardCfg, BoardFinder
from sim2arm.calibration.camera_file import read_intrinsics
from sim2arm.calibration.intrinsics import (
    IntrinsicsCalibration,
    IntrinsicsCfg,
    calibrate_intrinsics,
)
from sim2arm.calibration.intrinsics_report import Comparison, compare, make_record, write_intrinsics
from sim2arm.calibration.view_folder import FACTORY, read_views
from sim2arm.core.calibration_record import CalibrationRecord, input_file

from .errors import UserError, user_input
from .outputs import check_file
from .parse import parse


@dataclass(frozen=True, kw_only=True)
class CalibrateIntrinsicsCfg:
    """Find the lens of a camera from pictures of a board at many places and tilts."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Pictures, as `calibrate views` or any camera program took them, all of one size."""
    name: str = "camera"
    """Name of the camera, as simulation and graph.yaml call it: wrist, scene."""
    out: Path | None = None
    """Record to write, .yaml; page, pictures and camera_info lie beside it. Default:
    NAME-intrinsics.yaml in the working directory."""
    board: BoardCfg = field(default_factory=BoardCfg)
    """The board as it was printed."""
    how: IntrinsicsCfg = field(default_factory=IntrinsicsCfg)
    """Model of the lens, and what is accepted."""
    factory: Path | None = None
    """Calibration of the factory to compare with: a record, or camera_info of ROS as YAML. Default:
    what `calibrate views` kept beside the pictures of a RealSense."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run; exit code 1 if the calibration is not accepted."""
    cfg = parse(CalibrateIntrinsicsCfg, argv, "sim2arm calibrate intrinsics")
    path, found, record = run(cfg)
    for line in summary(found, record):
        print(line)
    print(f"{path}: record; {path.with_suffix('.html').name}: report; "
          f"{path.with_suffix('.camera_info.yaml').name}: for ROS")  # fmt: skip
    return 1 if record.problems else 0


def run(
    cfg: CalibrateIntrinsicsCfg,
) -> tuple[Path, IntrinsicsCalibration, CalibrationRecord]:
    """Calibrate and write.

    Returns:
        The file of the record, what was found, and the record.

    Raises:
        UserError: the pictures do not make a calibration, or the place to write is none.
    """
    path = record_path(cfg.out, cfg.name, "intrinsics", cfg.folder)
    with user_input("calibrate intrinsics"):
        folder = read_views(cfg.folder, BoardFinder(cfg.board))
        found = calibrate_intrinsics(folder.views, folder.size, cfg.how)
        factory: Comparison | None = None
        inputs = folder.inputs
        kept = cfg.folder / FACTORY
        told = cfg.factory or (kept if kept.is_file() else None)
        if told is not None:
            factory = compare(found.lens, read_intrinsics(told).intrinsics)
            inputs = (*inputs, input_file(told, "compared with"))
    with user_input("calibrate intrinsics", path):
        record = write_intrinsics(
            path,
            found,
            lambda pictures: make_record(
                found, cfg.how, camera=cfg.name, board=board_settings(cfg.board), inputs=inputs,
                factory=factory, pictures=pictures,
            ),
            folder.views,
            folder.picture,
            factory,
        )  # fmt: skip
    return path, found, record


def record_path(out: Path | None, name: str, what: str, folder: Path) -> Path:
    """Return where a record is written.

    Raises:
        UserError: the name of the device or of the file is none, or it cannot be written there.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"--name: expected letters, digits, '-', '_', '.', got {name!r}")
    path = out or Path(f"{name}-{what}.yaml")
    if path.suffix != ".yaml" or not re.fullmatch(r"\w[\w.-]*", path.name):
        raise UserError(f"--out: expected a plain name ending in .yaml, got {path}")
    if path.resolve().parent == folder.resolve():
        raise UserError(f"--out: {path} lies among the pictures: choose another folder")
    check_file("--out", path)
    return path


def board_settings(board: BoardCfg) -> dict[str, float]:
    """Return what of a board counts, for records."""
    return {
        "columns": float(board.columns),
        "rows": float(board.rows),
        "square_mm": board.square_mm,
        "marker_mm": board.marker_mm,
        "ruler_across_mm": board.ruler_mm[0],
        "ruler_down_mm": board.ruler_mm[1],
    }


def summary(found: IntrinsicsCalibration, record: CalibrationRecord) -> list[str]:
    """Return what was found, a line each."""
    fx, fy, cx, cy = found.lens.numbers[:4]
    a, b, c, d = 1.96 * found.sigma[:4]
    lines = [
        f"{record.device}: {found.model} lens, {found.lens.width} x {found.lens.height}",
        f"  fx {fx:.2f} +- {a:.2f}, fy {fy:.2f} +- {b:.2f}, cx {cx:.2f} +- {c:.2f}, cy {cy:.2f} +- "
        f"{d:.2f} px (95 %)",
        *(f"  {note}" for note in record.notes),
    ]
    lines += [f"    {row}" for row in found.coverage.lines]
    verdict = [f"  not accepted: {problem}" for problem in record.problems]
    return lines + (verdict or ["  accepted"])
