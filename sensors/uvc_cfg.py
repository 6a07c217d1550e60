"""What is asked of a camera over V4L2, and what becomes of its pictures."""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import cv2

from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.spec import ArraySpec

from .base import picture_spec

REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""How OpenCV decodes a JPEG picture at 1 / the key of its size."""


@dataclass(frozen=True, kw_only=True)
class UvcCfg:
    """One camera, its stream, and what becomes of a picture."""

    device: str
    """Words of its name, or a path: see `find_camera`."""
    width: int
    """Of the stream [pixels]."""
    height: int
    """Of the stream [pixels]."""
    rate_hz: float
    """Of the stream."""
    stage: DriverStage
    """From a decoded picture to the array."""
    fourcc: str = "MJPG"
    """Format of the stream."""
    jpeg_scale: Literal[1, 2, 4, 8] = 1
    """JPEG pictures are decoded at 1 / this of their size, which is cheaper than to
    shrink them."""
    controls: dict[str, float] = field(default_factory=dict[str, float])
    """Of the camera, by the names of OpenCV (`auto_exposure`, `exposure`, `auto_wb`, ...). A gel's
    colours mean slopes only if exposure and white balance stand still."""
    name: str = "tactile_rgb"
    """Of the array."""
    frame: str | None = None
    """Frame of the picture, `<camera>_optical`."""
    stamps: Literal["hardware", "receipt"] = "hardware"
    """hardware: as the driver says; receipt: when it came, for drivers that say nothing."""
    max_age: float = 0.2
    """Oldest picture that is still returned, by stamp and by receipt [s]."""
    retry: float = 0.5
    """Time between attempts to open a device that went away [s]."""

    def __post_init__(self) -> None:
        """Check that the parts fit."""
        if self.jpeg_scale not in REDUCED:
            raise ValueError(f"jpeg_scale: expected 1, 2, 4 or 8, got {self.jpeg_scale}")
        for name in self.controls:
            if not hasattr(cv2, f"CAP_PROP_{name.upper()}"):
                raise ValueError(
                    f"controls: OpenCV knows no {name!r} (auto_exposure, exposure, ...)"
                )
        if self.jpeg_scale > 1 and self.fourcc != "MJPG":
            raise ValueError(f"jpeg_scale: {self.fourcc} is not decoded from JPEG: use 1")
        size = (-(-self.width // self.jpeg_scale), -(-self.height // self.jpeg_scale))
        if (self.stage.width, self.stage.height) != size:
            raise ValueError(
                f"stage: expected one of {size[0]} x {size[1]} pixels, as they are decoded, got "
                f"{self.stage.width} x {self.stage.height}"
            )
        for name in ("rate_hz", "max_age", "retry"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")


def array_spec(cfg: UvcCfg) -> ArraySpec:
    """Return the spec of the array that the pictures become."""
    spec = picture_spec(
        cfg.name, cfg.stage, frame=cfg.frame, rate_hz=cfg.rate_hz, max_age=cfg.max_age
    )
    return replace(spec, clock="ros" if cfg.stamps == "hardware" else "receipt")
