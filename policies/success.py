"""A classifier that tells from what a robot sees whether its task is done: a reward for learning.

It learns from demonstrations whose notes say how they ended: the last moments of those that
succeeded are success, what is clearly before them, and all of those that failed, is not. Half of
each batch is success. Of the episodes that it did not learn from nothing before these last moments
scores above its threshold, what was neither included.

Source: classifiers as rewards as in Singh et al., arXiv 1904.07854.
"""

# pyright: standard

from __future__ import annotations

import json
import math
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
from .encoders import VECTOR, FieldEncoder, Kinds, sort_kinds
from .networks import PictureError
from .observation_encoder import ObservationEncoder
from .shift import draw_shifts, shift

_KEY, _VERSION = "success", 1
_TYPES = {"float32": torch.float32, "uint8": torch.uint8}
_LARGEST = 10**8
"""Numbers of an array that is looked at, at most."""


@dataclass(frozen=True, kw_only=True)
class SuccessCfg:
    """What is success, and how it is learnt."""

    tail_s: float = 0.1
    """Time before the end of an episode that succeeded which is success [s]."""
    gap_s: float = 0.3
    """Time before that which is not learnt from [s]: nobody knows when it began to be success."""
    ticks: int = 3
    """Ticks in a row that must look like success."""
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
        if self.ticks < 1:
            raise ValueError(f"ticks: expected 1 or more, got {self.ticks}")
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
        for name, part in self.encoder.fields.items():
            assert isinstance(part, FieldEncoder)
            part.norm.update(arrays[name].flatten(0, -2))

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
    """Score (logit) above which something is success: no frame before the end of theirs is."""
    recall: float
    """Share of their frames of success that are above it."""
    separation: float
    """Area under the curve of hits over false alarms: 1 if every frame of success scores higher
    than every other."""
    won: int
    """Their episodes that succeeded."""
    told: int
    """Those of them in which it says so."""
    early_s: float
    """How long before their end it does, the mean [s]; NaN if it never does."""
    failed: int
    """Their episodes that failed."""
    wrong: int
    """Those of them in which it says that they succeeded."""


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
    """Frames by what they are."""

    none: Tensor
    """Numbers of those that are learnt from and are no success."""
    success: Tensor
    """Numbers of those that are."""
    held: tuple[tuple[Tensor, bool, int], ...]
    """Of each episode that is held out the numbers of its frames, whether it succeeded, and how
    many frames at its end are success."""
    hz: float
    """Rate of the frames."""


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
    held = _held_out(np.asarray(succeeded), cfg.held_out, seed)
    ours = ~torch.from_numpy(held).repeat_interleave(demonstrations.starts.diff())
    none, success = (((labels == value) & ours).nonzero()[:, 0] for value in (0, 1))
    if not (len(none) and len(success) and (held & np.asarray(succeeded)).any()):
        raise ValueError(
            f"expected 2 episodes or more that succeeded, got {sum(succeeded)} of {len(succeeded)}"
            + (", all shorter than tail_s and gap_s" if sum(succeeded) > 1 else "")
        )
    starts = demonstrations.starts.tolist()
    theirs = [
        (torch.arange(first, end), won, int((labels[first:end] == 1).sum()))
        for first, end, won, out in zip(starts, starts[1:], succeeded, held, strict=False)
        if out
    ]
    return Parts(none=none, success=success, held=tuple(theirs), hz=hz)


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
        ValueError: it learns nothing, or numbers are no longer finite.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    seen = torch.cat([parts.none, parts.success])
    network = SuccessNetwork({name: value[seen] for name, value in arrays.items()}, cfg.hidden)
    pictures = list(_kinds(arrays).pictures)
    optimizer = torch.optim.AdamW(network.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay)
    half = cfg.batch // 2
    target = torch.cat([torch.zeros(half), torch.ones(half)])
    for step in range(cfg.steps):
        picks = [
            part[torch.randint(len(part), (half,), generator=generator)]
            for part in (parts.none, parts.success)
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
    scores = [_scores(network, arrays, frames) for frames, _, _ in parts.held]
    found = _measure(scores, parts, cfg.ticks)
    if found.told == 0:
        raise ValueError(
            f"it tells success in none of {found.won} episodes that were held out: show it more "
            "episodes, or what success can be seen in (--sees)"
        )
    return network, found


def _held_out(succeeded: NDArray[np.bool_], share: float, seed: int) -> NDArray[np.bool_]:
    """Draw which episodes (E,) are held out: a share of either kind, one of success at least."""
    held = np.zeros(len(succeeded), dtype=bool)
    random = np.random.default_rng(seed)
    for value in (False, True):
        places = np.flatnonzero(succeeded == value)
        count = min(max(round(share * len(places)), int(value)), max(len(places) - 1, 0))
        held[random.permutation(places)[:count]] = True
    return held


@torch.no_grad()
def _scores(
    network: SuccessNetwork, arrays: Mapping[str, Tensor], rows: Tensor
) -> NDArray[np.float64]:
    parts = [
        network({name: value[some] for name, value in arrays.items()}) for some in rows.split(256)
    ]
    return torch.cat(parts).double().numpy()


def _measure(scores: Sequence[NDArray[np.float64]], parts: Parts, ticks: int) -> Found:
    """Put the threshold above the scores of all frames but those of success; say how it does.

    It lies halfway from the highest of them to the median of success, if that is higher.

    Raises:
        ValueError: a score is not finite.
    """
    tails = [count for _, _, count in parts.held]
    before = np.concatenate([each[: len(each) - n] for each, n in zip(scores, tails, strict=True)])
    success = np.concatenate([each[len(each) - n :] for each, n in zip(scores, tails, strict=True)])
    if not (np.isfinite(before).all() and np.isfinite(success).all()):
        raise ValueError("numbers are no longer finite: lower --learn.lr")
    highest = float(before.max())
    threshold = max(0.0, highest, 0.5 * (highest + float(np.median(success))))
    ranks = np.sort(before)
    below, upto = (np.searchsorted(ranks, success, side=side) for side in ("left", "right"))
    fires = [_first(each > threshold, ticks) for each in scores]
    early = [
        (len(each) - 1 - fire) / parts.hz
        for each, fire, (_, won, _) in zip(scores, fires, parts.held, strict=True)
        if won and fire is not None
    ]
    kinds = [won for _, won, _ in parts.held]
    return Found(
        threshold=threshold,
        recall=float((success > threshold).mean()),
        separation=float((0.5 * (below + upto)).mean() / len(before)),
        won=sum(kinds),
        told=len(early),
        early_s=float(np.mean(early)) if early else math.nan,
        failed=len(kinds) - sum(kinds),
        wrong=sum(f is not None and not won for f, won in zip(fires, kinds, strict=True)),
    )


def _first(above: NDArray[np.bool_], ticks: int) -> int | None:
    """Return the first frame at which so many in a row were above, None if there is none."""
    run = 0
    for frame, yes in enumerate(above.tolist()):
        run = run + 1 if yes else 0
        if run >= ticks:
            return frame
    return None


@dataclass(frozen=True, kw_only=True)
class _Saved:
    version: int
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, str]
    hidden: tuple[int, ...]
    threshold: float
    ticks: int

    def __post_init__(self) -> None:
        """Refuse what no classifier is."""
        if self.version != _VERSION:
            raise ValueError(f"version: expected {_VERSION}, got {self.version}")
        if not self.shapes or set(self.shapes) != set(self.types):
            raise ValueError("expected shapes and types of the same arrays")
        for name, shape in self.shapes.items():
            if min(shape, default=1) < 1 or math.prod(shape) > _LARGEST:
                raise ValueError(f"shapes.{name}: expected sizes of an array, got {list(shape)}")
            if self.types[name] not in _TYPES:
                raise ValueError(f"types.{name}: expected {sorted(_TYPES)}, got {self.types[name]}")
        if min(self.hidden, default=1) < 1 or max(self.hidden, default=1) > _LARGEST:
            raise ValueError(f"hidden: expected widths of layers, got {list(self.hidden)}")
        if self.ticks < 1:
            raise ValueError(f"ticks: expected 1 or more, got {self.ticks}")


def save_success(
    path: Path,
    network: SuccessNetwork,
    arrays: Mapping[str, Tensor],
    cfg: SuccessCfg,
    threshold: float,
) -> None:
    """Write a classifier as one file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    saved = _Saved(
        version=_VERSION,
        shapes={name: tuple(value.shape[1:]) for name, value in arrays.items()},
        types={name: str(value.dtype).rpartition(".")[2] for name, value in arrays.items()},
        hidden=cfg.hidden,
        threshold=threshold,
        ticks=cfg.ticks,
    )
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    write_durably(path, save(state, metadata={_KEY: json.dumps(asdict(saved))}))


class SuccessJudge:
    """Says whether the task is done, once what is seen looks so for some ticks in a row.

    Attributes:
        sees: shapes of the arrays that it looks at, by name.
        score: of the last tick, a logit.
    """

    def __init__(self, path: Path) -> None:
        """Read a file of `save_success`.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no such file; one line.
        """
        if path.is_dir():
            raise ValueError(f"{path}: expected a file of sim2arm judge, got a folder")
        try:
            with safe_open(str(path), framework="pt") as file:
                told = (file.metadata() or {}).get(_KEY)
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if told is None:
            raise ValueError(f"{path}: expected a file of sim2arm judge")
        try:
            saved = from_plain(_Saved, json.loads(told))
            first = [value for name, value in state.items() if name == "layers.0.weight"]
            if not first or (saved.hidden and len(first[0]) != saved.hidden[0]):
                raise ValueError("hidden: expected the widths of its layers")
            if not all(value.isfinite().all() for value in state.values()):
                raise ValueError("its weights are not finite")
            arrays = {
                name: torch.zeros((2, *shape), dtype=_TYPES[saved.types[name]])
                for name, shape in saved.shapes.items()
            }
            network = SuccessNetwork(arrays, saved.hidden)
            network.load_state_dict(state)
        except (ValueError, RuntimeError, PictureError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise ValueError(f"{path}: it is no judge: {reason}") from error
        self._network, self._threshold, self._ticks = network.eval(), saved.threshold, saved.ticks
        self.sees, self.score = dict(saved.shapes), -math.inf
        self._types, self._run = dict(saved.types), 0

    def reset(self) -> None:
        """Begin an episode."""
        self._run, self.score = 0, -math.inf

    @torch.no_grad()
    def won(self, arrays: Mapping[str, NDArray[Any]]) -> bool:
        """Return whether the task is done after this tick, of which arrays (1, ...) were seen."""
        given = {
            name: torch.from_numpy(arrays[name].astype(self._types[name], copy=False))
            for name in self.sees
        }
        self.score = float(self._network(given))
        self._run = self._run + 1 if self.score > self._threshold else 0
        return self._run >= self._ticks
