"""A classifier that tells from what a robot sees whether its task is done: a reward for learning.

It learns from demonstrations whose notes say how they ended: the last moments of those that
succeeded are success, what is clearly before them, and all of those that failed, is not. Half of
each batch is success. Its threshold is put where it takes nothing of the episodes that it did not
learn from for success that is none.

Source: classifiers as rewards as in Singh et al., arXiv 1904.07854.
"""

# pyright: standard

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sim2arm.core.durable import write_durably
from sim2arm.core.plain import from_plain

from .chunks import ChunkFeatures
from .demonstrations import Demonstrations
from .encoders import VECTOR, Kinds, sort_kinds
from .observation_encoder import ObservationEncoder
from .shift import draw_shifts, shift

_KEY, _VERSION = "success", 1
_SPREAD = 0.5
"""How far above the highest wrong score the threshold lies, as a share of what is left to 1."""


@dataclass(frozen=True, kw_only=True)
class SuccessCfg:
    """What is success, and how it is learnt."""

    tail_s: float = 0.2
    """Time before the end of an episode that succeeded which is success [s]."""
    gap_s: float = 0.5
    """Time before that which is neither [s]."""
    hidden: tuple[int, ...] = (128,)
    """Widths of the layers behind what is seen."""
    shift: int = 4
    """Greatest random shift of pictures in learning [pixels]."""
    steps: int = 500
    """Steps of learning."""
    batch: int = 64
    """Frames of a step, half of them success."""
    lr: float = 1e-3
    """Learning rate."""
    weight_decay: float = 1e-3
    """Of AdamW."""
    held_out: float = 0.2
    """Share of the episodes that is not learnt from."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        for name in ("tail_s", "lr"):
            if not 0.0 < getattr(self, name) < 1e6:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("gap_s", "weight_decay"):
            if not 0.0 <= getattr(self, name) < 1e6:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if not 0.0 < self.held_out < 1.0:
            raise ValueError(f"held_out: expected more than 0, less than 1, got {self.held_out}")
        if self.steps < 1 or self.batch < 2 or self.shift < 0 or min(self.hidden, default=1) < 1:
            raise ValueError(
                "expected steps and widths of 1 or more, a batch of 2 or more, a shift of 0 or more"
            )


class SuccessNetwork(nn.Module):
    """From arrays (B, ...) to logits (B,) of success."""

    def __init__(self, arrays: Mapping[str, Tensor], hidden: Sequence[int]) -> None:
        """Build it for demonstrated arrays (F, ...), which say how vectors are normalised.

        Raises:
            PictureError: an array that no network reads, or one that is too small.
        """
        super().__init__()
        self.names = tuple(sorted(arrays))
        self.features = ChunkFeatures(arrays, "deviation") if _kinds(arrays).vectors else None
        self.encoder = ObservationEncoder(self._see({n: v[:1] for n, v in arrays.items()}))
        layers: list[nn.Module] = []
        before = self.encoder.size
        for size in hidden:
            layers += [nn.Linear(before, size), nn.ELU()]
            before = size
        self.layers = nn.Sequential(*layers, nn.Linear(before, 1))

    def forward(self, arrays: Mapping[str, Tensor]) -> Tensor:
        """Return logits (B,) of arrays (B, ...)."""
        return self.layers(self.encoder(self._see(arrays))[:, 0])[:, 0]

    def _see(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the encoder sees, (B, 1, ...) of each."""
        seen = {name: arrays[name][:, None] for name in self.names}
        if self.features is not None:
            return self.features(seen)
        return {VECTOR: torch.zeros(len(arrays[self.names[0]]), 1, 1)} | seen  # it needs a vector


def _kinds(arrays: Mapping[str, Tensor]) -> Kinds:
    """Return which arrays (F, ...) are vectors, pictures and fields."""
    return sort_kinds({name: (tuple(v.shape[1:]), v.dtype) for name, v in arrays.items()})


@dataclass(frozen=True, kw_only=True)
class Found:
    """How a classifier does on episodes that it did not learn from."""

    threshold: float
    """Score from which on something is success: none of their other frames reaches it."""
    recall: float
    """Share of their frames of success that reach it."""
    won: int
    """Their frames of success."""
    others: int
    """Their other frames."""
    separation: float
    """Area under the curve of hits over false alarms: 1 if every frame of success scores higher
    than every other."""


def labels_of(
    demonstrations: Demonstrations, succeeded: Sequence[bool], hz: float, cfg: SuccessCfg
) -> NDArray[np.int64]:
    """Return what each frame is: 1 success, 0 none, -1 neither.

    Args:
        demonstrations: of F frames.
        succeeded: whether each of their episodes did.
        hz: their rate.
        cfg: what is success.
    """
    labels = np.zeros(len(demonstrations), dtype=np.int64)
    tail, gap = max(1, round(cfg.tail_s * hz)), round(cfg.gap_s * hz)
    starts = demonstrations.starts.tolist()
    for won, first, end in zip(succeeded, starts[:-1], starts[1:], strict=True):
        if won:
            labels[max(first, end - tail - gap) : end] = -1
            labels[max(first, end - tail) : end] = 1
    return labels


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Frames by what they are: numbers of those that are none (first) and of those of success."""

    ours: tuple[Tensor, Tensor]
    """That are learnt from."""
    theirs: tuple[Tensor, Tensor]
    """Of the episodes that are held out."""


def parts_of(
    demonstrations: Demonstrations,
    succeeded: Sequence[bool],
    hz: float,
    cfg: SuccessCfg,
    *,
    seed: int = 0,
) -> Parts:
    """Draw which episodes are held out, and sort frames by what they are.

    Args:
        demonstrations: what was seen.
        succeeded: whether each episode did.
        hz: rate of the frames.
        cfg: what is success.
        seed: of what is drawn.

    Raises:
        ValueError: either part has no success, or nothing else.
    """
    labels = torch.from_numpy(labels_of(demonstrations, succeeded, hz, cfg))
    lengths = demonstrations.starts.diff()
    held = _held_out(np.asarray(succeeded), cfg.held_out, seed).repeat_interleave(lengths)
    ours, theirs = (
        tuple(((labels == value) & part).nonzero()[:, 0] for value in (0, 1))
        for part in (~held, held)
    )
    if not all(len(part) for part in (*ours, *theirs)):
        raise ValueError(
            f"expected 2 episodes or more that succeeded, got {sum(succeeded)} of {len(succeeded)}"
            + (", all shorter than tail_s and gap_s" if sum(succeeded) > 1 else "")
        )
    return Parts(ours=(ours[0], ours[1]), theirs=(theirs[0], theirs[1]))


def learn_success(
    arrays: Mapping[str, Tensor],
    parts: Parts,
    cfg: SuccessCfg,
    *,
    seed: int = 0,
    tell: Callable[[int, float], None] = lambda steps, loss: None,
) -> tuple[SuccessNetwork, Found]:
    """Learn from some episodes, measure on the others.

    Args:
        arrays: what was seen (F, ...).
        parts: of the frames.
        cfg: how it is learnt.
        seed: of everything drawn.
        tell: called after each step with their number and its loss.

    Raises:
        PictureError: see `SuccessNetwork`.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    seen = torch.cat(parts.ours)
    network = SuccessNetwork({name: value[seen] for name, value in arrays.items()}, cfg.hidden)
    pictures = list(_kinds(arrays).pictures)
    optimizer = torch.optim.AdamW(network.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay)
    half = cfg.batch // 2
    target = torch.cat([torch.zeros(half), torch.ones(half)])
    for step in range(cfg.steps):
        picks = [
            part[torch.randint(len(part), (half,), generator=generator)] for part in parts.ours
        ]
        batch = {name: value[torch.cat(picks)] for name, value in arrays.items()}
        for name in pictures if cfg.shift else ():
            offsets = draw_shifts(2 * half, cfg.shift, generator)
            batch[name] = shift(batch[name], offsets, cfg.shift)
        loss = nn.functional.binary_cross_entropy_with_logits(network(batch), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        tell(step + 1, float(loss.detach()))
    network.eval()
    others, won = (_scores(network, arrays, part) for part in parts.theirs)
    return network, _measure(others, won)


def _held_out(succeeded: NDArray[np.bool_], share: float, seed: int) -> Tensor:
    """Draw which episodes (E,) are held out: a share of either kind, one of success at least."""
    held = np.zeros(len(succeeded), dtype=bool)
    random = np.random.default_rng(seed)
    for value in (False, True):
        places = np.flatnonzero(succeeded == value)
        count = min(max(round(share * len(places)), int(value)), max(len(places) - 1, 0))
        held[random.permutation(places)[:count]] = True
    return torch.from_numpy(held)


@torch.no_grad()
def _scores(
    network: SuccessNetwork, arrays: Mapping[str, Tensor], rows: Tensor
) -> NDArray[np.float64]:
    parts = [
        network({name: value[some] for name, value in arrays.items()}).sigmoid()
        for some in rows.split(256)
    ]
    return torch.cat(parts).double().numpy()


def _measure(others: NDArray[np.float64], won: NDArray[np.float64]) -> Found:
    """Put the threshold above the scores of other frames, and say what that is worth."""
    highest = float(others.max())
    threshold = max(0.5, highest + _SPREAD * (1.0 - highest))
    below = np.searchsorted(np.sort(others), won, side="left")
    ties = np.searchsorted(np.sort(others), won, side="right") - below
    return Found(
        threshold=threshold,
        recall=float((won >= threshold).mean()),
        won=len(won),
        others=len(others),
        separation=float((below + 0.5 * ties).mean() / len(others)),
    )


@dataclass(frozen=True, kw_only=True)
class _Saved:
    version: int
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, str]
    hidden: tuple[int, ...]
    threshold: float


def save_success(
    path: Path, network: SuccessNetwork, arrays: Mapping[str, Tensor], hidden: Sequence[int],
    threshold: float,
) -> None:  # fmt: skip
    """Write a classifier as one file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    saved = _Saved(
        version=_VERSION,
        shapes={name: tuple(value.shape[1:]) for name, value in arrays.items()},
        types={name: str(value.dtype).rpartition(".")[2] for name, value in arrays.items()},
        hidden=tuple(hidden),
        threshold=threshold,
    )
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    write_durably(path, save(state, metadata={_KEY: json.dumps(asdict(saved))}))


class SuccessJudge:
    """Says whether the task is done, once what is seen looks so for some ticks in a row.

    Attributes:
        sees: shapes of the arrays that it looks at, by name.
        score: of the last tick.
    """

    def __init__(self, path: Path, *, ticks: int = 3) -> None:
        """Read a file of `save_success`.

        Args:
            path: of it.
            ticks: how many in a row must look like success.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no such file; one line.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                told = (file.metadata() or {}).get(_KEY)
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if told is None:
            raise ValueError(f"{path}: expected a file of sim2arm judge")
        saved = from_plain(_Saved, json.loads(told))
        if saved.version != _VERSION:
            raise ValueError(f"{path}: version: expected {_VERSION}, got {saved.version}")
        arrays = {
            name: torch.zeros((2, *shape), dtype=getattr(torch, saved.types[name]))
            for name, shape in saved.shapes.items()
        }
        network = SuccessNetwork(arrays, saved.hidden)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"{path}: {str(error).splitlines()[-1].strip()}") from error
        self._network, self._threshold, self._ticks = network.eval(), saved.threshold, ticks
        self.sees, self.score = dict(saved.shapes), 0.0
        self._types, self._run = dict(saved.types), 0

    def reset(self) -> None:
        """Begin an episode."""
        self._run, self.score = 0, 0.0

    @torch.no_grad()
    def won(self, arrays: Mapping[str, NDArray[Any]]) -> bool:
        """Return whether the task is done after this tick, of which arrays (1, ...) were seen."""
        given = {
            name: torch.from_numpy(arrays[name].astype(self._types[name], copy=False))
            for name in self.sees
        }
        self.score = float(self._network(given).sigmoid())
        self._run = self._run + 1 if self.score >= self._threshold else 0
        return self._run >= self._ticks
