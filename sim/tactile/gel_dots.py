"""Dots on the skin of gels, in the pictures of their cameras: they show what drags the skin.

Modelled is how far taxels are carried across by the forces on them (`field.ForceField`): drag, and
what an object's slant pushes aside; and how the skin between and beside them follows. Dents change
nothing else: a picture is seen along the gel's normal.
"""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

from typing import Any

import torch
import warp as wp
from torch import Tensor

from sim2arm.core.synthetic_tables import Dots
from sim2arm.sim.warp_device import recorded, warp_device

from .marker_kernels import Print, carry, darken, drag_along

REACH = 2e-3
"""Length over which the skin beside what drags it falls to 1/e of its way [m] (ours): about the
depth of the gel, which is held at its back."""
SWEEPS = 12
"""Over the taxels: what is left of the error is below 1 % of the way for those of 2 mm."""


class GelDots:
    """The dots of I gels.

    Attributes:
        places: (I, D, 2) float32 of dots, row by row, across and down from the middle [m].
        ways: (I, rows, cols, 2) float32, how far taxels were carried across and down [m].
    """

    def __init__(
        self,
        dots: Dots,
        size: tuple[float, float],
        forces: Tensor,
        numbers: Tensor,
        shear: float,
        picture: Tensor,
        chosen: Tensor,
    ) -> None:
        """Allocate.

        Args:
            dots: what is printed.
            size: width and height of a gel, which pictures and taxels cover [m].
            forces: (I, rows, cols, 3) float32 on taxels, read when dots are drawn [N].
            numbers: (I, 5) float32, what each gel resists with, in the order of `field_kernels`.
            shear: stiffness of a gel whose drag has none, as it is viscous [N/m^3].
            picture: (I, h, w, 3) uint8 that is drawn to.
            chosen: (I,) bool, where it is.
        """
        device = picture.device
        warp_device(device)  # starts Warp
        n, rows, cols, _ = forces.shape
        self.places = torch.zeros((n, dots.rows * dots.cols, 2), device=device)
        self.ways = torch.zeros((n, rows, cols, 2), device=device)
        ink, places, ways = _print(dots, size, shear), _pairs(self.places), _pairs(self.ways)
        pushed = wp.from_torch(forces, dtype=wp.vec3)
        self._launches = [
            recorded(drag_along, n, [ink, SWEEPS, pushed, numbers], [ways], device),
            recorded(carry, tuple(self.places.shape[:2]), [ink, ways], [places], device),
            recorded(darken, tuple(picture.shape[:2]), [ink, chosen, places], [picture], device),
        ]

    def draw(self) -> None:
        """Draw the dots onto the pictures, where the forces have carried them."""
        for launch in self._launches:
            launch()


def _print(dots: Dots, size: tuple[float, float], shear: float) -> Any:
    ink: Any = Print()
    ink.size, ink.reach, ink.shear = wp.vec2(*size), REACH, shear
    for name in ("rows", "cols", "spacing", "radius", "soft", "dark"):
        setattr(ink, name, getattr(dots, name))
    return ink


def _pairs(values: Tensor) -> Any:
    return wp.from_torch(values, dtype=wp.vec2)
