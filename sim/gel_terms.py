"""Terms of randomisation that change the gels on the pads: how stiff they are, how they grip."""

# pyright: standard

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sim2arm.core.contract import TrainedRange

from .randomize import Bound, Law, check_factors, factor_range, factors
from .tactile.field import ForceField
from .tactile.field_kernels import FRICTION
from .tasks.base import put
from .worlds.base import World
from .worlds.compiled import UnknownNameError


@dataclass(frozen=True, kw_only=True)
class _GelFactor:
    """Some numbers of the gels, one factor for all of them, log-uniform."""

    low: float
    """Least factor."""
    high: float
    """Greatest factor."""
    _name: ClassVar[str]
    _numbers: ClassVar[slice]

    def __post_init__(self) -> None:
        """Refuse what is no range of factors about 1."""
        check_factors(self.low, self.high)

    @property
    def count(self) -> int:
        """See `Term`."""
        return 1

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (factor_range(self._name, self.low, self.high, level),)

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`.

        Raises:
            UnknownNameError: the pads are no gels.
        """
        forces = getattr(world, "law", None)
        if not isinstance(forces, ForceField):
            raise UnknownNameError(
                "the randomisation changes gels, but the pads of this arm are none: add --touch "
                "gel or another touch"
            )
        numbers = forces.numbers[..., self._numbers]
        nominal = numbers[0].clone()

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            factor = factors(self.low, self.high, unit[:, :, None], level).to(numbers.dtype)
            put(numbers, chosen, nominal * factor)

        return Bound(write=write)


@dataclass(frozen=True, kw_only=True)
class GelStiffness(_GelFactor):
    """Stiffness of the gels, one factor for all of them and for pressure and drag, log-uniform.

    Their damping has the same factor, so that a gel is as quick as before. The default is TacSL's
    150 to 350 N/m about their middle.
    """

    low: float = 0.65
    """Least factor."""
    high: float = 1.5
    """Greatest factor."""
    _name: ClassVar[str] = "physics/gel stiffness"
    _numbers: ClassVar[slice] = slice(0, FRICTION)


@dataclass(frozen=True, kw_only=True)
class GelFriction(_GelFactor):
    """Friction of the gels, one factor for all of them, log-uniform."""

    low: float = 0.7
    """Least factor."""
    high: float = 1.4
    """Greatest factor."""
    _name: ClassVar[str] = "physics/gel friction"
    _numbers: ClassVar[slice] = slice(FRICTION, FRICTION + 1)
