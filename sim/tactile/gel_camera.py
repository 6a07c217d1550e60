"""What the cameras inside gels see of the objects that dent them: dents, skin, pictures.

Everything happens in the window around what may be touched; the rest of a picture is the
background. Kernels work on tensors of torch; nothing is copied. On the CPU a thread computes a row
of a picture, on a GPU a pixel.
"""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import warp as wp
from torch import Tensor

from sim2arm.sim.warp_device import torch_stream, warp_device

from .colour_kernels import Filters, along_rows, colours, vec7, vec18
from .distance import DistanceGrid, make_atlas
from .height_kernels import Plane, cull, frame, trace
from .membrane_kernels import begin_level, gather_dents, halve, relax

CELL = 8
"""Pixels along a side of the cells in which contact is looked for."""
SMOOTH = (0.0, 1.0, 4.0, 6.0, 4.0, 1.0, 0.0)
"""Binomial weights of seven pixels, in sixteenths."""
CHANGE = (-1.0, -4.0, -5.0, 0.0, 5.0, 4.0, 1.0)
"""The same and central differences, in thirty-seconds per pixel."""
SWEEPS = (4, 4, 12)
"""Sweeps over the levels of the membrane, from fine to coarse."""
SPREAD = 5.0
"""How many reaches of the membrane a window goes beyond what may be touched: e^-5 is left."""


@dataclass(frozen=True, kw_only=True)
class GelCfg:
    """The imaged part of a gel, and how its skin follows what dents it."""

    rows: int
    """Of the picture."""
    cols: int
    """Of the picture."""
    pixel: float
    """Width of a pixel on the gel [m]."""
    depth: float = 2e-3
    """Largest dent [m]."""
    bend: float = 0.0
    """Curvature of the surface at rest, a dome towards the object [1/m]."""
    reach: float = 5e-4
    """Length over which the skin beside an object falls to 1/e of its dent [m] (ours)."""
    skin_cell: int = 4
    """Pixels along a cell of the finest grid of the membrane, even: it falls from half a cell
    before an edge, and after the few sweeps it is right to 7 % of the dent."""

    def __post_init__(self) -> None:
        """Refuse what is no gel."""
        for name in ("rows", "cols", "pixel", "depth", "reach"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if self.skin_cell < 2 or self.skin_cell % 2:
            raise ValueError(f"skin_cell: expected an even number, got {self.skin_cell}")


class GelCamera:
    """The cameras of I equal gels, touched by K objects each.

    Attributes:
        poses: (I, K, 7) float32, of the objects in the frame of each gel (`height_kernels`); write
            them, then call `dent` or `draw`.
        windows: (I, 4) int32, rows and columns from and to which the rest is about.
        heights: (I, rows, cols) float32, the dent of the skin inside the windows [m].
        picture: (I, rows, cols, 3) uint8.
    """

    def __init__(
        self,
        cfg: GelCfg,
        objects: Sequence[DistanceGrid],
        num_gels: int,
        table: npt.NDArray[np.float32],
        background: npt.NDArray[np.float32],
        *,
        device: torch.device,
    ) -> None:
        """Allocate.

        Args:
            cfg: the gel.
            objects: what may touch it, K of them.
            num_gels: I.
            table: (B, B, 3, 6) change of colour by slope: nodes of n_y, n_x in [-1, 1], channels,
                coefficients of x^2, y^2, xy, x, y, 1 with x and y in [-1, 1] across the picture.
            background: (rows, cols, 3) of the flat gel, 0 to 255.
            device: of the tensors.

        Raises:
            ValueError: a table or background of another shape, or a flat gel that changes colour.
        """
        _check(cfg, table, background)
        self.cfg, self._device, self._place = cfg, device, warp_device(device)
        self._atlas = make_atlas(objects, device)
        self._run = cfg.cols if device.type == "cpu" else 1
        margin = math.ceil(SPREAD * cfg.reach / (CELL * cfg.pixel))
        self._plane = _plane(cfg, margin)
        n = num_gels
        self.poses = torch.zeros((n, len(objects), 7), device=device)
        self.poses[..., 2], self.poses[..., 3] = 1.0, 1.0  # far away
        self.windows = torch.zeros((n, 4), dtype=torch.int32, device=device)
        self.heights, self._dents, self._smooth, self._change = torch.zeros(
            (4, n, cfg.rows, cfg.cols), device=device
        )
        self.picture = torch.zeros((n, cfg.rows, cfg.cols, 3), dtype=torch.uint8, device=device)
        self._begins = torch.zeros((n, *_cells(cfg, CELL)), device=device)
        sizes = [cfg.skin_cell * 2**k for k in range(len(SWEEPS))]
        self._levels = [
            (size, *torch.zeros((2, n, *_cells(cfg, size)), device=device)) for size in sizes
        ]
        self._table = wp.array(table.reshape(-1, 18), dtype=vec18, device=self._place)
        self._background = wp.array(background, dtype=wp.vec3, device=self._place)
        self._nodes = len(table)
        self._filters = Filters()
        self._filters.smooth = vec7(*(v / 16.0 for v in SMOOTH))
        self._filters.change = vec7(*(v / 32.0 for v in CHANGE))

    def dent(self) -> Tensor:
        """Find windows, dents and skin for the poses; return `heights`."""
        cfg, plane, n = self.cfg, self._plane, len(self.poses)
        objects = (self._atlas.values, self._atlas.shapes, self.poses)
        self._launch(cull, tuple(self._begins.shape), plane, *objects, self._begins)
        self._launch(frame, (n,), plane, self._begins, self.windows)
        parts = (n, cfg.rows, -(-cfg.cols // self._run))
        self._launch(
            trace, parts, plane, self._run, *objects, self._begins, self.windows, self._dents
        )
        self._stretch()
        size, _, skin = self._levels[0]
        self._launch(
            along_rows, parts, size, self._run, self._filters, self._dents, skin, self.windows,
            self.heights, self._smooth, self._change,
        )  # fmt: skip
        return self.heights

    def draw(self) -> Tensor:
        """Return `picture` for the poses."""
        self.dent()
        cfg = self.cfg
        parts = (len(self.poses), cfg.rows, -(-cfg.cols // self._run))
        self._launch(
            colours, parts, self._run, 1.0 / cfg.pixel, self._filters, self._nodes, self._table,
            self._background, self._smooth, self._change, self.windows, self.picture,
        )  # fmt: skip
        return self.picture

    def _stretch(self) -> None:
        """Solve the membrane, from the coarsest level down."""
        size, floor, _ = self._levels[0]
        self._launch(gather_dents, _rows(floor), size, self._dents, self.windows, floor)
        for (_, fine, _), (size, coarse, _) in zip(self._levels, self._levels[1:], strict=False):
            self._launch(halve, _rows(coarse), size, fine, self.windows, coarse)
        coarser = torch.zeros((0, 1, 1), device=self._device)
        for (size, floor, skin), sweeps in zip(self._levels[::-1], SWEEPS[::-1], strict=True):
            pull = (self.cfg.reach / (size * self.cfg.pixel)) ** 2
            self._launch(begin_level, _rows(floor), size, floor, coarser, self.windows, skin)
            for sweep in range(2 * sweeps):
                self._launch(relax, _rows(floor), size, sweep % 2, pull, floor, self.windows, skin)
            coarser = skin

    def _launch(self, kernel: Any, dim: tuple[int, ...], *values: Any) -> None:
        inputs = [wp.from_torch(v) if isinstance(v, Tensor) else v for v in values]
        stream = torch_stream(self._device)
        wp.launch(kernel, dim=dim, inputs=inputs, device=self._place, stream=stream)


def _check(
    cfg: GelCfg, table: npt.NDArray[np.float32], background: npt.NDArray[np.float32]
) -> None:
    nodes = len(table)
    if table.shape != (nodes, nodes, 3, 6) or nodes % 2 == 0 or nodes < 3:
        raise ValueError(f"table: expected (B, B, 3, 6) with B odd, got {table.shape}")
    if table[nodes // 2, nodes // 2].any():
        raise ValueError("table: expected no change of colour where there is no slope")
    if background.shape != (cfg.rows, cfg.cols, 3):
        raise ValueError(f"background: expected {(cfg.rows, cfg.cols, 3)}, got {background.shape}")


def _plane(cfg: GelCfg, margin: int) -> Any:
    plane: Any = Plane()
    plane.rows, plane.cols, plane.pixel, plane.cell = cfg.rows, cfg.cols, cfg.pixel, CELL
    plane.depth, plane.bend, plane.margin = cfg.depth, cfg.bend, margin
    return plane


def _cells(cfg: GelCfg, size: int) -> tuple[int, int]:
    return -(-cfg.rows // size), -(-cfg.cols // size)


def _rows(grid: Tensor) -> tuple[int, ...]:
    return tuple(grid.shape[:2])
