"""Convolutions over the few ticks of a chunk: on a CPU one matrix product for each of their places.

A U-Net has the most channels where only 4 ticks are left. There oneDNN, which torch asks on a CPU,
takes two to five times as long for a batch: it multiplies what lies beyond the ends, too.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

FEW = 4
"""Most ticks at which products are faster than torch even for one row."""


class TickConv(nn.Conv1d):
    """`nn.Conv1d` of an odd kernel, padded so that ticks stay as many, or half as many."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1) -> None:
        """Take channels before and after."""
        super().__init__(before, after, kernel, stride=stride, padding=kernel // 2)
        self.weight = channels_last(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """Return (B, after, T / stride) of (B, before, T)."""
        if _as_torch_does(input):
            return super().forward(input)
        return Products.apply(input, self.weight, self.bias, self.stride[0], False)


class TickGrow(nn.ConvTranspose1d):
    """`nn.ConvTranspose1d` of a kernel of 4, to twice as many ticks."""

    def __init__(self, channels: int) -> None:
        """Take the channels, which stay."""
        super().__init__(channels, channels, 4, stride=2, padding=1)
        self.weight = channels_last(self.weight)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return (B, channels, 2 T) of (B, channels, T)."""
        if _as_torch_does(input):
            return super().forward(input, output_size)
        return Products.apply(input, self.weight, self.bias, self.stride[0], True)


def channels_last(weight: Tensor) -> nn.Parameter:
    """Return weights (A, B, places) with all of B side by side in memory, place after place."""
    return nn.Parameter(weight.detach().transpose(1, 2).contiguous().transpose(1, 2))


def _as_torch_does(x: Tensor) -> bool:
    """Return whether torch is as fast, for a row of many ticks or elsewhere, or makes a graph."""
    many = len(x) == 1 and x.shape[2] > FEW
    return torch.compiler.is_exporting() or x.device.type != "cpu" or many


class Products(torch.autograd.Function):
    """A convolution, padded by half of its kernel, or its transpose, as products of matrices."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, transposed: bool
    ) -> Tensor:
        """Return (B, O, ticks) of (B, C, ticks); the weights are those of the torch module."""
        before, kernel = x.shape[2], weight.shape[2]
        padding = (kernel - 1) // 2
        if transposed:
            after = (before - 1) * stride - 2 * padding + kernel
        else:
            after = (before + 2 * padding - kernel) // stride + 1
        ctx.transposed = transposed
        ctx.plan = [
            (place, *((long, short) if transposed else (short, long)))
            for place, short, long in meetings(max(before, after), kernel, stride, padding)
        ]
        by_tick = x.permute(2, 0, 1).contiguous()  # (T, B, C)
        found = bias.repeat(after, len(x), 1)  # a copy, also of one tick of one row
        for place, out, into in ctx.plan:
            matrix = weight[:, :, place]
            _add(found[out], by_tick[into], matrix if transposed else matrix.t())
        ctx.save_for_backward(by_tick, weight)
        return found.permute(1, 2, 0).contiguous()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return slopes of x, weight and bias."""
        by_tick, weight = ctx.saved_tensors
        slope = grad_outputs[0].permute(2, 0, 1).contiguous()
        of_x = torch.zeros_like(by_tick) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight)
        for place, out, into in ctx.plan:
            matrix, left, right = weight[:, :, place], _rows(slope[out]), _rows(by_tick[into])
            if ctx.transposed:
                matrix, left, right = matrix.t(), right, left
            torch.mm(left.t(), right, out=of_weight[:, :, place])
            if of_x is not None:
                _add(of_x[into], slope[out], matrix)
        back = None if of_x is None else of_x.permute(1, 2, 0).contiguous()
        return back, of_weight, slope.sum(dim=(0, 1)), None, None


def meetings(
    long: int, kernel: int, stride: int, padding: int
) -> Iterator[tuple[int, slice, slice]]:
    """Return for each place of a kernel which ticks of the short side meet which of the long one.

    Tick t of the short side meets t stride + place - padding of the long one.

    Args:
        long: ticks of that side.
        kernel: its places.
        stride: of the kernel.
        padding: on each side.
    """
    short = (long + 2 * padding - kernel) // stride + 1
    for place in range(kernel):
        shift = place - padding
        first = max(0, -(shift // stride))
        last = min(short - 1, (long - 1 - shift) // stride)
        if first <= last:
            begin, end = first * stride + shift, last * stride + shift
            yield place, slice(first, last + 1), slice(begin, end + 1, stride)


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


def _add(found: Tensor, x: Tensor, matrix: Tensor) -> None:
    """Add products (n, B, C) with (C, O) to what was found (n, B, O)."""
    if found.is_contiguous():
        _rows(found).addmm_(_rows(x), matrix)
    else:
        found += (_rows(x) @ matrix).view_as(found)
