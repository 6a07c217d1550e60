"""`sim2arm calibrate pictures FOLDER --sensor KIND`: takes what `calibrate tactile` reads."""

# pyright: standard

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
from tyro.conf import Positional, arg

from sim2arm.calibration.press_pictures import FLAT, LEAST_PRESSES, SUFFIXES
from sim2arm.core.spec import Reading, StaleReading
from sim2arm.core.synthetic_tables import OPTICS
from sim2arm.sensors.tactile import TACTILE_CAMERAS, tactile_cfg
from sim2arm.sensors.uvc import UvcCamera, UvcCfg

from .errors import UserError, user_input
from .parse import parse, unknown

PATIENCE = 10.0
"""How long a camera may take to send a picture [s]."""


@dataclass(frozen=True, kw_only=True)
class PicturesCfg:
    """Take the pictures that `calibrate tactile` reads: the flat gel, a ball pressed into it.

    Press anywhere, also near the edges and at different depths; hold the ball still while Enter is
    pressed. An empty answer takes a picture, `q` ends.
    """

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Where, without pictures."""
    sensor: str
    """Kind of sensor: digit, digit-qvga or gelsight-mini."""
    serial: str = ""
    """Its serial number, where several are plugged in."""
    width: int = 320
    """Of the pictures [pixels]."""
    height: int = 240
    """Of the pictures [pixels]."""
    backgrounds: int = 10
    """Pictures of the flat gel."""
    presses: int = 50
    """Pictures of presses."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(PicturesCfg, argv, "sim2arm calibrate pictures")
    taken = run(cfg)
    width, height = (1e3 * side for side in OPTICS[TACTILE_CAMERAS[cfg.sensor].gel].size)
    print(
        f"{cfg.folder}: {taken} presses; next: sim2arm calibrate tactile {cfg.folder} --sensor "
        f"{cfg.sensor} --area-mm {width:.2f} {height:.2f} --ball-radius-mm RADIUS"
    )
    return 0


def run(
    cfg: PicturesCfg,
    open_camera: Callable[[UvcCfg], UvcCamera] = UvcCamera,
    ask: Callable[[str], str] = input,
) -> int:
    """Take the pictures; return how many presses there are.

    Raises:
        UserError: no such sensor, the folder has pictures, or the camera sends none.
    """
    if cfg.sensor not in TACTILE_CAMERAS:
        raise UserError(unknown("tactile sensor", cfg.sensor, TACTILE_CAMERAS))
    if min(cfg.backgrounds, cfg.presses) < 1:
        raise UserError("--backgrounds, --presses: expected 1 or more")
    if cfg.folder.exists() and any(p.suffix.lower() in SUFFIXES for p in cfg.folder.iterdir()):
        raise UserError(f"{cfg.folder} has pictures already: choose another folder")
    with user_input("calibrate pictures"):
        stream = tactile_cfg(
            cfg.sensor, serial=cfg.serial, width=cfg.width, height=cfg.height, name="gel"
        )
        camera = open_camera(stream)
        cfg.folder.mkdir(parents=True, exist_ok=True)
    with camera:
        try:
            return _take_all(camera, cfg, ask)
        except (StaleReading, RuntimeError) as error:
            raise UserError(str(error)) from error


def _take_all(camera: UvcCamera, cfg: PicturesCfg, ask: Callable[[str], str]) -> int:
    camera.wait(PATIENCE)
    if _answer(ask, "Leave the gel untouched, then Enter: ") == "q":
        return 0
    for k in range(cfg.backgrounds):
        _save(cfg.folder / f"{FLAT}-{k:03}.png", _next(camera))
    for k in range(cfg.presses):
        if _answer(ask, f"Press {k + 1} of {cfg.presses}, then Enter (q ends): ") == "q":
            if k < LEAST_PRESSES:
                print(f"{k} presses are fewer than the {LEAST_PRESSES} that a calibration needs")
            return k
        _save(cfg.folder / f"press-{k:03}.png", _next(camera))
    return cfg.presses


def _answer(ask: Callable[[str], str], question: str) -> str:
    try:
        return ask(question).strip().lower()
    except EOFError:
        return "q"


def _next(camera: UvcCamera) -> Reading:
    """Return a picture that was taken after now; what waits in a buffer was not.

    Raises:
        StaleReading: none came.
    """
    asked, end = camera.clocks.wall_ns(), time.monotonic() + PATIENCE
    while True:
        try:
            reading = camera.read()
            if reading.stamp_ns > asked:
                return reading
        except StaleReading:
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise StaleReading(f"no new picture came within {PATIENCE:g} s")
        time.sleep(0.005)


def _save(path: Path, reading: Reading) -> None:
    (picture,) = reading.arrays.values()
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise UserError(f"{path}: cannot be written")
