"""An arm as it was identified: the numbers of a record in place of those of the model.

Each number is drawn about what was measured, as far as that is not known. So training sees the arm
that is there, and no wider a family of arms than its owner has to reckon with.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import mujoco
import torch
from torch import Tensor

from sim2arm.calibration.dynamics_file import POSITIVE, MeasuredDynamics
from sim2arm.core.contract import TrainedRange
from sim2arm.core.robots import Robot

from .actuators import gain_places
from .randomize import Bound, Column, Law, model_of
from .tasks.base import put
from .worlds.base import World
from .worlds.compiled import find

PAYLOAD = "payload"
"""Body at the tool that has what the arm carries; it is not gravity-compensated."""
TINY = 1e-9
"""Mass of no payload [kg], and its inertia [kg m^2]."""
RADIUS = 0.03
"""Of a payload that is taken for a solid ball: its own inertia is small beside that of its place
[m]."""
SPREAD = 2.0
"""Training draws from this many halves of the 95 % interval to both sides."""
FIELDS = {"coulomb": "dof_frictionloss", "viscous": "dof_damping", "armature": "dof_armature"}


def add_payload(spec: mujoco.MjSpec, tool: str) -> None:
    """Add a body at the tool that may be given a mass.

    Args:
        spec: the scene, changed in place, not yet compiled.
        tool: site of the tool.
    """
    site = spec.site(tool)
    body = site.parent.add_body(name=PAYLOAD, pos=site.pos, quat=site.quat)
    body.mass, body.inertia, body.ipos = TINY, (TINY,) * 3, (0.0, 0.0, 0.0)
    body.explicitinertial, body.gravcomp, body.simple = True, 0.0, False


def payload_inertia(mass: Any) -> Any:
    """Return the moment of inertia of a payload about its centre [kg m^2], of a mass [kg]."""
    return TINY + 0.4 * mass * RADIUS**2


@dataclass(frozen=True, kw_only=True)
class MeasuredArm:
    """The numbers of one arm."""

    joints: tuple[str, ...]
    tool: str
    """Site of its tool."""
    numbers: dict[str, tuple[float, float]] = field(hash=False)
    """Least and greatest value of each, by the names of `calibration.dynamics_file`."""
    units: dict[str, str] = field(hash=False)

    @property
    def carries(self) -> bool:
        """Whether the scene needs a body for a payload."""
        return any(name.startswith("payload") for name in self.numbers)

    @property
    def count(self) -> int:
        """See `Term`."""
        return len(self.numbers)

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        found: list[TrainedRange] = []
        for name, (low, high) in self.numbers.items():
            middle, half = 0.5 * (low + high), 0.5 * level * (high - low)
            found.append(
                TrainedRange(
                    name=f"dynamics/{name}", unit=self.units[name], low=middle - half,
                    high=middle + half,
                )
            )  # fmt: skip
        return tuple(found)

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        model = model_of(world)
        places = [name for name in self.numbers if name.startswith("payload/")]
        columns = {
            name: column
            for name in self.numbers
            if (column := self._column(world, model, name)) is not None
        }
        inertia = None
        if "payload/mass" in self.numbers:
            inertia = Column(world, "body_inertia", find(model, "body", PAYLOAD))
        rows = [find(model, "actuator", name) for name in self.joints]
        gains = [(row, *gain_places(model, row)) for row in rows]
        stiff = [Column(world, field, row, k) for row, kp, _ in gains for field, k, _ in kp]
        damping = [Column(world, field, row, k) for row, _, kd in gains for field, k, _ in kd]
        nominal = law.lead[0].clone()
        assert set(places) <= set(columns)

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            values = self._draw(unit, level)
            for name, column in columns.items():
                column.write(chosen, values[name])
            if inertia is not None:
                inertia.write(
                    chosen, payload_inertia(values["payload/mass"])[:, None].expand(-1, 3)
                )
            one = torch.ones_like(unit[:, 0])
            kp, kd = values.get("kp", one), values.get("kd", one)
            for name, own, factor in (("kp", stiff, kp), ("kd", damping, kd)):
                for column in own if name in values else ():
                    column.write(chosen, column.nominal * factor)
            if {"kp", "kd"} & set(values):
                put(law.lead, chosen, nominal * (kd / kp)[:, None])

        return Bound(write=write, constants=True)

    def _draw(self, unit: Tensor, level: float) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for k, (name, (low, high)) in enumerate(self.numbers.items()):
            middle, half = 0.5 * (low + high), 0.5 * level * (high - low)
            value = middle + half * (2.0 * unit[:, k] - 1.0)
            found[name] = value.clamp(min=0.0) if name.startswith(POSITIVE) else value
        return found

    def _column(self, world: World, model: Any, name: str) -> Column | None:
        """Return where a number stands in the model; None for gains and delays."""
        kind, _, end = name.partition("/")
        if kind in FIELDS:
            return Column(world, FIELDS[kind], int(model.jnt_dofadr[find(model, "joint", end)]))
        if name == "payload/mass":
            return Column(world, "body_mass", find(model, "body", PAYLOAD))
        if kind == "payload":
            return Column(world, "body_ipos", find(model, "body", PAYLOAD), "xyz".index(end))
        return None


def measured_arm(found: MeasuredDynamics, robot: Robot, spread: float = SPREAD) -> MeasuredArm:
    """Return the term of an arm that was identified, its delay left out.

    Args:
        found: its numbers.
        robot: it.
        spread: how many halves of the intervals are drawn from to both sides.

    Raises:
        ValueError: they are of another arm; one line.
    """
    if found.robot != robot.name:
        raise ValueError(f"dynamics of {found.robot!r}, the arm is a {robot.name!r}")
    known = {f"{kind}/{joint}" for kind in FIELDS for joint in robot.joint_names}
    known |= {"kp", "kd", "payload/mass", "delay", *(f"payload/{axis}" for axis in "xyz")}
    for name in found.numbers:
        if name not in known:
            raise ValueError(f"dynamics of {robot.name}: {name!r} is no number of this arm")
    names = [name for name in found.numbers if name != "delay"]
    return MeasuredArm(
        joints=robot.joint_names, tool=robot.chain.tool_frame,
        numbers={name: found.around(name, spread) for name in names},
        units={name: found.units[name] for name in names},
    )  # fmt: skip
