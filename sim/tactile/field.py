"""The force between gels and what they touch, as a field of taxels that owns the force.

The engine does not see this contact: in every physics substep the field is computed from the
poses of bodies, and its sum is what pushes them (`field_kernels` says the law). So the forces that
a policy sees are those that hold the object.

What gels are on counts as heavy: their bodies are pushed by a force that does not know how they
will move in the substep. The drive of a finger makes it so.
"""

# MuJoCo's extension modules have no stubs; Warp's types are incomplete.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import warp as wp
from torch import Tensor

from sim2arm.core.transforms import quat_mul, quat_rotate
from sim2arm.sim.tasks.base import put
from sim2arm.sim.warp_device import recorded
from sim2arm.sim.worlds.compiled import find, free_start
from sim2arm.sim.worlds.law import Bodies

from .coupling_kernels import coupling_kernels
from .distance import DistanceGrid, make_atlas, of_geoms
from .field_kernels import NOTHING, Grid, Taxels, add_up, linearise, probe, push


@dataclass(frozen=True, kw_only=True)
class GelLaw:
    """How a gel resists, per area of its surface."""

    stiffness: float = 6e7
    """Pressure per depth [N/m^3]: 0.24 MPa on 4 mm (silicone of a GelSight; ours)."""
    shear: float = 2e7
    """Drag per way along the surface [N/m^3]: a third, as of what keeps its volume."""
    damping: float = 1.2e5
    """Pressure per speed of its depth [N s/m^3]: 2 ms of the stiffness (ours)."""
    shear_damping: float = 4e4
    """Drag per speed along the surface [N s/m^3]."""
    friction: float = 1.0
    """Coulomb friction."""
    kind: Literal["stick-slip", "viscous"] = "stick-slip"
    """Viscous is TacSL's drag, per speed alone (`shear_damping`): it lets go what is at rest."""

    def __post_init__(self) -> None:
        """Refuse what is no gel."""
        for name in ("stiffness", "shear", "damping", "shear_damping", "friction"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf or (name == "stiffness" and value == 0.0):
                raise ValueError(f"{name}: expected a number of 0 or more, got {value}")
        if self.kind not in ("stick-slip", "viscous"):
            raise ValueError(f"kind: expected 'stick-slip' or 'viscous', got {self.kind!r}")

    @property
    def numbers(self) -> tuple[float, ...]:
        """What kernels take, see `field_kernels`."""
        shear = self.shear if self.kind == "stick-slip" else 0.0
        return (self.stiffness, shear, self.damping, self.shear_damping, self.friction)


@dataclass(frozen=True, kw_only=True)
class GelPlace:
    """Where a gel is: a body, and the gel's frame in it."""

    body: str
    place: tuple[float, ...]
    """x y z qw qx qy qz [m]; the frame is that of `height_kernels`: z out of the gel."""


@dataclass(frozen=True, kw_only=True)
class FieldCfg:
    """The taxels of equal gels."""

    height: float
    """Of the gel, along its rows [m]."""
    width: float
    """Along its columns [m]."""
    rows: int = 14
    """Of taxels (TacSL: 14)."""
    cols: int = 10
    """Of taxels (TacSL: 10)."""
    bend: float = 0.0
    """Curvature of the surface at rest, a dome towards the object [1/m]."""
    law: GelLaw = field(default_factory=GelLaw)
    """How it resists."""

    def __post_init__(self) -> None:
        """Refuse what is no gel."""
        for name in ("height", "width", "rows", "cols"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")


class ForceField:
    """Gels on bodies of N worlds, a `ForceLaw`; G gels per world, T taxels each, K objects.

    Gel g of world n is row `n G + g`. Everything is float32 on the world's device.

    Attributes:
        numbers: (N, G, 5), what each gel resists with, in the order of `field_kernels`; live.
        poses: (N G, K, 7) of the objects in the frames of the gels, at the start of the last
            substep.
        forces: (N, G, rows, cols, 3) on each taxel, in the gel's frame [N], of the last substep.
    """

    numbers: Tensor
    poses: Tensor
    forces: Tensor

    def __init__(
        self,
        cfg: FieldCfg,
        gels: Sequence[GelPlace],
        objects: Sequence[str],
        *,
        grids: Sequence[DistanceGrid] | None = None,
    ) -> None:
        """Describe the gels.

        Args:
            cfg: of each gel.
            gels: G of them.
            objects: K bodies that they feel.
            grids: distances of the objects; by default made of the geoms that collide.
        """
        self.cfg, self.gels, self.objects = cfg, tuple(gels), tuple(objects)
        self._grids = grids

    def bind(self, bodies: Bodies) -> Callable[[], None]:
        """See `ForceLaw`.

        Raises:
            UnknownNameError: a body is not in the model.
            ValueError: an object has no shape, or one without a distance.
        """
        cfg, model, device = self.cfg, bodies.model, bodies.position.device
        self._bodies = bodies
        n, gels = len(bodies.position), len(self.gels)
        self._fingers = [find(model, "body", gel.body) for gel in self.gels]
        things = [find(model, "body", name) for name in self.objects]
        self.grids = list(self._grids or (of_geoms(model, _collides(model, b)) for b in things))
        atlas = make_atlas(self.grids, device)
        rows, count, taxels = n * gels, len(things), cfg.rows * cfg.cols
        law = torch.tensor(cfg.law.numbers, dtype=torch.float32, device=device)
        self.numbers = law.repeat(n, gels, 1)
        self.poses = torch.zeros((rows, count, 7), device=device)
        self._near = torch.zeros((rows, count), dtype=torch.bool, device=device)
        self._sums = torch.zeros((rows, count, 2, 3), device=device)
        self._known = torch.zeros((n, count), dtype=torch.bool, device=device)
        before, self._outside = bodies.position.new_zeros((2, n, count, 6))
        changes = torch.zeros((rows, count, 2, 3), device=device)
        resists = torch.zeros((rows, count, 3, 3, 3), device=device)
        state = self._make_taxels(rows, taxels, device)
        self.forces = self._taxels["forces"].view(n, gels, cfg.rows, cfg.cols, 3)
        moved = _ints(sorted({*self._fingers, *things}), device)
        kernels = coupling_kernels(wp.dtype_from_torch(bodies.position.dtype))
        scene = self._show(kernels.Scene(), bodies, things)
        grid, shapes = _grid(cfg, bodies.timestep), [atlas.values, atlas.shapes]
        numbers, reach = self.numbers.view(rows, -1), 0.5 * math.hypot(cfg.height, cfg.width)
        seen, sums, changes = [self.poses, self._near], _vectors(self._sums), _vectors(changes)
        resists = wp.from_torch(resists, dtype=wp.mat33)
        run, pairs = cfg.cols if device.type == "cpu" else 1, (rows, count)
        each = (rows, cfg.rows, -(-cfg.cols // run))
        memory = [self._known, before, self._outside]
        self.relate = recorded(kernels.relate, pairs, [scene, *shapes, reach], seen, device)
        launches = [
            self.relate,
            recorded(probe, each, [grid, run, *shapes, *seen], [state], device),
            recorded(linearise, pairs, [grid, numbers, self.poses, state], [sums, resists], device),
            recorded(
                kernels.solve,
                (n, count),
                [scene, bodies.timestep, sums, resists, bodies.wrench],
                [*memory, changes],
                device,
            ),
            recorded(push, each, [grid, run, numbers, self.poses, changes], [state], device),
            recorded(add_up, pairs, [grid, state], [sums], device),
            recorded(
                kernels.hand_over, (n, len(moved)), [scene, moved, sums], [bodies.wrench], device
            ),
        ]

        def act() -> None:
            for launch in launches:
                launch()

        return act

    def _make_taxels(self, rows: int, count: int, device: torch.device) -> Any:
        """Return the memory of taxels as kernels take it; its tensors are `_taxels`."""
        vectors = ("places", "anchors", "lasts", "normals", "moves", "forces")
        self._taxels = {name: torch.zeros((rows, count, 3), device=device) for name in vectors}
        self._taxels["depths"] = torch.zeros((rows, count), device=device)
        for name in ("holds", "finds"):
            what = torch.full((rows, count), NOTHING, dtype=torch.int32, device=device)
            self._taxels[name] = what
        state: Any = Taxels()
        for name, values in self._taxels.items():
            setattr(state, name, _vectors(values) if name in vectors else wp.from_torch(values))
        return state

    def _show(self, scene: Any, bodies: Bodies, things: Sequence[int]) -> Any:
        """Fill the struct of kernels with the bodies."""
        device, model = bodies.position.device, bodies.model
        self._places = bodies.position.new_tensor([gel.place for gel in self.gels])
        self._kept = {  # the struct holds addresses only
            "positions": bodies.position,
            "rotations": bodies.rotation,
            "centres": bodies.centre,
            "velocity": bodies.velocity,
            "mass": bodies.mass,
            "inertia": bodies.inertia,
            "axes": bodies.axes,
            "fingers": _ints(self._fingers, device),
            "places": self._places,
            "objects": _ints(things, device),
            "dofs": _ints([_free_dof(model, b) for b in things], device),
        }
        for name, values in self._kept.items():
            setattr(scene, name, wp.from_torch(values))
        return scene

    def start(self, chosen: Tensor) -> None:
        """Forget what was touched in chosen worlds (N,) bool: an episode begins."""
        rows = chosen.repeat_interleave(len(self.gels))
        put(self._taxels["holds"], rows, NOTHING)
        put(self.forces, chosen, 0.0)
        put(self._sums, rows, 0.0)
        put(self._known, chosen, 0.0)
        put(self._outside, chosen, 0.0)

    def wrench(self) -> Tensor:
        """Return force [N] and torque [N m] of each object on each gel (N, G, K, 6).

        In the gel's frame, about its origin: the sums of the field over what the object holds.
        """
        return self._sums.view(len(self.numbers), len(self.gels), len(self.objects), 6)

    def pair_force(self, body_a: str, body_b: str) -> Tensor | None:
        """See `ForceLaw`."""
        bodies = [gel.body for gel in self.gels]
        if body_a in bodies and body_b in self.objects:
            gel, thing, sign = body_a, body_b, -1.0
        elif body_b in bodies and body_a in self.objects:
            gel, thing, sign = body_b, body_a, 1.0
        else:
            return None
        k, rotations = self.objects.index(thing), self._bodies.rotation
        total = torch.zeros_like(self._bodies.wrench[:, 0, :3])
        for g, body in enumerate(bodies):
            if body == gel:
                force = self.wrench()[:, g, k, :3].to(total.dtype)
                turn = quat_mul(rotations[:, self._fingers[g]], self._places[g, 3:])
                total += sign * quat_rotate(turn, force)
        return total


def _free_dof(model: Any, body: int) -> int:
    """Return where the free joint of a body begins among velocities, -1 without one."""
    return int(model.jnt_dofadr[model.body_jntadr[body]]) if free_start(model, body) >= 0 else -1


def _vectors(values: Tensor) -> Any:
    return wp.from_torch(values, dtype=wp.vec3)


def _ints(values: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.int32, device=device)


def _grid(cfg: FieldCfg, step: float) -> Any:
    grid: Any = Grid()
    grid.rows, grid.cols, grid.bend, grid.step = cfg.rows, cfg.cols, cfg.bend, step
    grid.wide, grid.high = cfg.width / cfg.cols, cfg.height / cfg.rows
    return grid


def _collides(model: Any, body: int) -> list[int]:
    """Return the geoms of a body that collide."""
    first, count = int(model.body_geomadr[body]), int(model.body_geomnum[body])
    geoms = np.arange(first, first + count)
    return [int(g) for g in geoms if model.geom_contype[g] or model.geom_conaffinity[g]]
