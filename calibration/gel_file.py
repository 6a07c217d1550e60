"""Numbers of a gel as a file: what training reads of presses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sim2arm.core.calibration_record import Quantity, make_quantity

from .camera_file import accepted
from .gel_press import GelFound

KIND = "gel"
"""`what` of the record."""
UNITS = {"stiffness": "N/m^3", "damping": "N*s/m^3", "friction": "1"}
"""By the name of each number."""


@dataclass(frozen=True, kw_only=True)
class MeasuredGel:
    """How a gel resists: numbers with the halves of their 95 % intervals."""

    stiffness: tuple[float, float]
    """Pressure per depth [N/m^3]."""
    friction: tuple[float, float] | None
    """Of Coulomb; None where nothing slid."""
    id: str
    """Of the record."""


def quantities(found: GelFound) -> dict[str, Quantity]:
    """Return the values of a record: those that were told."""
    told = {"stiffness": found.stiffness, "damping": found.damping, "friction": found.friction}
    return {
        name: make_quantity(number.value, UNITS[name], uncertainty=number.sigma)
        for name, number in told.items()
        if number is not None and number.half < abs(number.value)
    }


def read_gel(path: str | Path) -> MeasuredGel:
    """Return the numbers of a gel.

    Raises:
        ValueError: it cannot be read, is of another kind, or was not accepted; one line.
    """
    record = accepted(path, KIND)
    found: dict[str, tuple[float, float]] = {}
    for name, quantity in record.values.items():
        if name not in UNITS or quantity.unit != UNITS[name] or quantity.uncertainty is None:
            raise ValueError(
                f"{path}: {name}: expected one of {sorted(UNITS)} with its uncertainty"
            )
        found[name] = quantity.numbers[0], 1.96 * quantity.uncertainty[0]
    if "stiffness" not in found:
        raise ValueError(f"{path}: expected the stiffness of a gel, got {sorted(found)}")
    return MeasuredGel(
        stiffness=found["stiffness"],
        friction=found.get("friction"), id=record.id,
    )  # fmt: skip
