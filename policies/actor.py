"""The actor that algorithms share: observations -> encoders -> (memory) -> perceptron -> actions.

Without pictures, fields and memory it is a perceptron on normalised pose features. What it carries
from one step to the next is a dictionary of tensors (N, ...), all zero where an episode begins;
the same tensors are states of the exported policy.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from sim2arm.core.contract import StateSpec

from .distributed import Ranks
from .encoders import VECTOR, FieldEncoder, PictureEncoder, kinds_of
from .networks import EmpiricalNormalization, PoseFeatures, RelativePose, mlp
from .recurrent import Lstm

Memory = dict[str, Tensor]
"""What an actor carries: named tensors (N, ...)."""
STARTED, FIRST = "started", "first_"
"""Memory: whether an episode has had its first picture (N, 1), and those pictures."""


@dataclass(frozen=True, kw_only=True)
class ActorCfg:
    """How an actor sees pictures, and what it remembers."""

    lstm: int = 0
    """Cells of each layer of its LSTM, whose output the perceptron gets beside the features
    themselves; 0: no memory."""
    lstm_layers: int = 1
    """Layers of the LSTM (TacSL: 2 of 256 cells)."""
    pictures: Literal["color", "diff", "concat"] = "color"
    """What the network is shown: pictures, their difference to the first one of the episode, or
    both the first and the present one."""
    augment: Literal["none", "color", "full"] = "none"
    """How pictures are changed in training: not, in colour, or in colour and crop (TacSL)."""

    def __post_init__(self) -> None:
        """Refuse what is no network."""
        if self.lstm < 0:
            raise ValueError(f"lstm: expected 0 or more, got {self.lstm}")
        if self.lstm_layers < 1:
            raise ValueError(f"lstm_layers: expected 1 or more, got {self.lstm_layers}")

    @property
    def remembers(self) -> bool:
        """Whether what is done depends on steps before; on pictures, if there are any."""
        return self.lstm > 0 or self.pictures != "color"


class Acting(Protocol):
    """What acts, whatever learnt it: `Actor`, `doer.Doer`."""

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """What it carries from one step to the next, as the contract lists it."""
        ...

    def see(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what it looks at of observations (N, ...)."""
        ...

    def start(self, num_envs: int, device: torch.device) -> Memory:
        """Return the memory of episodes that begin."""
        ...

    def __call__(self, seen: Mapping[str, Tensor], memory: Memory) -> tuple[Tensor, Memory]:
        """Return deterministic actions (N, A) and the memory after this step."""
        ...


class NetworkCfg(Protocol):
    """What configurations of algorithms say about their actor."""

    @property
    def actor(self) -> ActorCfg:
        """Pictures and memory."""
        ...

    @property
    def hidden(self) -> tuple[int, ...]:
        """Sizes of the perceptron's hidden layers."""
        ...

    @property
    def relative(self) -> tuple[RelativePose, ...]:
        """Pairs of poses of which it also sees the relative pose."""
        ...

    @property
    def lengths(self) -> tuple[float, ...]:
        """At which relative positions are also given squashed [m]."""
        ...


class Actor(nn.Module):
    """Mean actions of raw observations; normalisers and memory are part of it.

    Attributes:
        states: what it carries, as the contract lists it.
    """

    states: tuple[StateSpec, ...]

    def __init__(
        self, cfg: NetworkCfg, obs: Mapping[str, Tensor], names: Sequence[str], action_dim: int
    ) -> None:
        """Build the network.

        Args:
            cfg: its sizes, pictures and memory.
            obs: observations (N, ...), whose shapes and types count.
            names: of those that it sees.
            action_dim: elements of an action.

        Raises:
            RelativePoseError: a pair names what is no observed pose.
            PictureError: no network reads an observation.
        """
        super().__init__()
        kinds = kinds_of({name: obs[name] for name in names})
        self.cfg, lstm = cfg.actor, cfg.actor.lstm
        self.features = PoseFeatures(kinds.vectors, cfg.relative, cfg.lengths)
        self.norm = EmpiricalNormalization(self.features.size)
        channels = 6 if self.cfg.pictures == "concat" else 3
        pictures = {n: PictureEncoder(n, s, channels) for n, s in kinds.pictures.items()}
        fields = {n: FieldEncoder(n, s) for n, s in kinds.fields.items()}
        self.pictures, self.fields = nn.ModuleDict(pictures), nn.ModuleDict(fields)
        width = self.features.size + sum(e.size for e in (*pictures.values(), *fields.values()))
        self.lstm = Lstm(width, lstm, self.cfg.lstm_layers) if lstm else None
        self.mlp = mlp((width + lstm, *cfg.hidden, action_dim))
        self.states = _states(self.cfg, kinds.pictures)
        with torch.no_grad():  # first actions near zero: the arm does not start by jumping
            last = self.mlp[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(0.1)
            last.bias.zero_()

    @property
    def remembers(self) -> bool:
        """Whether it carries anything from one step to the next."""
        return bool(self.states)

    def see(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return raw features (N, ...): one vector, and pictures and fields as they came."""
        return {VECTOR: self.features(obs)} | {n: obs[n] for n in (*self.pictures, *self.fields)}

    @torch.no_grad()
    def learn_scale(self, seen: Mapping[str, Tensor], ranks: Ranks) -> None:
        """Take raw features (N, ...) of all ranks into the normalisers."""
        self.norm.merge(*ranks.moments(seen[VECTOR]))
        for name, encoder in self.fields.items():
            assert isinstance(encoder, FieldEncoder)
            encoder.norm.merge(*ranks.moments(seen[name].flatten(0, -2)))

    def start(self, num_envs: int, device: torch.device) -> Memory:
        """Return the memory of episodes that begin."""
        return {
            state.name_in: torch.zeros(
                (num_envs, *state.shape), dtype=getattr(torch, state.dtype), device=device
            )
            for state in self.states
        }

    def forward(self, seen: Mapping[str, Tensor], memory: Memory) -> tuple[Tensor, Memory]:
        """Return mean actions (N, A) and the memory after this step, of raw features (N, ...)."""
        first, after = {}, dict(memory)
        if STARTED in memory:
            fresh = memory[STARTED] < 0.5
            after[STARTED] = torch.ones_like(memory[STARTED])
            for name in self.pictures:
                first[name] = put_first(fresh[:, 0], seen[name], memory[FIRST + name])
                after[FIRST + name] = first[name]
        x = self._encode(seen, first)
        if self.lstm is not None:
            out, after["lstm_h"], after["lstm_c"] = self.lstm(
                x[None], memory["lstm_h"], memory["lstm_c"]
            )
            x = torch.cat([x, out[0]], dim=-1)
        return self.mlp(x), after

    def sequence(self, seen: Mapping[str, Tensor], memory: Memory, begun: Tensor) -> Tensor:
        """Return mean actions (T, N, A) of raw features (T, N, ...).

        Args:
            seen: as `see` returns it, of T steps.
            memory: before the first step.
            begun: (T, N) bool, steps that are the first of an episode.
        """
        steps, num = begun.shape
        first = {}
        if STARTED in memory:
            fresh = begun.clone()
            fresh[0] |= memory[STARTED][:, 0] < 0.5
            for name in self.pictures:
                picture, found = memory[FIRST + name], list[Tensor]()
                for t in range(steps):
                    picture = put_first(fresh[t], seen[name][t], picture)
                    found.append(picture)
                first[name] = torch.cat(found)
        x = self._encode({n: v.flatten(0, 1) for n, v in seen.items()}, first)
        x = x.unflatten(0, (steps, num))
        if self.lstm is not None:
            out, _, _ = self.lstm(x, memory["lstm_h"], memory["lstm_c"], begun)
            x = torch.cat([x, out], dim=-1)
        return self.mlp(x)

    def _encode(self, seen: Mapping[str, Tensor], first: Mapping[str, Tensor]) -> Tensor:
        parts = [self.norm(seen[VECTOR])]
        for name, encoder in self.pictures.items():
            picture = seen[name].float() / 255.0
            if name in first:
                begin = first[name].float() / 255.0
                concat = self.cfg.pictures == "concat"
                picture = torch.cat([begin, picture], dim=-1) if concat else picture - begin
            parts.append(encoder(picture))
        parts += [encoder(seen[name]) for name, encoder in self.fields.items()]
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]


def put_first(fresh: Tensor, now: Tensor, before: Tensor) -> Tensor:
    """Return `now` (N, H, W, 3) where an episode begins (N,), `before` elsewhere."""
    return torch.where(fresh[:, None, None, None], now, before)


def forget(memory: Memory, done: Tensor) -> Memory:
    """Return a memory that is as at a start where episodes ended (N,)."""
    return {
        name: torch.where(done.reshape(-1, *[1] * (value.ndim - 1)), torch.zeros_like(value), value)
        for name, value in memory.items()
    }


def _states(cfg: ActorCfg, pictures: Mapping[str, tuple[int, ...]]) -> tuple[StateSpec, ...]:
    found: list[StateSpec] = []

    def add(name: str, shape: tuple[int, ...], dtype: Literal["float32", "uint8"]) -> None:
        found.append(StateSpec(name_in=name, name_out=f"{name}_next", shape=shape, dtype=dtype))

    if cfg.lstm:
        add("lstm_h", (cfg.lstm_layers, cfg.lstm), "float32")
        add("lstm_c", (cfg.lstm_layers, cfg.lstm), "float32")
    if pictures and cfg.pictures != "color":
        add(STARTED, (1,), "float32")
        for name, shape in pictures.items():
            add(FIRST + name, shape, "uint8")
    return tuple(found)


class Critic(nn.Module):
    """Values of the privileged observations: a perceptron; the normaliser is part of it."""

    def __init__(
        self,
        obs: Mapping[str, Tensor],
        *,
        hidden: Sequence[int],
        relative: Sequence[RelativePose] = (),
        lengths: Sequence[float] = (),
    ) -> None:
        """Build the network; see `Actor`."""
        super().__init__()
        shapes = {name: tuple(value.shape[1:]) for name, value in obs.items()}
        self.features = PoseFeatures(shapes, relative, lengths)
        self.norm = EmpiricalNormalization(self.features.size)
        self.mlp = mlp((self.features.size, *hidden, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return values (...) of raw features (..., F)."""
        return self.mlp(self.norm(features))[..., 0]


class ExportedActor(nn.Module):
    """The deterministic actor in the form that is exported."""

    def __init__(self, actor: Acting) -> None:
        """Wrap a trained actor."""
        super().__init__()
        self.actor = actor

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return chunks (B, 1, A) in [-1, 1] and the memory after this step."""
        mean, memory = self.actor(self.actor.see(obs), state)
        return mean.clamp(-1.0, 1.0)[:, None], memory

    def gap(self, obs: dict[str, Tensor], state: dict[str, Tensor]) -> Tensor:
        """Return how far the best choice is from the second best; inf where nothing is chosen."""
        own = getattr(self.actor, "gap", None)
        return torch.tensor([torch.inf]) if own is None else own(self.actor.see(obs), state)
