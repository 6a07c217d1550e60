"""Encoders of what is no vector: pictures, and force fields of tactile sensors.

What an observation is, its shape and type say, as `env.reset()` returns it: (N, H, W, 3) uint8 is
a picture, (N, gels, rows, columns, 3) float32 a field of forces, (N, K) float32 a vector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .networks import EmpiricalNormalization, PictureError

VECTOR = "vector"
"""Among features: the vector of all observations that are one."""
GOAL = "goal"
"""Among features: the vector of those that say what is wanted, where a network has them apart."""
KERNELS, STRIDES, CHANNELS = (8, 4, 3), (2, 1, 1), (32, 32, 64)
"""Layers for pictures. Source: TacSL, arXiv 2408.06506."""
LEAST_PICTURE = 20
"""Smallest side of a picture after which soft-argmax has two places to tell apart [pixel]."""
FIELD_CHANNELS, FIELD_SIZE = (16, 32), 64
"""Layers for fields, of stride 2 (of stride 1, the first took four times as long on a CPU), and
what becomes of one gel."""


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """Shapes of observations, without the batch axis, by what they are."""

    vectors: dict[str, tuple[int, ...]]
    pictures: dict[str, tuple[int, ...]]
    fields: dict[str, tuple[int, ...]]


def kinds_of(obs: Mapping[str, Tensor]) -> Kinds:
    """Return what observations (N, ...) are.

    Raises:
        PictureError: one is neither vector nor picture nor field, or there is no vector.
    """
    found = sort_kinds({name: (tuple(v.shape[1:]), v.dtype) for name, v in obs.items()})
    if not found.vectors:
        raise PictureError(f"expected a vector among the observations, got {sorted(obs)}")
    return found


def sort_kinds(shapes: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> Kinds:
    """Return what observations are, by shape, without the batch axis, and type.

    Raises:
        PictureError: one is neither vector nor picture nor field.
    """
    found = Kinds(vectors={}, pictures={}, fields={})
    for name, (shape, dtype) in shapes.items():
        if dtype == torch.uint8 and len(shape) == 3 and shape[2] == 3:
            found.pictures[name] = shape
        elif dtype == torch.float32 and len(shape) == 4 and shape[3] == 3:
            found.fields[name] = shape
        elif dtype.is_floating_point and len(shape) <= 1:
            found.vectors[name] = shape
        else:
            kind = str(dtype).removeprefix("torch.")
            raise PictureError(
                f"no network reads {name!r}, {kind} of shape {shape}: expected a vector, a picture "
                "(H, W, 3) uint8 or a field (gels, rows, columns, 3) float32"
            )
    return found


def soft_argmax(maps: Tensor, temperature: Tensor | float = 1.0) -> Tensor:
    """Return the expected place of each map under its softmax.

    Args:
        maps: (B, C, H, W).
        temperature: what the maps are divided by.

    Returns:
        (B, 2 C): per map x, along W, then y, along H; -1 at the first pixel, 1 at the last.

    Source: Levine et al., arXiv 1504.00702.
    """
    height, width = maps.shape[2:]
    x = torch.linspace(-1.0, 1.0, width, device=maps.device)
    y = torch.linspace(-1.0, 1.0, height, device=maps.device)
    places = torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1)  # (H W, 2)
    share = torch.softmax(maps.flatten(2) / temperature, dim=-1)
    return (share @ places).flatten(1)


class PictureEncoder(nn.Module):
    """Convolutions and spatial soft-argmax with a learnt temperature."""

    def __init__(self, name: str, shape: tuple[int, ...], channels: int = 3) -> None:
        """Take the shape (H, W, 3) of the pictures and how many channels the network is given.

        Raises:
            PictureError: a side is shorter than `LEAST_PICTURE`.
        """
        super().__init__()
        if min(shape[:2]) < LEAST_PICTURE:
            raise PictureError(
                f"{name!r}: expected pictures of at least {LEAST_PICTURE} x {LEAST_PICTURE} "
                f"pixels, got {shape[0]} x {shape[1]}: the last layer would not fit"
            )
        layers: list[nn.Module] = []
        for before, after, kernel, stride in zip(
            (channels, *CHANNELS), CHANNELS, KERNELS, STRIDES, strict=False
        ):
            layers += [nn.Conv2d(before, after, kernel, stride), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])  # negative scores keep their order
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.size = 2 * CHANNELS[-1]

    def forward(self, pictures: Tensor) -> Tensor:
        """Return vectors (B, size) of pictures (B, H, W, channels) in [-1, 1]."""
        maps = self.layers(pictures.permute(0, 3, 1, 2))
        return soft_argmax(maps, self.log_temperature.exp())


class FieldEncoder(nn.Module):
    """Two convolutions over the taxels of each gel, with the same weights for all gels.

    Forces are normalised per channel by what was seen: how large the force of a taxel is depends
    on grip, object and taxel size, so no fixed scale fits; an affine map keeps zero force apart.
    """

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        """Take the shape (gels, rows, columns, 3) of the fields.

        Raises:
            PictureError: there are fewer than 2 rows or columns.
        """
        super().__init__()
        gels, rows, columns, _ = shape
        if min(rows, columns) < 2:
            raise PictureError(f"{name!r}: expected 2 x 2 taxels or more, got {rows} x {columns}")
        first, second = FIELD_CHANNELS
        self.norm = EmpiricalNormalization(3)
        places = math.ceil(rows / 4) * math.ceil(columns / 4)
        self.layers = nn.Sequential(
            nn.Conv2d(3, first, 3, stride=2, padding=1),
            nn.ELU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ELU(),
            nn.Flatten(),
            nn.Linear(second * places, FIELD_SIZE),
            nn.ELU(),
        )
        self.size = gels * FIELD_SIZE

    def forward(self, fields: Tensor) -> Tensor:
        """Return vectors (B, size) of fields (B, gels, rows, columns, 3) [N]."""
        batch, gels = fields.shape[:2]
        grids = self.norm(fields).flatten(0, 1).permute(0, 3, 1, 2)
        return self.layers(grids).reshape(batch, gels * FIELD_SIZE)
