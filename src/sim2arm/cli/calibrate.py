"""`sim2arm calibrate tactile FOLDER`: a gradient table of pictures of ball presses."""

# pyright: standard

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.calibration.press_pictures import read_presses
from sim2arm.calibration.tactile import BallPressCfg, TactileCalibration, calibrate
from sim2arm.calibration.tactile_report import write_calibration
from sim2arm.core.calibration_record import CalibrationRecord

from .errors import UserError, user_input
from .parse import parse


@dataclass(frozen=True, kw_only=True)
class CalibrateTactileCfg:
    """Make the colour table of a gel from pictures of a ball pressed at many places.

    The folder holds background*.png of the flat gel and any other names for presses, as they come
    from the sensor's driver stage. Where the ball was need not be known.
    """

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Pictures, lossless if possible."""
    ball_radius_mm: float
    """Radius of the ball [mm]."""
    area_mm: tuple[float, float]
    """Width and height of what a picture shows of the gel [mm]."""
    sensor: str = "gel"
    """Name of the sensor, which also names the files."""
    out: Path | None = None
    """Table to write, `.safetensors`; record and report lie beside it. Default: NAME in the
    working directory."""
    nodes: int = 65
    """Nodes of the table along each axis, odd."""
    margin_px: float = 3.0
    """How far inside the edges of contacts pixels are used [pixels]."""
    smoothness: float = 1.0
    """How much neighbouring nodes of the table share."""
    limit: float = 3.0
    """Largest error of presses that were left out, with which it is accepted [grey levels]."""
    licence: str = "Apache-2.0"
    """Under which the table may be passed on."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run; exit code 1 if the calibration is not accepted."""
    cfg = parse(CalibrateTactileCfg, argv, "sim2arm calibrate tactile")
    path, found, record = run(cfg)
    for line in summary(found, record):
        print(line)
    print(f"{path}: table; {path.with_suffix('.html').name}: report")
    return 1 if record.problems else 0


def run(cfg: CalibrateTactileCfg) -> tuple[Path, TactileCalibration, CalibrationRecord]:
    """Calibrate and write.

    Returns:
        The file of the table, what was found, and the record.

    Raises:
        UserError: the pictures make no table, or the place to write is none.
    """
    if not re.fullmatch(r"\w[\w.-]*", cfg.sensor):
        raise UserError(f"--sensor: expected letters, digits, '-', '_', '.', got {cfg.sensor!r}")
    path = cfg.out or Path(f"{cfg.sensor}.safetensors")
    if path.suffix != ".safetensors" or not re.fullmatch(r"\w[\w.-]*", path.name):
        raise UserError(f"--out: expected a plain name ending in .safetensors, got {path}")
    if path.resolve().parent == cfg.folder.resolve():
        raise UserError(f"--out: {path} lies among the pictures: choose another folder")
    with user_input("calibrate tactile"):
        how = BallPressCfg(
            ball_radius=1e-3 * cfg.ball_radius_mm,
            size=(1e-3 * cfg.area_mm[0], 1e-3 * cfg.area_mm[1]),
            sensor=cfg.sensor,
            licence=cfg.licence,
            nodes=cfg.nodes,
            margin_px=cfg.margin_px,
            smoothness=cfg.smoothness,
            limit=cfg.limit,
        )
        presses = read_presses(cfg.folder)
        found = calibrate(presses, how)
    with user_input("calibrate tactile", path):
        record = write_calibration(path, found, presses, how)
    return path, found, record


def summary(found: TactileCalibration, record: CalibrationRecord) -> list[str]:
    """Return what was found, a line each."""
    errors, steepest = record.residuals["held-out press"], record.values["steepest"].numbers[0]
    used = f"{len(found.names)} of {len(found.names) + len(found.refused)} presses"
    lines = [
        f"{record.device}: {used}, slopes up to {steepest:.2f}",
        f"  error of presses left out: mean {errors.used.mean():.2f}, greatest "
        f"{errors.used.max():.2f} grey levels (limit of rms {errors.limit:g})",
        f"  brightness far from contacts: rms {record.residuals['brightness elsewhere'].rms:.2f}",
    ]
    lines += [f"  {note}" for note in record.notes]
    verdict = [f"  not accepted: {problem}" for problem in record.problems]
    return lines + (verdict or ["  accepted"])
