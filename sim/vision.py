"""Pictures as observations of an environment or an arm: cameras with noise, rate, phase, latency.

A `Vision` says what is seen and prepares the scene; on worlds it becomes `Eyes`. Environments take
it as an object, so that one without pictures imports nothing of cameras. What differs between
episodes beside noise and time (poses, views, light, colours) are terms, `camera_terms`.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import mujoco
import torch
from torch import Tensor

from sim2arm.core.contract import TrainedRange
from sim2arm.core.spec import ArraySpec, History

from .camera_frames import COUNT, CameraFrames
from .camera_noise import ColourCamera, ColourNoise, DepthCamera, DepthNoise
from .camera_rig import CameraRig
from .camera_terms import CameraView
from .cameras import CameraCfg, add_camera, camera_specs, find_mount
from .finishes import add_finishes
from .randomize import Term, model_of
from .scene import add_surroundings
from .tasks.base import put
from .worlds.base import World


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One camera as policies see it."""

    camera: CameraCfg
    """What it is, where it is, at which rate; rgb, depth or both."""
    colour: ColourNoise | None = None
    """Noise of its colour pictures."""
    depth: DepthNoise | None = None
    """Noise of its depth."""
    latency: tuple[float, float] = (0.0, 0.0)
    """Least and greatest time from a picture to its arrival, drawn per episode [s]."""
    free_phase: bool = False
    """Whether its phase is drawn per episode, as nothing ties a real camera to control ticks."""
    history: int = 1
    """How many of its latest pictures an observation holds, oldest first."""

    def __post_init__(self) -> None:
        """Refuse what no robot gives, or noise of nothing."""
        name, outputs = self.camera.name, self.camera.outputs
        if "segmentation" in outputs:
            raise ValueError(f"camera {name!r}: segmentation is no observation: no sensor gives it")
        for label, output in (("colour", "rgb"), ("depth", "depth")):
            if getattr(self, label) is not None and output not in outputs:
                raise ValueError(f"camera {name!r}: noise {label!r} without output {output!r}")

    @property
    def clock(self) -> Hashable:
        """What cameras that always take their pictures together have in common."""
        camera = self.camera
        return camera.name if self.free_phase else (camera.rate_hz, camera.phase_s)


@dataclass(frozen=True, kw_only=True)
class Vision:
    """The cameras of an environment."""

    sights: tuple[Sight, ...]
    """The cameras."""
    group: str = "actor"
    """Group of observations that holds the pictures; one that the task does not have, for a
    student say, begins as the actor's."""
    finishes: bool = False
    """Whether the scene gets the materials `finishes.FINISHES`, from which `Materials` chooses."""
    final: bool = False
    """Whether `info["final_obs"]` holds pictures too; worlds whose episode ends are drawn twice."""

    def __post_init__(self) -> None:
        """Refuse no camera, two of one name, and a critic without its last pictures."""
        names = [sight.camera.name for sight in self.sights]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"sights: expected at least one and different names, got {names}")
        if self.group == "critic" and not self.final:
            raise ValueError("group 'critic': final_obs is what the critic sees, so set final")

    def prepare(self, scene: mujoco.MjSpec) -> None:
        """Add the cameras to a scene, and floor, sky and light where it has no light.

        Raises:
            UnknownNameError: a camera is on a body that is not in the scene.
        """
        if not scene.lights:
            add_surroundings(scene)
        if self.finishes:
            add_finishes(scene)
        for sight in self.sights:
            add_camera(scene, sight.camera)

    def bind(self, world: World, period: float) -> Eyes:
        """Return the cameras on worlds of the prepared scene, with control ticks every period [s].

        Raises:
            ValueError: a rate is above that of control, or pictures become older than allowed.
        """
        return Eyes(self, world, period)


class Eyes:
    """The cameras of N worlds.

    What they see is memory of theirs: the pictures of one observation stay until the one after the
    next is made (`see`), so that a transition holds its two; `last` ones until the next step.

    Attributes:
        vision: what they are.
        group, final: as it says.
        count: how many numbers an episode draws.
        names: of the arrays, `<camera>_rgb` and `<camera>_depth`.
        specs: the arrays as the contract lists them.
        ages: of what was last seen, by array, (N,) float32 [s].
        drawn: how many worlds were drawn so far, by camera; counted on a CPU.
    """

    def __init__(self, vision: Vision, world: World, period: float) -> None:
        """Allocate; see `Vision.bind`."""
        self.vision, self.group, self.final = vision, vision.group, vision.final
        n, device = world.num_worlds, world.device
        self._looks = device.type == "cpu"
        together: dict[Hashable, list[Sight]] = {}
        for sight in (_mounted(sight, world) for sight in vision.sights):
            together.setdefault(sight.clock, []).append(sight)
        self._shutters: list[tuple[CameraRig, list[_Eye]]] = []
        for sights in together.values():
            rig = CameraRig(world, [sight.camera for sight in sights])
            eyes = [_Eye(sight, rig, period, memories=2 + vision.final) for sight in sights]
            self._shutters.append((rig, eyes))
        self._eyes = [eye for _, eyes in self._shutters for eye in eyes]
        self.count = sum(eye.count for eye in self._eyes)
        self.specs = {name: spec for eye in self._eyes for name, spec in eye.specs.items()}
        self.names = tuple(self.specs)
        self.ages: dict[str, Tensor] = {}
        self.drawn = dict.fromkeys((sight.camera.name for sight in vision.sights), 0)
        self._unit = torch.zeros((n, self.count), dtype=world.dtype, device=device)
        columns = self._unit.split([eye.count for eye in self._eyes], dim=1)
        for eye, unit in zip(self._eyes, columns, strict=True):
            eye.unit = unit
        self._fresh = torch.zeros(n, dtype=torch.bool, device=device)
        self._turn = 0

    def begin(self, chosen: Tensor, unit: Tensor) -> None:
        """Begin episodes: what is seen next are pictures of their start.

        Args:
            chosen: (N,) bool.
            unit: (N, count) in [0, 1).
        """
        put(self._unit, chosen, unit.to(self._unit.dtype))
        self._fresh |= chosen

    def advance(self) -> None:
        """Let a control period pass."""
        for eye in self._eyes:
            eye.advance()

    def see(self, *, last: bool = False) -> dict[str, Tensor]:
        """Draw what is due, and no more; return what this tick sees.

        On a GPU, which would have to be waited for to know, all worlds are drawn every time.

        Args:
            last: whether episodes end here; the observation of this tick is then still to come.
                Only with `vision.final`.

        Returns:
            (N, [history,] H, W, 3) uint8 and (N, [history,] H, W) float32 [m], 0 for nothing seen.
        """
        fresh = self._fresh
        begins = not self._looks or bool(fresh.any())
        for rig, eyes in self._shutters:
            chosen = eyes[0].due | fresh
            if self._looks:
                count = int(chosen.sum())
                if not count:
                    continue
                for eye in eyes:
                    self.drawn[eye.name] += count
            rig.draw(chosen)
            for eye in eyes:
                eye.take(chosen, fresh if begins else None)
        fresh.fill_(False)
        self._turn = self._turn if last else 1 - self._turn
        found: dict[str, Tensor] = {}
        for eye in self._eyes:
            pictures, age = eye.read(2 if last else self._turn)
            found |= pictures
            self.ages |= dict.fromkeys(pictures, age)
        return found

    def ranges(self, terms: Sequence[Term], level: float) -> tuple[TrainedRange, ...]:
        """Return intrinsics, latencies and noise for the contract.

        Args:
            terms: of randomisation; those of views change intrinsics.
            level: share of their ranges that is drawn from.
        """
        return tuple(found for eye in self._eyes for found in _ranges(eye.sight, terms, level))


class _Array:
    """One array of a camera in N worlds: its noise and its recent pictures."""

    def __init__(
        self, sight: Sight, name: str, frame: Tensor, period: float, memories: int
    ) -> None:
        camera, n, device = sight.camera, len(frame), frame.device
        self._frame = frame
        self.noise: ColourCamera | DepthCamera | None = None
        if name.endswith("_rgb") and sight.colour is not None:
            self.noise = ColourCamera(sight.colour, n, device)
        elif name.endswith("_depth") and sight.depth is not None:
            self.noise = DepthCamera(sight.depth, camera, n, device)
        self.recent = CameraFrames(
            frame,
            rate_hz=camera.rate_hz,
            period=period,
            phase=None if sight.free_phase else camera.phase_s,
            latency=sight.latency,
            history=sight.history,
        )
        # Of two observations, and of one that is the last of its episode where it is asked for.
        self.memory = frame.new_zeros((memories, n * sight.history, *frame.shape[1:]))

    @property
    def count(self) -> int:
        """How many numbers its noise draws per episode."""
        return 0 if self.noise is None else self.noise.count

    def take(self, chosen: Tensor, fresh: Tensor | None, clock: Tensor, own: Tensor) -> None:
        """Keep what was drawn in chosen worlds; in fresh ones, if any, as pictures of a start."""
        picture = self._frame
        if self.noise is not None:
            if fresh is not None:
                self.noise.start(fresh, own)
            picture = self.noise.take(picture, chosen)
        if fresh is not None:
            self.recent.start(fresh, picture, clock)
        self.recent.push(picture)


class _Eye:
    """One camera of N worlds.

    Attributes:
        count: how many numbers an episode draws.
        unit: (N, count), those of the present episodes.
    """

    unit: Tensor

    def __init__(self, sight: Sight, rig: CameraRig, period: float, *, memories: int) -> None:
        self.sight, self.name = sight, sight.camera.name
        specs = camera_specs(sight.camera)
        self._arrays = {
            name: _Array(sight, name, rig.frames[name], period, memories) for name in specs
        }
        self.count = COUNT + sum(array.count for array in self._arrays.values())
        ages = next(iter(self._arrays.values())).recent.ages
        self.specs = {name: _as_seen(spec, sight, ages) for name, spec in specs.items()}

    @property
    def due(self) -> Tensor:
        """(N,) bool, where a picture is to be taken now."""
        return next(iter(self._arrays.values())).recent.due

    def advance(self) -> None:
        for array in self._arrays.values():
            array.recent.advance()

    def take(self, chosen: Tensor, fresh: Tensor | None) -> None:
        """See `_Array`."""
        clock, place = self.unit[:, :COUNT], COUNT
        for array in self._arrays.values():
            array.take(chosen, fresh, clock, self.unit[:, place : place + array.count])
            place += array.count

    def read(self, memory: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return what is seen, in one of the memories, and its age."""
        read = {n: array.recent.read(array.memory[memory]) for n, array in self._arrays.items()}
        return {name: pictures for name, (pictures, _) in read.items()}, next(iter(read.values()))[
            1
        ]


def _mounted(sight: Sight, world: World) -> Sight:
    """Return a sight whose camera knows the body that it is mounted on."""
    if not sight.camera.body.startswith("*"):
        return sight
    model = model_of(world)
    mount = find_mount(sight.camera, [model.body(i).name for i in range(model.nbody)])
    return replace(sight, camera=replace(sight.camera, body=mount))


def _as_seen(spec: ArraySpec, sight: Sight, ages: tuple[float, float]) -> ArraySpec:
    """Return the spec of an array as it is in training.

    Raises:
        ValueError: what training shows is older than what the robot would take.
    """
    camera = sight.camera
    if ages[1] > camera.max_age_s + 1e-9:
        raise ValueError(
            f"camera {camera.name!r}: pictures become {ages[1]:.3f} s old, a period of control and "
            f"one of the camera included, but max_age_s is {camera.max_age_s:g}: raise it"
        )
    pose = " ".join(f"{value:.6g}" for value in camera.pose)
    return replace(
        spec,
        trained_age_s=ages,
        history=None if sight.history == 1 else History(of="frames", n=sight.history),
        source=f"mounted on {camera.body} at {pose} (x y z qw qx qy qz)",
    )


def _ranges(sight: Sight, terms: Sequence[Term], level: float) -> list[TrainedRange]:
    """Return intrinsics of the policy's pictures, latency and noise of one camera."""
    camera, k = sight.camera, sight.camera.final
    views = [t for t in terms if isinstance(t, CameraView) and t.camera == camera.name]
    factor = math.prod(view.focal for view in views) ** level
    shift = level * sum(view.axis for view in views)
    where, looks = f"calibration/camera_{camera.name}", f"appearance/{camera.name}"
    found = [
        TrainedRange(name=f"{where}/{name}", unit="pixel", low=low, high=high)
        for name, low, high in (
            ("fx", k.fx / factor, k.fx * factor),
            ("fy", k.fy / factor, k.fy * factor),
            ("cx", k.cx - shift, k.cx + shift),
            ("cy", k.cy - shift, k.cy + shift),
        )
    ]
    low, high = sight.latency
    found.append(TrainedRange(name=f"latency/camera_{camera.name}", unit="s", low=low, high=high))
    if sight.colour is not None:
        stops, white = sight.colour.stops, sight.colour.white
        exposure = {"low": 2.0**-stops, "high": 2.0**stops}
        found += [
            TrainedRange(name=f"{looks}/exposure", unit="1", **exposure),
            TrainedRange(name=f"{looks}/white", unit="1", low=1.0 - white, high=1.0 + white),
        ]
    return found
