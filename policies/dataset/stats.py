"""Statistics of columns: of an episode, and of all, with quantiles.

Of numbers they are exact. Of pictures they are those of every few pixels of every few frames, from
counts of levels: on the scale [0, 1], but of depth (16 bits) as it is. Of all episodes: least and
greatest, means and variances pooled by count, quantiles averaged by count, as lerobot's readers
expect.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .layout import Feature

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
SIDE = 150
"""Pixels along the shorter side of a picture that are counted."""
MOST = 300
"""Frames of an episode whose pictures are counted, about."""

Floats = npt.NDArray[np.float64]
Stats = dict[str, Floats]


def of_numbers(values: npt.NDArray[Any]) -> Stats:
    """Return the statistics of (frames, ...) numbers; of scalars they are (1,).

    What is not finite counts as 0: readers of the files expect numbers.
    """
    x = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    x = x[:, None] if x.ndim == 1 else x
    levels = np.quantile(x, list(QUANTILES.values()), axis=0)
    return {
        "min": x.min(axis=0),
        "max": x.max(axis=0),
        "mean": x.mean(axis=0),
        "std": x.std(axis=0),
        "count": np.array([len(x)]),
        **dict(zip(QUANTILES, levels, strict=True)),
    }


class PictureCount:
    """Counts of the levels of pictures, as they come."""

    def __init__(self, feature: Feature) -> None:
        """Begin with none."""
        channels = feature.shape[2]
        self._levels = np.zeros((channels, 1 << feature.bits), dtype=np.int64)
        self._scale = 1.0 if feature.bits == 16 else 1.0 / 255.0
        self._stride = max(1, min(feature.shape[:2]) // SIDE)
        self._every, self._seen, self.frames = 1, 0, 0

    def add(self, picture: npt.NDArray[Any]) -> None:
        """Take a picture (rows, columns, channels)."""
        self._seen += 1
        if (self._seen - 1) % self._every:
            return
        self.frames += 1
        if self.frames >= MOST:  # long episodes are looked at more and more seldom
            self._every = 1 + self._seen // MOST
        part = picture[:: self._stride, :: self._stride]
        for channel, levels in enumerate(self._levels):
            levels += np.bincount(part[..., channel].ravel(), minlength=levels.size)

    def stats(self) -> Stats:
        """Return statistics (channels, 1, 1)."""
        counts: Floats = self._levels.astype(np.float64)
        level: Floats = np.arange(counts.shape[1]) * self._scale
        total: Floats = counts.sum(axis=1)
        mean: Floats = (counts * level).sum(axis=1) / total
        spread: Floats = (counts * level**2).sum(axis=1) / total - mean**2
        upto = np.cumsum(counts, axis=1) / total[:, None]
        found: dict[str, npt.NDArray[Any]] = {
            "min": level[(counts > 0).argmax(axis=1)],
            "max": level[counts.shape[1] - 1 - (counts[:, ::-1] > 0).argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt(spread.clip(0.0)),
            **{name: level[(upto >= q).argmax(axis=1)] for name, q in QUANTILES.items()},
        }
        shaped = {name: value[:, None, None].astype(float) for name, value in found.items()}
        return {**shaped, "count": np.array([self.frames])}


def has_stats(feature: Feature) -> bool:
    """Return whether a column has any."""
    return feature.dtype != "string"


def aggregate(episodes: Sequence[Mapping[str, Stats]]) -> dict[str, Stats]:
    """Return the statistics of all episodes together."""
    found: dict[str, Stats] = {}
    for key in episodes[0] if episodes else ():
        own = [stats[key] for stats in episodes]
        count = np.array([float(stats["count"][0]) for stats in own])
        weight = count / count.sum()

        def mean_of(values: Sequence[Floats], weight: Floats = weight) -> Floats:
            total = np.zeros_like(values[0])  # one after the other: the same on every processor
            for share, value in zip(weight, values, strict=True):
                total = total + share * value
            return total

        mean = mean_of([stats["mean"] for stats in own])
        spread = mean_of([stats["std"] ** 2 + (stats["mean"] - mean) ** 2 for stats in own])
        found[key] = {
            "min": np.stack([stats["min"] for stats in own]).min(axis=0),
            "max": np.stack([stats["max"] for stats in own]).max(axis=0),
            "mean": mean,
            "std": np.sqrt(spread),
            "count": np.array([int(count.sum())]),
            **{name: mean_of([stats[name] for stats in own]) for name in QUANTILES},
        }
    return found
