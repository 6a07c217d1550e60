"""Dents of gels and how their skin follows, from the poses of what touches them.

On a CPU surfaces are followed along some rows, and what lies amid known dents on a curve is not
looked for; on a GPU each pixel is looked for by itself.
"""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sim2arm.sim.warp_device import recorded, warp_device

from .distance import Atlas
from .gel_cfg import GelCfg, Launch, Scratch, blocks, from_each
from .height_kernels import (
    MISSING,
    WIDER,
    Plane,
    cull,
    fill_columns,
    fill_rows,
    find_missing,
    follow,
    frame,
)
from .membrane_kernels import BLOCK, begin_level, gather_dents, halve, relax
from .slope_kernels import stretch

SWEEPS = (4, 4, 12)
"""Sweeps over the levels of the membrane, from fine to coarse."""
SPREAD = 5.0
"""How many reaches of the membrane a window goes beyond what may be touched: e^-5 is left."""


class GelDents:
    """What finds dents and skin of a group of gels.

    Attributes:
        launches: what is done, in this order.
        dents: (I, rows, width) float32, of objects alone, inside the windows [m]; it is scratch
            memory, until another group of gels is looked at.
    """

    def __init__(
        self,
        cfg: GelCfg,
        objects: Atlas,
        poses: Tensor,
        chosen: Tensor,
        windows: Tensor,
        heights: Tensor,
        scratch: Scratch,
        *,
        follow: bool,
    ) -> None:
        """Record what is done.

        Args:
            cfg: the gels.
            objects: what may touch them, K.
            poses: (I, K, 7) float32, of the objects in the frames of the gels.
            chosen: (I,) bool, gels that are looked at; others have no window.
            windows: (I, 4) int32, written: rows and columns (from, to, from, to) of pictures that
                a dent may reach.
            heights: (I, rows, width) float32, written inside the windows: the dent of the skin [m].
            scratch: memory.
            follow: whether surfaces are followed; else every pixel is looked for.
        """
        self._cfg, self._scratch, self._windows = cfg, scratch, windows
        self._gels, self._device = len(poses), poses.device
        self.dents = scratch("dents", self._gels, cfg.rows, cfg.width)
        begins, found = self._cull([chosen, objects.values, objects.shapes, poses])
        given = [_plane(cfg), objects.values, objects.shapes, poses, begins, windows]
        found += self._follow(given) if follow else self._look(given)
        levels, skin = self._relax()
        run = cfg.width // BLOCK if self._device.type == "cpu" else 1
        parts = (self._gels, cfg.rows, cfg.width // BLOCK // run)
        given = [cfg.skin_cell, run, _shares(cfg.skin_cell, self._device), blocks(self.dents), skin]
        last = recorded(stretch, parts, [*given, windows], [blocks(heights)], self._device)
        self.launches: list[Launch] = [*found, *levels, last]

    def _cull(self, where: list[Any]) -> tuple[Tensor, list[Launch]]:
        """Return from which height on objects may lie above cells, and what finds it."""
        cfg, device, n, plane = self._cfg, self._device, self._gels, _plane(self._cfg)
        begins = self._scratch("begins", n, *_cells(cfg, BLOCK))
        wider = self._scratch("wider", n, *_cells(cfg, BLOCK * WIDER))
        given = [plane, BLOCK * WIDER, *where, torch.zeros((0, 1, 1), device=device)]
        return begins, [
            recorded(cull, tuple(wider.shape), given, [wider], device),
            recorded(cull, tuple(begins.shape), [plane, BLOCK, *where, wider], [begins], device),
            recorded(frame, n, [plane, begins], [self._windows], device),
        ]

    def _look(self, given: list[Any]) -> list[Launch]:
        """Return what looks for the dent of every pixel."""
        every = (self._gels, self._cfg.rows, self._cfg.cols)
        find = recorded(
            find_missing, every, [given[0], 1, 0, 1, *given[1:]], [self.dents], self._device
        )

        def forget() -> None:
            self.dents.fill_(MISSING)

        return [forget, find]

    def _follow(self, given: list[Any]) -> list[Launch]:
        """Return what follows surfaces along rows and fills in what lies amid."""
        cfg, n, device, stride = self._cfg, self._gels, self._device, self._cfg.stride
        plane, seen, rows = given[0], given[-2:], -(-cfg.rows // stride)

        def find(first: int, step: int, count: int) -> Launch:
            inputs = [plane, cfg.cols, first, step, *given[1:]]
            return recorded(find_missing, (n, count, 1), inputs, [self.dents], device)

        inputs = [plane, stride, *given[1:]]
        found = [recorded(follow, (n, -(-rows // 2)), inputs, [self.dents], device)]
        apart = [stride // 2**k for k in range(stride.bit_length() - 1)]  # of what is known
        for known in apart:
            inputs = [plane, stride, known, *seen]
            found.append(recorded(fill_columns, (n, rows), inputs, [self.dents], device))
            found.append(find(0, stride, rows))
        for known in apart:
            count, inputs = -(-(cfg.rows - known // 2) // known), [plane, known, *seen]
            found.append(recorded(fill_rows, (n, count), inputs, [blocks(self.dents)], device))
            found.append(find(known // 2, known, count))
        return found

    def _relax(self) -> tuple[list[Launch], Tensor]:
        """Return what solves the membrane, dents from fine to coarse, then back; and the skin."""
        cfg, device, windows, n = self._cfg, self._device, self._windows, self._gels
        dents = self.dents[..., : cfg.cols]
        sizes = [cfg.skin_cell * 2**k for k in range(len(SWEEPS))]
        floors = [_with_sides(self._scratch, f"floor {size}", n, cfg, size) for size in sizes]
        inner = [floor[..., BLOCK:-BLOCK] for floor in floors]
        given = [sizes[0], dents, windows]
        found = [recorded(gather_dents, _rows(inner[0]), given, inner[:1], device)]
        found += [
            recorded(halve, _rows(coarse), [size, fine, windows], [coarse], device)
            for size, fine, coarse in zip(sizes[1:], inner, inner[1:], strict=False)
        ]
        coarser, place = torch.zeros((0, 1, 1), device=device), torch.arange(BLOCK, device=device)
        chess = blocks(torch.cat([place % 2, 1 - place % 2]).float())
        levels = zip(sizes[::-1], floors[::-1], inner[::-1], SWEEPS[::-1], strict=True)
        for size, floor, low, sweeps in levels:
            wide = _with_sides(self._scratch, f"skin {size}", n, cfg, size)
            skin, pull = wide[..., BLOCK:-BLOCK], (cfg.reach / (size * cfg.pixel)) ** 2
            given = [size, low, coarser, windows]
            found.append(recorded(begin_level, _rows(low), given, [skin], device))
            given, both = [chess, from_each(floor), windows], [from_each(wide), wide]
            found += sweeps * [
                recorded(relax, _rows(low), [size, colour, pull, *given], both, device)
                for colour in range(2)
            ]
            coarser = skin
        return found, coarser


def _plane(cfg: GelCfg) -> Any:
    plane: Any = Plane()
    margin = math.ceil(SPREAD * cfg.reach / (BLOCK * cfg.pixel))
    plane.rows, plane.cols, plane.pixel = cfg.rows, cfg.cols, cfg.pixel
    plane.depth, plane.bend, plane.margin = cfg.depth, cfg.bend, margin
    return plane


def _shares(size: int, device: torch.device) -> Any:
    """Return what of a block comes from cells of `size` pixels, of one before it to one after."""
    warp_device(device)  # starts Warp
    middles = (torch.arange(-1, BLOCK // size + 1, device=device) + 0.5) * size - 0.5
    away = (torch.arange(BLOCK, device=device) - middles[:, None]).abs() / size
    return blocks((1.0 - away).clamp(min=0.0).flatten())


def _cells(cfg: GelCfg, size: int) -> tuple[int, int]:
    return -(-cfg.rows // size), -(-cfg.cols // size)


def _with_sides(scratch: Scratch, name: str, gels: int, cfg: GelCfg, size: int) -> Tensor:
    """Return memory (gels, rows, cols of cells and a block at either side)."""
    rows, cols = _cells(cfg, size)
    return scratch(name, gels, rows, cols + 2 * BLOCK)


def _rows(grid: Tensor) -> tuple[int, ...]:
    return tuple(grid.shape[:2])
