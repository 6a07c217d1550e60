"""ACT: a chunk of actions from one look, learnt as a conditional variational autoencoder.

In training an encoder sees the demonstrated chunk and tells the decoder in a few numbers how it was
done (style); on the robot these are zero. The decoder is a transformer over tokens of pictures,
fields, vectors and style, asked by one query per action.

Source: Zhao et al., arXiv 2304.13705. Differences: its published code uses only the first of seven
decoder layers, so there is one; the backbone is not pretrained (`resnet.py`); the error is divided
by the number of actions that count.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from .attention import DecoderLayer, EncoderLayer, sine, sine_grid
from .encoders import VECTOR, FieldEncoder, kinds_of
from .resnet import ResNet18


@dataclass(frozen=True, kw_only=True)
class ActCfg:
    """Sizes and losses; the published ones for pictures of 480 x 640."""

    chunk: int = 100
    """Actions of a chunk."""
    dim: int = 512
    """Numbers of a token."""
    heads: int = 8
    """Of attention."""
    feed: int = 3200
    """Width of the perceptrons in layers."""
    style_layers: int = 4
    """Of the encoder of demonstrated chunks."""
    layers: int = 4
    """Of the encoder of what is seen."""
    decoder_layers: int = 1
    """Of the decoder."""
    style: int = 32
    """Numbers that say how a chunk was done."""
    width: int = 64
    """Channels of the first stage of the backbone of pictures."""
    dropout: float = 0.1
    """Share of numbers that are left out in training."""
    kl_weight: float = 10.0
    """Of the divergence of styles from a normal distribution, beside the error of actions."""

    @property
    def history(self) -> int:
        """Ticks that are seen."""
        return 1

    @property
    def past(self) -> int:
        """Actions before the tick."""
        return 0

    @property
    def sampler_steps(self) -> int:
        """Steps of a sampler: there is none."""
        return 1

    def noises(self, action_dim: int) -> dict[str, tuple[int, ...]]:
        """Return the noise that is drawn for a chunk: none."""
        return {}

    @property
    def scaling(self) -> Literal["deviation", "range"]:
        """How actions and vectors are normalised."""
        return "deviation"

    def __post_init__(self) -> None:
        """Refuse sizes that do not go together."""
        names = ("chunk", "dim", "heads", "feed", "style_layers", "layers", "decoder_layers",
                 "style", "width")  # fmt: skip
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.dim % self.heads or self.dim % 4:
            raise ValueError(
                f"dim: expected a multiple of 4 and of {self.heads} heads, got {self.dim}"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: expected 0 to below 1, got {self.dropout}")
        if not 0.0 <= self.kl_weight < math.inf:
            raise ValueError(f"kl_weight: expected 0 or more, got {self.kl_weight}")


class StyleEncoder(nn.Module):
    """How a demonstrated chunk was done: mean and log variance of the style."""

    position: Tensor

    def __init__(self, cfg: ActCfg, vector: int, action_dim: int) -> None:
        """Build it for vectors and actions of these sizes."""
        super().__init__()
        self.whole = nn.Parameter(0.02 * torch.randn(1, 1, cfg.dim))
        self.vector, self.action = nn.Linear(vector, cfg.dim), nn.Linear(action_dim, cfg.dim)
        sizes = cfg.dim, cfg.heads, cfg.feed, cfg.dropout
        self.layers = nn.ModuleList(EncoderLayer(*sizes) for _ in range(cfg.style_layers))
        self.out = nn.Linear(cfg.dim, 2 * cfg.style)
        self.register_buffer("position", sine(cfg.chunk + 2, cfg.dim)[None], persistent=False)

    def forward(self, vector: Tensor, chunk: Tensor, padded: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance (B, style).

        Args:
            vector: normalised (B, V).
            chunk: normalised actions (B, T, A).
            padded: (B, T) bool, actions beyond the episode, which are not seen.
        """
        count = len(vector)
        x = torch.cat(
            [self.whole.expand(count, -1, -1), self.vector(vector)[:, None], self.action(chunk)],
            dim=1,
        )
        hidden = torch.cat([padded.new_zeros((count, 2)), padded], dim=1)
        for layer in self.layers:
            x = layer(x, self.position, hidden)
        mean, log_variance = self.out(x[:, 0]).chunk(2, dim=-1)
        return mean, log_variance


class ActNetwork(nn.Module):
    """What is seen, and a style, to a chunk of normalised actions: a `chunks.ChunkNetwork`."""

    def __init__(self, cfg: ActCfg, obs: Mapping[str, Tensor], action_dim: int) -> None:
        """Build it for observations (1, 1, ...) of these shapes and types."""
        super().__init__()
        kinds = kinds_of({name: value[:, -1] for name, value in obs.items()})
        self.cfg = cfg
        size = sum(math.prod(shape) for shape in kinds.vectors.values())
        self.style_encoder = StyleEncoder(cfg, size, action_dim)
        self.vector, self.style = nn.Linear(size, cfg.dim), nn.Linear(cfg.style, cfg.dim)
        self.trunk = ResNet18(width=cfg.width) if kinds.pictures else None
        self.project = nn.Conv2d(8 * cfg.width, cfg.dim, 1) if kinds.pictures else None
        fields = {name: FieldEncoder(name, shape) for name, shape in kinds.fields.items()}
        self.fields = nn.ModuleDict(fields)
        self.field = nn.ModuleDict({n: nn.Linear(f.size, cfg.dim) for n, f in fields.items()})
        self.pictures = tuple(kinds.pictures)
        places = 2 + len(kinds.fields)
        self.places = nn.Parameter(0.02 * torch.randn(1, places, cfg.dim))
        sizes = cfg.dim, cfg.heads, cfg.feed, cfg.dropout
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(cfg.layers))
        self.decoder = nn.ModuleList(DecoderLayer(*sizes) for _ in range(cfg.decoder_layers))
        self.queries = nn.Parameter(0.02 * torch.randn(1, cfg.chunk, cfg.dim))
        self.out = nn.Linear(cfg.dim, action_dim)

    def forward(
        self,
        obs: Mapping[str, Tensor],
        noise: Mapping[str, Tensor] = MappingProxyType({}),
        style: Tensor | None = None,
    ) -> Tensor:
        """Return chunks (B, T, A).

        Args:
            obs: of one tick, (B, 1, ...).
            noise: none.
            style: (B, style); zero if None.
        """
        now = {name: value[:, -1] for name, value in obs.items()}
        vector = now[VECTOR]
        count = len(vector)
        if style is None:
            style = vector.new_zeros((count, self.cfg.style))
        tokens = [self.style(style), self.vector(vector)]
        tokens += [self.field[name](self.fields[name](now[name])) for name in self.fields]
        x, position = torch.stack(tokens, dim=1), self.places
        if self.trunk is not None and self.project is not None:
            for name in self.pictures:
                picture = now[name].permute(0, 3, 1, 2).float() / 127.5 - 1.0
                grid = self.project(self.trunk(picture))
                place = sine_grid(grid.shape[2], grid.shape[3], self.cfg.dim).to(grid.device)
                x = torch.cat([x, grid.flatten(2).transpose(1, 2)], dim=1)
                position = torch.cat([position, place[None]], dim=1)
        for layer in self.encoder:
            x = layer(x, position)
        asked = torch.zeros_like(self.queries).expand(count, -1, -1)
        for layer in self.decoder:
            asked = layer(asked, self.queries, x, position)
        return self.out(asked)

    def loss(
        self,
        obs: Mapping[str, Tensor],
        chunk: Tensor,
        padded: Tensor,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Return the parts of the loss and their sum, `loss`: see `act_loss`.

        Args:
            obs: as `forward` takes them.
            chunk: demonstrated actions, normalised (B, T, A).
            padded: (B, T) bool, actions beyond the episode, which do not count.
            generator: of the noise of styles.
        """
        mean, log_variance = self.style_encoder(obs[VECTOR][:, -1], chunk, padded)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        found = self(obs, style=mean + (0.5 * log_variance).exp() * noise)
        return act_loss(found, chunk, padded, mean, log_variance, self.cfg.kl_weight)


def act_loss(
    found: Tensor,
    chunk: Tensor,
    padded: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    kl_weight: float,
) -> dict[str, Tensor]:
    """Return the parts of the loss and their sum.

    Args:
        found: actions of the network (B, T, A).
        chunk: demonstrated ones.
        padded: (B, T) bool, actions that do not count.
        mean: of styles (B, S).
        log_variance: of styles (B, S).
        kl_weight: of the divergence.

    Returns:
        `error`, the mean distance of actions that count; `divergence` of styles from a normal
        distribution, summed over their numbers, mean over the batch; `loss`.
    """
    counts = (~padded)[..., None].expand_as(chunk)
    error = ((found - chunk).abs() * counts).sum() / counts.sum().clamp(min=1)
    divergence = -0.5 * (1.0 + log_variance - mean**2 - log_variance.exp()).sum(dim=-1).mean()
    return {"error": error, "divergence": divergence, "loss": error + kl_weight * divergence}
