"""What Diffusion Policy sees of each tick, as one row: of pictures, where feature maps respond.

Vectors come as they are; fields are what convolutions make of them.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .encoders import FIELD_SIZE, VECTOR, FieldEncoder, kinds_of, soft_argmax
from .networks import PictureError
from .resnet import ResNet18

STRIDE = 32
"""Pixels between places of the feature maps of `ResNet18`."""


class KeypointEncoder(nn.Module):
    """Observations (B, H, ...) to rows (B, H, size)."""

    def __init__(
        self,
        obs: Mapping[str, Tensor],
        *,
        width: int = 64,
        keypoints: int = 32,
        picture: int = 64,
        crop: float = 1.0,
    ) -> None:
        """Build it for observations (1, H, ...) of these shapes and types.

        Args:
            obs: as a `chunks.ChunkNetwork` takes them.
            width: channels of the first stage of the backbone of pictures.
            keypoints: places that are found in a picture.
            picture: numbers of a picture.
            crop: share of each side of a picture that is seen.

        Raises:
            PictureError: a picture is too small, or there is an array that no network reads.
        """
        super().__init__()
        kinds = kinds_of({name: value[:, -1] for name, value in obs.items()})
        self.fields = nn.ModuleDict({n: FieldEncoder(n, s) for n, s in kinds.fields.items()})
        self.pictures = nn.ModuleDict(
            {n: Keypoints(n, s, width, keypoints, picture, crop) for n, s in kinds.pictures.items()}
        )
        self.size = sum(math.prod(shape) for shape in kinds.vectors.values())
        self.size += picture * len(kinds.pictures)
        self.size += sum(shape[0] * FIELD_SIZE for shape in kinds.fields.values())

    def forward(
        self, obs: Mapping[str, Tensor], generator: torch.Generator | None = None
    ) -> Tensor:
        """Return rows (B, H, size).

        Args:
            obs: observations (B, H, ...).
            generator: of the crops in training; the global one if None.
        """
        rows, size = [obs[VECTOR]], obs[VECTOR].shape[:2]
        for name, encoder in self.fields.items():
            rows.append(encoder(obs[name].flatten(0, 1)).unflatten(0, size))
        for name, encoder in self.pictures.items():
            rows.append(encoder(obs[name].flatten(0, 1), generator).unflatten(0, size))
        return torch.cat(rows, dim=-1)


class Keypoints(nn.Module):
    """A picture to a few numbers: where the features of a ResNet-18 lie, and a layer after them.

    Source: Chi et al., arXiv 2303.04137. In training each picture is cropped somewhere, else in the
    middle.
    """

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        width: int,
        keypoints: int,
        size: int,
        crop: float,
    ) -> None:
        """Build it for pictures of the shape (h, w, 3).

        Raises:
            PictureError: what is left of a side has only one place of the feature maps.
        """
        super().__init__()
        self.sides = round(crop * shape[0]), round(crop * shape[1])
        if min(self.sides) <= STRIDE:
            raise PictureError(
                f"{name!r}: expected more than {STRIDE} pixels a side, got {self.sides[0]} x "
                f"{self.sides[1]} of {shape[0]} x {shape[1]}: features would have one place only"
            )
        self.trunk = ResNet18(width=width)
        self.maps = nn.Conv2d(self.trunk.size, keypoints, 1)
        self.out = nn.Sequential(nn.Linear(2 * keypoints, size), nn.ReLU())

    def forward(self, pictures: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return vectors (B, size) of pictures (B, h, w, 3) uint8."""
        height, width = self.sides
        if self.training:
            pictures = crop_anywhere(pictures, height, width, generator)
        else:
            pictures = crop_middle(pictures, height, width)
        maps = self.maps(self.trunk(pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0))
        return self.out(soft_argmax(maps))


def crop_middle(pictures: Tensor, height: int, width: int) -> Tensor:
    """Return the middle (B, height, width, C) of pictures (B, h, w, C)."""
    top, left = (pictures.shape[1] - height) // 2, (pictures.shape[2] - width) // 2
    return pictures[:, top : top + height, left : left + width]


def crop_anywhere(
    pictures: Tensor, height: int, width: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return another part (B, height, width, C) of each picture (B, h, w, C).

    Args:
        pictures: of any type.
        height: of the parts [pixel].
        width: of the parts [pixel].
        generator: of the places; the global one of torch if None.
    """
    count, places = len(pictures), list[Tensor]()
    device = pictures.device if generator is None else generator.device
    for before, after in ((pictures.shape[1], height), (pictures.shape[2], width)):
        first = torch.randint(before - after + 1, (count, 1), generator=generator, device=device)
        places.append((first + torch.arange(after, device=device)).to(pictures.device))
    batch = torch.arange(count, device=pictures.device)[:, None, None]
    return pictures[batch, places[0][:, :, None], places[1][:, None, :]]
