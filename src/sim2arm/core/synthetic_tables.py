"""Gels lit by three lights, from Lambert's law: tables for sensors that nobody has calibrated.

A light shines along the gel from the direction d in the picture, at an elevation e above it. A
piece of skin with the normal (-n_x, -n_y, n_z), seen by the camera, answers with the cosine
max(0, sin e n_z - cos e (d . n)), times a brightness 1 + f (d . p) + q (d . p)^2 that falls with
the distance from the light, p in [-1, 1]^2 across the picture. Both factors fit the table exactly,
so its only error is that of bilinear interpolation.

Colours and strengths are ours, so that a slope of 0.3 changes the colour by about 30 levels, as
ball presses on real gels do; they are no measurement of any sensor. Calibrate for that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .gradient_table import NODES, FloatArray, GradientTable, forms, node_normals, places

SOURCE = "three lights and Lambert's law (synthetic)"
LICENCE = "Apache-2.0"
DATE = "2026-11-25T00:00:00+00:00"
"""When the numbers below were chosen."""


@dataclass(frozen=True, kw_only=True)
class Light:
    """One light at the edge of a gel."""

    azimuth_deg: float
    """Where it stands: 0 right, 90 below the middle of the picture."""
    elevation_deg: float
    colour: tuple[float, float, float]
    """Red, green and blue that a surface facing it shows in the middle [grey levels]."""
    falloff: float
    """Relative brightness gained from the middle to its edge, f."""
    bend: float
    """Quadratic part of that, q."""


@dataclass(frozen=True, kw_only=True)
class Dots:
    """Dark dots printed on the skin of a gel, on a grid about its middle."""

    rows: int
    cols: int
    spacing: float
    """Between neighbours [m]."""
    radius: float
    """Where a dot is half as dark as in its middle [m]."""
    soft: float
    """Over which its edge fades [m]."""
    dark: float
    """Share of the light that its middle takes."""


@dataclass(frozen=True, kw_only=True)
class GelOptics:
    """Picture and lights of one kind of sensor."""

    rows: int
    """Of the picture that the background is drawn at."""
    cols: int
    size: tuple[float, float]
    """Width and height of what the picture shows of the gel [m]."""
    lights: tuple[Light, ...]
    ambient: tuple[float, float, float]
    """Colour that no light makes [grey levels]."""
    dots: Dots | None = None
    """On its skin; tables and backgrounds are those of the gel without them."""


def three_lights(
    first_deg: float, elevation_deg: float, falloff: float, bend: float, strength: float
) -> tuple[Light, ...]:
    """Return a red, a green and a blue light 120 degrees apart, each spilling into the others."""
    main, spill = strength, 0.12 * strength
    colours = ((main, spill, spill), (spill, main, spill), (spill, spill, main))
    return tuple(
        Light(
            azimuth_deg=first_deg + 120.0 * k,
            elevation_deg=elevation_deg,
            colour=colour,
            falloff=falloff,
            bend=bend,
        )
        for k, colour in enumerate(colours)
    )


_MINI = GelOptics(
    rows=240,
    cols=320,
    size=(320 * 0.0634e-3, 240 * 0.0634e-3),
    lights=three_lights(-90.0, 28.0, 0.3, 0.08, 120.0),
    ambient=(38.0, 48.0, 60.0),
)
"""0.0634 mm per pixel at 320 x 240 after the border is cut (maker's software, as reported)."""

MINI_DOTS = Dots(rows=7, cols=9, spacing=2e-3, radius=2.5e-4, soft=1e-4, dark=0.75)
"""Nine by seven (as reported); their size and distance are ours."""

OPTICS: dict[str, GelOptics] = {
    # 0.0877 mm per pixel, 320 rows of 240 (IsaacGymEnvs, branch tacsl, configuration of the R1.5).
    "gelsight-r15": GelOptics(
        rows=320,
        cols=240,
        size=(240 * 0.0877e-3, 320 * 0.0877e-3),
        lights=three_lights(90.0, 30.0, 0.25, 0.06, 115.0),
        ambient=(42.0, 46.0, 48.0),
    ),
    "gelsight-mini": _MINI,
    "gelsight-mini-markers": replace(_MINI, dots=MINI_DOTS),
    # 0.0266 mm per pixel at 640 x 480 (Taxim, Basics/sensorParams.py).
    "digit": GelOptics(
        rows=240,
        cols=320,
        size=(640 * 0.0266e-3, 480 * 0.0266e-3),
        lights=three_lights(30.0, 24.0, 0.45, 0.12, 125.0),
        ambient=(36.0, 34.0, 42.0),
    ),
}
"""By the name of the sensor."""


def synthetic_table(name: str, nodes: int = NODES) -> GradientTable:
    """Return the table of a kind of sensor in `OPTICS`.

    Raises:
        ValueError: no such kind.
    """
    if name not in OPTICS:
        raise ValueError(f"no gel {name!r}. Known gels: {sorted(OPTICS)}")
    return table_of(OPTICS[name], name, nodes)


def table_of(optics: GelOptics, sensor: str, nodes: int = NODES) -> GradientTable:
    """Return the table of a gel under its lights.

    Raises:
        ValueError: an even number of nodes, or a background beyond 0 to 255.
    """
    n = node_normals(nodes)
    n = n / np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1.0)  # the nearest normal
    n_z = np.sqrt(np.maximum(1.0 - np.sum(n * n, axis=-1), 0.0))
    coefficients = np.zeros((nodes, nodes, 3, 6))
    background = np.tile(np.array(optics.ambient), (optics.rows, optics.cols, 1))
    spread = forms(*places(optics.rows, optics.cols))  # (rows, cols, 6)
    for light in optics.lights:
        lean, rise = math.cos(math.radians(light.elevation_deg)), _sine(light)
        direction, bright = brightness(light)
        shown = np.maximum(rise * n_z - lean * (n @ direction), 0.0) - rise
        colour = np.array(light.colour)
        coefficients += shown[..., None, None] * colour[:, None] * bright
        background += rise * (spread @ bright)[..., None] * colour
    return GradientTable(
        coefficients=coefficients.astype(np.float32),
        background=background.astype(np.float32),
        sensor=sensor,
        size=optics.size,
        source=SOURCE,
        licence=LICENCE,
        date=DATE,
    )


def _sine(light: Light) -> float:
    return math.sin(math.radians(light.elevation_deg))


def brightness(light: Light) -> tuple[FloatArray, FloatArray]:
    """Return the direction (2,) of a light and its brightness (6,) as coefficients of the forms."""
    angle = math.radians(light.azimuth_deg)
    u, v = math.cos(angle), math.sin(angle)
    f, q = light.falloff, light.bend
    return np.array([u, v]), np.array([q * u * u, q * v * v, 2 * q * u * v, f * u, f * v, 1.0])
