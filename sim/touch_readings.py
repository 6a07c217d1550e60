"""Readings of gels: how they are taken, the recent ones, and those that never arrive."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from .camera_frames import CameraFrames
from .camera_noise import hash32
from .tasks.base import put

Take: TypeAlias = Callable[[Tensor, Tensor], None]
"""Write a reading (N, gels, ...) of chosen worlds (N,) bool; that of others has no meaning."""


class GelReadings:
    """Readings of all gels that come together.

    Attributes:
        frame: (N, gels, ...), the one that is taken.
        recent: those that a tick may see.
        names: of the arrays that they are.
        ages: bounds of the age of what a tick sees, with readings that are lost [s].
    """

    def __init__(
        self,
        recent: CameraFrames,
        frame: Tensor,
        take: Take,
        names: Sequence[str],
        lost: float,
    ) -> None:
        """Allocate for readings like `frame`.

        Args:
            recent: of them.
            frame: memory that `take` writes.
            take: how they are taken.
            names: one, or one for each gel.
            lost: longest time without a reading beyond that between two [s].
        """
        self.recent, self.frame, self._take, self.names = recent, frame, take, tuple(names)
        low, high = recent.ages
        self.ages = low, high + lost
        self._memory: Tensor | None = None  # of two observations: a transition is of two
        if not recent.in_place:
            self._memory = frame.new_zeros((2, len(frame) * recent.history, *frame.shape[1:]))

    def take(self, chosen: Tensor) -> None:
        """Take a reading in chosen worlds (N,) bool."""
        self._take(self.frame, chosen)

    def read(self, turn: int) -> tuple[Tensor, Tensor]:
        """Return what is felt, in one of the two memories, and its age."""
        return self.recent.read(None if self._memory is None else self._memory[turn])

    def split(self, seen: Tensor) -> Mapping[str, Tensor]:
        """Return the arrays of a reading: one, or one for each gel."""
        if len(self.names) == 1:
            return {self.names[0]: seen}
        return dict(zip(self.names, seen.unbind(dim=-4), strict=True))


class LostReadings:
    """Which readings of N worlds never arrive."""

    count = 1
    """Numbers that an episode draws: the seed."""

    def __init__(self, share: float, in_a_row: int, num_worlds: int, device: torch.device) -> None:
        """Allocate.

        Args:
            share: of readings that are lost, but that after `in_a_row` of them one arrives.
            in_a_row: greatest number of readings in a row that are lost.
            num_worlds: N.
            device: of the tensors.
        """
        self._below, self._most = round(share * 2.0**32), in_a_row
        zeros = torch.zeros((3, num_worlds), dtype=torch.int64, device=device)
        self._seed, self._number, self._row = zeros

    def start(self, chosen: Tensor, unit: Tensor) -> None:
        """Begin episodes in chosen worlds (N,) bool, with numbers (N, count) in [0, 1)."""
        put(self._seed, chosen, (unit[:, 0] * 2.0**31).to(torch.int64))
        put(self._number, chosen, 0)
        put(self._row, chosen, 0)

    def draw(self, due: Tensor) -> Tensor:
        """Return which of the readings that are due (N,) bool are lost."""
        self._number += due
        bits = hash32(hash32(self._seed) + self._number)
        lost = due & (bits < self._below) & (self._row < self._most)
        put(self._row, due, (self._row + 1) * lost)
        return lost
