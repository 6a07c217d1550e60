"""One camera of N worlds as a policy sees it: its noise, its recent pictures, its specs."""

# pyright: standard

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from sim2arm.core.spec import ArraySpec, History

from .camera_frames import COUNT, CameraFrames
from .camera_noise import ColourCamera, ColourNoise, DepthCamera, DepthNoise
from .cameras import CameraCfg, camera_specs


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
        self._memory: Tensor | None = None
        if not self.recent.in_place:
            self._memory = frame.new_zeros((memories, n * sight.history, *frame.shape[1:]))

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

    def read(self, memory: int) -> tuple[Tensor, Tensor]:
        """Return what is seen, in one of the memories, and its age."""
        return self.recent.read(None if self._memory is None else self._memory[memory])

    def develop(self, chosen: Tensor) -> None:
        """Keep what was drawn of chosen worlds since they were exposed."""
        picture = self._frame if self.noise is None else self.noise.take(self._frame, chosen)
        self.recent.develop(picture, chosen)


class Eye:
    """One camera of N worlds.

    Attributes:
        count: how many numbers an episode draws.
        unit: (N, count), those of the present episodes.
    """

    unit: Tensor

    def __init__(
        self, sight: Sight, frames: Mapping[str, Tensor], period: float, *, memories: int
    ) -> None:
        """Allocate.

        Args:
            sight: what it is.
            frames: what is drawn last, as `CameraRig` has it.
            period: between control ticks [s].
            memories: how many observations are kept at once.
        """
        self.sight, self.name = sight, sight.camera.name
        specs = camera_specs(sight.camera)
        self._arrays = {name: _Array(sight, name, frames[name], period, memories) for name in specs}
        self.count = COUNT + sum(array.count for array in self._arrays.values())
        ages = next(iter(self._arrays.values())).recent.ages
        self.specs = {name: _as_seen(spec, sight, ages) for name, spec in specs.items()}

    @property
    def due(self) -> Tensor:
        """(N,) bool, where a picture is to be taken now."""
        return next(iter(self._arrays.values())).recent.due

    @property
    def arrived(self) -> Tensor:
        """(N,) bool, whether the newest picture is seen at this tick."""
        return next(iter(self._arrays.values())).recent.arrived

    def advance(self) -> None:
        """Let a control period pass."""
        for array in self._arrays.values():
            array.recent.advance()

    def expose(self) -> None:
        """Let pictures be of now where they are due; `develop` gives them."""
        for array in self._arrays.values():
            array.recent.expose()

    def develop(self, chosen: Tensor) -> None:
        """Keep what was drawn of chosen worlds since they were exposed."""
        for array in self._arrays.values():
            array.develop(chosen)

    def take(self, chosen: Tensor, fresh: Tensor | None) -> None:
        """Keep what was drawn now in chosen worlds; in fresh ones as pictures of their start."""
        clock, place = self.unit[:, :COUNT], COUNT
        for array in self._arrays.values():
            array.take(chosen, fresh, clock, self.unit[:, place : place + array.count])
            place += array.count

    def read(self, memory: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return what is seen, in one of the memories, and its age."""
        read = {name: array.read(memory) for name, array in self._arrays.items()}
        pictures = {name: seen for name, (seen, _) in read.items()}
        return pictures, next(iter(read.values()))[1]


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
