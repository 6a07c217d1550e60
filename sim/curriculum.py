"""Curriculum on success: how much of each range of the randomisation training draws from.

One level for all terms follows the success of training episodes, with two thresholds, as each
boundary does in automatic domain randomisation (Akkaya et al., arXiv 1910.07113).

Success is that of whole blocks: of all episodes that begin in some roll-outs at a level, each is
waited for. Those that end first would not do: they are the short ones, and the short ones are
those that succeed.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class CurriculumCfg:
    """Widen the ranges of the randomisation as training episodes succeed."""

    start: float = 1.0
    """Level of the first episodes and the least: share of each range, 0 nominal; 1: all, always."""
    step: float = 0.2
    """By how much the level rises or falls."""
    rise: float = 0.7
    """It rises when this share of a block of training episodes succeeds, random actions and all."""
    fall: float = 0.3
    """It falls when less than this share does."""
    episodes: int = 300
    """Least episodes of a block, of all worlds."""

    def __post_init__(self) -> None:
        """Refuse what is no curriculum."""
        if not 0.0 <= self.start <= 1.0:
            raise ValueError(f"start: expected 0 to 1, got {self.start}")
        if not 0.0 < self.step <= 1.0:
            raise ValueError(f"step: expected above 0, to 1, got {self.step}")
        if not 0.0 <= self.fall < self.rise <= 1.0:
            raise ValueError(f"expected 0 <= fall < rise <= 1, got {self.fall} and {self.rise}")
        if self.episodes < 1:
            raise ValueError(f"episodes: expected 1 or more, got {self.episodes}")

    @property
    def moves(self) -> bool:
        """Whether the level can be another than 1."""
        return self.start < 1.0


class Block:
    """Which of the running episodes are of the block, and what became of them; on the device.

    Attributes:
        open: whether episodes that begin now are of it.
    """

    def __init__(self, num_envs: int, device: torch.device) -> None:
        """Begin with no episode: those that are running began before."""
        self.open = True
        self._members = torch.zeros(num_envs, dtype=torch.bool, device=device)
        self._counts = torch.zeros(3, dtype=torch.int64, device=device)

    def step(self, done: Tensor, success: Tensor) -> None:
        """Take the ends of episodes, (N,) bool; where one ended, the next has begun."""
        ended = done & self._members
        begun = done & self.open
        self._counts += torch.stack([begun, ended, ended & success]).sum(dim=1)
        self._members = torch.where(done, begun, self._members)

    def take(self) -> dict[str, Tensor]:
        """Return how many have begun, ended and succeeded since it was asked last."""
        counts, self._counts = self._counts, torch.zeros_like(self._counts)
        return dict(zip(("begun", "ended", "succeeded"), counts, strict=True))


class Curriculum:
    """The level of a training; on every rank the same, because all are told the same counts."""

    def __init__(self, cfg: CurriculumCfg) -> None:
        """Begin at the first level."""
        self._cfg = cfg
        # Counted in whole steps: ten times 0.1 is then 1.
        self._top = math.ceil((1.0 - cfg.start) / cfg.step - 1e-9)
        self._number = self._held = 0
        self._forget()

    @property
    def level(self) -> float:
        """Level of the episodes that begin now."""
        return self._at(self._number)

    @property
    def held(self) -> float:
        """Greatest level at which a block ended without a fall; before that the first level.

        This is what the ranges of a contract are.
        """
        return self._at(self._held)

    @property
    def complete(self) -> bool:
        """Whether the whole ranges are drawn from, and have been for a block."""
        return self._number == self._held == self._top

    @property
    def open(self) -> bool:
        """Whether episodes that begin now are of the block."""
        return self._begun < self._cfg.episodes

    def add(self, *, begun: int, ended: int, succeeded: int) -> None:
        """Take what became of a block; when all of it has ended, the level follows.

        Args:
            begun: episodes of the block that have begun since the last time, in all worlds.
            ended: episodes of the block that have ended.
            succeeded: how many of these succeeded.
        """
        self._begun, self._ended = self._begun + begun, self._ended + ended
        self._succeeded += succeeded
        if self.open or self._ended < self._begun:
            return
        share = self._succeeded / self._ended
        if share >= self._cfg.fall:
            self._held = max(self._held, self._number)
        change = int(share >= self._cfg.rise) - int(share < self._cfg.fall)
        self._number = min(max(self._number + change, 0), self._top)
        self._forget()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the level, and the greatest that was held, in steps above the first.

        Where the level cannot move there is nothing to tell.
        """
        if not self._cfg.moves:
            return {}
        return {"number": torch.tensor(self._number), "held": torch.tensor(self._held)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on at a level with a new block; of one that had begun, the episodes are gone.

        Raises:
            KeyError: the state is not one of a curriculum.
        """
        if self._cfg.moves:
            self._number, self._held = int(state["number"]), int(state["held"])
            self._forget()

    def _at(self, number: int) -> float:
        """Return the level that lies a number of steps above the first."""
        return 1.0 if number >= self._top else self._cfg.start + number * self._cfg.step

    def _forget(self) -> None:
        self._begun = self._ended = self._succeeded = 0
