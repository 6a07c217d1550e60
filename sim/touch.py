"""Touch as observation of an environment or an arm: gels on the pads, and what is seen of them.

A `Touch` says what gels the pads become and what of them is observed; it softens the grasp whether
anything is observed or not. On worlds it becomes `Skin`, which has the interface of `vision.Eyes`.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import mujoco
import torch
from torch import Tensor

from sim2arm.core.contract import TrainedRange
from sim2arm.core.robots import Robot
from sim2arm.core.spec import ArraySpec, History

from .camera_frames import COUNT, CameraFrames
from .randomize import factors_within
from .tactile.field import FieldCfg, ForceField, GelLaw
from .tactile.pads import put_gels
from .tactile.sensors import SENSORS
from .tasks.base import put
from .worlds.base import World
from .worlds.law import LawError

Seen: TypeAlias = Literal["field"]
"""What can be observed of gels."""
FIELD = "touch_field"
"""Name of the array of forces."""


@dataclass(frozen=True, kw_only=True)
class Touch:
    """Gels on both pads of a gripper."""

    sees: tuple[Seen, ...] = ("field",)
    """What is observed; nothing: the pads are only as soft as gels."""
    sensor: str = "gelsight-r15"
    """Whose size the gels have, a name of `tactile.sensors.SENSORS`."""
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
    max_age_s: float = 0.1
    """Oldest reading that is still used [s]."""
    group: str = "actor"
    """Group of observations that holds what is seen."""

    def __post_init__(self) -> None:
        """Refuse what is no touch."""
        if self.sensor not in SENSORS:
            raise ValueError(f"sensor: {self.sensor!r} is not known. Known: {sorted(SENSORS)}")
        unknown = set(self.sees) - {"field"}
        if unknown:
            raise ValueError(f"sees: expected field or nothing, got {sorted(unknown)}")
        for name in ("grip", "deviation"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if not 1.0 <= self.gain < math.inf:
            raise ValueError(f"gain: expected 1 or more, got {self.gain}")
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
        """
        sensor = SENSORS[self.sensor]
        objects = [b.name for b in scene.bodies if any(_is_free(j) for j in b.joints)]
        if not objects:
            raise LawError("touch: nothing in this task can be touched, as nothing lies free")
        gels = put_gels(scene, robot, height=sensor.height, width=sensor.width)
        if hasattr(task, "pad_gap"):
            task.pad_gap = -self.grip
        cfg = FieldCfg(
            height=sensor.height,
            width=sensor.width,
            rows=self.rows,
            cols=self.cols,
            bend=sensor.bend,
            law=self.law,
        )
        return ForceField(cfg, gels, objects)

    def bind(self, world: World, field: ForceField, period: float) -> Skin:
        """Return the gels on worlds of the prepared scene, with control ticks every period [s].

        Raises:
            ValueError: a rate is above that of control, or readings become older than allowed.
        """
        return Skin(self, world, field, period)


class Skin:
    """The gels of N worlds; its methods are those of `vision.Eyes`.

    Attributes:
        touch: what they are.
        field: the forces.
        count: how many numbers an episode draws.
        names: of the arrays.
        specs: the arrays as the contract lists them.
        ages: of what was last seen, by array, (N,) float32 [s].
    """

    def __init__(self, touch: Touch, world: World, field: ForceField, period: float) -> None:
        """Allocate; see `Touch.bind`."""
        self.touch, self.field = touch, field
        n, device, self._looks = world.num_worlds, world.device, world.device.type == "cpu"
        self._fresh = torch.zeros(n, dtype=torch.bool, device=device)
        self._generator = torch.Generator(device).manual_seed(0)
        gels = len(field.gels)
        self.count = COUNT + gels
        self._unit = torch.zeros((n, self.count), device=device)
        self.ages: dict[str, Tensor] = {}
        self.specs: dict[str, ArraySpec] = {}
        self._turn = 0
        if "field" in touch.sees:
            rate = min(touch.rate_hz or SENSORS[touch.sensor].rate_hz, 1.0 / period)
            self._frame = torch.zeros_like(field.forces)
            self._gain = torch.ones((n, gels, 1, 1, 1), device=device)
            self._recent = CameraFrames(
                self._frame,
                rate_hz=rate,
                period=period,
                phase=None if touch.free_phase else 0.0,
                latency=touch.latency,
                history=touch.history,
            )
            # What two observations hold: a transition is of two.
            self._memory = self._frame.new_zeros((2, n * touch.history, *self._frame.shape[1:]))
            self.specs = {FIELD: _field_spec(touch, rate, self._recent.ages, field)}
        self.names = tuple(self.specs)

    def begin(self, chosen: Tensor, unit: Tensor) -> None:
        """Begin episodes: nothing has been touched yet.

        Args:
            chosen: (N,) bool.
            unit: (N, count) in [0, 1).
        """
        self.field.start(chosen)
        put(self._unit, chosen, unit.to(self._unit.dtype))
        self._fresh |= chosen

    def advance(self) -> None:
        """Let a control period pass."""
        if self.names:
            self._recent.advance()

    def see(self) -> dict[str, Tensor]:
        """Return what this tick feels: (N, [history,] gels, rows, cols, 3) float32 [N].

        Of each taxel the pressure, and the drag along columns and rows, on the gel.
        """
        if not self.names:
            return {}
        fresh, touch = self._fresh, self.touch
        begins = not self._looks or bool(fresh.any())
        if begins and touch.gain > 1.0:
            drawn = factors_within(touch.gain, self._unit[:, COUNT:], 1.0)
            put(self._gain, fresh, drawn[:, :, None, None, None])
        if begins or not self._looks or bool(self._recent.due.any()):
            self._read()
        if begins:
            self._recent.start(fresh, self._frame, self._unit[:, :COUNT])
        self._recent.push(self._frame)
        fresh.fill_(False)
        self._turn = 1 - self._turn
        seen, self.ages[FIELD] = self._recent.read(self._memory[self._turn])
        return {FIELD: seen}

    def _read(self) -> None:
        """Take a reading in all worlds: the forces of the last substep, pressure first."""
        forces, frame = self.field.forces, self._frame
        torch.neg(forces[..., 2], out=frame[..., 0])
        frame[..., 1:] = forces[..., :2]
        if self.touch.gain > 1.0:
            frame *= self._gain
        if self.touch.deviation:
            noise = torch.randn(frame.shape, generator=self._generator, device=frame.device)
            frame += self.touch.deviation * noise

    def ranges(self) -> tuple[TrainedRange, ...]:
        """Return latency and noise for the contract."""
        if not self.names:
            return ()
        (low, high), gain = self.touch.latency, self.touch.gain
        return (
            TrainedRange(name="latency/touch", unit="s", low=low, high=high),
            TrainedRange(name=f"gain/{FIELD}", unit="1", low=1.0 / gain, high=gain),
            TrainedRange(name=f"noise/{FIELD}", unit="N", low=0.0, high=self.touch.deviation),
        )


def _field_spec(
    touch: Touch, rate: float, ages: tuple[float, float], field: ForceField
) -> ArraySpec:
    """Return the spec of the forces.

    Raises:
        ValueError: what training shows is older than what the robot would take.
    """
    if ages[1] > touch.max_age_s + 1e-9:
        raise ValueError(
            f"touch: readings become {ages[1]:.3f} s old, a period of control and one of the "
            f"sensor included, but max_age_s is {touch.max_age_s:g}: raise it"
        )
    cfg = field.cfg
    spec = ArraySpec(
        name=FIELD,
        kind="sensor",
        shape=(len(field.gels), cfg.rows, cfg.cols, 3),
        unit="N",
        frame="gel",
        element_names=("pressure", "drag_x", "drag_y"),
        rate_hz=rate,
        max_stamp_age_s=touch.max_age_s,
        max_receipt_age_s=touch.max_age_s,
        trained_age_s=ages,
        source=(
            f"left and right gel, {1e3 * cfg.height:.4g} x {1e3 * cfg.width:.4g} mm; rows run "
            "towards the end of the fingers"
        ),
    )
    if touch.history == 1:
        return spec
    return replace(spec, history=History(of="frames", n=touch.history))


def _is_free(joint: Any) -> bool:
    return bool(joint.type == mujoco.mjtJoint.mjJNT_FREE)
