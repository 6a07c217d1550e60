"""Critics of one size, computed together: one product of stacked matrices per layer."""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from .dropout import dropped


class StackedLinear(nn.Module):
    """C linear layers on C inputs, initialised each as `nn.Linear` is."""

    def __init__(self, count: int, inputs: int, outputs: int) -> None:
        """Take C and the sizes."""
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(count, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(count, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Return (c, B, outputs) of (c, B, inputs), of the first c layers."""
        count = len(x)
        return torch.baddbmm(self.bias[:count], x, self.weight[:count])


class Critics(nn.Module):
    """C perceptrons of observations and actions, with ReLU.

    Attributes:
        dice: what dropout draws from; torch's own stream if None.

    With `norm` a hidden layer is Linear, dropout, LayerNorm, ReLU (DroQ, arXiv 2110.02034), and
    dropout acts in targets too, as these modules are always in training.
    """

    def __init__(
        self,
        size: int,
        hidden: Sequence[int],
        *,
        count: int = 2,
        outputs: int = 1,
        norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        """Build them.

        Args:
            size: of what they see, actions included.
            hidden: sizes of the hidden layers.
            count: C.
            outputs: numbers of each, quantiles for example.
            norm: whether hidden layers are normalised.
            dropout: share of a hidden layer that is dropped.
        """
        super().__init__()
        sizes = (size, *hidden, outputs)
        self.layers = nn.ModuleList(StackedLinear(count, a, b) for a, b in pairwise(sizes))
        self.gains, self.shifts = nn.ParameterList(), nn.ParameterList()
        if norm:
            for width in hidden:
                self.gains.append(torch.ones(count, 1, width))
                self.shifts.append(torch.zeros(count, 1, width))
        self.count, self._dropout = count, dropout
        self.dice: torch.Generator | None = None

    def forward(self, seen: Tensor, action: Tensor, count: int | None = None) -> Tensor:
        """Return (B, C, outputs) of observations (B, F) and actions (B, A).

        With a count it is of the first so many alone.
        """
        count = count or self.count
        x = torch.cat([seen, action], dim=-1).expand(count, -1, -1)
        for k, layer in enumerate(self.layers):
            x = layer(x)
            if k + 1 == len(self.layers):
                break
            x = dropped(x, self._dropout, self.dice)
            if self.gains:
                x = functional.layer_norm(x, x.shape[-1:])
                x = x * self.gains[k][:count] + self.shifts[k][:count]
            x = functional.relu(x)
        return x.transpose(0, 1)


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, share: float) -> None:
    """Move the parameters of a target network by a share of the way to those of another (tau)."""
    ours: list[Tensor] = list(target.parameters())
    theirs: list[Tensor] = list(source.parameters())
    torch._foreach_lerp_(ours, theirs, share)  # pyright: ignore[reportPrivateImportUsage]
