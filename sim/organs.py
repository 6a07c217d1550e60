"""Sensors with rates of their own, cameras and gels, as one: what is seen beside the state."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from numpy.typing import NDArray

from sim2arm.core.contract import CameraMount, TrainedRange
from sim2arm.core.robots import Chain
from sim2arm.core.spec import ArraySpec

from .randomize import Term


class Organ(Protocol):
    """Sensors of N worlds whose arrays come at their own rate: `vision.Eyes`, `touch.Skin`.

    Attributes:
        count: how many numbers an episode draws.
        group: of observations that holds what is seen.
        final: whether it is asked for the last observation of an episode, too.
        specs: the arrays as the contract lists them.
        ages: (N,) [s] of what was last seen, by array.
    """

    count: int
    group: str
    final: bool
    specs: dict[str, ArraySpec]
    ages: dict[str, torch.Tensor]

    def begin(self, chosen: torch.Tensor, unit: torch.Tensor) -> None:
        """Begin episodes where chosen (N,), with their numbers (N, count) in [0, 1)."""
        ...

    def advance(self) -> None:
        """Let a control period pass."""
        ...

    def see(self, *, last: bool = False) -> dict[str, torch.Tensor]:
        """Return what this tick sees, (N, *array_shape) each.

        `last`: episodes end here, and the observation of this tick is still to come; only `final`
        ones are asked for that.
        """
        ...

    def ranges(self, terms: Sequence[Term], level: float) -> tuple[TrainedRange, ...]:
        """Return what differs between episodes, with terms of randomisation at a level."""
        ...

    def mounts(self, chain: Chain) -> tuple[CameraMount, ...]:
        """Return where cameras are, of those that base or tool of an arm carries."""
        ...


class Organs:
    """All of them that an environment or an arm has.

    Attributes:
        each: they, one after another.
        count: how many numbers an episode draws, of each in this order.
        specs: the arrays as the contract lists them.
        pictures: what they saw last, (N, *array_shape) each; memory of theirs.
    """

    def __init__(self, *organs: Organ | None) -> None:
        """Keep those that there are."""
        self.each = [organ for organ in organs if organ is not None]
        self.count = sum(organ.count for organ in self.each)
        self.specs = {name: spec for organ in self.each for name, spec in organ.specs.items()}
        self.pictures: dict[str, torch.Tensor] = {}

    def begin(self, chosen: torch.Tensor, unit: torch.Tensor) -> None:
        """Begin episodes where chosen (N,), with their numbers (N, count) in [0, 1)."""
        first = 0
        for organ in self.each:
            organ.begin(chosen, unit[:, first : first + organ.count])
            first += organ.count

    def advance(self) -> None:
        """Let a control period pass."""
        for organ in self.each:
            organ.advance()

    def see(self, *, last: bool = False) -> dict[str, torch.Tensor]:
        """Return `pictures` of this tick; of an episode's last one only those of `final` organs."""
        asked = [organ for organ in self.each if organ.final or not last]
        self.pictures = {name: x for organ in asked for name, x in organ.see(last=last).items()}
        return self.pictures

    def newest(self, world: int = 0) -> dict[str, tuple[NDArray[Any], float]]:
        """Return the newest frames (*shape) that one world sees at this tick, and ages [s]."""
        found: dict[str, tuple[NDArray[Any], float]] = {}
        for organ in self.each:
            for name, spec in organ.specs.items():
                seen: NDArray[Any] = self.pictures[name][world].numpy()
                newest = seen if spec.history is None else seen[-1]
                found[name] = newest, float(organ.ages[name][world])
        return found
