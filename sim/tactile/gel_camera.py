"""What the cameras inside gels see of the objects that dent them: dents, skin, pictures.

Everything happens in the window around what may be touched; the rest of a picture is the
background. Kernels work on tensors of torch, nothing is copied, and their launches are recorded. On
the CPU a thread computes a row of a picture, on a GPU a pixel.
"""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import warp as wp
from torch import Tensor

from sim2arm.sim.warp_device import recorded, warp_device

from .colour_kernels import (
    AS_IS,
    CHANGE,
    CHANGE_AS_IS,
    SMOOTH,
    along_rows,
    colours,
    vec7,
    vec18,
)
from .distance import DistanceGrid, make_atlas
from .height_kernels import Plane, cull, frame, trace, trace_between
from .membrane_kernels import begin_level, gather_dents, halve, relax

Launch = Callable[[], None]

CELL = 8
"""Pixels along a side of the cells in which contact is looked for."""
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
    """Pixels along a cell of the finest grid of the membrane, 1 or even: it falls from half a cell
    before an edge, and after the few sweeps it is right to 7 % of the dent."""
    smooth: bool = True
    """Whether slopes are those of heights smoothed over five pixels, as a table is calibrated; not
    where pixels are wider than the table's."""

    def __post_init__(self) -> None:
        """Refuse what is no gel."""
        for name in ("rows", "cols", "pixel", "depth", "reach"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if self.skin_cell < 1 or (self.skin_cell % 2 and self.skin_cell > 1):
            raise ValueError(f"skin_cell: expected 1 or an even number, got {self.skin_cell}")


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
        poses: Tensor | None = None,
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
            poses: memory for them that somebody else writes.

        Raises:
            ValueError: a table or background of another shape, or a flat gel that changes colour.
        """
        _check(cfg, table, background)
        self.cfg, self._device = cfg, device
        n, run = num_gels, cfg.cols if device.type == "cpu" else 1
        if poses is None:
            poses = torch.zeros((n, len(objects), 7), device=device)
            poses[..., 2], poses[..., 3] = 1.0, 1.0  # far away
        self.poses = poses
        self.windows = torch.zeros((n, 4), dtype=torch.int32, device=device)
        self.heights, dents, smooth, change = torch.zeros((4, n, cfg.rows, cfg.cols), device=device)
        self.picture = torch.zeros((n, cfg.rows, cfg.cols, 3), dtype=torch.uint8, device=device)
        parts, place = (n, cfg.rows, -(-cfg.cols // run)), warp_device(device)
        self._dent = [*self._touch(objects, dents, parts, run), *self._stretch(dents)]
        size, skin = cfg.skin_cell, self._skin
        slopes = [self.heights, smooth, change]
        weights = (SMOOTH, CHANGE) if cfg.smooth else (AS_IS, CHANGE_AS_IS)
        filters = [vec7(*each) for each in weights]
        given = [size, run, *filters, dents, skin, self.windows]
        self._dent.append(recorded(along_rows, parts, given, slopes, device))
        colour = [
            len(table),
            wp.array(table.reshape(-1, 18), dtype=vec18, device=place),
            wp.array(background, dtype=wp.vec3, device=place),
        ]
        slopes = [smooth, change, self.windows]
        self._paint = recorded(
            colours,
            parts,
            [run, *filters, 1.0 / cfg.pixel, *colour, *slopes],
            [self.picture],
            device,
        )

    def dent(self) -> Tensor:
        """Find windows, dents and skin for the poses; return `heights`."""
        for launch in self._dent:
            launch()
        return self.heights

    def draw(self) -> Tensor:
        """Return `picture` for the poses."""
        self.dent()
        self._paint()
        return self.picture

    def _touch(
        self, objects: Sequence[DistanceGrid], dents: Tensor, parts: tuple[int, ...], run: int
    ) -> list[Launch]:
        """Return what finds windows and dents."""
        cfg, device, n = self.cfg, self._device, len(self.poses)
        atlas, plane = make_atlas(objects, device), _plane(cfg)
        begins = torch.zeros((n, *_cells(cfg, CELL)), device=device)
        where = [atlas.values, atlas.shapes, self.poses]
        seen = [begins, self.windows]
        found = [
            recorded(cull, tuple(begins.shape), [plane, *where], [begins], device),
            recorded(frame, n, [plane, begins], [self.windows], device),
        ]
        if device.type != "cpu":  # pixels are independent there
            return [*found, recorded(trace, parts, [plane, run, 1, *where, *seen], [dents], device)]
        _, rows, runs = parts
        even, odd = (n, -(-rows // 2), runs), (n, rows // 2, runs)
        return [
            *found,
            recorded(trace, even, [plane, run, 2, *where, *seen], [dents], device),
            recorded(trace_between, odd, [plane, run, *where, *seen], [dents], device),
        ]

    def _stretch(self, dents: Tensor) -> list[Launch]:
        """Return what solves the membrane: dents from fine to coarse, the skin from there down."""
        cfg, device, windows = self.cfg, self._device, self.windows
        sizes = [cfg.skin_cell * 2**k for k in range(len(SWEEPS))]
        floors = [torch.zeros((len(dents), *_cells(cfg, size)), device=device) for size in sizes]
        found = [
            recorded(gather_dents, _rows(floors[0]), [sizes[0], dents, windows], floors[:1], device)
        ]
        found += [
            recorded(halve, _rows(coarse), [size, fine, windows], [coarse], device)
            for size, fine, coarse in zip(sizes[1:], floors, floors[1:], strict=False)
        ]
        coarser = torch.zeros((0, 1, 1), device=device)
        for size, floor, sweeps in zip(sizes[::-1], floors[::-1], SWEEPS[::-1], strict=True):
            skin, pull = torch.zeros_like(floor), (cfg.reach / (size * cfg.pixel)) ** 2
            given = [size, floor, coarser, windows]
            found.append(recorded(begin_level, _rows(floor), given, [skin], device))
            sweep = [
                recorded(relax, _rows(floor), [size, k, pull, floor, windows], [skin], device)
                for k in range(2)
            ]
            found += sweeps * sweep
            coarser = skin
        self._skin = coarser
        return found


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


def _plane(cfg: GelCfg) -> Any:
    plane: Any = Plane()
    margin = math.ceil(SPREAD * cfg.reach / (CELL * cfg.pixel))
    plane.rows, plane.cols, plane.pixel, plane.cell = cfg.rows, cfg.cols, cfg.pixel, CELL
    plane.depth, plane.bend, plane.margin = cfg.depth, cfg.bend, margin
    return plane


def _cells(cfg: GelCfg, size: int) -> tuple[int, int]:
    return -(-cfg.rows // size), -(-cfg.cols // size)


def _rows(grid: Tensor) -> tuple[int, ...]:
    return tuple(grid.shape[:2])
