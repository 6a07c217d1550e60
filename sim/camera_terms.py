"""Terms of randomisation that change what cameras see: pose, view, light, colours, materials.

The pose and view of a camera belong to the calibration: ranges `calibration/camera_<name>/...` say
how wrong one may be. All fields show per world with every renderer (`worlds.pictures.SHOWN`);
others, such as the headlight or the pixels of textures, are one for all worlds. A texture differs
by `Materials`: the scene holds some, each world takes one of them.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sim2arm.core.contract import TrainedRange
from sim2arm.core.transforms import quat_from_rotvec, quat_mul, quat_rotate

from .randomize import (
    Bound,
    Column,
    Law,
    check_factor,
    factor_range,
    factors_within,
    model_of,
    offset_range,
    uniform_about,
)
from .worlds.base import World
from .worlds.compiled import find


@dataclass(frozen=True, kw_only=True)
class CameraPose:
    """How far a camera is from where its calibration says it is: from `<camera>_optical`."""

    camera: str
    position: float = 0.01
    """Largest shift along each axis of its body [m]."""
    rotation: float = 0.03
    """Largest turn about each axis of the optical frame [rad]."""

    def __post_init__(self) -> None:
        """Refuse what is no shift."""
        for name in ("position", "rotation"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 6

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (
            offset_range(
                _error(self.camera, "position"), "m", -self.position, self.position, level
            ),
            offset_range(
                _error(self.camera, "rotation"), "rad", -self.rotation, self.rotation, level
            ),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        row = find(model_of(world), "camera", self.camera)
        place, turn = Column(world, "cam_pos", row), Column(world, "cam_quat", row)

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            shift = uniform_about(-self.position, self.position, 0.0, unit[:, :3], level)
            angle = uniform_about(-self.rotation, self.rotation, 0.0, unit[:, 3:], level)
            place.write(chosen, place.nominal + shift)
            nominal = turn.nominal.to(angle.dtype).expand(len(angle), 4)
            turn.write(chosen, quat_mul(nominal, quat_from_rotvec(angle)))

        return Bound(write=write, constants=False)


@dataclass(frozen=True, kw_only=True)
class CameraView:
    """Focal length (a factor, log-uniform) and optical axis of a camera made by `add_camera`."""

    camera: str
    focal: float = 1.03
    """Greatest factor of both focal lengths; the least is its inverse."""
    axis: float = 0.5
    """Largest shift of the optical axis in the picture [pixels of the policy's picture]."""

    def __post_init__(self) -> None:
        """Refuse what no camera has."""
        check_factor(self.focal)
        if not 0.0 <= self.axis < math.inf:
            raise ValueError(f"axis: expected 0 or more, got {self.axis}")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 3

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return (
            factor_range(_error(self.camera, "focal"), 1.0 / self.focal, self.focal, level),
            offset_range(_error(self.camera, "axis"), "pixel", -self.axis, self.axis, level),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`.

        Raises:
            ValueError: the camera has an angle of view and no intrinsics.
        """
        model = model_of(world)
        row = find(model, "camera", self.camera)
        if not model.cam_sensorsize[row].all():
            raise ValueError(
                f"camera {self.camera!r} has no intrinsics: make it with add_camera, or "
                "vary the field cam_fovy"
            )
        column = Column(world, "cam_intrinsic", row)

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            factor = factors_within(self.focal, unit[:, :1], level)
            shift = uniform_about(-self.axis, self.axis, 0.0, unit[:, 1:], level)
            focal, axis = column.nominal[:2] * factor, column.nominal[2:] + shift
            column.write(chosen, torch.cat([focal, axis], dim=-1))

        return Bound(write=write, constants=False)


@dataclass(frozen=True, kw_only=True)
class Light:
    """Brightness, colour and direction of a light of the scene."""

    light: str
    brightness: float = 1.5
    """Greatest factor of its light; the least is its inverse."""
    tint: float = 1.1
    """Greatest factor of red, green and blue each; the least is its inverse."""
    direction: float = 0.5
    """Largest turn about each axis of its body [rad]."""
    position: float = 0.0
    """Largest shift along each axis of its body [m]; of no use to a directional light."""

    def __post_init__(self) -> None:
        """Refuse what is no light."""
        for value in (self.brightness, self.tint):
            check_factor(value)
        for name in ("direction", "position"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 10

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        where = f"appearance/light_{self.light}"
        bright, tint = self.brightness, self.tint
        return (
            factor_range(f"{where}/brightness", 1.0 / bright, bright, level),
            factor_range(f"{where}/tint", 1.0 / tint, tint, level),
            offset_range(f"{where}/direction", "rad", -self.direction, self.direction, level),
            offset_range(f"{where}/position", "m", -self.position, self.position, level),
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        row = find(model_of(world), "light", self.light)
        names = ("light_ambient", "light_diffuse", "light_specular")
        colours = [Column(world, name, row) for name in names]
        way, place = Column(world, "light_dir", row), Column(world, "light_pos", row)

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            bright = factors_within(self.brightness, unit[:, :1], level)
            factor = bright * factors_within(self.tint, unit[:, 1:4], level)
            for colour in colours:
                colour.write(chosen, colour.nominal * factor)
            angle = uniform_about(-self.direction, self.direction, 0.0, unit[:, 4:7], level)
            nominal = way.nominal.to(angle.dtype).expand(len(angle), 3)
            way.write(chosen, quat_rotate(quat_from_rotvec(angle), nominal))
            shift = uniform_about(-self.position, self.position, 0.0, unit[:, 7:], level)
            place.write(chosen, place.nominal + shift)

        return Bound(write=write, constants=False)


@dataclass(frozen=True, kw_only=True)
class Colour:
    """Colour of geoms, or of materials: red, green and blue get a factor each (log-uniform).

    A geom that takes its colour from a material is coloured through the material.
    """

    geoms: tuple[str, ...] = ()
    materials: tuple[str, ...] = ()
    factor: float = 1.5
    """Greatest factor; the least is its inverse. Beyond white it stays white."""

    def __post_init__(self) -> None:
        """Refuse a colour of nothing."""
        check_factor(self.factor)
        if not self.geoms and not self.materials:
            raise ValueError("colour: name geoms or materials")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 3

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        name = (*self.geoms, *self.materials)[0]
        where = f"appearance/colour_{name}"
        return (factor_range(where, 1.0 / self.factor, self.factor, level),)

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`.

        Raises:
            ValueError: a geom takes its colour from a material.
        """
        model = model_of(world)
        columns: list[Column] = []
        for name in self.geoms:
            row = find(model, "geom", name)
            if model.geom_matid[row] >= 0 and tuple(model.geom_rgba[row]) == _FROM_MATERIAL:
                material = model.material(int(model.geom_matid[row])).name
                raise ValueError(
                    f"geom {name!r} takes its colour from material {material!r}: name that instead"
                )
            columns.append(Column(world, "geom_rgba", row))
        for name in self.materials:
            columns.append(Column(world, "mat_rgba", find(model, "material", name)))

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            factor = factors_within(self.factor, unit, level)
            for column in columns:
                colour = (column.nominal[:3] * factor).clamp(max=1.0)
                alpha = column.nominal[3:].to(colour.dtype).expand(len(colour), 1)
                column.write(chosen, torch.cat([colour, alpha], dim=-1))

        return Bound(write=write, constants=False)


@dataclass(frozen=True, kw_only=True)
class Materials:
    """Which of some materials of the scene geoms have: texture, colour and shine.

    The level is the share of worlds that draw; the others have the first.
    """

    geoms: tuple[str, ...]
    materials: tuple[str, ...]
    """The nominal one first, each as likely."""

    def __post_init__(self) -> None:
        """Refuse a choice without alternatives."""
        if not self.geoms or len(self.materials) < 2:
            raise ValueError("materials: name geoms and at least two materials")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 2

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`: none, a material is no number."""
        return ()

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        model = model_of(world)
        rows = [find(model, "geom", name) for name in self.geoms]
        columns = [Column(world, "geom_matid", row) for row in rows]
        numbers = torch.tensor(
            [find(model, "material", name) for name in self.materials],
            dtype=columns[0].nominal.dtype,
            device=world.device,
        )

        def write(chosen: Tensor, unit: Tensor, level: float) -> None:
            drawn = (unit[:, 0] * len(numbers)).to(torch.int64)
            drawn = torch.where(unit[:, 1] < level, drawn, 0)
            for column in columns:
                column.write(chosen, numbers[drawn])

        return Bound(write=write, constants=False)


_FROM_MATERIAL = (0.5, 0.5, 0.5, 1.0)
"""The colour of a geom that MuJoCo takes for none."""


def _error(camera: str, what: str) -> str:
    """Return the name of a range of the calibration of a camera."""
    return f"calibration/camera_{camera}/{what}"
