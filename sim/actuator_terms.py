"""Terms of randomisation of motors and stiction; `actuators` says what they are."""

# pyright: standard

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sim2arm.core.contract import TrainedRange

from .actuators import BREAKAWAY, COULOMB, RESISTANCE, SUPPLY, check_motor, check_stiction
from .randomize import Bound, Column, Law, check_factor, factor_range, factors_within, model_of
from .worlds.base import World
from .worlds.compiled import find


@dataclass(frozen=True, kw_only=True)
class MotorLimits:
    """Torque and no-load speed of motors, each joint for itself: factors, log-uniform."""

    joints: tuple[str, ...]
    torque: float = 1.1
    """Greatest factor of stall torque and torque limit; the least is its inverse."""
    speed: float = 1.1
    """Greatest factor of the no-load speed; the least is its inverse."""

    def __post_init__(self) -> None:
        """Refuse factors that are none."""
        for value in (self.torque, self.speed):
            check_factor(value)

    @property
    def count(self) -> int:
        """See `Term`."""
        return 2 * len(self.joints)

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (
            factor_range("physics/motor torque", 1.0 / self.torque, self.torque, level),
            factor_range("physics/motor no-load speed", 1.0 / self.speed, self.speed, level),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`.

        Raises:
            ActuatorError: an actuator has no motor.
        """
        model = model_of(world)
        rows = [find(model, "actuator", name) for name in self.joints]
        for row in rows:
            check_motor(model, row)
        resistance, supply = (
            Column(world, "actuator_gainprm", rows, number) for number in (RESISTANCE, SUPPLY)
        )
        limits = Column(world, "actuator_forcerange", rows)

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            n = len(rows)
            torque = factors_within(self.torque, unit[:, :n], level)
            speed = factors_within(self.speed, unit[:, n:], level)
            # stall torque = supply / resistance, with a motor constant of 1
            supply.write(chosen, supply.nominal * speed)
            resistance.write(chosen, resistance.nominal * speed / torque)
            limits.write(chosen, limits.nominal * torque[..., None])

        return Bound(write=write, constants=False)


@dataclass(frozen=True, kw_only=True)
class Stiction:
    """Dry friction of gears with stiction, each joint for itself: factors, log-uniform.

    Coulomb friction and breakaway torque get one factor, as with temperature and wear; what the
    breakaway torque is above Coulomb friction gets another, as after a rest. The gear gives as
    stiffly as before.
    """

    joints: tuple[str, ...]
    friction: float = 1.5
    """Greatest factor of both; the least is its inverse."""
    excess: float = 1.5
    """Greatest factor of the difference; the least is its inverse."""

    def __post_init__(self) -> None:
        """Refuse factors that are none."""
        for value in (self.friction, self.excess):
            check_factor(value)

    @property
    def count(self) -> int:
        """See `Term`."""
        return 2 * len(self.joints)

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (
            factor_range(
                "physics/dry friction of gears", 1.0 / self.friction, self.friction, level
            ),
            factor_range("physics/breakaway above Coulomb", 1.0 / self.excess, self.excess, level),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`.

        Raises:
            ActuatorError: an actuator has no stiction.
        """
        model = model_of(world)
        rows = [find(model, "actuator", name) for name in self.joints]
        for row in rows:
            check_stiction(model, row)
        coulomb, breakaway = (
            Column(world, "actuator_biasprm", rows, number) for number in (COULOMB, BREAKAWAY)
        )
        low, high = coulomb.nominal, breakaway.nominal

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            n = len(rows)
            friction = factors_within(self.friction, unit[:, :n], level)
            excess = factors_within(self.excess, unit[:, n:], level)
            coulomb.write(chosen, low * friction)
            breakaway.write(chosen, (low + (high - low) * excess) * friction)

        return Bound(write=write, constants=False)
