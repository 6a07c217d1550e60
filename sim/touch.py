"""Touch as observation of an environment or an arm: gels on the pads, and what is seen of them.

A `Touch` says what gels the pads become and what of them is observed; it softens the grasp whether
anything is observed or not. On worlds it becomes `Skin`, which has the interface of `vision.Eyes`.
What is observed comes at the sensor's rate: the forces of the last substep, and pictures of the
dents that objects make now.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

import mujoco
import torch
from torch import Tensor

from sim2arm.core.contract import CameraMount, TrainedRange
from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.gradient_table import GradientTable
from sim2arm.core.gradient_table_file import read_table
from sim2arm.core.robots import Chain, Robot
from sim2arm.core.spec import ArraySpec, History
from sim2arm.core.synthetic_tables import OPTICS, synthetic_table
from sim2arm.sensors.tactile import TACTILE_CAMERAS, tactile_stage

from .camera_frames import COUNT, CameraFrames
from .camera_noise import NoiseStream, rows_of
from .randomize import Term, factors_within
from .tactile.field import FieldCfg, ForceField, GelLaw
from .tactile.gel_noise import GelNoise
from .tactile.pads import SIDES, put_gels
from .tasks.base import put
from .touch_pictures import GelPictures
from .touch_readings import GelReadings, LostReadings, Take
from .worlds.base import World
from .worlds.law import LawError

Seen: TypeAlias = Literal["field", "image"]
"""What can be observed of gels."""
FIELD, IMAGES = "touch_field", tuple(f"touch_{side}_rgb" for side in SIDES)
"""Names of the arrays."""
SHRUNK = 4
"""How much smaller pictures are than the table's background unless asked otherwise (TacSL)."""
PROTOTYPE_HZ = 60.0
"""Rate of a sensor that has no driver: TacSL reads its R1.5 with the control."""


@dataclass(frozen=True, kw_only=True)
class Touch:
    """Gels on both pads of a gripper."""

    sees: tuple[Seen, ...] = ("field",)
    """What is observed; nothing: the pads are only as soft as gels."""
    sensor: str = "gelsight-r15"
    """What it is, a name of `synthetic_tables.OPTICS`: size, lights, rate."""
    table: str = ""
    """File of a measured gradient table (`sim2arm calibrate tactile`), which then says the size;
    the synthetic one of the sensor if empty."""
    picture: tuple[int, int] | None = None
    """Rows and columns of a picture; None: a quarter of the table's background."""
    rows: int = 14
    """Of taxels of a gel."""
    cols: int = 10
    """Of taxels of a gel."""
    law: GelLaw = field(default_factory=GelLaw)
    """How a gel resists."""
    grip: float = 8e-4
    """How deep a body that is held lies in each gel at the start of an episode [m]."""
    rate_hz: float | None = None
    """Readings per second; None: the sensor's, at most one per control tick."""
    latency: tuple[float, float] = (0.0, 0.0)
    """Least and greatest time from a reading to its arrival, drawn per episode [s]."""
    free_phase: bool = False
    """Whether the time of the first reading is drawn per episode."""
    history: int = 1
    """How many of the latest readings an observation holds, oldest first."""
    gain: float = 1.0
    """Greatest factor of forces, of each gel for an episode; the least is its inverse."""
    deviation: float = 0.0
    """Standard deviation of the noise of a force, anew in each reading [N]."""
    shadows: bool = False
    """Whether dents throw shadows in pictures."""
    noise: GelNoise | None = None
    """How pictures of real gels differ from drawn ones."""
    lost: float = 0.0
    """Share of readings that never arrive, of both gels together."""
    lost_in_a_row: int = 2
    """Greatest number of readings in a row that never arrive: it bounds ages."""
    max_age_s: float = 0.1
    """Oldest reading that is still used [s]."""
    group: str = "actor"
    """Group of observations that holds what is seen."""

    def __post_init__(self) -> None:
        """Refuse what is no touch."""
        if self.sensor not in OPTICS:
            raise ValueError(f"sensor: {self.sensor!r} is not known. Known: {sorted(OPTICS)}")
        if unknown := set(self.sees) - set(get_args(Seen)):
            raise ValueError(f"sees: expected field, image or nothing, got {sorted(unknown)}")
        for name in ("grip", "deviation"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if not 1.0 <= self.gain < math.inf:
            raise ValueError(f"gain: expected 1 or more, got {self.gain}")
        if not 0.0 <= self.lost < 1.0:
            raise ValueError(f"lost: expected 0 to below 1, got {self.lost}")
        if self.lost_in_a_row < 1:
            raise ValueError(f"lost_in_a_row: expected 1 or more, got {self.lost_in_a_row}")
        if self.noise is not None and "image" not in self.sees:
            raise ValueError("noise: it is of pictures, but sees has no 'image'")
        if self.shadows and "image" not in self.sees:
            raise ValueError("shadows: they are in pictures, but sees has no 'image'")
        if OPTICS[self.sensor].dots is not None and self.law.shear == 0.0:
            raise ValueError(f"law: a gel without stiffness of shear cannot carry {self.sensor}")
        if self.group == "critic":
            raise ValueError("group: the critic sees the truth; expected actor or a student's")

    def prepare(self, scene: mujoco.MjSpec, robot: Robot, task: Any) -> ForceField:
        """Put the gels into a scene; return the force law that its worlds need.

        Args:
            scene: changed in place: the pads become gels.
            robot: in it.
            task: of it; where it starts with a held body, `pad_gap` becomes this grip.

        Raises:
            LawError: the robot has no pads, or there is nothing to touch.
            ValueError: the file is no gradient table.
        """
        width, height = self.optics().size
        objects = [b.name for b in scene.bodies if any(_is_free(j) for j in b.joints)]
        if not objects:
            raise LawError("touch: nothing in this task can be touched, as nothing lies free")
        gels = put_gels(scene, robot, height=height, width=width)
        if hasattr(task, "pad_gap"):
            task.pad_gap = -self.grip
        cfg = FieldCfg(height=height, width=width, rows=self.rows, cols=self.cols, law=self.law)
        return ForceField(cfg, gels, objects)

    def bind(self, world: World, forces: ForceField, period: float) -> Skin:
        """Return the gels on worlds of the prepared scene, with control ticks every period [s].

        Raises:
            ValueError: a rate is above that of control, or readings become older than allowed.
        """
        return Skin(self, world, forces, period)

    def optics(self) -> GradientTable:
        """Return the table of the sensor.

        Raises:
            ValueError: the file is no gradient table.
        """
        return read_table(self.table) if self.table else synthetic_table(self.sensor)

    def rate(self, period: float) -> float:
        """Return readings per second, with control ticks every period [s]."""
        camera = TACTILE_CAMERAS.get(self.sensor)
        own = PROTOTYPE_HZ if camera is None else camera.rate_hz
        return min(self.rate_hz or own, 1.0 / period)

    def stage(self, table: GradientTable) -> DriverStage:
        """Return what makes the policy's picture of the sensor's."""
        rows, cols = table.background.shape[:2]
        out_rows, out_cols = self.picture or (rows // SHRUNK, cols // SHRUNK)
        if self.sensor in TACTILE_CAMERAS:
            return tactile_stage(TACTILE_CAMERAS[self.sensor], out_cols, out_rows)
        return DriverStage(width=cols, height=rows, out_width=out_cols, out_height=out_rows)


class Skin:
    """The gels of N worlds; its methods are those of `vision.Eyes`.

    Attributes:
        touch: what they are.
        group: as it says.
        final: False; the critic knows the truth, so nobody asks for last readings.
        forces: their field.
        pictures: what draws them, None where none are seen.
        count: how many numbers an episode draws.
        names: of the arrays.
        specs: the arrays as the contract lists them.
        ages: of what was last seen, by array, (N,) float32 [s].
    """

    def __init__(self, touch: Touch, world: World, forces: ForceField, period: float) -> None:
        """Allocate; see `Touch.bind`."""
        self.touch, self.group, self.final = touch, touch.group, False
        self.forces, self.pictures = forces, None
        n, device, self._looks = world.num_worlds, world.device, world.device.type == "cpu"
        self._fresh = torch.zeros(n, dtype=torch.bool, device=device)
        gels = len(forces.gels)
        self._rough = NoiseStream(n, device)
        self._losses = LostReadings(touch.lost, touch.lost_in_a_row, n, device)
        self._gain = torch.ones((n, gels, 1, 1, 1), device=device)
        self._streams: list[GelReadings] = []
        rate = touch.rate(period)
        if "field" in touch.sees:
            frame = torch.zeros_like(forces.forces)
            self._streams.append(self._stream(frame, self._feel, period, (FIELD,)))
        stage = None
        if "image" in touch.sees:
            table = touch.optics()
            stage = touch.stage(table)
            pictures = self.pictures = self._draws(table, stage, rate)
            self._streams.append(self._stream(pictures.frame, pictures.take, period, IMAGES))
        rough, lost = int(touch.deviation > 0.0), LostReadings.count * (touch.lost > 0.0)
        looks = 0 if self.pictures is None else self.pictures.count
        self._parts = (COUNT, gels, rough, lost, looks)
        self.count = sum(self._parts)
        self._unit = torch.zeros((n, self.count), device=device)
        ages = (0.0, 0.0) if not self._streams else self._streams[0].ages
        self.specs = _specs(touch, stage, forces, rate, ages)
        self.names = tuple(self.specs)
        self.ages: dict[str, Tensor] = {}
        self._turn = 0

    def begin(self, chosen: Tensor, unit: Tensor) -> None:
        """Begin episodes: nothing has been touched yet.

        Args:
            chosen: (N,) bool.
            unit: (N, count) in [0, 1).
        """
        self.forces.start(chosen)
        put(self._unit, chosen, unit.to(self._unit.dtype))
        _, gains, rough, lost, looks = self._unit.split(self._parts, dim=1)
        if self.touch.gain > 1.0:
            drawn = factors_within(self.touch.gain, gains, 1.0)
            self._gain.copy_(drawn[:, :, None, None, None])
        if self.touch.deviation:
            self._rough.start(chosen, rough[:, 0])
        if self.touch.lost:
            self._losses.start(chosen, lost)
        if self.pictures is not None:
            self.pictures.start(chosen, looks)
        self._fresh |= chosen

    def advance(self) -> None:
        """Let a control period pass."""
        for stream in self._streams:
            stream.recent.advance()
        if self.touch.lost and self._streams:  # all have the same clock
            lost = self._losses.draw(self._streams[0].recent.due)
            for stream in self._streams:
                stream.recent.skip(lost)

    def see(self, *, last: bool = False) -> dict[str, Tensor]:
        """Return what this tick feels; memory that stays until the one after the next is made.

        Returns:
            Forces (N, [history,] gels, rows, cols, 3) float32 [N], of each taxel the pressure and
            the drag along columns and rows, on the gel; pictures (N, [history,] rows, cols, 3)
            uint8 of each gel.
        """
        fresh, found = self._fresh, dict[str, Tensor]()
        begins = not self._looks or bool(fresh.any())
        self._turn = 1 - self._turn
        for stream in self._streams:
            if begins or bool(stream.recent.due.any()):
                stream.take(stream.recent.due | fresh)
            if begins:
                stream.recent.start(fresh, stream.frame, self._unit[:, :COUNT])
            stream.recent.push(stream.frame)
            seen, age = stream.read(self._turn)
            found |= stream.split(seen)
            self.ages |= dict.fromkeys(stream.names, age)
        fresh.fill_(False)
        return found

    def _draws(self, table: GradientTable, stage: DriverStage, rate: float) -> GelPictures:
        """Return what draws pictures, with readings per second."""
        touch = self.touch
        return GelPictures(
            table,
            OPTICS[touch.sensor],
            touch.noise,
            self.forces,
            shape=(stage.out_height, stage.out_width),
            rate_hz=rate,
            shadows=touch.shadows,
        )

    def _stream(
        self, frame: Tensor, take: Take, period: float, names: Sequence[str]
    ) -> GelReadings:
        """Return readings like `frame` (N, gels, ...)."""
        touch = self.touch
        recent = CameraFrames(
            frame,
            rate_hz=touch.rate(period),
            period=period,
            phase=None if touch.free_phase else 0.0,
            latency=touch.latency,
            history=touch.history,
        )
        most = touch.lost_in_a_row / touch.rate(period) if touch.lost else 0.0
        return GelReadings(recent, frame, take, names, most)

    def _feel(self, frame: Tensor, chosen: Tensor) -> None:
        """Write the forces of the last substep of all worlds, pressure first."""
        forces = self.forces.forces
        torch.neg(forces[..., 2], out=frame[..., 0])
        frame[..., 1:] = forces[..., :2]
        if self.touch.gain > 1.0:
            frame *= self._gain
        if self.touch.deviation:
            noise = self._rough.normal(frame.shape[1:], chosen)
            frame[rows_of(chosen)] += self.touch.deviation * noise

    def mounts(self, chain: Chain) -> tuple[CameraMount, ...]:
        """Return none: a gel sits where the model of the gripper has its pads."""
        return ()

    def ranges(self, terms: Sequence[Term], level: float) -> tuple[TrainedRange, ...]:
        """Return latency and noise for the contract, whole whatever terms and level are."""
        if not self.names:
            return ()
        (low, high), gain = self.touch.latency, self.touch.gain
        found = [TrainedRange(name="latency/touch", unit="s", low=low, high=high)]
        if FIELD in self.specs:
            found += [
                TrainedRange(name=f"gain/{FIELD}", unit="1", low=1.0 / gain, high=gain),
                TrainedRange(name=f"noise/{FIELD}", unit="N", low=0.0, high=self.touch.deviation),
            ]
        if self.touch.lost:
            found.append(TrainedRange(name="lost/touch", unit="1", low=0.0, high=self.touch.lost))
        if self.touch.noise is not None:
            found += self.touch.noise.ranges("touch")
        return tuple(found)


def _specs(
    touch: Touch,
    stage: DriverStage | None,
    forces: ForceField,
    rate: float,
    ages: tuple[float, float],
) -> dict[str, ArraySpec]:
    """Return the specs of what is seen.

    Raises:
        ValueError: what training shows is older than what the robot would take.
    """
    if ages[1] > touch.max_age_s + 1e-9:
        raise ValueError(
            f"touch: readings become {ages[1]:.3f} s old, a period of control and one of the "
            f"sensor included, but max_age_s is {touch.max_age_s:g}: raise it"
        )
    cfg, found = forces.cfg, dict[str, ArraySpec]()
    size = f"{1e3 * cfg.height:.4g} x {1e3 * cfg.width:.4g} mm"
    common = ArraySpec(
        name=FIELD,
        kind="sensor",
        shape=(len(forces.gels), cfg.rows, cfg.cols, 3),
        unit="N",
        frame="gel",
        element_names=("pressure", "drag_x", "drag_y"),
        rate_hz=rate,
        max_stamp_age_s=touch.max_age_s,
        max_receipt_age_s=touch.max_age_s,
        trained_age_s=ages,
        history=None if touch.history == 1 else History(of="frames", n=touch.history),
        source=f"left and right gel, {size}; rows run towards the end of the fingers",
    )
    if "field" in touch.sees:
        found[FIELD] = common
    if stage is not None:
        for side, name in zip(SIDES, IMAGES, strict=True):
            found[name] = replace(
                common,
                name=name,
                shape=(stage.out_height, stage.out_width, 3),
                dtype="uint8",
                unit="1",
                frame=f"{side}_gel",
                element_names=("r", "g", "b"),
                driver_stage=stage.text,
                source=f"{touch.sensor}, {side} gel, {size}",
            )
    return found


def _is_free(joint: Any) -> bool:
    return bool(joint.type == mujoco.mjtJoint.mjJNT_FREE)
