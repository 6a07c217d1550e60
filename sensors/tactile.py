"""GelSight Mini and DIGIT: data on top of `uvc.py`, no maker's software."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sim2arm.core.driver_stage import DriverStage

from .uvc import UvcCfg


@dataclass(frozen=True, kw_only=True)
class TactileCamera:
    """The stream of one kind of sensor."""

    words: str
    """In the name of its device."""
    width: int
    """[pixels]"""
    height: int
    """[pixels]"""
    rate_hz: float
    fourcc: str
    jpeg_scale: Literal[1, 2, 4, 8]
    """JPEG pictures are decoded at 1 / this of their size."""
    border: float
    """Share of the width and of the height that is cut off at each side."""
    gel: str
    """Name of its gel among the synthetic tables."""


_MINI = TactileCamera(
    words="GelSight Mini",
    width=3280,
    height=2464,
    rate_hz=25.0,
    fourcc="MJPG",
    jpeg_scale=4,
    border=0.15,
    gel="gelsight-mini",
)
"""USB 0c45:636d, 3280 x 2464 JPEG pictures at 25 Hz; a border of 15 % shows no gel."""

TACTILE_CAMERAS: dict[str, TactileCamera] = {
    "gelsight-mini": _MINI,
    "gelsight-mini-markers": replace(_MINI, gel="gelsight-mini-markers"),
    # 640 x 480 at 30 Hz or 320 x 240 at 60 Hz, uncompressed; the serial number is in the name.
    "digit": TactileCamera(
        words="DIGIT",
        width=640,
        height=480,
        rate_hz=30.0,
        fourcc="YUYV",
        jpeg_scale=1,
        border=0.0,
        gel="digit",
    ),
    "digit-qvga": TactileCamera(
        words="DIGIT",
        width=320,
        height=240,
        rate_hz=60.0,
        fourcc="YUYV",
        jpeg_scale=1,
        border=0.0,
        gel="digit",
    ),
}
"""By kind and mode."""


def tactile_cfg(
    kind: str,
    *,
    serial: str = "",
    width: int = 320,
    height: int = 240,
    name: str = "tactile_rgb",
    frame: str | None = None,
    stamps: Literal["hardware", "receipt"] = "hardware",
    max_age: float | None = None,
) -> UvcCfg:
    """Return the config of a tactile sensor.

    Args:
        kind: one of `TACTILE_CAMERAS`.
        serial: its serial number, where several are plugged in.
        width: of the array [pixels].
        height: of the array [pixels].
        name: of the array.
        frame: of the picture.
        stamps: where stamps come from.
        max_age: oldest picture that is still returned [s]; five periods by default.

    Raises:
        ValueError: no such kind, or a picture larger than the sensor's; one line.
    """
    if kind not in TACTILE_CAMERAS:
        raise ValueError(f"no tactile sensor {kind!r}. Known: {sorted(TACTILE_CAMERAS)}")
    camera = TACTILE_CAMERAS[kind]
    return UvcCfg(
        device=f"{camera.words} {serial}".strip(),
        width=camera.width,
        height=camera.height,
        rate_hz=camera.rate_hz,
        stage=tactile_stage(camera, width, height),
        fourcc=camera.fourcc,
        jpeg_scale=camera.jpeg_scale,
        name=name,
        frame=frame,
        stamps=stamps,
        max_age=5.0 / camera.rate_hz if max_age is None else max_age,
    )


def tactile_stage(camera: TactileCamera, width: int, height: int) -> DriverStage:
    """Return the stage that cuts the border off and shrinks the rest to width x height pixels."""
    cols, rows = -(-camera.width // camera.jpeg_scale), -(-camera.height // camera.jpeg_scale)
    left, top = round(camera.border * cols), round(camera.border * rows)
    return DriverStage(
        width=cols,
        height=rows,
        crop=(left, top, cols - 2 * left, rows - 2 * top),
        out_width=width,
        out_height=height,
    )
