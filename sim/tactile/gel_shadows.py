"""Shadows on the skin of gels, in the pictures of their cameras.

Each light of a sensor (`synthetic_tables.OPTICS`) is taken off where dents hide it, as much as it
shows there by Lambert's law. For synthetic tables, which add lights of this law, that is the
picture without it; for measured tables it is as true as the directions and colours of the lights.
Shadows end with the window of a picture, `gel_camera.SPREAD` reaches beyond what may be touched.
"""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import warp as wp

from sim2arm.core.synthetic_tables import Light, brightness
from sim2arm.sim.warp_device import recorded, warp_device

from .gel_camera import GelCamera
from .shadow_kernels import Lamp, coarsen, dim, hide, vec6
from .slope_kernels import AS_IS, CHANGE, CHANGE_AS_IS, SMOOTH, vec7

CELL = 2.5e-4
"""Width of cells for which shadows are found, about [m]: four pixels of 320 x 240."""
HALF_WIDTH_DEG = 6.0
"""Half the angle that a light is high, seen from the gel (ours)."""


class GelShadows:
    """The shadows in the pictures of a `GelCamera`."""

    def __init__(self, camera: GelCamera, lights: Sequence[Light]) -> None:
        """Allocate.

        Args:
            camera: whose pictures are changed.
            lights: L of them, at the gel's rim.

        Raises:
            ValueError: a light is too low or too high; one line.
        """
        cfg, device = camera.cfg, camera.picture.device
        place, n = warp_device(device), len(camera.picture)
        lamps = wp.array([_lamp(light) for light in lights], dtype=Lamp, device=place)
        size = max(1, round(CELL / cfg.pixel))
        grid = -(-cfg.rows // size), -(-cfg.cols // size)
        cells = torch.zeros((n, *grid), device=device)
        tops = torch.zeros((n, grid[0]), device=device)
        hidden = torch.zeros((n * len(lights), *grid), device=device)
        run, windows = cfg.cols if device.type == "cpu" else 1, camera.windows
        heights = camera.heights
        weights = (SMOOTH, CHANGE) if cfg.smooth else (AS_IS, CHANGE_AS_IS)
        filters = [vec7(*each) for each in weights]
        given = [size, run, 1.0 / cfg.pixel, *filters, lamps, hidden, heights, windows]
        self._launches = [
            recorded(coarsen, (n, grid[0]), [size, heights, windows], [cells, tops], device),
            recorded(
                hide,
                (n, len(lights), grid[0]),
                [size, size * cfg.pixel, lamps, cells, tops, windows],
                [hidden],
                device,
            ),
            recorded(dim, (n, cfg.rows, -(-cfg.cols // run)), given, [camera.picture], device),
        ]

    def draw(self) -> None:
        """Draw the shadows onto the pictures that the camera has just drawn."""
        for launch in self._launches:
            launch()


def _lamp(light: Light) -> Any:
    low, high = (light.elevation_deg + sign * HALF_WIDTH_DEG for sign in (-1.0, 1.0))
    if not 0.0 < low < high < 90.0:
        raise ValueError(
            f"light: expected an elevation of {HALF_WIDTH_DEG:g} to {90.0 - HALF_WIDTH_DEG:g} "
            f"degrees, both excluded, got {light.elevation_deg:g}"
        )
    elevation, (direction, bright) = math.radians(light.elevation_deg), brightness(light)
    lamp: Any = Lamp()
    lamp.direction, lamp.bright = wp.vec2(*direction.tolist()), vec6(*bright.tolist())
    lamp.lean, lamp.rise = math.cos(elevation), math.sin(elevation)
    lamp.full, lamp.none = math.tan(math.radians(low)), math.tan(math.radians(high))
    lamp.colour = wp.vec3(*light.colour)
    return lamp
