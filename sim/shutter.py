"""Cameras of one clock: when they are drawn, in place or beside what else goes on.

In place, a picture is drawn at the tick that it is of. Beside, which one world can, that tick only
keeps how the world stands; a thread draws, and the tick at which the picture arrives, its latency
later, waits for it if need be. What is seen is the same to the bit.
"""

# pyright: standard

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from .camera_rig import CameraRig
from .cameras import CameraCfg
from .eye import Eye
from .worlds.base import World
from .worlds.gl_camera import GlCameras
from .worlds.rendering import renderer_name


class Shutter:
    """Cameras that always take their pictures together, drawn in place.

    Attributes:
        frames: what they drew last, as `CameraRig` has it.
        eyes: what becomes of it, one for each camera.
    """

    eyes: Sequence[Eye]

    def __init__(self, world: World, cfgs: Sequence[CameraCfg]) -> None:
        """Allocate; see `CameraRig`."""
        self._rig = CameraRig(world, cfgs)
        self.frames: Mapping[str, Tensor] = self._rig.frames

    def see(self, chosen: Tensor, fresh: Tensor | None) -> None:
        """Take pictures of chosen worlds (N,) bool; in `fresh` ones, if any, of their start."""
        self._rig.draw(chosen)
        for eye in self.eyes:
            eye.take(chosen, fresh)

    def arrive(self) -> None:
        """See that what is seen at this tick has been drawn."""


class BesideShutter:
    """The same of one world, drawn in a thread."""

    eyes: Sequence[Eye]

    def __init__(self, world: World, cfgs: Sequence[CameraCfg]) -> None:
        """Allocate, in the thread that will draw.

        Raises:
            ValueError: several worlds.
        """
        if world.num_worlds != 1:
            raise ValueError(f"cameras: beside: expected one world, got {world.num_worlds}")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cameras")
        self._rig = self._thread.submit(CameraRig, world, cfgs).result()
        cameras = self._rig.cameras
        assert isinstance(cameras, GlCameras)  # see `shutter_of`
        self._cameras = cameras
        self._job: Future[None] | None = None
        self.frames: Mapping[str, Tensor] = self._rig.frames
        self._all = torch.ones(1, dtype=torch.bool)
        weakref.finalize(self, _end, self._thread, cameras).atexit = False

    def see(self, chosen: Tensor, fresh: Tensor | None) -> None:
        """See `Shutter`."""
        self._wait()
        self._cameras.look(0)
        if fresh is not None:
            self._thread.submit(self._draw).result()
            for eye in self.eyes:
                eye.take(chosen, fresh)
        else:
            for eye in self.eyes:
                eye.expose()
            self._job = self._thread.submit(self._develop)

    def arrive(self) -> None:
        """See `Shutter`."""
        if self._job is not None and any(bool(eye.arrived) for eye in self.eyes):
            self._wait()

    def _draw(self) -> None:
        self._cameras.paint(0)
        self._rig.finish()

    def _develop(self) -> None:
        self._draw()
        for eye in self.eyes:
            eye.develop(self._all)

    def _wait(self) -> None:
        if self._job is not None:
            self._job.result()
            self._job = None


def shutter_of(world: World, cfgs: Sequence[CameraCfg], *, beside: bool) -> Shutter | BesideShutter:
    """Return cameras, drawn beside the ticks if asked for and OpenGL draws: rays are cast in place.

    Raises:
        ValueError: several worlds are asked to be drawn beside.
    """
    if beside and renderer_name() != "warp":
        return BesideShutter(world, cfgs)
    return Shutter(world, cfgs)


def _end(thread: ThreadPoolExecutor, cameras: GlCameras) -> None:
    """Free what the thread has in OpenGL, where it was made."""
    thread.submit(cameras.close)
    thread.shutdown(wait=False)
