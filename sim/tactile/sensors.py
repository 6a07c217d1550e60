"""The tactile sensors we know: what their cameras see of the gel.

Sizes of pixels and pictures are published with TacSL (R1.5, Mini) and gs_sdk (DIGIT); gel stiffness
is ours, see `field.GelLaw`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TactileSensor:
    """A camera behind a gel."""

    rows: int
    """Of its picture."""
    cols: int
    """Of its picture."""
    pixel: float
    """Width of a pixel on the gel [m]."""
    rate_hz: float
    """Pictures per second."""
    depth: float = 2e-3
    """Largest dent that it sees [m] (ours)."""
    bend: float = 0.0
    """Curvature of the gel at rest, a dome towards the object [1/m]."""

    @property
    def height(self) -> float:
        """Of what it sees of the gel, along the rows [m]."""
        return self.rows * self.pixel

    @property
    def width(self) -> float:
        """Along the columns [m]."""
        return self.cols * self.pixel


SENSORS = {
    # A prototype whose rate is not published; TacSL reads it with the control, at 60 Hz.
    "gelsight-r15": TactileSensor(rows=320, cols=240, pixel=0.0877e-3, rate_hz=60.0),
    "gelsight-mini": TactileSensor(rows=240, cols=320, pixel=0.065e-3, rate_hz=25.0),
    "digit": TactileSensor(rows=320, cols=240, pixel=0.0405e-3, rate_hz=60.0),
}
"""By name."""
