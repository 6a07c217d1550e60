"""Terms of randomisation that change the physics: masses, friction, joints, gravity, gains."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import mujoco
import torch
from torch import Tensor

from sim2arm.core.contract import TrainedRange

from .actuators import gain_places
from .measured_terms import MeasuredArm, add_payload
from .randomize import (
    Bound,
    Column,
    Law,
    Term,
    check_factor,
    check_factors,
    factor_range,
    factors,
    factors_within,
    model_of,
    offset_range,
    uniform_about,
)
from .tasks.base import put
from .worlds.base import World
from .worlds.compiled import UnknownNameError, find


@dataclass(frozen=True, kw_only=True)
class Mass:
    """Mass of a body and how it is spread, always of a possible body.

    The mass gets a factor (log-uniform), the inertia the same. Then the second moments of the mass
    along the principal axes get a factor each (log-uniform), so that the moments of inertia, their
    sums in pairs, keep the triangle inequality, and the centre of mass is moved. It is the part of
    the pseudo-inertia parameters that leaves the principal axes as they are.
    Source: Rucker and Wensing, IEEE Robotics and Automation Letters 7(2), 2022.
    """

    body: str
    low: float = 0.8
    """Least factor of the mass."""
    high: float = 1.25
    """Greatest factor of the mass."""
    spread: float = 1.0
    """Greatest factor of a second moment; the least is its inverse."""
    shift: float = 0.0
    """Largest shift of the centre of mass along each axis of the body [m]."""

    def __post_init__(self) -> None:
        """Refuse what is no mass."""
        check_factors(self.low, self.high)
        check_factor(self.spread)
        if not 0.0 <= self.shift < math.inf:
            raise ValueError(f"shift: expected 0 m or more, got {self.shift}")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 7 if self._spreads else 1

    @property
    def _spreads(self) -> bool:
        return self.spread > 1.0 or self.shift > 0.0

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        found = [factor_range(f"physics/mass/{self.body}", self.low, self.high, level)]
        if self.spread > 1.0:
            name = f"physics/second moments/{self.body}"
            found.append(factor_range(name, 1.0 / self.spread, self.spread, level))
        if self.shift > 0.0:
            name = f"physics/centre of mass/{self.body}"
            found.append(offset_range(name, "m", -self.shift, self.shift, level))
        return tuple(found)

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        row = find(model_of(world), "body", self.body)
        mass, inertia = Column(world, "body_mass", row), Column(world, "body_inertia", row)
        centre = Column(world, "body_ipos", row) if self.shift else None
        # Ixx = Syy + Szz and so on, S the second moments: Sxx = (Iyy + Izz - Ixx) / 2.
        moments = 0.5 * inertia.nominal.sum() - inertia.nominal

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            factor = factors(self.low, self.high, unit[:, 0], level)
            mass.write(chosen, mass.nominal * factor)
            if not self._spreads:
                inertia.write(chosen, inertia.nominal * factor[:, None])
                return
            spread = moments * factor[:, None] * factors_within(self.spread, unit[:, 1:4], level)
            inertia.write(chosen, spread.sum(dim=-1, keepdim=True) - spread)
            if centre is not None:
                shift = uniform_about(-self.shift, self.shift, 0.0, unit[:, 4:], level)
                centre.write(chosen, centre.nominal + shift)

        return Bound(write=write, constants=True)


@dataclass(frozen=True, kw_only=True)
class Friction:
    """Sliding friction of geoms, one factor for all of them, log-uniform.

    Of two geoms that touch, MuJoCo takes the greater friction, or that of the higher priority: name
    both sides of a contact, or the factor is not felt. Robots' pads have priority.
    """

    geoms: tuple[str, ...]
    """Names; one that ends in `*` means all geoms that begin so."""
    low: float = 0.7
    """Least factor."""
    high: float = 1.4
    """Greatest factor."""

    def __post_init__(self) -> None:
        """Refuse factors that are no friction."""
        check_factors(self.low, self.high)

    @property
    def count(self) -> int:
        """See `Term`."""
        return 1

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (factor_range(f"physics/friction/{self.geoms[0]}", self.low, self.high, level),)

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        column = Column(world, "geom_friction", _named(model_of(world), "geom", self.geoms), 0)

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            factor = factors(self.low, self.high, unit[:, :1], level)
            column.write(chosen, column.nominal * factor)

        return Bound(write=write, constants=False)


@dataclass(frozen=True, kw_only=True)
class JointDynamics:
    """Damping, armature and dry friction of joints, each joint for itself.

    Damping and armature get factors (log-uniform); dry friction is added to that of the model.
    """

    joints: tuple[str, ...]
    damping: float = 1.5
    """Greatest factor of the damping; the least is its inverse."""
    armature: float = 1.2
    """Greatest factor of the armature (inertia of the rotor); the least is its inverse."""
    dry_friction: float = 0.0
    """Largest dry friction that is added [N m]."""
    least_dry_friction: float = 0.0
    """Least dry friction that is added [N m]; 0 with a curriculum, which draws in towards 0."""

    def __post_init__(self) -> None:
        """Refuse what no joint has."""
        for value in (self.damping, self.armature):
            check_factor(value)
        if not 0.0 <= self.least_dry_friction <= self.dry_friction < math.inf:
            raise ValueError(
                "dry_friction: expected 0 N m or more, and no less than the least, got "
                f"{self.dry_friction} and {self.least_dry_friction}"
            )

    @property
    def count(self) -> int:
        """See `Term`."""
        return 3 * len(self.joints)

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (
            factor_range("physics/joint damping", 1.0 / self.damping, self.damping, level),
            factor_range("physics/joint armature", 1.0 / self.armature, self.armature, level),
            offset_range(
                "physics/added joint dry friction",
                "N m",
                self.least_dry_friction,
                self.dry_friction,
                level,
            ),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        model = model_of(world)
        dofs = [int(model.jnt_dofadr[find(model, "joint", name)]) for name in self.joints]
        damped, turning, dry = (
            Column(world, name, dofs)
            for name in ("dof_damping", "dof_armature", "dof_frictionloss")
        )

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            n = len(dofs)
            damping = factors_within(self.damping, unit[:, :n], level)
            armature = factors_within(self.armature, unit[:, n : 2 * n], level)
            added = uniform_about(
                self.least_dry_friction, self.dry_friction, 0.0, unit[:, 2 * n :], level
            )
            damped.write(chosen, damped.nominal * damping)
            turning.write(chosen, turning.nominal * armature)
            dry.write(chosen, dry.nominal + added)

        return Bound(write=write, constants=True)


@dataclass(frozen=True, kw_only=True)
class Gravity:
    """Strength of gravity, and its direction.

    What a robot compensates it does not feel: the drives of its arm carry it in any direction.
    What it holds does; for the arm itself see `GravityCompensation`.
    """

    factor: float = 1.0
    """Greatest factor of its strength; the least is its inverse."""
    tilt: float = 0.0
    """Largest tilt about x and about y [rad]."""

    def __post_init__(self) -> None:
        """Refuse what is no gravity."""
        check_factor(self.factor)
        if not 0.0 <= self.tilt < 0.5:
            raise ValueError(f"tilt: expected 0 to 0.5 rad, got {self.tilt}")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 3

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (
            factor_range("physics/gravity", 1.0 / self.factor, self.factor, level),
            offset_range("physics/gravity tilt", "rad", -self.tilt, self.tilt, level),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        gravity = world.field("opt.gravity")
        strength = float(torch.linalg.vector_norm(gravity[0]))

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            size = strength * factors_within(self.factor, unit[:, 0], level)
            x, y = uniform_about(-self.tilt, self.tilt, 0.0, unit[:, 1:], level).unbind(dim=-1)
            # -z turned about x, then about y
            turned = [-torch.cos(x) * torch.sin(y), torch.sin(x), -torch.cos(x) * torch.cos(y)]
            put(gravity, chosen, size[:, None] * torch.stack(turned, dim=-1))

        return Bound(write=write, constants=False)


@dataclass(frozen=True, kw_only=True)
class GravityCompensation:
    """How far an arm carries itself: the share of each link's weight, the same for all links.

    An arm whose masses or payload are not as its controller believes sinks or rises until its
    stiffness holds it.
    """

    bodies: tuple[str, ...] = ()
    """Links; a name that ends in `*` means all bodies that begin so. None: all that carry
    themselves."""
    error: float = 0.02
    """Greatest difference of the share from 1, uniform."""

    def __post_init__(self) -> None:
        """Refuse what is no error."""
        if not 0.0 <= self.error < 1.0:
            raise ValueError(f"error: expected 0 to below 1, got {self.error}")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 1

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        bound = level * self.error
        return (
            TrainedRange(
                name="physics/gravity compensation", unit="1", low=1.0 - bound, high=1.0 + bound
            ),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`.

        Raises:
            KeyError: also where no body carries itself.
        """
        model = model_of(world)
        carried = [i for i in range(model.nbody) if model.body_gravcomp[i] > 0.0]
        rows = _named(model, "body", self.bodies) if self.bodies else carried
        if not rows:
            raise UnknownNameError("gravity compensation: no body of the scene carries itself")
        column = Column(world, "body_gravcomp", rows)

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            low, high = 1.0 - self.error, 1.0 + self.error
            column.write(chosen, column.nominal * uniform_about(low, high, 1.0, unit, level))

        return Bound(write=write, constants=False)


@dataclass(frozen=True, kw_only=True)
class Gains:
    """Gains of the low-level law, the same factors for all joints (log-uniform).

    As on a robot, the law still aims at the wanted velocity with its own kd: only how stiffly the
    arm follows differs, not where it goes.
    """

    joints: tuple[str, ...]
    kp: float = 1.2
    """Greatest factor of the stiffness; the least is its inverse."""
    kd: float = 1.2
    """Greatest factor of the damping; the least is its inverse."""

    def __post_init__(self) -> None:
        """Refuse factors that are no gains."""
        for value in (self.kp, self.kd):
            check_factor(value)

    @property
    def count(self) -> int:
        """See `Term`."""
        return 2

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (
            factor_range("physics/gain kp", 1.0 / self.kp, self.kp, level),
            factor_range("physics/gain kd", 1.0 / self.kd, self.kd, level),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        model = model_of(world)
        rows = [find(model, "actuator", name) for name in self.joints]
        places = [(row, *gain_places(model, row)) for row in rows]
        stiff = [Column(world, field, row, k) for row, kp, _ in places for field, k, _ in kp]
        damping = [Column(world, field, row, k) for row, _, kd in places for field, k, _ in kd]
        nominal = law.lead[0].clone()

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            kp = factors_within(self.kp, unit[:, 0], level)
            kd = factors_within(self.kd, unit[:, 1], level)
            for columns, factor in ((stiff, kp), (damping, kd)):
                for column in columns:
                    column.write(chosen, column.nominal * factor)
            put(law.lead, chosen, nominal * (kd / kp)[:, None])

        return Bound(write=write, constants=False)


@dataclass(frozen=True, kw_only=True)
class GeomSize:
    """One size of a geom (radius, half length; see MuJoCo's geom types): an offset, uniform."""

    geom: str
    axis: int = 0
    low: float = -1e-4
    """Least offset [m]."""
    high: float = 1e-4
    """Greatest offset [m]."""

    def __post_init__(self) -> None:
        """Refuse what is no range."""
        if not -math.inf < self.low <= 0.0 <= self.high < math.inf or self.axis not in (0, 1, 2):
            raise ValueError(
                f"expected low <= 0 <= high [m] and axis 0, 1 or 2, got {self.low}, {self.high} "
                f"and {self.axis}"
            )

    @property
    def count(self) -> int:
        """See `Term`."""
        return 1

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (
            offset_range(f"physics/size {self.axis}/{self.geom}", "m", self.low, self.high, level),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        column = Column(world, "geom_size", find(model_of(world), "geom", self.geom), self.axis)

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            offset = uniform_about(self.low, self.high, 0.0, unit[:, 0], level)
            column.write(chosen, column.nominal + offset)

        return Bound(write=write, constants=True)


def _named(model: Any, kind: Literal["body", "geom"], names: Sequence[str]) -> list[int]:
    """Return the numbers of elements; a name that ends in `*` means all that begin so.

    Raises:
        KeyError: there is none.
    """
    count = {"body": model.nbody, "geom": model.ngeom}[kind]
    known = [getattr(model, kind)(i).name for i in range(count)]
    rows: list[int] = []
    for name in names:
        start = name.removesuffix("*")
        found = [i for i, one in enumerate(known) if one.startswith(start)]
        rows += found if name != start and found else [find(model, kind, name)]
    return rows


def prepare_scene(spec: mujoco.MjSpec, terms: Sequence[Term]) -> None:
    """Change a scene, before it is compiled, so that terms may write to it.

    MuJoCo computes bodies whose frame is that of their mass in a shorter way, which holds no more
    when the centre of mass moves.
    """
    for term in terms:
        if isinstance(term, MeasuredArm) and term.carries:
            add_payload(spec, term.tool)
        body = spec.body(term.body) if isinstance(term, Mass) and term.shift else None
        if body is not None:  # that there is none, `bind` tells
            body.simple = False


def gain_factors(terms: Sequence[Term], level: float = 1.0) -> tuple[float, float]:
    """Return the greatest factors of kp and of kd at a level; their inverses are the least.

    Of an arm that was identified the factors count as much: whether its controller is set to them
    or only acts so is not known, so that both are in range.
    """
    found = [term for term in terms if isinstance(term, Gains)]
    kp, kd = max((t.kp for t in found), default=1.0), max((t.kd for t in found), default=1.0)
    kp, kd = kp**level, kd**level
    for arm in (term for term in terms if isinstance(term, MeasuredArm)):
        ends = [arm.numbers.get(name, (1.0, 1.0)) for name in ("kp", "kd")]
        kp, kd = (
            max(now, high, 1.0 / low) for now, (low, high) in zip((kp, kd), ends, strict=True)
        )
    return kp, kd
