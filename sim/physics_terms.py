"""Terms of randomisation that change the physics: masses, friction, joints, gravity, gains."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import torch
from torch import Tensor

from sim2arm.core.contract import TrainedRange

from .actuators import gain_places
from .randomize import (
    Bound,
    Column,
    Law,
    Term,
    check_factor,
    check_factors,
    factor_range,
    factor_term,
    factors,
    factors_within,
    model_of,
    offset_range,
    uniform_about,
)
from .tasks.base import put
from .worlds.base import World
from .worlds.compiled import find


@dataclass(frozen=True, kw_only=True)
class Mass:
    """Mass of a body, its inertia in proportion: a factor, log-uniform."""

    body: str
    low: float = 0.8
    high: float = 1.25

    def __post_init__(self) -> None:
        """Refuse factors that are no masses."""
        check_factors(self.low, self.high)

    @property
    def count(self) -> int:
        """See `Term`."""
        return 1

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (factor_range(f"physics/mass/{self.body}", self.low, self.high, level),)

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        row = find(model_of(world), "body", self.body)
        mass, inertia = Column(world, "body_mass", row), Column(world, "body_inertia", row)

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            factor = factors(self.low, self.high, unit[:, 0], level)
            mass.write(chosen, mass.nominal * factor)
            inertia.write(chosen, inertia.nominal * factor[:, None])

        return Bound(write=write, constants=True)


@dataclass(frozen=True, kw_only=True)
class MassSpread:
    """How the mass of a body is spread: centre of mass and inertia, always of a possible body.

    The second moments of the mass along the principal axes get a factor each (log-uniform), so that
    the moments of inertia, their sums in pairs, keep the triangle inequality; the centre of mass is
    moved. It is the part of the pseudo-inertia parameters that leaves mass and principal axes as
    they are. Source: Rucker and Wensing, IEEE Robotics and Automation Letters 7(2), 2022.
    """

    body: str
    factor: float = 1.2
    """Greatest factor of a second moment; the least is its inverse."""
    shift: float = 0.005
    """Largest shift of the centre of mass along each axis of the body [m]."""

    def __post_init__(self) -> None:
        """Refuse what is no spread."""
        check_factor(self.factor)
        if not 0.0 <= self.shift < math.inf:
            raise ValueError(f"shift: expected 0 m or more, got {self.shift}")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 6

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (
            factor_range(
                f"physics/second moments/{self.body}", 1.0 / self.factor, self.factor, level
            ),
            offset_range(
                f"physics/centre of mass/{self.body}", "m", -self.shift, self.shift, level
            ),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        row = find(model_of(world), "body", self.body)
        inertia, centre = Column(world, "body_inertia", row), Column(world, "body_ipos", row)
        # Ixx = Syy + Szz and so on, S the second moments: Sxx = (Iyy + Izz - Ixx) / 2.
        moments = 0.5 * inertia.nominal.sum() - inertia.nominal

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            factor = factors_within(self.factor, unit[:, :3], level)
            spread = moments * factor
            inertia.write(chosen, spread.sum(dim=-1, keepdim=True) - spread)
            shift = uniform_about(-self.shift, self.shift, 0.0, unit[:, 3:], level)
            centre.write(chosen, centre.nominal + shift)

        return Bound(write=write, constants=True)


@dataclass(frozen=True, kw_only=True)
class Friction:
    """Sliding friction of geoms, one value for all of them: a factor, log-uniform."""

    geoms: tuple[str, ...]
    low: float = 0.7
    high: float = 1.4

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
        rows = [find(model_of(world), "geom", name) for name in self.geoms]
        columns = [Column(world, "geom_friction", row, 0) for row in rows]
        return factor_term(columns, self.low, self.high, constants=False)


@dataclass(frozen=True, kw_only=True)
class JointDynamics:
    """Damping, armature and dry friction of joints, each joint for itself.

    Damping and armature get factors (log-uniform); dry friction, zero in most models, is drawn
    between 0 and a largest torque.
    """

    joints: tuple[str, ...]
    damping: float = 1.5
    """Greatest factor of the damping; the least is its inverse."""
    armature: float = 1.2
    """Greatest factor of the armature (inertia of the rotor); the least is its inverse."""
    dry_friction: float = 0.0
    """Largest dry friction [N m]."""

    def __post_init__(self) -> None:
        """Refuse what no joint has."""
        for value in (self.damping, self.armature):
            check_factor(value)
        if not 0.0 <= self.dry_friction < math.inf:
            raise ValueError(f"dry_friction: expected 0 N m or more, got {self.dry_friction}")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 3 * len(self.joints)

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (
            factor_range("physics/joint damping", 1.0 / self.damping, self.damping, level),
            factor_range("physics/joint armature", 1.0 / self.armature, self.armature, level),
            offset_range("physics/joint dry friction", "N m", 0.0, self.dry_friction, level),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        model = model_of(world)
        dofs = [int(model.jnt_dofadr[find(model, "joint", name)]) for name in self.joints]
        fields = [
            [Column(world, name, dof) for dof in dofs]
            for name in ("dof_damping", "dof_armature", "dof_frictionloss")
        ]

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            n = len(dofs)
            damping = factors_within(self.damping, unit[:, :n], level)
            armature = factors_within(self.armature, unit[:, n : 2 * n], level)
            dry = uniform_about(0.0, self.dry_friction, 0.0, unit[:, 2 * n :], level)
            for i in range(n):
                fields[0][i].write(chosen, fields[0][i].nominal * damping[:, i])
                fields[1][i].write(chosen, fields[1][i].nominal * armature[:, i])
                fields[2][i].write(chosen, fields[2][i].nominal + dry[:, i])

        return Bound(write=write, constants=True)


@dataclass(frozen=True, kw_only=True)
class Gravity:
    """Strength of gravity, and its direction, as on a robot that does not stand level."""

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


def prepare_scene(spec: mujoco.MjSpec, terms: Sequence[Term]) -> None:
    """Change a scene, before it is compiled, so that terms may write to it.

    MuJoCo computes bodies whose frame is that of their mass in a shorter way, which holds no more
    when the centre of mass moves.
    """
    for term in terms:
        body = spec.body(term.body) if isinstance(term, MassSpread) else None
        if body is not None:  # that there is none, `bind` tells
            body.simple = False


def gain_factors(terms: Sequence[Term], level: float = 1.0) -> tuple[float, float]:
    """Return the greatest factors of kp and of kd at a level; their inverses are the least."""
    found = [term for term in terms if isinstance(term, Gains)]
    kp, kd = max((t.kp for t in found), default=1.0), max((t.kd for t in found), default=1.0)
    return kp**level, kd**level
