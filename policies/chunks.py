"""Policies that answer with chunks of actions: what their networks are, and what they deploy as.

A network works with normalised numbers. What surrounds it is the same for all: features of poses,
normalisers, the part of a chunk that lies in the future, the range of actions. It is all part of
the exported graph.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from sim2arm.core.contract import PREFIX, PREFIX_KNOWN

from .encoders import GOAL, VECTOR, FieldEncoder, kinds_of
from .networks import PictureError, PoseFeatures, Position, RelativePose

LEAST_SPREAD = 1e-2
"""Smallest number that is divided by, as in ACT: what hardly varies stays small."""
JOINTS = "joint_position"
"""What offsets are from."""
Bounds = tuple[Sequence[float], Sequence[float]]
"""Least and greatest action, (A,) each."""
Scaling = Literal["deviation", "range"]
"""deviation: mean 0 and deviation 1; range: from -1 to 1."""


class NetworkCfg(Protocol):
    """What configurations of networks say, whatever else they do."""

    @property
    def chunk(self) -> int:
        """Actions that the network answers with (T)."""
        ...

    @property
    def past(self) -> int:
        """How many of them lie before the tick of the newest observation."""
        ...

    @property
    def history(self) -> int:
        """Ticks that the network sees (H)."""
        ...

    @property
    def scaling(self) -> Scaling:
        """How actions and vectors are normalised."""
        ...

    @property
    def sampler_steps(self) -> int:
        """Steps of the sampler of a chunk, 1 without any."""
        ...

    def noises(self, action_dim: int) -> Mapping[str, tuple[int, ...]]:
        """Return the shapes, without the batch axis, of the standard normal numbers of a chunk."""
        ...


def prefixed(cfg: NetworkCfg) -> bool:
    """Return whether chunks keep actions that are already committed: `forward` takes those too."""
    return bool(getattr(cfg, "prefixed", False))


def future_of(cfg: NetworkCfg) -> int:
    """Return how many coming ticks `loss` takes too, as `future` and `absent`; most take none."""
    return int(getattr(cfg, "future", 0))


class ChunkNetwork(Protocol):
    """A network, made of its configuration, observations (1, H, ...) and the size of an action.

    Observations are one normalised vector (B, H, F) under `VECTOR`, pictures (B, H, h, w, 3) uint8
    and fields (B, H, gels, rows, columns, 3) by their names.
    """

    def loss(
        self,
        obs: Mapping[str, Tensor],
        chunk: Tensor,
        padded: Tensor,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Return `loss` and its parts.

        Args:
            obs: what was seen.
            chunk: normalised demonstrated actions (B, T, A).
            padded: (B, T) bool, actions beyond the ends of the episode.
            generator: of what is drawn.
        """
        ...

    def __call__(self, obs: Mapping[str, Tensor], noise: Mapping[str, Tensor]) -> Tensor:
        """Return normalised chunks (B, T, A)."""
        ...


class ChunkPolicy(nn.Module):
    """What the contract gives to chunks of actions."""

    def __init__(
        self,
        network: nn.Module,
        cfg: NetworkCfg,
        features: ChunkFeatures,
        arrays: Mapping[str, Tensor],
        actions: Tensor,
        bounds: Bounds,
        *,
        origin: Sequence[int] | None = None,
    ) -> None:
        """Put a network between normalisers.

        Args:
            network: a `ChunkNetwork`.
            cfg: its configuration.
            features: what it sees.
            arrays: demonstrated (F, ...), which say how fields are normalised.
            actions: demonstrated (F, A), which say how actions are; of offsets, those of whole
                chunks (F, T, A): they grow along it, so each place is normalised by itself.
            bounds: least and greatest action.
            origin: of each element of an action the joint position that it is an offset from,
                -1 for none; None: the network answers with actions themselves.
        """
        super().__init__()
        self.network, self.cfg, self.features, self.origin = network, cfg, features, origin
        self.actions = Scale(actions, cfg.scaling)
        for name, values in zip(("low", "high"), bounds, strict=True):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))
        for name, part in network.named_modules():
            if isinstance(part, FieldEncoder):
                part.norm.update(arrays[name.rpartition(".")[2]].flatten(0, -2))

    def see(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the network sees of the arrays of the contract (B, [H,] ...)."""
        seen = {name: obs[name] for name in self.features.names}
        if self.cfg.history == 1:
            seen = {name: value[:, None] for name, value in seen.items()}
        return self.features(seen)

    def learnt(self, chunk: Tensor, seen: Mapping[str, Tensor], first: int = 0) -> Tensor:
        """Return what the network is to answer with for actions (B, T - first, A).

        Args:
            chunk: actions of chunks.
            seen: arrays (B, H, ...) at their tick.
            first: place in the chunk of the first of them.
        """
        if self.origin is not None:
            chunk = chunk - origin_of(seen, self.origin)
        return self.actions(chunk, first)

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the part of chunks (B, T - past, A) that is left to do; nothing is carried on."""
        joints, past = obs[JOINTS], self.cfg.past
        now = {JOINTS: joints if self.cfg.history > 1 else joints[:, None]}
        if prefixed(self.cfg):
            ahead = (0, 0, past, 0)  # what lies before the tick is not told
            kept = nn.functional.pad(self.learnt(obs[PREFIX], now, past), ahead)
            known = nn.functional.pad(obs[PREFIX_KNOWN][..., None], ahead)
            chunk = self.network(self.see(obs), noise, (kept, known))
        else:
            chunk = self.network(self.see(obs), noise)
        chunk = self.actions.back(chunk[:, past:], past)
        if self.origin is not None:
            chunk = chunk + origin_of(now, self.origin)
        return chunk.maximum(self.get_buffer("low")).minimum(self.get_buffer("high")), {}


def origin_of(seen: Mapping[str, Tensor], places: Sequence[int]) -> Tensor:
    """Return what offsets are from (B, 1, A): the newest joint positions, 0 where there is none.

    Args:
        seen: arrays (B, H, ...), joint positions among them.
        places: of each element of an action its joint, -1 for none.
    """
    q = nn.functional.pad(seen[JOINTS][:, -1:], (0, 1))
    return q[..., list(places)]  # -1 is the zero behind the joints


class ChunkFeatures(nn.Module):
    """From arrays (B, H, ...) to what networks see."""

    def __init__(
        self,
        arrays: Mapping[str, Tensor],
        scaling: Scaling,
        relative: Sequence[RelativePose] = (),
        lengths: Sequence[float] = (),
        goal: Sequence[str] = (),
        bases: Sequence[Position] = (),
    ) -> None:
        """Take shapes and scales from demonstrated arrays (F, ...).

        Args:
            arrays: demonstrated.
            scaling: of vectors.
            relative: pairs of poses that are compared.
            lengths: at which their distances are seen [m].
            goal: vectors that are kept apart, under `GOAL`.
            bases: where several arms stand, see `PoseFeatures`.

        Raises:
            PictureError: there is no vector, one of the goal is not there, or an array that no
                network reads.
            RelativePoseError: a pair names what is no observed pose.
        """
        super().__init__()
        # Weights must mean the same whatever the order in which arrays are given.
        arrays = dict(sorted(arrays.items()))
        self.names, self.goal = tuple(arrays), tuple(goal)
        self.kinds = kinds_of({name: values[:1] for name, values in arrays.items()})
        for name in self.goal:
            if name not in self.kinds.vectors:
                raise PictureError(f"goal: expected vectors that are seen, got {name!r}")
        self._seen = {n: s for n, s in self.kinds.vectors.items() if n not in self.goal}
        if not self._seen:
            raise PictureError("goal: expected a vector beside it among what is seen")
        self.poses = PoseFeatures(self._seen, relative, lengths, bases)
        with torch.no_grad():
            self.scale = Scale(self.poses(arrays), scaling)
            self.goal_scale = Scale(self._goal(arrays), scaling) if self.goal else None

    def forward(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the normalised vector under `VECTOR`, and pictures and fields as they came.

        Those that are not given are left out; a goal is under `GOAL`, if it is kept apart.
        """
        names = (*self.kinds.pictures, *self.kinds.fields)
        others = {name: obs[name] for name in names if name in obs}
        if self.goal_scale is not None:
            others[GOAL] = self.goal_scale(self._goal(obs))
        vectors = {name: obs[name] for name in self._seen}
        size = next(iter(vectors.values())).shape[:2]
        flat = self.poses({name: value.flatten(0, 1) for name, value in vectors.items()})
        return {VECTOR: self.scale(flat).unflatten(0, size)} | others

    def _goal(self, obs: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([obs[name] for name in self.goal], dim=-1)


class Scale(nn.Module):
    """Shift and stretch of vectors (..., A), or of each place of chunks (..., T, A) by itself."""

    center: Tensor
    spread: Tensor

    def __init__(self, values: Tensor, scaling: Scaling) -> None:
        """Take it from demonstrated values (F, A) or (F, T, A)."""
        super().__init__()
        if scaling == "deviation":
            center = values.mean(dim=0)
            spread = values.std(dim=0, unbiased=False).clamp(min=LEAST_SPREAD)
        else:
            low, high = values.amin(dim=0), values.amax(dim=0)
            center, spread = 0.5 * (low + high), 0.5 * (high - low)
            spread = torch.where(spread < LEAST_SPREAD, torch.ones_like(spread), spread)
        self.register_buffer("center", center)
        self.register_buffer("spread", spread)

    def forward(self, values: Tensor, first: int = 0) -> Tensor:
        """Return normalised values, of chunks those from the place `first` on."""
        center, spread = self._from(first)
        return (values - center) / spread

    def back(self, values: Tensor, first: int = 0) -> Tensor:
        """Return values of normalised ones, of chunks those from the place `first` on."""
        center, spread = self._from(first)
        return values * spread + center

    def _from(self, first: int) -> tuple[Tensor, Tensor]:
        whole = self.center.ndim == 1
        return (self.center, self.spread) if whole else (self.center[first:], self.spread[first:])
