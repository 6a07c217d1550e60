"""BESO: a chunk of actions out of noise in few steps, by a network that knows noise of any size.

The network is asked for the actions under noise of a deviation sigma; its numbers are scaled so
that inputs and targets have deviation 1 at any sigma. Sampling follows the ordinary differential
equation of the noise from the greatest sigma down to 0. A part of what is seen can be a goal: it is
left out of some training frames, and the sampler then goes further towards what the goal changes.

Source: Reuss et al., arXiv 2304.02532; scalings, equation and Heun's method: Karras et al.,
arXiv 2206.00364; guidance: Ho and Salimans, arXiv 2207.12598. Differences: the published network
learns the action of each observation of its window, and sees those that it gave before; this one
sees the window and answers with a chunk from the newest tick on. Actions of a chunk see each other,
or each would choose for itself among the ways there are. A goal is left out as a whole, as in the
source of guidance; the published code leaves out single numbers of it.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from .attention import Attention
from .bc import chunk_error
from .dropout import Dropout
from .encoders import GOAL
from .observation_encoder import ObservationEncoder

START = "noise_start"
"""Name of the noise that a chunk is made of."""
Solver = Literal["ddim", "heun"]
"""ddim: DPM-Solver-1, which is Euler's method here; heun: second order, twice the work."""


@dataclass(frozen=True, kw_only=True)
class BesoCfg:
    """Sizes, noise and sampler; the published ones for the kitchen."""

    chunk: int = 1
    """Actions of a chunk, from the newest tick on."""
    history: int = 4
    """Ticks that are seen."""
    goal: tuple[str, ...] = ()
    """Vectors that say what is wanted; of those that are seen, some must be left."""
    goal_drop: float = 0.1
    """Share of training frames whose goal is left out, that is, set to zero."""
    guidance: float = 1.5
    """How far to go towards what the goal changes: 0 ignores it, 1 is just what was learnt."""
    dim: int = 360
    """Numbers of a token."""
    heads: int = 6
    """Of attention."""
    layers: int = 6
    """Of the transformer."""
    feed: int = 1440
    """Width of the perceptrons in layers."""
    dropout: float = 0.1
    """Share of numbers that are left out in training."""
    sampler_steps: int = 3
    """Steps from noise to a chunk; all are part of the exported graph."""
    solver: Solver = "ddim"
    """How a step is done."""
    sigma_data: float = 0.5
    """Deviation of actions between -1 and 1 that the scalings assume."""
    sigma_min: float = 0.005
    """Least deviation of noise; the last step goes from there to 0."""
    sigma_max: float = 1.0
    """Greatest deviation of noise."""
    sigma_scale: float = 0.5
    """Scale of the log-logistic distribution of sigma in training, about `sigma_data`."""

    @property
    def past(self) -> int:
        """Actions before the tick."""
        return 0

    @property
    def scaling(self) -> Literal["deviation", "range"]:
        """How actions and vectors are normalised."""
        return "range"

    def noises(self, action_dim: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of what a chunk is made of."""
        return {START: (self.chunk, action_dim)}

    def __post_init__(self) -> None:
        """Refuse sizes that do not go together."""
        for name in ("chunk", "history", "dim", "heads", "layers", "feed", "sampler_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.dim % self.heads:
            raise ValueError(f"dim: expected a multiple of {self.heads} heads, got {self.dim}")
        for name in ("goal_drop", "dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name}: expected 0 to below 1, got {getattr(self, name)}")
        if not 0.0 <= self.guidance < math.inf:
            raise ValueError(f"guidance: expected 0 or more, got {self.guidance}")
        if self.goal and self.guidance != 1.0 and self.goal_drop == 0.0:
            raise ValueError(
                f"goal_drop: expected above 0 with guidance {self.guidance}, which asks the "
                "network what it does without the goal; or guidance 1.0"
            )
        for name in ("sigma_data", "sigma_min", "sigma_scale"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if not self.sigma_min < self.sigma_max < math.inf:
            raise ValueError(
                f"sigma_max: expected more than sigma_min {self.sigma_min}, got {self.sigma_max}"
            )
        if self.solver not in get_args(Solver):
            raise ValueError(f"solver: expected one of {get_args(Solver)}, got {self.solver!r}")


def scalings(sigma: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what skips the network, and what scales its output, its input and the noise's size.

    With them D(x) = skip x + out F(in x, code) are the actions in x, F being the network.

    Args:
        sigma: deviations of noise, any shape.
        sigma_data: deviation of actions.

    Source: Karras et al., arXiv 2206.00364, table 1.
    """
    total = sigma.square() + sigma_data**2
    root = total.sqrt()
    return sigma_data**2 / total, sigma * sigma_data / root, 1.0 / root, sigma.log() / 4.0


def exponential_sigmas(steps: int, low: float, high: float) -> tuple[float, ...]:
    """Return sigmas (steps + 1,) from `high` down to `low` by equal factors, and then 0.

    One step goes from `high` to 0.
    """
    ratio = [i / (steps - 1) if steps > 1 else 0.0 for i in range(steps)]
    return (*(high * (low / high) ** r for r in ratio), 0.0)


def log_logistic(share: Tensor, middle: float, scale: float, low: float, high: float) -> Tensor:
    """Return sigmas of a log-logistic distribution that is cut off at `low` and `high`.

    Args:
        share: how much of the distribution that is left lies below, 0 to 1, any shape.
        middle: median before it is cut.
        scale: of the logistic distribution of their logarithms.
        low: least sigma.
        high: greatest sigma.

    Source: the distribution function is F(s) = 1 / (1 + (s / middle)^(-1 / scale)).
    """
    below, above = (1.0 / (1.0 + (s / middle) ** (-1.0 / scale)) for s in (low, high))
    place = below + share.double() * (above - below)
    return (middle * (place / (1.0 - place)) ** scale).to(share.dtype)


def sample(
    denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigmas: Sequence[float], solver: Solver
) -> Tensor:
    """Return actions out of noise: follow dx / dsigma = (x - D(x, sigma)) / sigma.

    Args:
        denoise: D, which returns the actions in x (B, T, A) under noise of deviation sigma.
        x: actions under noise of the first sigma; plain noise where sigma is great.
        sigmas: falling ones, the last is 0.
        solver: of the equation; the last step is the same for all, to D itself.
    """
    for now, then in pairwise(sigmas):
        actions = denoise(x, now)
        near = then / now * x + (1.0 - then / now) * actions
        if solver == "heun" and then > 0.0:
            slopes = (x - actions) / now, (near - denoise(near, then)) / then
            near = x + (then - now) * 0.5 * (slopes[0] + slopes[1])
        x = near
    return x


class Block(nn.Module):
    """Tokens look at others; normalised before each step, as in GPT-2."""

    def __init__(self, cfg: BesoCfg) -> None:
        """Build it."""
        super().__init__()
        self.attention = Attention(cfg.dim, cfg.heads, cfg.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(cfg.dim) for _ in range(2))
        self.feed = nn.Sequential(
            nn.Linear(cfg.dim, cfg.feed), nn.GELU(), nn.Linear(cfg.feed, cfg.dim)
        )
        self.drop = Dropout(cfg.dropout)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Return tokens (B, S, dim); `hidden` (B or 1, S, S) says what each does not see."""
        at = self.norms[0](x)
        x = x + self.drop(self.attention(at, at, at, hidden))
        return x + self.drop(self.feed(self.norms[1](x)))


class Denoiser(nn.Module):
    """The network F: tokens of the noise's size, goal, ticks and noisy actions.

    Each sees those before it, and actions see each other.
    """

    later: Tensor

    def __init__(self, cfg: BesoCfg, seen: int, goal: int, action_dim: int) -> None:
        """Build it for so many numbers of a tick, of the goal (0: none) and of an action."""
        super().__init__()
        self.size, self.seen = nn.Linear(1, cfg.dim), nn.Linear(seen, cfg.dim)
        self.goal = nn.Linear(goal, cfg.dim) if goal else None
        self.action, self.chunk = nn.Linear(action_dim, cfg.dim), cfg.chunk
        places = 1 + (goal > 0) + cfg.history + cfg.chunk
        self.places = nn.Parameter(torch.zeros(1, places, cfg.dim))
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.norm, self.out = nn.LayerNorm(cfg.dim), nn.Linear(cfg.dim, action_dim)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)
        nn.init.normal_(self.places, std=0.02)
        later = torch.ones((1, places, places), dtype=torch.bool).triu(1)
        later[:, -cfg.chunk :] = False
        self.register_buffer("later", later, persistent=False)

    def forward(
        self,
        noisy: Tensor,
        code: Tensor,
        seen: Tensor,
        goal: Tensor | None,
        hidden: Tensor | None = None,
    ) -> Tensor:
        """Return numbers (B, T, A).

        Args:
            noisy: scaled noisy actions (B, T, A).
            code: of the noise's size (B, 1, 1).
            seen: ticks (B, H, size).
            goal: (B, G), zero where it is left out; None if there is none.
            hidden: (B, T) bool, actions that are not seen; None: all are.
        """
        tokens = [self.size(code), self.seen(seen), self.action(noisy)]
        if self.goal is not None and goal is not None:
            tokens.insert(1, self.goal(goal)[:, None])
        x, unseen = torch.cat(tokens, dim=1) + self.places, self.later
        if hidden is not None:
            others = hidden.new_zeros((len(hidden), x.shape[1] - self.chunk))
            unseen = unseen | torch.cat([others, hidden], dim=1)[:, None]  # (B, S, S)
        for block in self.blocks:
            x = block(x, unseen)
        return self.out(self.norm(x[:, -self.chunk :]))


class BesoNetwork(nn.Module):
    """Noise and what is seen to a chunk of normalised actions: a `chunks.ChunkNetwork`."""

    def __init__(self, cfg: BesoCfg, obs: Mapping[str, Tensor], action_dim: int) -> None:
        """Build it for observations (1, H, ...) of these shapes and types.

        Args:
            cfg: sizes, noise and sampler.
            obs: the vector of the goal, if there is one, under `GOAL`.
            action_dim: numbers of an action.
        """
        super().__init__()
        self.cfg = cfg
        rest, goal = split_goal(obs)
        self.encoder = ObservationEncoder(rest)
        size = 0 if goal is None else goal.shape[-1]
        self.denoiser = Denoiser(cfg, self.encoder.size, size, action_dim)
        self.sigmas = exponential_sigmas(cfg.sampler_steps, cfg.sigma_min, cfg.sigma_max)

    def forward(self, obs: Mapping[str, Tensor], noise: Mapping[str, Tensor]) -> Tensor:
        """Return chunks (B, T, A).

        Args:
            obs: of H ticks, (B, H, ...).
            noise: standard normal numbers (B, T, A) under `START`.
        """
        rest, goal = split_goal(obs)
        seen = self.encoder(rest)

        def denoise(x: Tensor, sigma: float) -> Tensor:
            return self.guided(x, sigma, seen, goal)

        return sample(denoise, self.sigmas[0] * noise[START], self.sigmas, self.cfg.solver)

    def guided(self, x: Tensor, sigma: float, seen: Tensor, goal: Tensor | None) -> Tensor:
        """Return the actions in x (B, T, A): without goal, plus what the goal changes, scaled.

        Args:
            x: actions under noise.
            sigma: its deviation.
            seen: ticks (B, H, size).
            goal: (B, G), or None.
        """
        sigmas = x.new_full((len(x), 1, 1), sigma)
        if goal is None or self.cfg.guidance == 1.0:
            return self._denoise(x, sigmas, seen, goal)
        x, sigmas, seen = (torch.cat([value, value]) for value in (x, sigmas, seen))
        both = self._denoise(x, sigmas, seen, torch.cat([goal, torch.zeros_like(goal)]))
        towards, without = both.chunk(2)
        return without + self.cfg.guidance * (towards - without)

    def loss(
        self,
        obs: Mapping[str, Tensor],
        chunk: Tensor,
        padded: Tensor,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Return `loss`, the mean square of what the network is off its scaled target.

        Args:
            obs: as `forward` takes them.
            chunk: demonstrated actions, normalised (B, T, A).
            padded: (B, T) bool, actions beyond the episode, which do not count.
            generator: of noise, its size, and of goals that are left out.
        """
        cfg, (rest, goal) = self.cfg, split_goal(obs)
        device = chunk.device if generator is None else generator.device
        share = torch.rand((len(chunk), 1, 1), generator=generator, device=device).to(chunk.device)
        noise = torch.randn(chunk.shape, generator=generator, device=device).to(chunk.device)
        if goal is not None and self.training:
            kept = torch.rand((len(goal), 1), generator=generator, device=device) >= cfg.goal_drop
            goal = goal * kept.to(chunk.device)
        sigma = log_logistic(share, cfg.sigma_data, cfg.sigma_scale, cfg.sigma_min, cfg.sigma_max)
        skip, out, scale, code = scalings(sigma, cfg.sigma_data)
        noisy = chunk + sigma * noise
        found = self.denoiser(scale * noisy, code, self.encoder(rest), goal, padded)
        return {"loss": chunk_error(found, (chunk - skip * noisy) / out, padded, "mse")}

    def _denoise(self, x: Tensor, sigma: Tensor, seen: Tensor, goal: Tensor | None) -> Tensor:
        skip, out, scale, code = scalings(sigma, self.cfg.sigma_data)
        return skip * x + out * self.denoiser(scale * x, code, seen, goal)


def split_goal(obs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor | None]:
    """Return what is seen without the goal, and the goal (B, G) of the newest tick."""
    rest = {name: value for name, value in obs.items() if name != GOAL}
    return rest, obs[GOAL][:, -1] if GOAL in obs else None
