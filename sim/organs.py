"""Sensors with rates of their own, cameras and gels, as one: what an arm sees of its worlds."""

# pyright: standard

from __future__ import annotations

from typing import Any, Protocol

import torch
from numpy.typing import NDArray

from sim2arm.core.spec import ArraySpec

from .draws import SeededDraws


class Organ(Protocol):
    """Sensors of N worlds whose arrays come at their own rate: `vision.Eyes`, `touch.Skin`.

    Attributes:
        count: how many numbers an episode draws.
        specs: the arrays as the contract lists them.
        ages: (N,) [s] of what was last seen, by array or by what arrays have in common, the part of
            their names before the last underscore.
    """

    count: int
    specs: dict[str, ArraySpec]
    ages: dict[str, torch.Tensor]

    def begin(self, chosen: torch.Tensor, unit: torch.Tensor) -> None:
        """Begin episodes where chosen (N,), with their numbers (N, count) in [0, 1)."""
        ...

    def advance(self) -> None:
        """Let a control period pass."""
        ...

    def see(self) -> dict[str, torch.Tensor]:
        """Return what this tick sees, (N, *array_shape) each."""
        ...


class Organs:
    """All of them that an arm has.

    Attributes:
        specs: the arrays as the contract lists them.
        pictures: what they see at this tick, (N, *array_shape) each; memory of theirs.
    """

    def __init__(self, *organs: Organ | None) -> None:
        """Keep those that there are; episodes draw their numbers in this order."""
        self._organs = [organ for organ in organs if organ is not None]
        self.specs = {name: spec for organ in self._organs for name, spec in organ.specs.items()}
        self.pictures: dict[str, torch.Tensor] = {}

    def begin(self, chosen: torch.Tensor, draws: SeededDraws) -> None:
        """Begin episodes where chosen (N,)."""
        for organ in self._organs:
            organ.begin(chosen, draws.unit(organ.count))
        self._see()

    def advance(self) -> None:
        """Let a control period pass, and see."""
        for organ in self._organs:
            organ.advance()
        self._see()

    def _see(self) -> None:
        self.pictures = {name: x for organ in self._organs for name, x in organ.see().items()}

    def newest(self, world: int = 0) -> dict[str, tuple[NDArray[Any], float]]:
        """Return the newest frames (*shape) that one world sees at this tick, and ages [s]."""
        found: dict[str, tuple[NDArray[Any], float]] = {}
        for organ in self._organs:
            for name, spec in organ.specs.items():
                age = organ.ages.get(name)
                if age is None:
                    age = organ.ages[name.rpartition("_")[0]]
                seen: NDArray[Any] = self.pictures[name][world].numpy()
                found[name] = (seen if spec.history is None else seen[-1]), float(age[world])
        return found
