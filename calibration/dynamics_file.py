"""Numbers of an arm as a file: what training and the robot read of an identification.

Names are those of `sim/identification.py`: `coulomb/JOINT` [N m], `viscous/JOINT` [N m s/rad],
`armature/JOINT` [kg m^2]; `kp` and `kd`, factors of the gains; `payload/mass` [kg] and
`payload/x`, `y`, `z` of its centre in the frame of the tool [m]; `delay` of all motion [s].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sim2arm.core.calibration_record import CalibrationRecord, Quantity, make_quantity

from .camera_file import accepted
from .identified import Number

EVERY = ("coulomb", "viscous", "armature", "kp", "kd", "payload", "delay")
"""How the names of all numbers begin."""
UNITS = {
    "coulomb": "N m", "viscous": "N m s/rad", "armature": "kg m^2", "kp": "1", "kd": "1",
    "payload/mass": "kg", "payload": "m", "delay": "s",
}  # fmt: skip
KIND = "dynamics"
"""`what` of the record."""
POSITIVE = ("coulomb", "viscous", "armature", "kp", "kd", "payload/mass", "delay")
"""How numbers begin that are never below 0."""


LEAST_GAIN = 0.3
"""Least factor of a gain that an arm is taken to have."""


@dataclass(frozen=True, kw_only=True)
class MeasuredDynamics:
    """Numbers of an arm with the halves of their 95 % intervals; those that motion told alone."""

    robot: str
    numbers: dict[str, tuple[float, float]]
    units: dict[str, str]
    id: str
    """Of the record."""

    def around(self, name: str, spread: float) -> tuple[float, float]:
        """Return a range about a number, as many halves of its interval to both sides.

        Raises:
            KeyError: it was not told.
        """
        value, half = self.numbers[name]
        least = LEAST_GAIN if name in ("kp", "kd") else 0.0
        low = value - spread * half
        return (max(least, low) if name.startswith(POSITIVE) else low), value + spread * half


def unit_of(name: str) -> str:
    """Return the unit of a number."""
    return UNITS.get(name) or UNITS[name.partition("/")[0]]


def quantities(numbers: list[tuple[Number, float]]) -> dict[str, Quantity]:
    """Return values of a record of numbers and their standard deviations: one for each kind."""
    kinds: dict[str, list[tuple[Number, float]]] = {}
    for number, sigma in numbers:
        kinds.setdefault(number.name.partition("/")[0], []).append((number, sigma))
    found: dict[str, Quantity] = {}
    for kind, group in kinds.items():
        ends = [number.name.partition("/")[2] for number, _ in group]
        found[kind] = make_quantity(
            [number.value for number, _ in group],
            " ".join(number.unit.replace(" ", "*") for number, _ in group),
            uncertainty=[sigma for _, sigma in group],
            element_names=ends if all(ends) else (),
        )
    return found


def read_dynamics(path: str | Path) -> MeasuredDynamics:
    """Return the numbers of an arm.

    Raises:
        ValueError: it cannot be read, is something else or was not accepted; one line.
    """
    return dynamics_of(accepted(path, KIND), path)


def dynamics_of(record: CalibrationRecord, path: str | Path = "record") -> MeasuredDynamics:
    """Return what a record says.

    Raises:
        ValueError: its values have no uncertainty; one line.
    """
    numbers: dict[str, tuple[float, float]] = {}
    units: dict[str, str] = {}
    for kind, value in record.values.items():
        if value.uncertainty is None or len(value.shape) != 1:
            raise ValueError(f"{path}: {kind}: expected a list of numbers with uncertainty")
        ends = value.element_names or ("",) * len(value.numbers)
        for end, one, sigma, unit in zip(
            ends, value.numbers, value.uncertainty, value.units, strict=True
        ):
            name = f"{kind}/{end}" if end else kind
            numbers[name], units[name] = (one, 1.96 * sigma), unit.replace("*", " ")
    return MeasuredDynamics(robot=record.device, numbers=numbers, units=units, id=record.id)
