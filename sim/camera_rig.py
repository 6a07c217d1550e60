"""Cameras of all worlds drawn together: pictures at the policy's size, through the lens."""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from .cameras import CameraCfg, drawn_intrinsics, ideal_points
from .worlds.base import World
from .worlds.pictures import Output, Shot


class CameraRig:
    """Cameras of all worlds, drawn together, as policies see them.

    Attributes:
        cameras: what draws them; `cameras.field(name)` is what may differ between worlds.
        frames: the latest arrays by name, (N, H, W, 3) uint8, (N, H, W) float32 [m], 0 where
            nothing is seen, or (N, H, W) int32 numbers of geoms, -1 for none. `draw` writes them.
    """

    def __init__(self, world: World, cfgs: Sequence[CameraCfg]) -> None:
        """Allocate pictures of cameras that `add_camera` put into the scene.

        Raises:
            KeyError: the scene has no such camera.
            ValueError: there is no camera, or two have one name.
        """
        self.cfgs = tuple(cfgs)
        self.cameras = world.cameras([_shot(cfg) for cfg in cfgs])
        self._lenses = {cfg.name: Lens(cfg, world.device) for cfg in cfgs if cfg.final.distorts}
        self._finished: list[tuple[CameraCfg, Output]] = []
        self.frames: dict[str, Tensor] = {}
        for cfg in cfgs:
            shape = (world.num_worlds, cfg.final.height, cfg.final.width)
            for output in cfg.outputs:
                picture = getattr(self.cameras.pictures[cfg.name], output)
                if picture.shape[1:3] != shape[1:] or cfg.final.distorts:
                    self._finished.append((cfg, output))
                    picture = picture.new_zeros((*shape, *picture.shape[3:]))
                self.frames[f"{cfg.name}_{output}"] = picture

    def draw(self, chosen: Tensor | None = None) -> Mapping[str, Tensor]:
        """Draw worlds, (N,) bool or all; the frames of the others stay. Returns `frames`."""
        self.cameras.draw(chosen)
        return self.finish()

    def finish(self) -> Mapping[str, Tensor]:
        """Make `frames` of what the cameras drew."""
        pictures = self.cameras.pictures
        for cfg, output in self._finished:
            picture = getattr(pictures[cfg.name], output)
            self.frames[f"{cfg.name}_{output}"].copy_(self._finish(cfg, output, picture))
        return self.frames

    def _finish(self, cfg: CameraCfg, output: Output, picture: Tensor) -> Tensor:
        """Return pictures at the policy's size, through the lens."""
        n = cfg.samples
        if n > 1:
            picture = mean_of_squares(picture, n) if output == "rgb" else _middle(picture, n)
        lens = self._lenses.get(cfg.name)
        return picture if lens is None else lens.bend(picture)


class Lens:
    """Bends pictures of a pinhole into those of a camera whose lens the stage leaves in."""

    def __init__(self, cfg: CameraCfg, device: torch.device) -> None:
        """Find where each pixel of the bent picture lies in the straight one.

        Raises:
            ValueError: the lens model has no inverse over this picture.
        """
        straight, points = drawn_intrinsics(cfg), ideal_points(cfg.final)
        u = (points[..., 0] * straight.fx + straight.cx).clip(0.0, straight.width - 1.0)
        v = (points[..., 1] * straight.fy + straight.cy).clip(0.0, straight.height - 1.0)
        left = np.minimum(u.astype(np.int64), straight.width - 2)
        top = np.minimum(v.astype(np.int64), straight.height - 2)
        corners = np.stack([top, top, top + 1, top + 1]) * straight.width
        corners += np.stack([left, left + 1, left, left + 1])
        x, y = u - left, v - top
        weights = np.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x])
        nearest = np.rint(v).astype(np.int64) * straight.width + np.rint(u).astype(np.int64)
        self._corners = torch.from_numpy(corners).to(device)  # (4, H, W)
        self._weights = torch.from_numpy(weights.astype(np.float32)).to(device)
        self._nearest = torch.from_numpy(nearest).to(device)  # (H, W)

    def bend(self, picture: Tensor) -> Tensor:
        """Return (N, H, W, 3) uint8, interpolated, or (N, H, W) of the nearest pixels."""
        flat = picture.flatten(1, 2)
        if picture.ndim == 3:
            return flat[:, self._nearest]
        total = torch.zeros(
            (len(flat), *self._nearest.shape, 3), dtype=torch.float32, device=picture.device
        )
        for corner, weight in zip(self._corners, self._weights, strict=True):
            total += weight[..., None] * flat[:, corner]
        return (total + 0.5).to(torch.uint8)


def mean_of_squares(picture: Tensor, n: int) -> Tensor:
    """Return (N, H / n, W / n, 3) uint8: the mean of each square of n x n pixels, half up."""
    squares = picture.unflatten(1, (-1, n)).unflatten(3, (-1, n))  # (N, h, n, w, n, 3)
    total = squares.sum(dim=(2, 4), dtype=torch.int32)
    return torch.div(2 * total + n * n, 2 * n * n, rounding_mode="floor").to(torch.uint8)


def _middle(picture: Tensor, n: int) -> Tensor:
    """Return every n-th pixel, as `nearest` of the driver stage takes it."""
    return picture[:, n // 2 :: n, n // 2 :: n]


def _shot(cfg: CameraCfg) -> Shot:
    drawn = drawn_intrinsics(cfg)
    return Shot(
        camera=cfg.name,
        width=cfg.samples * drawn.width,
        height=cfg.samples * drawn.height,
        outputs=cfg.outputs,
    )
