"""ResNet-18 without its classifier, with group normalisation: features of pictures on a grid.

Groups instead of batches: statistics of a batch differ between training and the robot, and go wrong
with moving averages of weights. No weights come with it. Source: He et al., arXiv 1512.03385; group
normalisation as in Diffusion Policy, arXiv 2303.04137.
"""

# pyright: standard

from __future__ import annotations

from torch import Tensor, nn

STAGES = 4
GROUP = 16
"""Channels of a group that is normalised together."""


class ResNet18(nn.Module):
    """Pictures (B, 3, H, W) to features (B, 8 width, H / 32, W / 32), sizes rounded up."""

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        """Build it; `width` is the number of channels of the first stage, 64 as published.

        Raises:
            ValueError: a width that groups do not divide.
        """
        super().__init__()
        if width < GROUP or width % GROUP:
            raise ValueError(f"width: expected a multiple of {GROUP}, got {width}")
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False),
            _norm(width),
            nn.MaxPool2d(3, stride=2, padding=1),  # before what it may change places with: a
            nn.ReLU(inplace=True),  # quarter of the numbers is left for that
        )
        blocks: list[nn.Module] = []
        before = width
        for stage in range(STAGES):
            after = width << stage
            blocks += [Block(before, after, 1 if stage == 0 else 2), Block(after, after, 1)]
            before = after
        self.blocks = nn.Sequential(*blocks)
        self.size = before

    def forward(self, pictures: Tensor) -> Tensor:
        """Return features (B, size, h, w)."""
        return self.blocks(self.stem(pictures))


class Block(nn.Module):
    """Two convolutions and a way past them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        """Build it."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
            _norm(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            _norm(after),
        )
        self.past: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.past = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), _norm(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, after, h, w)."""
        return nn.functional.relu(self.layers(x) + self.past(x), inplace=True)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // GROUP, channels)
