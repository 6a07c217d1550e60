"""What the cameras inside gels see of the objects that dent them: dents, skin, pictures.

Everything happens in the window around what may be touched; the rest of a picture is the
background. Kernels work on tensors of torch, nothing is copied, and their launches are recorded.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .distance import DistanceGrid, make_atlas
from .gel_cfg import GelCfg, Launch, Scratch
from .gel_colours import GelColours
from .gel_dents import GelDents

GROUP = 8
"""Gels that a CPU draws together: more do not fit into its caches."""


class GelCamera:
    """The cameras of I equal gels, touched by K objects each.

    Attributes:
        poses: (I, K, 7) float32, of the objects in the frame of each gel (`height_kernels`); write
            them, then call `dent` or `draw`.
        chosen: (I,) bool, gels that are looked at; all unless that is changed. The pictures of
            others stay.
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
        follow: bool | None = None,
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
            follow: whether only some pixels are computed and the others filled in, as is quick on a
                CPU; else each pixel is computed by itself, as suits a GPU. By default, what suits
                the device.

        Raises:
            ValueError: a table or background of another shape, or a flat gel that changes colour.
        """
        _check(cfg, table, background)
        n, on_cpu = num_gels, device.type == "cpu"
        follow = on_cpu if follow is None else follow
        if poses is None:
            poses = torch.zeros((n, len(objects), 7), device=device)
            poses[..., 2], poses[..., 3] = 1.0, 1.0  # far away
        self.cfg, self.poses = cfg, poses
        self.chosen = torch.ones(n, dtype=torch.bool, device=device)
        self.windows = torch.zeros((n, 4), dtype=torch.int32, device=device)
        heights = torch.zeros((n, cfg.rows, cfg.width), device=device)
        self.heights = heights[..., : cfg.cols]
        self.picture = torch.zeros((n, cfg.rows, cfg.cols, 3), dtype=torch.uint8, device=device)
        scratch, atlas = Scratch(device), make_atlas(objects, device)
        colours = GelColours(cfg, table, background, scratch, follow=follow)
        self._dents: list[Launch] = []
        self._all: list[Launch] = []
        size = GROUP if on_cpu else n
        for some in (slice(k, k + size) for k in range(0, n, size)):
            chosen, windows, skin = self.chosen[some], self.windows[some], heights[some]
            found = GelDents(
                cfg, atlas, poses[some], chosen, windows, skin, scratch, follow=follow
            ).launches
            self._dents += found
            self._all += [*found, *colours.launches(skin, chosen, windows, self.picture[some])]

    def dent(self) -> Tensor:
        """Find windows, dents and skin for the poses; return `heights`."""
        for launch in self._dents:
            launch()
        return self.heights

    def draw(self) -> Tensor:
        """Return `picture` for the poses."""
        for launch in self._all:
            launch()
        return self.picture


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
