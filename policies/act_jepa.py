"""ACT-JEPA: a chunk of actions, learnt together with what will be seen, told in embeddings.

A context encoder turns what is seen now into embeddings. From them a decoder answers with actions,
and in training a predictor with the embeddings of the present and of the coming ticks. Those it
should have said come from a target encoder: a moving average of the context encoder, which learns
nothing by itself and sees the true future. No observation is reconstructed, and the deployed part
is the context encoder and the decoder of actions.

Source: Vujinovic and Kovacevic, arXiv 2501.14622. Published: the four parts, the loss (L1 of
actions plus L1 of embeddings), targets from vectors only and not from pictures, the narrow
predictor, sizes, the rise of the momentum from 0.996 to 1. Ours: force fields belong to a tick like
its vector; embeddings of targets are normalised without learnt scale before they are compared (as
in I-JEPA, arXiv 2301.08243), so that no shrinking scale can make the distance small; layers
normalise after each step as in `act.py`; cameras have places of their own; other distances.
"""

# pyright: standard

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, smooth_l1_loss

from .attention import DecoderLayer, EncoderLayer, sine, sine_grid
from .bc import chunk_error
from .encoders import VECTOR, FieldEncoder, Kinds, kinds_of
from .resnet import ResNet18

Distance = Literal["l1", "smooth_l1", "l2"]
"""Between embeddings: absolute; squared below 1 and absolute above; squared."""


@dataclass(frozen=True, kw_only=True)
class ActJepaCfg:
    """Sizes and losses; the published ones for Push-T."""

    chunk: int = 30
    """Actions of a chunk."""
    future: int = 29
    """Coming ticks whose embeddings are predicted, besides that of the present."""
    dim: int = 512
    """Numbers of a token."""
    heads: int = 8
    """Of attention."""
    feed: int = 2048
    """Width of the perceptrons in layers."""
    layers: int = 4
    """Of the encoders."""
    decoder_layers: int = 1
    """Of the decoder of actions."""
    predictor_layers: int = 4
    """Of the predictor."""
    predictor_dim: int = 128
    """Numbers of a token in the predictor, which is narrow."""
    predictor_feed: int = 512
    """Width of the perceptrons in its layers."""
    width: int = 64
    """Channels of the first stage of the backbone of pictures."""
    dropout: float = 0.1
    """Share of numbers that are left out in training."""
    distance: Distance = "l1"
    """Between predicted embeddings and targets."""
    weight: float = 1.0
    """Of that distance beside the error of actions."""
    momentum: float = 0.996
    """What the target encoder keeps of itself at a step, when training begins."""
    last_momentum: float = 1.0
    """And when it ends; it rises evenly between."""

    @property
    def history(self) -> int:
        """Ticks that are seen."""
        return 1

    @property
    def past(self) -> int:
        """Actions before the tick."""
        return 0

    @property
    def scaling(self) -> Literal["deviation", "range"]:
        """How actions and vectors are normalised."""
        return "deviation"

    @property
    def sampler_steps(self) -> int:
        """Steps of a sampler: there is none."""
        return 1

    def noises(self, action_dim: int) -> dict[str, tuple[int, ...]]:
        """Return the noise that is drawn for a chunk: none."""
        return {}

    def __post_init__(self) -> None:
        """Refuse sizes that do not go together."""
        names = ("chunk", "future", "dim", "heads", "feed", "layers", "decoder_layers",
                 "predictor_layers", "predictor_dim", "predictor_feed", "width")  # fmt: skip
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for name, step in (("dim", 4), ("predictor_dim", 1)):
            size = getattr(self, name)
            if size % self.heads or size % step:
                raise ValueError(
                    f"{name}: expected a multiple of {step} and of {self.heads} heads, got {size}"
                )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: expected 0 to below 1, got {self.dropout}")
        if self.distance not in get_args(Distance):
            raise ValueError(
                f"distance: expected one of {get_args(Distance)}, got {self.distance!r}"
            )
        if not 0.0 <= self.weight < math.inf:
            raise ValueError(f"weight: expected 0 or more, got {self.weight}")
        if not 0.0 <= self.momentum <= self.last_momentum <= 1.0:
            raise ValueError(
                "momentum: expected 0 to 1, rising to last_momentum, got "
                f"{self.momentum} and {self.last_momentum}"
            )


class TickEncoder(nn.Module):
    """Ticks and other tokens to embeddings: what context and target encoder have in common."""

    def __init__(self, cfg: ActJepaCfg, size: int, kinds: Kinds) -> None:
        """Build it for vectors of this size and for these fields."""
        super().__init__()
        self.vector = nn.Linear(size, cfg.dim)
        fields = {name: FieldEncoder(name, shape) for name, shape in kinds.fields.items()}
        self.fields = nn.ModuleDict(fields)
        self.field = nn.ModuleDict({n: nn.Linear(f.size, cfg.dim) for n, f in fields.items()})
        sizes = cfg.dim, cfg.heads, cfg.feed, cfg.dropout
        self.layers = nn.ModuleList(EncoderLayer(*sizes) for _ in range(cfg.layers))

    def tokens(self, obs: Mapping[str, Tensor]) -> Tensor:
        """Return one token per tick (B, H, dim) of its vector and fields (B, H, ...)."""
        token = self.vector(obs[VECTOR])
        for name, encoder in self.fields.items():
            code = encoder(obs[name].flatten(0, 1)).unflatten(0, token.shape[:2])
            token = token + self.field[name](code)
        return token

    def forward(self, x: Tensor, position: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return embeddings (B, S, dim) of tokens and their positions, `hidden` (B, S) left out."""
        for layer in self.layers:
            x = layer(x, position, hidden)
        return x


class Decoder(nn.Module):
    """One answer per query, of what the context says."""

    def __init__(self, queries: int, sizes: tuple[int, int, int, float], layers: int) -> None:
        """Build it for so many queries; `sizes` are those of `DecoderLayer`."""
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, queries, sizes[0]))
        self.layers = nn.ModuleList(DecoderLayer(*sizes) for _ in range(layers))

    def forward(self, memory: Tensor, position: Tensor) -> Tensor:
        """Return (B, queries, dim) of embeddings (B, S, dim) and their positions.

        The layers begin with the queries and not, as in ACT, with zeros: these would get the same
        answer to every query where there is only one token to look at.
        """
        asked = self.queries.expand(len(memory), -1, -1)
        for layer in self.layers:
            asked = layer(asked, self.queries, memory, position)
        return asked


class ActJepaNetwork(nn.Module):
    """What is seen to a chunk of normalised actions: a `chunks.ChunkNetwork`.

    Its loss needs the future, `ActJepaCfg.future` ticks of it; `follow` is due after each step.
    """

    ticks: Tensor

    def __init__(self, cfg: ActJepaCfg, obs: Mapping[str, Tensor], action_dim: int) -> None:
        """Build it for observations (1, 1, ...) of these shapes and types."""
        super().__init__()
        kinds = kinds_of({name: value[:, -1] for name, value in obs.items()})
        self.cfg, self.pictures = cfg, tuple(kinds.pictures)
        self.context = TickEncoder(cfg, obs[VECTOR].shape[-1], kinds)
        self.target = copy.deepcopy(self.context).requires_grad_(False)
        self.trunk = ResNet18(width=cfg.width) if kinds.pictures else None
        self.project = nn.Conv2d(8 * cfg.width, cfg.dim, 1) if kinds.pictures else None
        self.places = nn.Parameter(0.02 * torch.randn(1 + len(self.pictures), cfg.dim))
        wide = cfg.dim, cfg.heads, cfg.feed, cfg.dropout
        self.decoder = Decoder(cfg.chunk, wide, cfg.decoder_layers)
        self.out = nn.Linear(cfg.dim, action_dim)
        narrow = cfg.predictor_dim, cfg.heads, cfg.predictor_feed, cfg.dropout
        self.predictor = Decoder(1 + cfg.future, narrow, cfg.predictor_layers)
        self.narrow = nn.Linear(cfg.dim, cfg.predictor_dim)
        self.narrow_place = nn.Linear(cfg.dim, cfg.predictor_dim, bias=False)
        self.wide = nn.Linear(cfg.predictor_dim, cfg.dim)
        self.register_buffer("ticks", sine(1 + cfg.future, cfg.dim)[None], persistent=False)
        self.train(self.training)

    def train(self, mode: bool = True) -> ActJepaNetwork:
        """Set whether numbers are left out; never in the target encoder."""
        super().train(mode)
        self.target.eval()
        return self

    def forward(
        self, obs: Mapping[str, Tensor], noise: Mapping[str, Tensor] = MappingProxyType({})
    ) -> Tensor:
        """Return chunks (B, T, A) of observations of one tick (B, 1, ...); there is no noise."""
        return self.out(self.decoder(*self.embed(obs)))

    def embed(self, obs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return embeddings of what is seen (B, S, dim) and positions (1, S, dim).

        The first is the tick's; the others are places on the pictures.
        """
        x, position = self.context.tokens(obs), self.places[None, :1]
        if self.trunk is not None and self.project is not None:
            for name, place in zip(self.pictures, self.places[1:], strict=True):
                picture = obs[name][:, -1].permute(0, 3, 1, 2).float() / 127.5 - 1.0
                grid = self.project(self.trunk(picture))
                where = sine_grid(grid.shape[2], grid.shape[3], self.cfg.dim).to(grid.device)
                x = torch.cat([x, grid.flatten(2).transpose(1, 2)], dim=1)
                position = torch.cat([position, (where + place)[None]], dim=1)
        return self.context(x, position), position

    def predict(self, memory: Tensor, position: Tensor) -> Tensor:
        """Return predicted embeddings (B, 1 + F, dim) of the present and the coming ticks.

        Args:
            memory: embeddings of what is seen (B, S, dim).
            position: of them (1, S, dim).
        """
        return self.wide(self.predictor(self.narrow(memory), self.narrow_place(position)))

    @torch.no_grad()
    def targets(self, obs: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        """Return embeddings (B, 1 + F, dim) of the present and the coming ticks, normalised.

        Args:
            obs: vectors and fields of those ticks (B, 1 + F, ...).
            hidden: (B, 1 + F) bool, ticks beyond the episode.
        """
        found = self.target(self.target.tokens(obs), self.ticks, hidden)
        return layer_norm(found, found.shape[-1:])

    def loss(
        self,
        obs: Mapping[str, Tensor],
        chunk: Tensor,
        padded: Tensor,
        generator: torch.Generator | None = None,
        *,
        future: Mapping[str, Tensor],
        absent: Tensor,
    ) -> dict[str, Tensor]:
        """Return the parts of the loss and their sum, `loss`.

        Args:
            obs: as `forward` takes them.
            chunk: demonstrated actions, normalised (B, T, A).
            padded: (B, T) bool, actions beyond the episode, which do not count.
            generator: nothing is drawn.
            future: the F ticks after that of `obs`, normalised like it (B, F, ...); pictures may
                be left out.
            absent: (B, F) bool, ticks beyond the episode, which are neither seen nor count.

        Returns:
            `error` of actions; `distance` of embeddings; `spread`, the deviation of target
            embeddings over the batch, which is near 0 if they have collapsed.
        """
        memory, position = self.embed(obs)
        found = self.out(self.decoder(memory, position))
        error = chunk_error(found, chunk, padded, "l1")
        names = (VECTOR, *self.context.fields)
        ticks = {name: torch.cat([obs[name][:, -1:], future[name]], dim=1) for name in names}
        hidden = torch.cat([absent.new_zeros((len(absent), 1)), absent], dim=1)
        target = self.targets(ticks, hidden)
        predicted = self.predict(memory, position)
        distance = embedding_distance(predicted, target, hidden, self.cfg.distance)
        spread = target[~hidden].std(dim=0, unbiased=False).mean()
        loss = error + self.cfg.weight * distance
        return {"error": error, "distance": distance, "spread": spread, "loss": loss}

    @torch.no_grad()
    def follow(self, done: float = 0.0) -> None:
        """Let the target encoder follow the context encoder, after a step of learning.

        It keeps a share m of itself and takes 1 - m of the other.

        Args:
            done: share of the training that is done, 0 to 1; m rises with it.
        """
        cfg = self.cfg
        kept = cfg.momentum + min(1.0, done) * (cfg.last_momentum - cfg.momentum)
        for mine, its in zip(self.target.parameters(), self.context.parameters(), strict=True):
            mine.lerp_(its, 1.0 - kept)
        for mine, its in zip(self.target.buffers(), self.context.buffers(), strict=True):
            mine.copy_(its)


def embedding_distance(
    predicted: Tensor, target: Tensor, hidden: Tensor, distance: Distance
) -> Tensor:
    """Return the mean distance of numbers of embeddings that count; 0 if none do.

    Args:
        predicted: embeddings (B, S, dim).
        target: those they should be.
        hidden: (B, S) bool, ticks that do not count.
        distance: which.
    """
    if distance == "smooth_l1":
        each = smooth_l1_loss(predicted, target, reduction="none")
        counts = (~hidden)[..., None].expand_as(each)
        return each.masked_fill(~counts, 0.0).sum() / counts.sum().clamp(min=1)
    return chunk_error(predicted, target, hidden, "l1" if distance == "l1" else "mse")
