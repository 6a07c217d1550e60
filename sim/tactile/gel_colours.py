"""Pictures of the skin of gels: slopes, and what colours they have.

On a CPU some colours are computed, and what lies amid known ones on a curve is filled in; on a GPU
each pixel is computed by itself.
"""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import warp as wp
from torch import Tensor

from sim2arm.sim.warp_device import recorded, warp_device

from .colour_kernels import (
    MARGIN,
    Look,
    between_columns,
    between_rows,
    bytes8,
    clear,
    colours,
    compute,
    expose,
    vec24,
)
from .gel_cfg import GelCfg, Launch, Scratch, blocks, from_each
from .membrane_kernels import BLOCK
from .slope_kernels import AS_IS, CHANGE, CHANGE_AS_IS, SMOOTH, along_rows, down_columns, vec7

SEEN = 0.25
"""Change of colour that need not be drawn [grey level]."""


class GelColours:
    """How the skin of equal gels looks."""

    def __init__(
        self,
        cfg: GelCfg,
        table: npt.NDArray[np.float32],
        background: npt.NDArray[np.float32],
        scratch: Scratch,
        *,
        follow: bool,
    ) -> None:
        """Take how slopes look.

        Args:
            cfg: the gels.
            table: (B, B, 3, 6) change of colour by slope, as of `gel_camera`.
            background: (rows, cols, 3) of the flat gel, 0 to 255.
            scratch: memory.
            follow: whether only some pixels are computed; else each is.
        """
        device = scratch.device
        self._cfg, self._scratch, self._follow = cfg, scratch, follow
        self._look = _look(cfg, table, device)
        self._quiet = _unseen(table) ** 2
        self._background = torch.zeros((cfg.rows, 3 * cfg.width), device=device)
        inside = self._background[:, : 3 * cfg.cols]
        inside.copy_(torch.from_numpy(background).reshape(cfg.rows, -1))
        self._flat = (inside + 0.5).clamp(0.0, 255.0).to(torch.uint8)

    def launches(
        self, heights: Tensor, chosen: Tensor, windows: Tensor, picture: Tensor
    ) -> list[Launch]:
        """Return what draws pictures of a group of gels.

        Args:
            heights: (I, rows, width) float32, the dent of the skin inside the windows [m].
            chosen: (I,) bool, gels that are drawn.
            windows: (I, 4) int32, empty for others.
            picture: (I, rows, cols, 3) uint8.
        """
        slopes, across, down, steep = self._slopes(heights, windows)
        pixels, n = picture.flatten(2), len(heights)
        given = [chosen, _byte_blocks(self._flat[None])[0], self._flat]
        both = [_byte_blocks(pixels), pixels]
        slopes.insert(0, recorded(clear, (n, self._cfg.rows), given, both, heights.device))
        if self._follow:
            return [*slopes, *self._fill(across, down, steep, windows, pixels)]
        given = [self._look, across, down, self._background, windows]
        every = (n, self._cfg.rows, self._cfg.cols)
        return [*slopes, recorded(colours, every, given, [pixels], heights.device)]

    def _slopes(
        self, heights: Tensor, windows: Tensor
    ) -> tuple[list[Launch], Tensor, Tensor, Tensor]:
        """Return what finds slopes; those across and down; and in which blocks they show."""
        cfg, device, scratch, n = self._cfg, heights.device, self._scratch, len(heights)
        rowwise = (SMOOTH, CHANGE) if cfg.smooth else (AS_IS, CHANGE_AS_IS)
        columnwise = [vec7(*(weight / cfg.pixel for weight in weights)) for weights in rowwise]
        filtered = [
            scratch(name, n, cfg.rows, cfg.width + 2 * BLOCK) for name in ("smooth", "change")
        ]
        across, down = (scratch(name, n, cfg.rows, cfg.width) for name in ("across", "down"))
        count = cfg.width // BLOCK
        steep = scratch("steep", n, cfg.rows, count, dtype=torch.int32)
        run = count if device.type == "cpu" else 1
        parts = (n, cfg.rows, count // run)
        given = [run, cfg.cols, *columnwise, blocks(heights), windows]
        written = [*map(blocks, filtered), *filtered]
        first = recorded(down_columns, parts, given, written, device)
        given = [run, *(vec7(*weights) for weights in rowwise), self._quiet]
        given += [*map(from_each, filtered), windows]
        written = [blocks(across), blocks(down), steep]
        return [first, recorded(along_rows, parts, given, written, device)], across, down, steep

    def _fill(
        self, across: Tensor, down: Tensor, steep: Tensor, windows: Tensor, pixels: Tensor
    ) -> list[Launch]:
        """Return what computes some pixels, fills in what lies amid and writes it."""
        cfg, device, n = self._cfg, pixels.device, len(pixels)
        stride = cfg.colour_stride
        wide = 3 * cfg.width + 2 * MARGIN
        source, target = (self._scratch(name, n, cfg.rows, wide) for name in ("source", "target"))
        wanted = self._scratch("wanted", *steep.shape, dtype=torch.int32)
        mixed = self._scratch("mixed", n, cfg.rows, 1, 24)
        own = [wp.from_torch(mixed, dtype=vec24), mixed[:, :, 0]]

        def computed(
            into: Tensor, count: int, rows: tuple[int, int], cols: tuple[int, int], want: Tensor
        ) -> Launch:
            given = [*rows, *cols, int(want is steep), self._look, across, down, windows, want]
            written = [into, from_each(into)]
            return recorded(compute, (n, count), [*given, *own], written, device)

        known = -(-cfg.rows // stride)
        found = [computed(source, known, (0, stride), (0, stride), steep)]
        halves = [stride // 2**k for k in range(1, stride.bit_length())]
        for half in halves:
            given = [stride, half, cfg.cols, _masks(half, device), windows, steep]
            given += [source, from_each(source)]
            written = [wanted, from_each(target)]
            found.append(recorded(between_columns, (n, known), given, written, device))
            found.append(computed(target, known, (0, stride), (half, 2 * half), wanted))
            source, target = target, source
        for half in halves:
            count, given = -(-(cfg.rows - half) // (2 * half)), [half, windows, steep]
            written = [wanted, from_each(source)]
            found.append(recorded(between_rows, (n, count), given, written, device))
            found.append(computed(source, count, (half, 2 * half), (0, 1), wanted))
        given = [blocks(self._background), windows, steep, from_each(source), source]
        written = [_byte_blocks(pixels), pixels]
        return [*found, recorded(expose, (n, cfg.rows), given, written, device)]


def _look(cfg: GelCfg, table: npt.NDArray[np.float32], device: torch.device) -> Any:
    look: Any = Look()
    nodes = np.zeros((len(table) ** 2, 24), dtype=np.float32)
    nodes[:, :18] = table.reshape(-1, 18)
    look.nodes = len(table)
    look.table = wp.array(nodes, dtype=vec24, device=warp_device(device))
    look.across, look.down = 2.0 / cfg.cols, 2.0 / cfg.rows
    return look


def _unseen(table: npt.NDArray[np.float32]) -> float:
    """Return the slope below which no colour changes by more than `SEEN`, by the inner nodes."""
    middle = len(table) // 2
    inner = np.abs(table[middle - 1 : middle + 2, middle - 1 : middle + 2]).sum(axis=-1).max()
    return float(SEEN / (inner * middle)) if inner > 0.0 else math.inf


def _masks(half: int, device: torch.device) -> Any:
    """Return ones at the values of columns amid those 2 `half` apart, then at those."""
    place = torch.arange(3 * BLOCK, device=device) // 3 % (2 * half)
    return blocks(torch.cat([place == half, place == 0]).float())


def _byte_blocks(pixels: Tensor) -> Any:
    """Return the same memory (I, rows, bytes) but for the last few of a row, eight an element."""
    n, rows, width = pixels.shape
    shape, strides = (n, rows, width // BLOCK, BLOCK), (rows * width, width, BLOCK, 1)
    return wp.from_torch(pixels.as_strided(shape, strides, pixels.storage_offset()), dtype=bytes8)
