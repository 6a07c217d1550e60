"""Diffusion Policy: a chunk of actions out of noise, a little cleaner at each step.

A network learns to tell the noise in noisy chunks, given what was seen; a sampler takes it away
step by step, so that where demonstrations did either of two things the policy does one of them and
not their mean. The sampler is unrolled in the exported graph and takes its noise as input.

Source: Chi et al., arXiv 2303.04137. The parts of which Yuan, arXiv 2412.00084, measures what each
is worth are settings: `history`, `chunk` with how much of it is done (the executor's), `denoiser`
and `film`; `denoise` off is regression with the same network.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch._higher_order_ops.while_loop import while_loop

from .diffusion_transformer import DiffusionTransformer
from .film import PerceptronDenoiser
from .keypoint_encoder import KeypointEncoder
from .noise_schedule import (
    Betas,
    Prediction,
    Step,
    add_noise,
    ddim_step,
    ddpm_step,
    kept_shares,
    plan,
    split,
    target_of,
)
from .unet import GROUPS, UNet

Denoiser = Literal["unet", "transformer", "perceptron"]
"""Networks that tell noise."""
Sampler = Literal["ddpm", "ddim"]
"""ddpm: noise at each step; ddim: only at the start."""
UNROLLED = 16
"""Most steps of a sampler that stand one after the other in an exported graph."""
CHOICES = {"denoiser": Denoiser, "betas": Betas, "prediction": Prediction, "sampler": Sampler}
"""What settings may be."""


@dataclass(frozen=True, kw_only=True)
class DiffusionCfg:
    """Sizes, noise and sampler; the published ones for vectors."""

    chunk: int = 16
    """Actions of a chunk; the first is that of the oldest tick seen."""
    history: int = 2
    """Ticks that are seen."""
    denoiser: Denoiser = "unet"
    """The network that tells the noise."""
    film: bool = True
    """Whether what is seen changes each layer; else it is joined to the input."""
    step_dim: int = 256
    """Numbers of an embedded step; not of the transformer, where it is `dim`."""
    dims: tuple[int, ...] = (256, 512, 1024)
    """Channels of each level of the U-Net."""
    dim: int = 256
    """Numbers of a token of the transformer, hidden units of the perceptron."""
    layers: int = 8
    """Of the transformer or the perceptron."""
    heads: int = 4
    """Of attention in the transformer."""
    dropout: float = 0.3
    """Share of numbers that the transformer leaves out in training."""
    denoise: bool = True
    """Whether there is noise; else the network learns the chunk itself."""
    train_steps: int = 100
    """Steps from chunks to noise."""
    betas: Betas = "squaredcos_cap_v2"
    """How noise grows over them."""
    prediction: Prediction = "epsilon"
    """What the network finds."""
    sampler: Sampler = "ddim"
    """How noise is taken away."""
    sampler_steps: int = 10
    """Steps from noise to a chunk."""
    clip: float | None = 1.0
    """Largest number that a step takes for clean, 1: the largest demonstrated; None: any."""
    prefixed: bool = False
    """Whether chunks keep the actions that are already committed, which the executor tells: the
    sampler puts them in at each step, with as much noise as the rest."""
    masked: bool = False
    """Whether actions beyond the ends of episodes do not count; published: they do."""
    width: int = 64
    """Channels of the first stage of the backbone of pictures."""
    keypoints: int = 32
    """Places that are found in a picture."""
    picture: int = 64
    """Numbers of a picture."""
    crop: float = 0.9
    """Share of each side of a picture that is seen: anywhere in training, then in the middle."""

    @property
    def past(self) -> int:
        """Actions before the newest tick."""
        return self.history - 1

    @property
    def scaling(self) -> Literal["deviation", "range"]:
        """How actions and vectors are normalised."""
        return "range"

    def noises(self, action_dim: int) -> dict[str, tuple[int, ...]]:
        """Return shapes of noise: what a chunk is made of, and for ddpm what each step adds."""
        if not self.denoise:
            return {}
        found: dict[str, tuple[int, ...]] = {"noise_start": (self.chunk, action_dim)}
        if self.sampler == "ddpm":
            found["noise_steps"] = (self.sampler_steps, self.chunk, action_dim)
        return found

    def __post_init__(self) -> None:
        """Refuse settings that do not go together."""
        for name in ("chunk", "history", "dim", "layers", "heads", "train_steps", "sampler_steps",
                     "width", "keypoints", "picture"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in get_args(known):
                raise ValueError(
                    f"{name}: expected one of {get_args(known)}, got {getattr(self, name)!r}"
                )
        if self.prefixed and not self.denoise:
            raise ValueError("prefixed: without noise there is no sampler that keeps actions")
        if self.history > self.chunk:
            raise ValueError(
                f"history: expected at most {self.chunk}, the chunk that covers it, got "
                f"{self.history}"
            )
        if self.sampler_steps > self.train_steps:
            raise ValueError(
                f"sampler_steps: expected at most {self.train_steps} train_steps, got "
                f"{self.sampler_steps}"
            )
        if self.clip is not None and not 0.0 < self.clip < math.inf:
            raise ValueError(f"clip: expected a number above 0 or None, got {self.clip}")
        if not 0.0 < self.crop <= 1.0:
            raise ValueError(f"crop: expected a share above 0, at most 1, got {self.crop}")
        self._refuse_sizes()

    def _refuse_sizes(self) -> None:
        """Raise where sizes do not fit the denoiser that is chosen."""
        if self.denoiser != "transformer" and (self.step_dim < 4 or self.step_dim % 2):
            raise ValueError(f"step_dim: expected an even number from 4, got {self.step_dim}")
        if self.denoiser == "unet":
            if not self.dims or any(dim < 1 or dim % GROUPS for dim in self.dims):
                raise ValueError(f"dims: expected multiples of {GROUPS}, got {self.dims}")
            halved = 2 ** (len(self.dims) - 1)
            if self.chunk % halved:
                raise ValueError(
                    f"chunk: expected a multiple of {halved} for {len(self.dims)} levels of the "
                    f"U-Net, got {self.chunk}"
                )
        if self.denoiser == "transformer":
            if self.dim < 4 or self.dim % 2 or self.dim % self.heads:
                raise ValueError(
                    f"dim: expected an even number from 4 that {self.heads} heads divide, got "
                    f"{self.dim}"
                )
            if not 0.0 <= self.dropout < 1.0:
                raise ValueError(f"dropout: expected 0 to below 1, got {self.dropout}")
            if not self.film:
                raise ValueError("film: the transformer has none to leave out; set denoiser")


class DiffusionNetwork(nn.Module):
    """What is seen, and noise, to a chunk of normalised actions: a `chunks.ChunkNetwork`."""

    kept: Tensor

    def __init__(self, cfg: DiffusionCfg, obs: Mapping[str, Tensor], action_dim: int) -> None:
        """Build it for observations (1, H, ...) of these shapes and types.

        Raises:
            PictureError: a picture is too small, or there is an array that no network reads.
        """
        super().__init__()
        self.cfg, self.shape = cfg, (cfg.chunk, action_dim)
        self.encoder = KeypointEncoder(
            obs, width=cfg.width, keypoints=cfg.keypoints, picture=cfg.picture, crop=cfg.crop
        )
        self.denoiser = _denoiser(cfg, self.shape, self.encoder.size)
        kept = kept_shares(cfg.betas, cfg.train_steps)
        self.steps = plan(kept, cfg.sampler_steps)
        self.register_buffer("kept", torch.from_numpy(kept).float(), persistent=False)

    def forward(
        self,
        obs: Mapping[str, Tensor],
        noise: Mapping[str, Tensor],
        committed: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return chunks (B, T, A) that the sampler makes of noise.

        Args:
            obs: observations (B, H, ...).
            noise: standard normal, (B, ...) of the shapes that `noises` of the configuration says.
            committed: actions (B, T, A) that the chunk keeps, and which those are (B, T, 1), 0 or
                1. Source: inpainting as Lugmayr et al., arXiv 2201.09865, without its returns to
                more noise; for chunks of actions Black et al., arXiv 2506.07339.
        """
        cfg, seen = self.cfg, self.encoder(obs)
        if not cfg.denoise:
            return self._regress(seen)
        x, drawn = noise["noise_start"], noise.get("noise_steps")
        if len(self.steps) > UNROLLED and torch.compiler.is_exporting():
            x = self._looped(x, seen, drawn, committed)
        else:
            start = x
            for index, step in enumerate(self.steps):
                added = None if drawn is None else drawn[:, index]
                x = self._less_noisy(x, step, seen, start, added, committed)
        return x if committed is None else put_in(x, *committed)

    def _less_noisy(
        self,
        x: Tensor,
        step: Step,
        seen: Tensor,
        start: Tensor,
        added: Tensor | None,
        committed: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """Return chunks (B, T, A) after a step of the sampler.

        Args:
            x: before it.
            step: which.
            seen: encoded observations.
            start: the noise that the chunk began as.
            added: noise of the step, for ddpm.
            committed: see `forward`.
        """
        cfg = self.cfg
        if committed is not None:
            signal, spread = step.kept**0.5, (1.0 - step.kept) ** 0.5
            x = put_in(x, signal * committed[0] + spread * start, committed[1])
        at = (
            step.at.to(x.dtype).reshape(1)
            if isinstance(step.at, Tensor)
            else x.new_full((1,), step.at)
        )
        found = self.denoiser(x, at, seen)
        clean, rest = split(found, x, step.kept, cfg.prediction)
        if cfg.clip is not None:
            clean = clean.clamp(-cfg.clip, cfg.clip)
        if added is None:
            return ddim_step(clean, rest, step)
        return ddpm_step(clean, x, added, step)

    def _looped(
        self,
        x: Tensor,
        seen: Tensor,
        drawn: Tensor | None,
        committed: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """Return what all steps make of noise, as one loop of the exported graph."""
        table = torch.tensor(
            [[step.at, step.kept, step.next_kept] for step in self.steps], dtype=torch.float64
        )
        start, count = x, len(self.steps)

        def goes_on(index: Tensor, x: Tensor) -> Tensor:
            return index < count

        def body(index: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            row = table.index_select(0, index.reshape(1))[0]
            step = Step(at=row[0], kept=row[1], next_kept=row[2])
            added = None if drawn is None else drawn.index_select(1, index.reshape(1))[:, 0]
            return index + 1, self._less_noisy(x, step, seen, start, added, committed)

        first = torch.zeros((), dtype=torch.int64)
        return while_loop(goes_on, body, (first, x))[1]

    def _regress(self, seen: Tensor) -> Tensor:
        """Return chunks (B, T, A) that the network makes of nothing."""
        nothing = seen.new_zeros((len(seen), *self.shape))
        return self.denoiser(nothing, seen.new_zeros(1), seen)

    def loss(
        self,
        obs: Mapping[str, Tensor],
        chunk: Tensor,
        padded: Tensor,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Return `loss`: see `diffusion_loss`.

        Args:
            obs: as `forward` takes them.
            chunk: demonstrated actions, normalised (B, T, A).
            padded: (B, T) bool, actions beyond the ends of the episode.
            generator: of crops, steps and noise; the global one of torch if None.
        """
        cfg, seen = self.cfg, self.encoder(obs, generator)
        left_out = padded if cfg.masked else None
        if not cfg.denoise:
            return {"loss": diffusion_loss(self._regress(seen), chunk, left_out)}
        device = chunk.device if generator is None else generator.device
        at = torch.randint(cfg.train_steps, (len(chunk),), generator=generator, device=device)
        noise = torch.randn(chunk.shape, generator=generator, device=device).to(chunk.device)
        at = at.to(chunk.device)
        kept = self.kept[at][:, None, None]
        found = self.denoiser(add_noise(chunk, noise, kept), at.float(), seen)
        target = target_of(chunk, noise, kept, cfg.prediction)
        return {"loss": diffusion_loss(found, target, left_out)}


def put_in(chunk: Tensor, other: Tensor, where: Tensor) -> Tensor:
    """Return a chunk (B, T, A) with entries of another where (B, T, 1) is 1; elsewhere it is 0."""
    return chunk + where * (other - chunk)


def diffusion_loss(found: Tensor, target: Tensor, left_out: Tensor | None) -> Tensor:
    """Return the mean squared error.

    Args:
        found: by the network (B, T, A).
        target: what it should find (B, T, A).
        left_out: (B, T) bool, actions that do not count; None: all do.
    """
    error = (found - target) ** 2
    if left_out is None:
        return error.mean()
    counts = (~left_out)[..., None].expand_as(error)
    return (error * counts).sum() / counts.sum().clamp(min=1)


def _denoiser(cfg: DiffusionCfg, shape: tuple[int, int], size: int) -> nn.Module:
    """Return the network that tells noise, for chunks (T, A) and rows of what is seen."""
    seen = cfg.history * size
    if cfg.denoiser == "unet":
        return UNet(shape[1], seen, cfg.dims, cfg.step_dim, cfg.film)
    if cfg.denoiser == "transformer":
        sizes = cfg.dim, cfg.heads, cfg.layers, cfg.dropout
        return DiffusionTransformer(shape, (cfg.history, size), *sizes)
    return PerceptronDenoiser(shape, seen, cfg.dim, cfg.layers, cfg.step_dim, cfg.film)
