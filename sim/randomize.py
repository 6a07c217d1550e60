"""What differs between episodes of a training beside the start state: typed terms, drawn at reset.

Each term names what it changes, its unit and its distribution. A term draws `count` numbers in
[0, 1) per episode from the episode's own stream, so a seed is an episode with its physics. The
range of a term lies about a nominal value; a curriculum widens it with `level` from 0 to 1.

Model fields are written in chosen worlds only, by masks. Terms whose fields enter constants of the
engine (masses, inertias, armature, sizes) say so; they are recomputed once for all of them.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from sim2arm.core.contract import TrainedRange

from .worlds.base import World

Write: TypeAlias = Callable[[Tensor, Tensor, float], None]
"""Write the values of chosen worlds (N,) bool for unit numbers (N, count) at a level in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A term on the worlds of an environment."""

    write: Write | None = None
    """Writes model fields, before the task starts the episode."""
    place: Write | None = None
    """Changes the state that the task has written."""
    constants: bool = False
    """Whether the engine's constants depend on what is written."""


class Law(Protocol):
    """What turns wanted joint motion into controls of the actuators."""

    lead: Tensor
    """(N, n) kd / kp of the law that the actuators of each world follow [s]."""


class Term(Protocol):
    """One thing that differs between episodes."""

    @property
    def count(self) -> int:
        """How many numbers it draws per episode."""
        ...

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """Return what is drawn at a level in [0, 1], for the contract."""
        ...

    def bind(self, world: World, law: Law) -> Bound:
        """Take the fields of the worlds, or what the law knows of them.

        Raises:
            KeyError: something that it names is not in the model.
        """
        ...


class Randomizer:
    """The terms of an environment: draws, writes, knows the ranges.

    Attributes:
        terms: what is drawn.
        level: share of each range that is drawn from, 0 (nominal) to 1; a curriculum raises it.
    """

    def __init__(self, terms: Sequence[Term], world: World, law: Law) -> None:
        """Bind every term to the worlds."""
        self.level = 1.0
        self._world, self.terms = world, tuple(terms)
        self._bound = [term.bind(world, law) for term in terms]
        self._constants = any(bound.constants for bound in self._bound)

    @property
    def count(self) -> int:
        """How many numbers an episode draws."""
        return sum(term.count for term in self.terms)

    @property
    def ranges(self) -> tuple[TrainedRange, ...]:
        """What is drawn at the level, for the contract."""
        return tuple(found for term in self.terms for found in term.ranges(self.level))

    def write(self, chosen: Tensor, unit: Tensor) -> None:
        """Write the values of episodes that begin.

        Args:
            chosen: (N,) bool.
            unit: (N, count) in [0, 1).
        """
        self._each("write", chosen, unit)
        if self._constants:
            self._world.commit_fields(chosen)

    def place(self, chosen: Tensor, unit: Tensor) -> None:
        """Change the state of episodes that the task has started; as `write`."""
        self._each("place", chosen, unit)

    def _each(self, what: Literal["write", "place"], chosen: Tensor, unit: Tensor) -> None:
        first = 0
        for term, bound in zip(self.terms, self._bound, strict=True):
            work = bound.write if what == "write" else bound.place
            if work is not None:
                work(chosen, unit[:, first : first + term.count], self.level)
            first += term.count


class Column:
    """One row of a model field or several, or one number of each, per world.

    Attributes:
        nominal: its value in the model, (...) for a row, (rows, ...) for several.
    """

    def __init__(
        self, world: World, name: str, row: int | Sequence[int], number: int | None = None
    ) -> None:
        """Take rows of the field `name`, or one number of them."""
        live = world.field(name)
        self._live = live if number is None else live[..., number]
        # an index that lies on the device: a list would be copied there at each write
        self._row = row if isinstance(row, int) else torch.tensor(row, device=live.device)
        self.nominal = self._live[0, self._row].clone()

    def write(self, chosen: Tensor, values: Tensor) -> None:
        """Write values (N, ...), or (N, rows, ...), into chosen worlds (N,) bool."""
        now = self._live[:, self._row]
        mask = chosen.reshape(-1, *[1] * (now.ndim - 1))
        self._live[:, self._row] = torch.where(mask, values, now)


def uniform_about(low: float, high: float, nominal: float, unit: Tensor, level: float) -> Tensor:
    """Return numbers in the range, drawn in towards the nominal value by the level."""
    bottom, top = nominal + level * (low - nominal), nominal + level * (high - nominal)
    return bottom + (top - bottom) * unit


def factors(low: float, high: float, unit: Tensor, level: float) -> Tensor:
    """Return factors about 1, uniform in their logarithm."""
    return torch.exp(uniform_about(math.log(low), math.log(high), 0.0, unit, level))


def factors_within(greatest: float, unit: Tensor, level: float) -> Tensor:
    """Return factors about 1 between the inverse of the greatest and it, log-uniform."""
    return factors(1.0 / greatest, greatest, unit, level)


def check_factor(greatest: float) -> None:
    """Refuse a greatest factor that is below 1.

    Raises:
        ValueError: so it is.
    """
    check_factors(1.0 / greatest if greatest > 0 else 0.0, greatest)


def check_factors(low: float, high: float) -> None:
    """Refuse a range of factors that does not hold 1.

    Raises:
        ValueError: so it is.
    """
    if not 0.0 < low <= 1.0 <= high < math.inf:
        raise ValueError(f"expected factors 0 < low <= 1 <= high, got {low} and {high}")


def factor_range(name: str, low: float, high: float, level: float) -> TrainedRange:
    """Return what `factors` draws at a level, for the contract."""
    return TrainedRange(name=name, unit="1", low=low**level, high=high**level)


def offset_range(name: str, unit: str, low: float, high: float, level: float) -> TrainedRange:
    """Return what `uniform_about` zero draws at a level, for the contract."""
    return TrainedRange(name=name, unit=unit, low=0.0 + level * low, high=level * high)  # no -0


def model_of(world: World) -> Any:
    """Return the model of a world on MuJoCo's engines."""
    return world.model  # type: ignore[attr-defined]
