"""Memory of a policy: an LSTM whose sequences may hold several episodes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Lstm(nn.Module):
    """Layers of LSTM cells that forget where an episode begins.

    Written out, as `nn.LSTM` cannot forget within a sequence: what comes from the input is one
    product for the whole sequence, what comes from the step before one per step. One step is a
    sequence of length one, so training, roll-out and exported graph are the same code.
    Source: Hochreiter and Schmidhuber, 1997; gates in the order of `nn.LSTM`: i f g o.
    """

    def __init__(self, inputs: int, size: int, layers: int) -> None:
        """Take the sizes of input and layers; weights start as those of `nn.LSTM`."""
        super().__init__()
        self.size, self.depth = size, layers
        bound = 1.0 / math.sqrt(size)
        widths = [inputs] + [size] * (layers - 1)

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

        self.from_input = nn.ParameterList([drawn(4 * size, width) for width in widths])
        self.from_before = nn.ParameterList([drawn(4 * size, size) for _ in widths])
        self.bias = nn.ParameterList([drawn(4 * size) for _ in widths])

    def forward(
        self, x: Tensor, h: Tensor, c: Tensor, begun: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return outputs (T, N, size) and the memory after the last step.

        Args:
            x: (T, N, inputs).
            h: (N, layers, size), outputs before the first step.
            c: (N, layers, size), cells before the first step.
            begun: (T, N) bool, steps that are the first of an episode: nothing from before
                reaches them, nor do gradients reach what was before. None: none.
        """
        keep = None if begun is None else (~begun).to(x.dtype)[..., None]
        last_h: list[Tensor] = []
        last_c: list[Tensor] = []
        for layer in range(self.depth):
            entering = nn.functional.linear(x, self.from_input[layer], self.bias[layer])
            weight = self.from_before[layer].t()
            out, cell, outputs = h[:, layer], c[:, layer], list[Tensor]()
            for t in range(len(x)):
                if keep is not None:
                    out, cell = out * keep[t], cell * keep[t]
                i, f, g, o = (entering[t] + out @ weight).chunk(4, dim=-1)
                cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
                out = torch.sigmoid(o) * torch.tanh(cell)
                outputs.append(out)
            x = torch.stack(outputs)
            last_h.append(out)
            last_c.append(cell)
        return x, torch.stack(last_h, dim=1), torch.stack(last_c, dim=1)
