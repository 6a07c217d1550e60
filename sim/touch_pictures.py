"""Pictures of the gels of N worlds, layer by layer: colours, shadows, dots, noise."""

# pyright: standard

from __future__ import annotations

import math

import torch
from torch import Tensor

from sim2arm.core.gradient_table import GradientTable
from sim2arm.core.synthetic_tables import GelOptics

from .tactile.field import ForceField
from .tactile.gel_camera import GelCamera
from .tactile.gel_cfg import SKIN_CELLS, GelCfg
from .tactile.gel_dots import GelDots
from .tactile.gel_noise import GelNoise, NoisyGels
from .tactile.gel_shadows import GelShadows


class GelPictures:
    """The pictures of all gels of N worlds.

    Attributes:
        camera: what draws dents and colours.
        shadows: of dents, None without any.
        dots: on the skin, None without any.
        noise: what real gels add, None without any.
        count: how many numbers an episode draws.
        frame: (N, gels, rows, cols, 3) uint8.
    """

    def __init__(
        self,
        table: GradientTable,
        optics: GelOptics,
        noise: GelNoise | None,
        forces: ForceField,
        *,
        shape: tuple[int, int],
        rate_hz: float,
        shadows: bool = False,
    ) -> None:
        """Allocate.

        Args:
            table: how slopes look.
            optics: lights, and what is printed on the gels.
            noise: of their cameras.
            forces: of the gels; where objects are, and what drags the skin.
            shape: rows and columns of a picture.
            rate_hz: readings per second.
            shadows: whether dents throw them.

        Raises:
            ValueError: shadows of lights that stand too low or too high.
        """
        self._forces, worlds = forces, len(forces.numbers)
        self._gels = len(forces.gels)
        self.camera = _camera(table, shape, forces)
        picture = self.camera.picture
        self.shadows = GelShadows(self.camera, optics.lights) if shadows else None
        self.dots = self.noise = None
        if optics.dots is not None:
            pushed, numbers = forces.forces.flatten(0, 1), forces.numbers.flatten(0, 1)
            shear = forces.cfg.law.shear
            drawn = picture, self.camera.chosen
            self.dots = GelDots(optics.dots, table.size, pushed, numbers, shear, *drawn)
        if noise is not None:
            self.noise = NoisyGels(noise, picture, rate_hz)
            picture = self.noise.picture
        self.count = 0 if noise is None else self._gels * NoisyGels.count
        self.frame = picture.unflatten(0, (worlds, self._gels))

    def start(self, chosen: Tensor, unit: Tensor) -> None:
        """Begin episodes in chosen worlds (N,) bool, with numbers (N, count) in [0, 1)."""
        if self.noise is not None:
            each = unit.reshape(-1, NoisyGels.count)
            self.noise.start(chosen.repeat_interleave(self._gels), each)

    def take(self, frame: Tensor, chosen: Tensor) -> None:
        """Draw the pictures of chosen worlds (N,) bool into `frame`."""
        assert frame is self.frame
        self._forces.relate()
        gels = chosen.repeat_interleave(self._gels)
        self.camera.chosen.copy_(gels)
        self.camera.draw()
        if self.shadows is not None:
            self.shadows.draw()
        if self.dots is not None:
            self.dots.draw()
        if self.noise is not None:
            self.noise.take(gels)


def _camera(table: GradientTable, shape: tuple[int, int], forces: ForceField) -> GelCamera:
    rows, cols = shape
    device: torch.device = forces.poses.device
    wider = table.background.shape[1] / cols  # than the pixels that the table is made for
    cfg = GelCfg(
        rows=rows,
        cols=cols,
        pixel=table.size[0] / cols,
        skin_cell=min(SKIN_CELLS, key=lambda size: abs(math.log(size * wider / 4.0))),
        smooth=wider < 2.0,
    )
    background, poses = table.background_at(rows, cols), forces.poses
    return GelCamera(
        cfg, forces.grids, len(poses), table.coefficients, background, device=device, poses=poses
    )
