"""What is said about a gel whose camera is drawn, and memory that drawing needs."""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import warp as wp
from torch import Tensor

from .membrane_kernels import BLOCK, vec8

Launch = Callable[[], None]

LEAST = 8
"""Smallest side of a picture [pixel]."""
SKIN_CELLS = (1, 2, 4, BLOCK)
"""Possible widths of cells of the finest grid of the membrane [pixel]."""
NARROW = 2.5e-4
"""Looks this far apart miss nothing that grids of distances with cells of 0.3 mm can show [m]."""
STEP = 3.2e-4
"""How far apart colours of smoothed skin are computed at most [m]."""


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
    """Pixels along a cell of the finest grid of the membrane, of `SKIN_CELLS`: it falls from half a
    cell before an edge, and after the few sweeps it is right to 7 % of the dent."""
    smooth: bool = True
    """Whether slopes are those of heights smoothed over five pixels, as a table is calibrated; not
    where pixels are wider than the table's."""

    def __post_init__(self) -> None:
        """Refuse what is no gel."""
        for name in ("rows", "cols", "pixel", "depth", "reach"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        for name in ("rows", "cols"):
            if getattr(self, name) < LEAST:
                raise ValueError(f"{name}: expected {LEAST} or more, got {getattr(self, name)}")
        if self.skin_cell not in SKIN_CELLS:
            raise ValueError(f"skin_cell: expected one of {SKIN_CELLS}, got {self.skin_cell}")

    @property
    def stride(self) -> int:
        """Pixels from one where a surface is looked for first to the next."""
        return next((step for step in (4, 2) if step * self.pixel < NARROW), 1)

    @property
    def colour_stride(self) -> int:
        """Pixels from one whose colour is computed first to the next."""
        if not self.smooth:  # what is not smoothed lies on no curve
            return 1
        return 4 if 4.0 * self.pixel < STEP else 2

    @property
    def width(self) -> int:
        """Columns in whole blocks."""
        return -(-self.cols // BLOCK) * BLOCK


class Scratch:
    """Memory by name that gels use one group after the other, the first group being the largest."""

    def __init__(self, device: torch.device) -> None:
        """Begin with none."""
        self.device = device
        self._held: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return memory (gels, ...), zero when it is first asked for."""
        if name not in self._held:
            self._held[name] = torch.zeros(shape, dtype=dtype, device=self.device)
        return self._held[name][: shape[0]]


def blocks(values: Tensor) -> Any:
    """Return the same memory, a block an element."""
    return wp.from_torch(values.unflatten(-1, (-1, BLOCK)), dtype=vec8)


def from_each(values: Tensor) -> Any:
    """Return the same memory, eight values from each on an element."""
    return wp.from_torch(values.unfold(-1, BLOCK, 1), dtype=vec8)
