"""ResNet-18 and -34 as torchvision has them, with batch statistics frozen: names are theirs.

Source: He et al., arXiv 1512.03385; names of parameters, and 1e-5 added to variances, as in
torchvision (BSD-3), `models/resnet.py` and `ops/misc.py` `FrozenBatchNorm2d`.
"""

# pyright: standard

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
"""Blocks of each stage."""
EPS = 1e-5


class FrozenNorm(nn.Module):
    """Channels shifted and scaled by numbers that no longer change."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        """Begin with no change."""
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0),
                            ("running_var", 1.0)):  # fmt: skip
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W)."""
        scale = self.weight * (self.running_var + EPS).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class Block(nn.Module):
    """Two convolutions and a way past them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        """Build it."""
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn1 = FrozenNorm(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = FrozenNorm(after)
        self.downsample: nn.Module | None = None
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), FrozenNorm(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, after, h, w)."""
        past = x if self.downsample is None else self.downsample(x)
        return relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))) + past)


class FrozenResNet(nn.Module):
    """Pictures (B, 3, H, W) to features (B, 512, H / 32, W / 32), sizes rounded up."""

    size = 512

    def __init__(self, name: str) -> None:
        """Build one of `BLOCKS`."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = FrozenNorm(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        before = 64
        for stage, count in enumerate(BLOCKS[name]):
            after = 64 << stage
            first = Block(before, after, 1 if stage == 0 else 2)
            rest = (Block(after, after, 1) for _ in range(count - 1))
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, *rest))
            before = after

    def forward(self, pictures: Tensor) -> Tensor:
        """Return features."""
        x = self.pool(relu(self.bn1(self.conv1(pictures))))
        for stage in range(4):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return x
