"""ACT as operations of torch, one after the other, to be compared with.

Written from formulae and sizes of the papers (arXiv 2304.13705, with DETR, arXiv 2005.12872) in the
plainest modules that torch has: attention that also makes its weights, pictures channel by channel,
positions computed where they are used. The one decoder layer is that which counts in the published
code.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from sim2arm.policies.act import ActCfg

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the colours of ImageNet, as ACT has them."""
Norm = Callable[[int], nn.Module]


class FrozenNorm(nn.Module):
    """Batch normalisation with statistics that do not change, as published for ACT."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, value in {"weight": 1.0, "bias": 0.0, "mean": 0.0, "var": 1.0}.items():
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias, mean, var = (value.reshape(1, -1, 1, 1) for value in self.buffers())
        scale = weight * (var + 1e-5).rsqrt()
        return x * scale + (bias - mean * scale)


def group_norm(channels: int) -> nn.Module:
    """Return the normalisation of Diffusion Policy: groups of 16 channels."""
    return nn.GroupNorm(channels // 16, channels)


class BasicBlock(nn.Module):
    """Two convolutions of ResNet-18 and a way past them."""

    def __init__(self, before: int, after: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = norm(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = norm(after)
        self.relu = nn.ReLU(inplace=True)
        self.past = None
        if stride != 1 or before != after:
            conv = nn.Conv2d(before, after, 1, stride, bias=False)
            self.past = nn.Sequential(conv, norm(after))

    def forward(self, x: Tensor) -> Tensor:
        found = self.relu(self.norm1(self.conv1(x)))
        found = self.norm2(self.conv2(found))
        return self.relu(found + (x if self.past is None else self.past(x)))


def resnet18(width: int, norm: Norm) -> nn.Sequential:
    """Return ResNet-18 up to its last feature maps."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 7, 2, 3, bias=False), norm(width), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    before = width
    for stage in range(4):
        after = width * 2**stage
        layers += [BasicBlock(before, after, 1 if stage == 0 else 2, norm)]
        layers += [BasicBlock(after, after, 1, norm)]
        before = after
    return nn.Sequential(*layers)


class DetrLayer(nn.Module):
    """A layer of DETR that normalises after each step; with a memory it is one of its decoder."""

    def __init__(self, cfg: ActCfg, cross: bool) -> None:
        super().__init__()
        sizes = cfg.dim, cfg.heads, cfg.dropout
        self.own = nn.MultiheadAttention(*sizes)
        self.cross = nn.MultiheadAttention(*sizes) if cross else None
        self.linear1, self.linear2 = nn.Linear(cfg.dim, cfg.feed), nn.Linear(cfg.feed, cfg.dim)
        self.norms = nn.ModuleList(nn.LayerNorm(cfg.dim) for _ in range(3 if cross else 2))
        self.dropout = nn.Dropout(cfg.dropout)

    def forward(
        self,
        x: Tensor,
        place: Tensor,
        hidden: Tensor | None = None,
        memory: Tensor | None = None,
        position: Tensor | None = None,
    ) -> Tensor:
        """Return tokens (S, B, dim)."""
        at = x + place
        found = self.own(at, at, value=x, key_padding_mask=hidden)[0]
        x = self.norms[0](x + self.dropout(found))
        if self.cross is not None:
            assert memory is not None and position is not None
            found = self.cross(query=x + place, key=memory + position, value=memory)[0]
            x = self.norms[1](x + self.dropout(found))
        found = self.linear2(self.dropout(functional.relu(self.linear1(x))))
        return self.norms[-1](x + self.dropout(found))


class EagerAct(nn.Module):
    """The variational autoencoder of chunks, sequence before batch as in DETR."""

    table: Tensor

    def __init__(self, cfg: ActCfg, vector: int, action: int, norm: Norm) -> None:
        super().__init__()
        self.cfg, dim = cfg, cfg.dim
        self.backbone = resnet18(cfg.width, norm)
        self.input_proj = nn.Conv2d(8 * cfg.width, dim, 1)
        self.style_layers = nn.ModuleList(DetrLayer(cfg, False) for _ in range(cfg.style_layers))
        self.layers = nn.ModuleList(DetrLayer(cfg, False) for _ in range(cfg.layers))
        self.decoder = nn.ModuleList(DetrLayer(cfg, True) for _ in range(cfg.decoder_layers))
        self.decoder_norm = nn.LayerNorm(dim)
        self.whole, self.query = nn.Embedding(1, dim), nn.Embedding(cfg.chunk, dim)
        self.more_place = nn.Embedding(2, dim)
        self.style_action, self.style_vector = nn.Linear(action, dim), nn.Linear(vector, dim)
        self.latent, self.latent_out = nn.Linear(dim, 2 * cfg.style), nn.Linear(cfg.style, dim)
        self.vector, self.head = nn.Linear(vector, dim), nn.Linear(dim, action)
        place = torch.arange(cfg.chunk + 2.0)[:, None]
        angle = place / 10_000.0 ** (2 * (torch.arange(dim) // 2) / dim)
        angle[:, 0::2], angle[:, 1::2] = angle[:, 0::2].sin(), angle[:, 1::2].cos()
        self.register_buffer("table", angle[:, None])
        for value in self.parameters():
            if value.ndim > 1:
                nn.init.xavier_uniform_(value)

    def answer(
        self,
        vectors: Tensor,
        pictures: list[Tensor],
        chunk: Tensor | None = None,
        padded: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Return chunks, and mean and log variance of styles."""
        vector = vectors[:, 0]
        count, moments = len(vector), None
        style = torch.zeros(count, self.cfg.style)
        if chunk is not None and padded is not None:
            whole = self.whole.weight[None].repeat(count, 1, 1)
            tokens = [whole, self.style_vector(vector)[:, None], self.style_action(chunk)]
            x = torch.cat(tokens, dim=1).permute(1, 0, 2)
            hidden = torch.cat([torch.full((count, 2), False), padded], dim=1)
            for layer in self.style_layers:
                x = layer(x, self.table, hidden)
            found = self.latent(x[0])
            mean, log_variance = found[:, : self.cfg.style], found[:, self.cfg.style :]
            moments = mean, log_variance
            style = mean + log_variance.div(2).exp() * torch.randn_like(mean)
        grids: list[Tensor] = []
        for picture in pictures:
            value = picture[:, 0].permute(0, 3, 1, 2).contiguous() / 255.0
            value = value - torch.tensor(MEAN).reshape(3, 1, 1)
            value = value / torch.tensor(DEVIATION).reshape(3, 1, 1)
            grids.append(self.input_proj(self.backbone(value)))
        place = torch.cat([sine_place(grid) for grid in grids], dim=3)
        grid = torch.cat(grids, dim=3)
        x = torch.stack([self.latent_out(style), self.vector(vector)])
        x = torch.cat([x, grid.flatten(2).permute(2, 0, 1)])
        position = place.flatten(2).permute(2, 0, 1).repeat(1, count, 1)
        more = self.more_place.weight[:, None].repeat(1, count, 1)
        position = torch.cat([more, position])
        for layer in self.layers:
            x = layer(x, position)
        query = self.query.weight[:, None].repeat(1, count, 1)
        asked = torch.zeros_like(query)
        for layer in self.decoder:
            asked = layer(asked, query, None, x, position)
        return self.head(self.decoder_norm(asked).transpose(0, 1)), moments

    def loss(self, vector: Tensor, pictures: list[Tensor], chunk: Tensor, padded: Tensor) -> Tensor:
        """Return error of actions plus weighted divergence of styles; arrays are (B, 1, ...)."""
        found, style = self.answer(vector, pictures, chunk, padded)
        assert style is not None
        mean, log_variance = style
        error = functional.l1_loss(found, chunk, reduction="none") * ~padded[..., None]
        divergence = -0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp())
        return error.mean() + self.cfg.kl_weight * divergence.sum(dim=1).mean()

    def forward(self, vector: Tensor, pictures: list[Tensor]) -> Tensor:
        """Return chunks (B, T, A) of style 0; arrays are (B, 1, ...)."""
        return self.answer(vector, pictures)[0]


def sine_place(grid: Tensor) -> Tensor:
    """Return the positions (1, dim, h, w) of DETR on feature maps (B, dim, h, w)."""
    half = grid.shape[1] // 2
    ones = torch.ones(1, *grid.shape[2:])
    order = torch.arange(half, dtype=torch.float32)
    rate = 10_000.0 ** (2 * torch.div(order, 2, rounding_mode="floor") / half)
    parts: list[Tensor] = []
    for dim in (1, 2):
        along = ones.cumsum(dim)
        along = along / (along.amax(dim, keepdim=True) + 1e-6) * 2.0 * math.pi
        angle = along[..., None] / rate
        waves = torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], dim=4)
        parts.append(waves.flatten(3))
    return torch.cat(parts, dim=3).permute(0, 3, 1, 2)
