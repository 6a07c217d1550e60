"""What agents that learn from replay see: vectors, stacked pictures and fields, as two vectors.

Pictures come as (B, stack, H, W, 3) and are stacked along their channels, newest last; what is no
picture comes as (B, ...). The code of the pictures is long, so actor and critic each squeeze it by
a trunk of their own (DrQ-v2, arXiv 2107.09645); vectors and fields pass beside it.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from .buffers import Column
from .encoders import FieldEncoder, PictureEncoder, sort_kinds
from .ensemble import StackedLinear
from .networks import EmpiricalNormalization, PictureError, PoseFeatures, RelativePose

PictureKind = Literal["convolutions", "soft-argmax"]
"""convolutions: DrQ-v2's, whose whole maps are the code; soft-argmax: places of what they find."""
STRIDES = (2, 1, 1, 1)
"""Of DrQ-v2's convolutions, 3 x 3 each."""


class Seen(NamedTuple):
    """What was seen, as two vectors."""

    vector: Tensor
    """(B, V) normalised vectors and codes of fields."""
    code: Tensor
    """(B, P) of pictures; P is 0 without any."""


class Convolutions(nn.Module):
    """The encoder of DrQ-v2 for one camera.

    Attributes:
        size: of its code.
    """

    def __init__(self, name: str, shape: tuple[int, ...], channels: int, width: int) -> None:
        """Take the shape (H, W, 3) of a picture, its channels once stacked, and those of layers.

        Raises:
            PictureError: it is too small.
        """
        super().__init__()
        layers: list[nn.Module] = []
        height, breadth, inputs = shape[0], shape[1], channels
        for stride in STRIDES:
            layers += [nn.Conv2d(inputs, width, 3, stride), nn.ReLU()]
            height, breadth = (height - 3) // stride + 1, (breadth - 3) // stride + 1
            inputs = width
        if min(height, breadth) < 1:
            raise PictureError(
                f"{name!r}: expected pictures of 15 x 15 pixels or more, got {shape}"
            )
        self.layers, self.size = nn.Sequential(*layers), width * height * breadth
        orthogonal(self)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return codes (B, size) of pictures (B, H, W, channels) in [-1, 1]."""
        # rows are what lies together in memory, before as after: no copies
        maps = self.layers(0.5 * pictures.permute(0, 3, 1, 2))
        return maps.permute(0, 2, 3, 1).flatten(1)


class Perception(nn.Module):
    """From named observations to `Seen`.

    Attributes:
        columns: of what it sees.
        vector, code: sizes.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        *,
        relative: Sequence[RelativePose] = (),
        lengths: Sequence[float] = (),
        pictures: PictureKind = "convolutions",
        width: int = 32,
    ) -> None:
        """Build it.

        Args:
            columns: shapes and types, by name.
            relative: pairs of poses of which the relative pose is also seen.
            lengths: at which relative positions are also given squashed [m].
            pictures: how they are encoded.
            width: channels of convolutions.

        Raises:
            PictureError: no network reads an observation.
            RelativePoseError: a pair names what is no observed pose.
        """
        super().__init__()
        self.columns = dict(columns)
        kinds = sort_kinds({name: (c.shape, c.dtype) for name, c in columns.items()})
        for name, column in columns.items():
            if column.stack > 1 and name not in kinds.pictures:
                raise PictureError(f"{name!r}: only pictures are stacked")
        self.features = PoseFeatures(kinds.vectors, relative, lengths)
        self.norm = EmpiricalNormalization(self.features.size)
        shown: dict[str, Convolutions | PictureEncoder] = {}
        for name, shape in kinds.pictures.items():
            channels = 3 * columns[name].stack
            if pictures == "convolutions":
                shown[name] = Convolutions(name, shape, channels, width)
            else:
                shown[name] = PictureEncoder(name, shape, channels)
        touched = {name: FieldEncoder(name, shape) for name, shape in kinds.fields.items()}
        self.pictures, self.fields = nn.ModuleDict(shown), nn.ModuleDict(touched)
        self.code = sum(part.size for part in shown.values())
        self.vector = self.features.size + sum(part.size for part in touched.values())

    @torch.no_grad()
    def learn_scale(self, obs: Mapping[str, Tensor]) -> None:
        """Take observations (B, ...) into the normalisers of vectors and fields."""
        if self.features.size:
            self.norm.update(self.features(obs))
        for name, encoder in self.fields.items():
            assert isinstance(encoder, FieldEncoder)
            encoder.norm.update(obs[name].flatten(0, -2))

    def forward(self, obs: Mapping[str, Tensor]) -> Seen:
        """Return what is seen of observations (B, [stack,] ...)."""
        first = next(iter(obs.values()))
        parts = [self.norm(self.features(obs))] if self.features.size else []
        parts += [encoder(obs[name]) for name, encoder in self.fields.items()]
        codes = [encoder(stacked(obs[name])) for name, encoder in self.pictures.items()]
        none = torch.zeros((len(first), 0), device=first.device)
        return Seen(
            torch.cat(parts, dim=-1) if parts else none, torch.cat(codes, dim=-1) if codes else none
        )


class Trunk(nn.Module):
    """Squeezes the code of pictures: Linear, LayerNorm, tanh; the vector passes beside it.

    Attributes:
        size: of what comes out.
    """

    def __init__(self, perception: Perception, size: int) -> None:
        """Take what is squeezed and to how many numbers."""
        super().__init__()
        self.squeeze = None
        if perception.code:
            self.squeeze = nn.Sequential(
                nn.Linear(perception.code, size), nn.LayerNorm(size), nn.Tanh()
            )
        self.size = perception.vector + (size if perception.code else 0)

    def forward(self, seen: Seen) -> Tensor:
        """Return (B, size)."""
        if self.squeeze is None:
            return seen.vector
        return torch.cat([self.squeeze(seen.code), seen.vector], dim=-1)


def stacked(pictures: Tensor) -> Tensor:
    """Return pictures (B, [stack,] H, W, 3) uint8 as (B, H, W, 3 stack) in [-1, 1]."""
    if pictures.ndim == 5:
        pictures = pictures.permute(0, 2, 3, 1, 4).flatten(3)
    return pictures.float() * (1.0 / 127.5) - 1.0


def orthogonal(module: nn.Module) -> None:
    """Initialise layers as DrQ-v2: orthogonal, convolutions with gain sqrt 2, offsets 0."""
    for part in module.modules():
        if isinstance(part, StackedLinear):
            for weight in part.weight:
                nn.init.orthogonal_(weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Linear | nn.Conv2d):
            gain = nn.init.calculate_gain("relu") if isinstance(part, nn.Conv2d) else 1.0
            nn.init.orthogonal_(part.weight, gain)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
