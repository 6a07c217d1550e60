"""Conditions of denoisers: embedded steps, FiLM, and the plainest network that takes both."""

# pyright: standard

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def waves(at: Tensor, dim: int) -> Tensor:
    """Return steps as sines and cosines (B, dim) of `dim / 2` waves, 1 to 10 000 steps a radian.

    Args:
        at: steps (B,).
        dim: even, 4 or more.

    Source: as Diffusion Policy has it, Chi et al., arXiv 2303.04137.
    """
    half = dim // 2
    order = torch.arange(half, dtype=torch.float32, device=at.device)
    angle = at[:, None] * torch.exp(-math.log(10_000.0) / (half - 1) * order)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class Condition(nn.Module):
    """Step and observations as one vector; the step goes through a perceptron first."""

    def __init__(self, step_dim: int, seen: int) -> None:
        """Take the numbers of a step and of all that is seen."""
        super().__init__()
        self.step_dim, self.size = step_dim, step_dim + seen
        self.first = nn.Linear(step_dim, 4 * step_dim)
        self.second = nn.Linear(4 * step_dim, step_dim)

    def forward(self, at: Tensor, seen: Tensor) -> Tensor:
        """Return vectors (B, size) of steps (B,) or (1,) and what is seen (B, H, S)."""
        hidden = self.first(waves(at, self.step_dim))
        # mish, spelt out: in an exported sampler all of this is constant, and onnxruntime cannot
        # compute its operator Mish beforehand
        step = self.second(hidden * nn.functional.softplus(hidden).tanh())
        return torch.cat([step.expand(len(seen), -1), seen.flatten(1)], dim=-1)


class Film(nn.Module):
    """Channels are stretched and shifted by what a condition says: `scale x + bias`.

    Source: Perez et al., arXiv 1709.07871. As in Diffusion Policy a layer says the scale itself,
    not what it is more than 1.
    """

    def __init__(self, condition: int, channels: int) -> None:
        """Take the numbers of a condition and the channels."""
        super().__init__()
        self.layer = nn.Linear(condition, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return channels (B, C, T) like x; conditions are (B, size)."""
        scale, bias = self.layer(condition)[..., None].chunk(2, dim=1)
        return scale * x + bias


class PerceptronDenoiser(nn.Module):
    """A perceptron over the whole chunk, each hidden layer added to the one before.

    What a U-Net or a transformer is compared with: it knows nothing of the order of actions.
    """

    def __init__(
        self, chunk: tuple[int, int], seen: int, dim: int, layers: int, step_dim: int, film: bool
    ) -> None:
        """Build it.

        Args:
            chunk: actions and numbers of each (T, A).
            seen: numbers of all that is seen.
            dim: hidden units.
            layers: hidden layers.
            step_dim: numbers of an embedded step.
            film: whether conditions change each layer; else they are joined to the input.
        """
        super().__init__()
        self.chunk = chunk
        self.condition = Condition(step_dim, seen)
        size, more = chunk[0] * chunk[1], self.condition.size
        self.first = nn.Linear(size if film else size + more, dim)
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))
        self.films = nn.ModuleList(Film(more, dim) for _ in range(layers) if film)
        self.out = nn.Linear(dim, size)

    def forward(self, noisy: Tensor, at: Tensor, seen: Tensor) -> Tensor:
        """Return (B, T, A) of noisy chunks (B, T, A), steps (B,) or (1,), and rows (B, H, S)."""
        condition, x = self.condition(at, seen), noisy.flatten(1)
        if self.films:
            condition = nn.functional.mish(condition)
        else:
            x = torch.cat([x, condition], dim=-1)
        x = self.first(x)
        for index, layer in enumerate(self.layers):
            more = layer(nn.functional.mish(x))
            if self.films:
                more = self.films[index](more[..., None], condition)[..., 0]
            x = x + more
        return self.out(nn.functional.mish(x)).unflatten(-1, self.chunk)
