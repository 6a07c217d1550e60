"""What is asked of a RealSense camera, and what becomes of its pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.spec import ArraySpec

from .base import depth_spec, picture_spec


@dataclass(frozen=True, kw_only=True)
class RealSenseCfg:
    """One camera, its streams, and what becomes of its pictures.

    Arrays are called, framed and shaped as those of a simulated camera of the same name, so that
    either drives the same bundle: `<name>_rgb`, `<name>_depth` in `<name>_optical`.
    """

    name: str
    """Of the camera: letters, digits and underscores."""
    serial: str = ""
    """Serial number; needed where several are plugged in."""
    recording: str = ""
    """A file that librealsense recorded, in place of a device: frames as old as if taken now."""
    width: int
    """Of the colour stream [pixels]."""
    height: int
    """Of the colour stream [pixels]."""
    rate_hz: int
    """Of all streams."""
    stage: DriverStage
    """From a colour picture to the array; depth takes nearest pixels."""
    outputs: tuple[Literal["rgb", "depth"], ...] = ("rgb",)
    """Arrays. Depth is moved to where the colour camera would see it, pixel by pixel."""
    depth_width: int = 0
    """Of the depth stream [pixels]; 0: as colour."""
    depth_height: int = 0
    """Of the depth stream [pixels]; 0: as colour."""
    controls: dict[str, float] = field(default_factory=dict[str, float])
    """Of the colour camera in this order, by librealsense's names and in its units:
    `{enable_auto_exposure: 0, exposure: 156, gain: 64, enable_auto_white_balance: 0}`; what is not
    named stays automatic, as the camera has it."""
    depth_controls: dict[str, float] = field(default_factory=dict[str, float])
    """Of the stereo cameras: `{emitter_enabled: 1, laser_power: 150, enable_auto_exposure: 1}`."""
    stamps: Literal["global", "hardware", "receipt"] = "global"
    """global: by librealsense's map of the camera's clock to the system's; hardware: by our own
    (`device_clock.py`); receipt: when a picture came. A camera that does not give what is asked
    for is refused."""
    max_age: float = 0.2
    """Oldest picture that is still returned, by stamp and by receipt [s]."""
    retry: float = 0.5
    """Time between attempts to open a device that went away [s]."""

    def __post_init__(self) -> None:
        """Check that the parts fit."""
        if not self.name.replace("_", "a").isalnum():
            raise ValueError(f"name: expected letters, digits, underscores, got {self.name!r}")
        if self.serial and self.recording:
            raise ValueError("serial, recording: expected one of them: a recording is one camera")
        if not self.outputs:
            raise ValueError("outputs: expected rgb, depth or both, got nothing")
        if (self.stage.width, self.stage.height) != (self.width, self.height):
            raise ValueError(
                f"stage: expected one of {self.width} x {self.height} pixels, as colour comes, got "
                f"{self.stage.width} x {self.stage.height}"
            )
        if (self.depth_width > 0) != (self.depth_height > 0) or self.depth_width < 0:
            raise ValueError(
                f"depth_width, depth_height: expected both or neither, got {self.depth_width}, "
                f"{self.depth_height}"
            )
        if self.depth_controls and "depth" not in self.outputs:
            raise ValueError("depth_controls: there is no depth among the outputs")
        for name in ("rate_hz", "max_age", "retry"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")

    @property
    def depth_size(self) -> tuple[int, int]:
        """Width and height of the depth stream [pixels]."""
        return (self.depth_width or self.width, self.depth_height or self.height)

    @property
    def device(self) -> str:
        """What it is called in messages."""
        return f"RealSense {self.recording or self.serial or '(the only one)'}"


def array_specs(cfg: RealSenseCfg) -> dict[str, ArraySpec]:
    """Return the specs of the arrays, by name."""
    makers = {"rgb": picture_spec, "depth": depth_spec}
    specs = [
        makers[output](
            f"{cfg.name}_{output}", cfg.stage, frame=f"{cfg.name}_optical",
            rate_hz=float(cfg.rate_hz), max_age=cfg.max_age,
        )
        for output in cfg.outputs
    ]  # fmt: skip
    clock = "receipt" if cfg.stamps == "receipt" else "ros"
    return {spec.name: replace(spec, clock=clock) for spec in specs}
