"""Pictures as training shows them: other colours, another crop, the same ones all episode long.

The recipe of TacSL (arXiv 2408.06506): each episode draws a jitter of brightness, contrast,
saturation and hue, an order of the colour channels and, if asked for, a crop; each step draws a
jitter of a fifth of that. Different here: hue turns in YIQ, where it is a matrix, and not in HSV.
What was changed is what is stored, so that an update sees the pictures that were acted on.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from .actor import Actor

JITTER = (0.5, 0.5, 0.5, 0.3)
"""Largest change of brightness, contrast, saturation (factors 1 +- x) and hue (turns)."""
STEP_SHARE = 0.2
"""Of that, what each step draws anew."""
AREA, ASPECT = 0.75, 1.1
"""Least share of the area that a crop keeps, and largest factor of its aspect, either way."""

_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
"""From RGB (NTSC)."""


def color_matrix(amounts: Tensor) -> Tensor:
    """Return matrices (N, 3, 3) on RGB that change brightness, saturation and hue.

    Args:
        amounts: (N, 4) factors of brightness, contrast (not used here) and saturation, and the
            angle of hue [rad].
    """
    to_yiq = torch.tensor(_YIQ, device=amounts.device)
    brightness, _, saturation, hue = amounts.unbind(dim=1)
    turn = torch.zeros((len(amounts), 3, 3), device=amounts.device)
    cos, sin = saturation * torch.cos(hue), saturation * torch.sin(hue)
    turn[:, 0, 0] = 1.0
    turn[:, 1, 1], turn[:, 1, 2] = cos, -sin
    turn[:, 2, 1], turn[:, 2, 2] = sin, cos
    return brightness[:, None, None] * (torch.linalg.inv(to_yiq) @ turn @ to_yiq)


def recolor(pictures: Tensor, matrix: Tensor, contrast: Tensor) -> Tensor:
    """Return pictures (N, H, W, 3) in [0, 1] with other colours.

    Args:
        pictures: (N, H, W, 3) in [0, 1].
        matrix: (N, 3, 3) on RGB.
        contrast: (N,), factor about the mean grey of each picture.
    """
    changed = torch.einsum("nhwc,ndc->nhwd", pictures, matrix)
    grey = changed @ changed.new_tensor(_YIQ[0])
    mean = grey.mean(dim=(1, 2))[:, None, None, None]
    return (mean + contrast[:, None, None, None] * (changed - mean)).clamp(0.0, 1.0)


def crop(pictures: Tensor, box: Tensor) -> Tensor:
    """Return parts of pictures, resized to the size of the whole (bilinear).

    Args:
        pictures: (N, H, W, 3).
        box: (N, 4) centre x, y in [-1, 1] and half width and height in (0, 1]; (0, 0, 1, 1) is all.
    """
    n, height, width, _ = pictures.shape
    theta = torch.zeros((n, 2, 3), device=pictures.device)
    theta[:, 0, 0], theta[:, 0, 2] = box[:, 2], box[:, 0]
    theta[:, 1, 1], theta[:, 1, 2] = box[:, 3], box[:, 1]
    grid = torch.nn.functional.affine_grid(theta, [n, 3, height, width], align_corners=False)
    planes = pictures.permute(0, 3, 1, 2)
    found = torch.nn.functional.grid_sample(
        planes, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return found.permute(0, 2, 3, 1)


def augmentation(actor: Actor, num_envs: int, generator: torch.Generator) -> Augmentation | None:
    """Return how the pictures of an actor are changed in training; None: not, or there are none."""
    if actor.cfg.augment == "none" or not len(actor.pictures):
        return None
    return Augmentation(actor.cfg.augment, tuple(actor.pictures), num_envs, generator)


class Augmentation:
    """How the pictures of N worlds are changed at present."""

    def __init__(
        self,
        kind: Literal["color", "full"],
        names: tuple[str, ...],
        num_envs: int,
        generator: torch.Generator,
    ) -> None:
        """Take the names of the pictures and the generator of all draws."""
        self._kind, self._generator, self._n = kind, generator, num_envs
        self._amounts = {name: self._jitter(1.0) for name in names}
        self._orders = {name: self._order() for name in names}
        self._boxes = {name: self._box() for name in names}

    def __call__(self, obs: Mapping[str, Tensor], begun: Tensor) -> dict[str, Tensor]:
        """Return observations with changed pictures (uint8).

        Args:
            obs: named observations (N, ...).
            begun: (N,) bool, worlds whose episode begins: they draw anew.
        """
        found = dict(obs)
        for name in self._amounts:
            self._renew(self._amounts, name, begun, self._jitter(1.0))
            self._renew(self._orders, name, begun, self._order())
            picture = obs[name].float() / 255.0
            if self._kind == "full":
                self._renew(self._boxes, name, begun, self._box())
                picture = crop(picture, self._boxes[name])
            for amounts, order in (
                (self._amounts[name], self._orders[name]),
                (self._jitter(STEP_SHARE), None),
            ):
                matrix = color_matrix(amounts)
                matrix = matrix if order is None else order @ matrix
                picture = recolor(picture, matrix, amounts[:, 1])
            found[name] = (255.0 * picture).round().to(torch.uint8)
        return found

    def _renew(self, kept: dict[str, Tensor], name: str, begun: Tensor, drawn: Tensor) -> None:
        where = begun.reshape(-1, *[1] * (drawn.ndim - 1))
        kept[name] = torch.where(where, drawn, kept[name])

    def _uniform(self, *shape: int) -> Tensor:
        device = self._generator.device
        return torch.rand(shape, generator=self._generator, device=device) * 2.0 - 1.0

    def _jitter(self, share: float) -> Tensor:
        """Return amounts (N, 4) as `color_matrix` takes them."""
        drawn = share * self._uniform(self._n, 4)
        scale = drawn.new_tensor([*JITTER[:3], 2.0 * math.pi * JITTER[3]])
        return drawn * scale + drawn.new_tensor([1.0, 1.0, 1.0, 0.0])

    def _order(self) -> Tensor:
        """Return permutation matrices (N, 3, 3)."""
        order = self._uniform(self._n, 3).argsort(dim=1)
        return torch.nn.functional.one_hot(order, 3).float()

    def _box(self) -> Tensor:
        """Return crops (N, 4) as `crop` takes them."""
        area, aspect, x, y = self._uniform(self._n, 4).unbind(dim=1)
        area = 0.5 * (1.0 + AREA) + 0.5 * (1.0 - AREA) * area
        aspect = ASPECT**aspect
        width, height = (area * aspect).sqrt().clamp(max=1.0), (area / aspect).sqrt().clamp(max=1.0)
        return torch.stack([x * (1.0 - width), y * (1.0 - height), width, height], dim=1)
