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
from typing import Any

import mujoco
import numpy as np
import torch
from torch import Tensor

from sim2arm.core.contract import CameraMount, TrainedRange
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robots import Chain
from sim2arm.core.transforms import quat_from_matrix

from .camera_terms import CameraView
from .cameras import add_camera, find_mount
from .eye import Eye, Sight
from .finishes import add_finishes
from .randomize import Term, model_of
from .scene import add_surroundings
from .shutter import BesideShutter, Shutter, shutter_of
from .tasks.base import put
from .worlds.base import World


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

    def bind(self, world: World, period: float, *, beside: bool = False) -> Eyes:
        """Return the cameras on worlds of the prepared scene.

        Args:
            world: the worlds.
            period: between control ticks [s].
            beside: whether they are drawn in threads beside the ticks (`shutter`), of one world.

        Raises:
            ValueError: a rate is above that of control, pictures become older than allowed, or
                several worlds are to be drawn beside.
        """
        return Eyes(self, world, period, beside=beside)


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

    def __init__(
        self, vision: Vision, world: World, period: float, *, beside: bool = False
    ) -> None:
        """Allocate; see `Vision.bind`."""
        self.vision, self.group, self.final = vision, vision.group, vision.final
        n, device = world.num_worlds, world.device
        self._world = world
        self._looks = device.type == "cpu"
        together: dict[Hashable, list[Sight]] = {}
        for sight in (_mounted(sight, world) for sight in vision.sights):
            together.setdefault(sight.clock, []).append(sight)
        self._shutters: list[Shutter | BesideShutter] = []
        for sights in together.values():
            cameras = [sight.camera for sight in sights]
            shutter = shutter_of(world, cameras, beside=beside)
            shutter.eyes = [
                Eye(sight, shutter.frames, period, memories=2 + vision.final) for sight in sights
            ]
            self._shutters.append(shutter)
        self._eyes = [eye for shutter in self._shutters for eye in shutter.eyes]
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
        for shutter in self._shutters:
            chosen = shutter.eyes[0].due | fresh
            count = int(chosen.sum()) if self._looks else 0
            for eye in shutter.eyes:
                self.drawn[eye.name] += count
            if count or not self._looks:
                shutter.see(chosen, fresh if begins else None)
            shutter.arrive()
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

    def mounts(self, chain: Chain) -> tuple[CameraMount, ...]:
        """Return where the cameras are that base or tool of an arm carries, for the contract."""
        model = model_of(self._world)
        found = (_mount(model, sight, chain) for sight in self.vision.sights)
        return tuple(mount for mount in found if mount is not None)


def _mount(model: mujoco.MjModel, sight: Sight, chain: Chain) -> CameraMount | None:
    """Return where a camera is in the base or the tool of an arm; None if neither carries it."""
    names = {model.site(k).name for k in range(model.nsite)}
    if chain.tool_frame not in names:  # one of several arms
        return None
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    optical, tool = (data.site(n) for n in (sight.camera.optical_frame, chain.tool_frame))
    body = model.body_weldid[model.site_bodyid[optical.id]]
    T = _frame(optical)
    if body == model.body_weldid[model.site_bodyid[tool.id]]:
        frame, T = chain.tool_frame, np.linalg.inv(_frame(tool)) @ T
    elif body == 0:  # bases stand at the world's origin
        frame = chain.base_frame
    else:
        return None
    q = quat_from_matrix(T[:3, :3])
    pose = (*(float(v) for v in T[:3, 3]), *(float(v) for v in q))
    return CameraMount(name=sight.camera.name, frame=frame, pose=pose)


def _frame(site: Any) -> FloatArray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = site.xmat.reshape(3, 3), site.xpos
    return T


def _mounted(sight: Sight, world: World) -> Sight:
    """Return a sight whose camera knows the body that it is mounted on."""
    if not sight.camera.body.startswith("*"):
        return sight
    model = model_of(world)
    mount = find_mount(sight.camera, [model.body(i).name for i in range(model.nbody)])
    return replace(sight, camera=replace(sight.camera, body=mount))


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
