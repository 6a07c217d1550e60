"""What networks that answer with chunks see of each tick, as one vector."""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .encoders import VECTOR, FieldEncoder, PictureEncoder, kinds_of


class ObservationEncoder(nn.Module):
    """The vector of each tick, followed by codes of its pictures and fields.

    Attributes:
        size: numbers of a tick.
    """

    def __init__(self, obs: Mapping[str, Tensor]) -> None:
        """Build it for observations (1, H, ...) of these shapes and types.

        Raises:
            PictureError: an array that no network reads, or one that is too small.
        """
        super().__init__()
        kinds = kinds_of({name: value[:, -1] for name, value in obs.items()})
        pictures = {name: PictureEncoder(name, shape) for name, shape in kinds.pictures.items()}
        fields = {name: FieldEncoder(name, shape) for name, shape in kinds.fields.items()}
        self.pictures, self.fields = nn.ModuleDict(pictures), nn.ModuleDict(fields)
        codes = sum(part.size for part in (*pictures.values(), *fields.values()))
        self.size = obs[VECTOR].shape[-1] + codes

    def forward(self, obs: Mapping[str, Tensor]) -> Tensor:
        """Return vectors (B, H, size).

        Args:
            obs: one normalised vector (B, H, F) under `VECTOR`, pictures (B, H, h, w, 3) uint8 and
                fields (B, H, gels, rows, columns, 3) [N] by their names.
        """
        parts, ticks = [obs[VECTOR]], obs[VECTOR].shape[:2]
        for name, encoder in self.pictures.items():
            picture = obs[name].flatten(0, 1).float() / 127.5 - 1.0
            parts.append(encoder(picture).unflatten(0, ticks))
        for name, encoder in self.fields.items():
            parts.append(encoder(obs[name].flatten(0, 1)).unflatten(0, ticks))
        return torch.cat(parts, dim=-1)
