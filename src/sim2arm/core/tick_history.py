"""What the last control ticks saw, of N arms that tick together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .spec import ArraySpec


class TickHistory:
    """Histories of ticks as a contract has them; `sampling.Sampler` makes those of one robot.

    Histories of distinct frames are not made here: simulated cameras and gels give them.
    """

    def __init__(self, specs: Iterable[ArraySpec]) -> None:
        """Prepare.

        Args:
            specs: of what is measured.
        """
        histories = {spec.name: spec.history for spec in specs if spec.history is not None}
        self._length = {name: h.n for name, h in histories.items() if h.of == "ticks"}
        self.reset()

    def reset(self) -> None:
        """Begin new episodes."""
        self._seen = {name: deque[NDArray[Any]](maxlen=n) for name, n in self._length.items()}

    def add(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return what policies see after a tick saw arrays (N, ...): (N, n, ...), oldest first.

        Before there are n ticks the first is repeated; what has no history stays (N, ...).
        """
        found = dict(arrays)
        for name, seen in self._seen.items():
            seen.append(np.array(arrays[name]))
            absent = self._length[name] - len(seen)
            found[name] = np.stack([*[seen[0]] * absent, *seen], axis=1)
        return found
