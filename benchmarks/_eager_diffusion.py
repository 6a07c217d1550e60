"""Diffusion Policy as operations of torch, one after the other, to be compared with.

Written from formulae and sizes of the paper (arXiv 2303.04137) in the plainest modules that torch
has: one-dimensional convolutions, the condition through Mish in each block, steps of the sampler in
a loop.
"""

# pyright: standard

from __future__ import annotations

import math
from itertools import pairwise

import torch
from _eager_act import group_norm, resnet18
from torch import Tensor, nn
from torch.nn import functional

from sim2arm.policies.diffusion import DiffusionCfg


class ConvBlock(nn.Module):
    """Convolution over time, group norm, Mish."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv1d(before, after, 5, padding=2), nn.GroupNorm(8, after), nn.Mish()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class FilmBlock(nn.Module):
    """Two convolutions, the first stretched and shifted by the condition, and a way past them."""

    def __init__(self, before: int, after: int, condition: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([ConvBlock(before, after), ConvBlock(after, after)])
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * after))
        self.past = nn.Conv1d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        found = self.blocks[0](x)
        film = self.film(condition).reshape(len(x), 2, -1, 1)
        return self.blocks[1](film[:, 0] * found + film[:, 1]) + self.past(x)


class EagerUNet(nn.Module):
    """The conditional U-Net over chunks."""

    def __init__(self, cfg: DiffusionCfg, action: int, seen: int) -> None:
        super().__init__()
        step, dims = cfg.step_dim, cfg.dims
        self.step_dim, more = step, step + seen
        self.step = nn.Sequential(nn.Linear(step, 4 * step), nn.Mish(), nn.Linear(4 * step, step))
        pairs = list(zip((action, *dims), dims, strict=False))
        self.down = nn.ModuleList(pair(a, b, more) for a, b in pairs)
        self.shrink = nn.ModuleList(nn.Conv1d(d, d, 3, 2, 1) for d in dims[:-1])
        self.middle = pair(dims[-1], dims[-1], more)
        self.up = nn.ModuleList(pair(2 * b, a, more) for a, b in reversed(pairs[1:]))
        self.grow = nn.ModuleList(nn.ConvTranspose1d(d, d, 4, 2, 1) for d in dims[-2::-1])
        self.out = nn.Sequential(ConvBlock(dims[0], dims[0]), nn.Conv1d(dims[0], action, 1))

    def forward(self, noisy: Tensor, at: Tensor, seen: Tensor) -> Tensor:
        """Return (B, T, A) of noisy chunks (B, T, A), steps (B,) and what is seen (B, S)."""
        half = self.step_dim // 2
        rate = torch.exp(torch.arange(half) * -(math.log(10_000.0) / (half - 1)))
        angle = at[:, None] * rate[None]
        step = self.step(torch.cat([angle.sin(), angle.cos()], dim=-1))
        condition, x = torch.cat([step, seen], dim=-1), noisy.moveaxis(1, 2)
        kept: list[Tensor] = []
        for index, blocks in enumerate(self.down):
            x = through(blocks, x, condition)
            kept.append(x)
            if index < len(self.shrink):
                x = self.shrink[index](x)
        x = through(self.middle, x, condition)
        for blocks, grow in zip(self.up, self.grow, strict=True):
            x = grow(through(blocks, torch.cat([x, kept.pop()], dim=1), condition))
        return self.out(x).moveaxis(1, 2)


def pair(before: int, after: int, condition: int) -> nn.ModuleList:
    """Return the two blocks of a level."""
    return nn.ModuleList(FilmBlock(size, after, condition) for size in (before, after))


def through(blocks: nn.Module, x: Tensor, condition: Tensor) -> Tensor:
    """Return what blocks make of (B, C, T)."""
    assert isinstance(blocks, nn.ModuleList)
    for block in blocks:
        x = block(x, condition)
    return x


class EagerPicture(nn.Module):
    """A crop of a picture, ResNet-18, where its features respond, and a layer after that."""

    def __init__(self, cfg: DiffusionCfg, side: tuple[int, int]) -> None:
        super().__init__()
        self.crop = round(cfg.crop * side[0]), round(cfg.crop * side[1])
        self.trunk = resnet18(cfg.width, group_norm)
        self.maps = nn.Conv2d(8 * cfg.width, cfg.keypoints, 1)
        self.out = nn.Linear(2 * cfg.keypoints, cfg.picture)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return vectors (B, picture) of pictures (B, h, w, 3) uint8."""
        x = pictures.permute(0, 3, 1, 2).contiguous() / 255.0 * 2.0 - 1.0
        (height, width), (h, w) = x.shape[2:], self.crop
        if self.training:
            top = torch.randint(height - h + 1, (len(x), 1, 1))
            left = torch.randint(width - w + 1, (len(x), 1, 1))
            at = (top + torch.arange(h)[:, None]) * width + left + torch.arange(w)
            index = at.reshape(len(x), 1, -1).expand(-1, 3, -1)
            x = x.flatten(2).gather(2, index).reshape(len(x), 3, h, w)
        else:
            top, left = (height - h) // 2, (width - w) // 2
            x = x[:, :, top : top + h, left : left + w]
        maps = self.maps(self.trunk(x))
        rows, cols = maps.shape[2:]
        y, x = torch.meshgrid(
            torch.linspace(-1, 1, rows), torch.linspace(-1, 1, cols), indexing="ij"
        )
        share = functional.softmax(maps.reshape(-1, rows * cols), dim=-1)
        places = [(each.reshape(1, -1) * share).sum(dim=1, keepdim=True) for each in (x, y)]
        return functional.relu(self.out(torch.cat(places, dim=1).reshape(len(maps), -1)))


class EagerDiffusion(nn.Module):
    """What is seen, and noise, to chunks."""

    def __init__(
        self, cfg: DiffusionCfg, vector: int, action: int, sides: list[tuple[int, int]]
    ) -> None:
        super().__init__()
        self.cfg, self.action = cfg, action
        self.encoders = nn.ModuleList(EagerPicture(cfg, side) for side in sides)
        self.unet = EagerUNet(cfg, action, cfg.history * (vector + cfg.picture * len(sides)))
        edges = [
            math.cos((i / cfg.train_steps + 0.008) / 1.008 * math.pi / 2) ** 2
            for i in range(cfg.train_steps + 1)
        ]
        betas = [min(1 - b / a, 0.999) for a, b in pairwise(edges)]
        self.kept = torch.cumprod(1.0 - torch.tensor(betas), dim=0)

    def see(self, vector: Tensor, pictures: list[Tensor]) -> Tensor:
        """Return what is seen as rows (B, H S)."""
        count, history = vector.shape[:2]
        parts = [vector.reshape(count * history, -1)]
        for encoder, picture in zip(self.encoders, pictures, strict=True):
            parts.append(encoder(picture.reshape(count * history, *picture.shape[2:])))
        return torch.cat(parts, dim=-1).reshape(count, -1)

    def loss(self, vector: Tensor, pictures: list[Tensor], chunk: Tensor, padded: Tensor) -> Tensor:
        """Return the mean squared error of noise; padded actions count, as published."""
        noise = torch.randn(chunk.shape)
        at = torch.randint(0, self.cfg.train_steps, (len(chunk),)).long()
        kept = self.kept[at][:, None, None]
        noisy = kept.sqrt() * chunk + (1.0 - kept).sqrt() * noise
        found = self.unet(noisy, at, self.see(vector, pictures))
        return functional.mse_loss(found, noise, reduction="none").mean()

    def forward(self, vector: Tensor, pictures: list[Tensor]) -> Tensor:
        """Return chunks (B, T, A) by DDIM."""
        cfg, seen = self.cfg, self.see(vector, pictures)
        x, gap = (
            torch.randn(len(vector), cfg.chunk, self.action),
            cfg.train_steps // cfg.sampler_steps,
        )
        for at in reversed(range(0, gap * cfg.sampler_steps, gap)):
            kept = self.kept[at]
            after = self.kept[at - gap] if at >= gap else torch.tensor(1.0)
            found = self.unet(x, torch.full((len(x),), at), seen)
            clean = ((x - (1 - kept) ** 0.5 * found) / kept**0.5).clamp(-1.0, 1.0)
            x = after**0.5 * clean + (1 - after) ** 0.5 * found
        return x
