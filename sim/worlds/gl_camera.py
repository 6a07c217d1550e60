"""Pictures of MuJoCo's C worlds in OpenGL: one context and one scene, world after world.

In software, drawing costs by the vertex: the poses and model fields of a world take 0.01 ms, its
picture of 84 x 84 pixels 1 ms, of which the vertices of round shapes are most. Small pictures
are therefore drawn with coarser ones. Shadows, reflections, haze and antialiasing are off.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

import copy
import importlib
import weakref
from collections.abc import Callable, Mapping, Sequence
from threading import get_ident
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
import numpy.typing as npt
from torch import Tensor

from .compiled import find
from .pictures import (
    SEEN_SHARE,
    VISIBLE_GROUPS,
    Pictures,
    Shot,
    allocate,
    check_shots,
    check_shown,
    mask_of,
)

if TYPE_CHECKING:
    from .mujoco import MujocoWorld

NEAR = 0.01
"""Nearest distance that is drawn [m]: fingertips lie close before a camera on the wrist."""
COARSE_UP_TO = 160
"""Height of pictures [pixels] up to which round shapes are coarse."""
COARSE = (20, 8)
"""Slices around and stacks along round shapes then; MuJoCo's own are 28 and 16. At 84 x 84 pixels
one pixel in 3000 changes by more than 10 of 255."""
_SEGMENT = (int(mujoco.mjtRndFlag.mjRND_SEGMENT), int(mujoco.mjtRndFlag.mjRND_IDCOLOR))
_OFF = (
    int(mujoco.mjtRndFlag.mjRND_SHADOW),
    int(mujoco.mjtRndFlag.mjRND_REFLECTION),
    int(mujoco.mjtRndFlag.mjRND_HAZE),
)


class GlCameras:
    """See `Cameras`; the thread that made it draws."""

    def __init__(self, world: MujocoWorld, shots: Sequence[Shot], backend: str) -> None:
        """Make a context for the pictures.

        Args:
            world: whose simulations are drawn.
            shots: the cameras.
            backend: `egl`, `osmesa` or `glfw`.

        Raises:
            KeyError: the model has no such camera.
            ValueError: a camera is asked for twice.
        """
        check_shots(shots)
        self.renderer = backend
        self._world, self._shots = world, tuple(shots)
        self._index = [find(world.model, "camera", shot.camera) for shot in shots]
        self.pictures: Mapping[str, Pictures] = {
            shot.camera: allocate(shot, world.num_worlds, world.device) for shot in shots
        }
        self._model = drawn_model(world.model, shots)
        self._data = mujoco.MjData(self._model)
        self._painter = _Painter(self._model, backend, shots)

    def draw(self, chosen: Tensor | None = None) -> Mapping[str, Pictures]:
        """See `Cameras`."""
        n = self._world.num_worlds
        worlds = range(n) if chosen is None else mask_of(chosen, n).nonzero()[:, 0].tolist()
        self._world.write_mocap()
        self._painter.begin()
        for i in worlds:
            self._load(i)
            self._paint(i)
        return self.pictures

    def look(self, i: int) -> None:
        """Keep how a world stands for `paint`; any thread may, but not while one draws."""
        self._world.write_mocap()
        self._load(i)

    def paint(self, i: int) -> None:
        """Draw world i as it stood when it was looked at."""
        self._painter.begin()
        self._paint(i)

    def _load(self, i: int) -> None:
        self._world.batch.get_model(i, self._model)
        self._world.batch.get_data(i, self._data)

    def _paint(self, i: int) -> None:
        model, data = self._model, self._data
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_camlight(model, data)
        for camera, shot in zip(self._index, self._shots, strict=True):
            self._painter.paint(data, camera, shot, self.pictures[shot.camera], i)

    def field(self, name: str) -> Tensor:
        """See `Cameras`."""
        check_shown(name, textures=False)
        return self._world.field(name)

    def close(self) -> None:
        """Free the context."""
        self._painter.close()


def drawn_model(model: mujoco.MjModel, shots: Sequence[Shot]) -> mujoco.MjModel:
    """Return a copy with settings of pictures; `Batch.get_model` leaves these alone."""
    copied = copy.copy(model)
    height = max(shot.height for shot in shots)
    quality, frame = copied.vis.quality, copied.vis.global_
    quality.offsamples = 0
    if height <= COARSE_UP_TO:
        quality.numslices, quality.numstacks = COARSE
        directional = int(mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
        if (model.light_type == directional).all():
            quality.numquads = 1  # light that falls alike on all of a flat side
    frame.offwidth, frame.offheight = max(shot.width for shot in shots), height
    copied.vis.map.znear = NEAR / copied.stat.extent
    return copied


class _Painter:
    """An OpenGL context with a scene, drawn off screen."""

    def __init__(self, model: mujoco.MjModel, backend: str, shots: Sequence[Shot]) -> None:
        self._model = model
        frame = model.vis.global_
        self._context: Any = importlib.import_module(f"mujoco.{backend}").GLContext(
            frame.offwidth, frame.offheight
        )
        self._context.make_current()
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 100)
        self._scene.flags[list(_OFF)] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[list(VISIBLE_GROUPS)] = 1
        self._option.sitegroup[:] = 0
        self._perturb = mujoco.MjvPerturb()
        self._target = mujoco.MjrContext(model, int(mujoco.mjtFontScale.mjFONTSCALE_100))
        self._end = free_with(self, self._context, self._target)
        self._target.readDepthMap = int(mujoco.mjtDepthMap.mjDEPTH_ZEROFAR)
        mujoco.mjr_setBuffer(int(mujoco.mjtFramebuffer.mjFB_OFFSCREEN), self._target)
        self._colour = {shot: np.empty((shot.height, shot.width, 3), np.uint8) for shot in shots}
        self._depth = {shot: np.empty((shot.height, shot.width), np.float32) for shot in shots}

    def begin(self) -> None:
        self._context.make_current()

    def paint(
        self, data: mujoco.MjData, camera: int, shot: Shot, pictures: Pictures, row: int
    ) -> None:
        """Draw one camera of one world into its row of the pictures."""
        self._camera.fixedcamid = camera
        category = int(mujoco.mjtCatBit.mjCAT_ALL)
        mujoco.mjv_updateScene(
            self._model, data, self._option, self._perturb, self._camera, category, self._scene
        )
        depth = pictures.depth
        if pictures.rgb is not None:
            self._render(shot, colour=True, depth=depth is not None)
            # OpenGL counts rows from below.
            pictures.rgb.numpy()[row] = self._colour[shot][::-1]
        if pictures.segmentation is not None or pictures.rgb is None:
            self._scene.flags[list(_SEGMENT)] = 1
            wanted = pictures.segmentation is not None
            self._render(shot, colour=wanted, depth=depth is not None)
            self._scene.flags[list(_SEGMENT)] = 0
        if pictures.segmentation is not None:
            pictures.segmentation.numpy()[row] = self._geoms(self._colour[shot][::-1])
        if depth is not None:
            depth.numpy()[row] = self._metres(self._depth[shot][::-1])

    def _render(self, shot: Shot, *, colour: bool, depth: bool) -> None:
        rectangle = mujoco.MjrRect(0, 0, shot.width, shot.height)
        mujoco.mjr_render(rectangle, self._scene, self._target)
        mujoco.mjr_readPixels(
            self._colour[shot] if colour else None,
            self._depth[shot] if depth else None,
            rectangle,
            self._target,
        )

    def _metres(self, buffer: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return distances of a depth buffer that is 0 at the far plane and 1 at the near one."""
        extent, clip = self._model.stat.extent, self._model.vis.map
        near, far = clip.znear * extent, clip.zfar * extent
        depth = far * near / (buffer * (far - near) + near)
        return np.where(depth < SEEN_SHARE * far, depth, 0.0)

    def _geoms(self, colour: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        """Return numbers of geoms; a colour is 1 + the place in the scene, in base 256."""
        place = colour.astype(np.int32) @ np.array([1, 256, 65536], dtype=np.int32)
        geoms = np.full(self._scene.ngeom + 1, -1, dtype=np.int32)
        kind = int(mujoco.mjtObj.mjOBJ_GEOM)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0 and geom.objtype == kind:
                geoms[geom.segid + 1] = geom.objid
        return geoms[place]

    def close(self) -> None:
        self._end()


def free_with(owner: object, context: Any, target: mujoco.MjrContext) -> Callable[[], object]:
    """Free an OpenGL context and what MuJoCo has in it when their owner goes, or when called.

    OpenGL deletes by number in the context that is current. Were it another one's, that one would
    lose its buffer and show its last picture for good.
    """
    end = weakref.finalize(owner, _free, context, target, get_ident())
    end.atexit = False  # OpenGL may have ended before
    return end


_KEPT: list[Any] = []
"""What could not be freed, because another thread than its own noticed that nobody needs it."""


def _free(context: Any, target: Any, thread: int) -> None:
    if get_ident() != thread:
        _KEPT.append((context, target))
        return
    with context.as_current():
        target.free()
    context.free()
