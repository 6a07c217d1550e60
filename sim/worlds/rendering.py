"""Pictures of worlds with what this machine has: OpenGL by EGL, by OSMesa, or MuJoCo Warp's rays.

A broken OpenGL stack can end the process, so each is tried by drawing one picture in a child
process. The choice is made once per process, when the first picture is asked for, and sets
`MUJOCO_GL` and `PYOPENGL_PLATFORM` then; MuJoCo's own context classes are used directly, because
`import mujoco` has already decided on GLFW where the variable was unset. If the caller has set
`MUJOCO_GL`, that one is used or nothing.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

import copy
import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco.batch import Batch

_PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='1' rgba='1 0 0 1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 16, 16) as renderer:
    renderer.update_scene(data)
    print("drawn" if renderer.render()[8, 8, 0] > 30 else "black")
"""
_PROBE_SECONDS = 60.0
"""A software renderer starts in about a second; a hanging driver is not waited for longer."""
VISIBLE_GROUPS = (0, 1, 2)
"""Geom groups in pictures; group 3 holds collision shapes."""


def probe(backend: str) -> str | None:
    """Draw one picture with an OpenGL back end in a child process; return why it failed."""
    environment = {**os.environ, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
    try:
        child = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{backend}: no picture within {_PROBE_SECONDS:.0f} s"
    if child.returncode == 0 and child.stdout.strip().endswith("drawn"):
        return None
    lines = child.stderr.strip().splitlines() or [child.stdout.strip() or "no message"]
    return f"{backend}: {lines[-1]} (exit status {child.returncode})"


@cache
def renderer_name() -> str:
    """Return what draws pictures in this process: `egl`, `osmesa`, another named OpenGL or `warp`.

    Raises:
        RuntimeError: `MUJOCO_GL` names a back end that does not draw here.
    """
    asked = os.environ.get("MUJOCO_GL", "").strip().lower()
    if asked:
        reason = probe(asked)
        if reason is not None:
            raise RuntimeError(
                f"MUJOCO_GL={asked} does not draw on this machine: {reason}. Unset MUJOCO_GL to "
                "let EGL, OSMesa and the ray caster be tried"
            )
        return asked
    for backend in ("egl", "osmesa"):
        if probe(backend) is None:
            _claim(backend)
            return backend
    return "warp"


def _claim(backend: str) -> None:
    """Make this process load an OpenGL back end when it draws.

    Raises:
        RuntimeError: PyOpenGL has already been loaded for another back end.
    """
    platform = getattr(sys.modules.get("OpenGL.platform"), "PLATFORM", None)
    loaded = type(platform).__name__.removesuffix("Platform").lower()
    if platform is not None and loaded != backend:
        raise RuntimeError(
            f"pictures need the OpenGL back end {backend!r}, but this process has already loaded "
            f"{loaded!r}: set MUJOCO_GL={backend} before the program starts"
        )
    os.environ["MUJOCO_GL"] = backend
    os.environ["PYOPENGL_PLATFORM"] = backend


class Renderer:
    """Draws chosen worlds of a batch in one size; shadows, reflections and antialiasing are off.

    Software rendering with these off is over a hundred times faster than with MuJoCo's defaults.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        """Make a renderer for pictures of width x height pixels of a model."""
        self.size = (width, height)
        self.name = renderer_name()
        self._model = _copy_model(model, width, height)
        self._data = mujoco.MjData(self._model)
        if self.name == "warp":
            self._drawer: _WarpDrawer | _GlDrawer = _WarpDrawer(self._model, width, height)
        else:
            self._drawer = _GlDrawer(self._model, self.name, width, height)

    def draw(self, batch: Batch, camera: str, ids: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return pictures (n, height, width, 3) of worlds, at their present state.

        Raises:
            KeyError: the model has no such camera.
        """
        try:
            index = self._model.camera(camera).id
        except KeyError:
            known = [self._model.camera(i).name for i in range(self._model.ncam)]
            raise KeyError(f"camera {camera!r} is not in the model. Known: {known}") from None
        width, height = self.size
        pictures = np.empty((len(ids), height, width, 3), dtype=np.uint8)
        for row, i in enumerate(ids):
            batch.get_model(int(i), self._model)
            _set_quality(self._model, width, height)
            batch.get_data(int(i), self._data)
            mujoco.mj_kinematics(self._model, self._data)
            mujoco.mj_comPos(self._model, self._data)
            mujoco.mj_camlight(self._model, self._data)
            pictures[row] = self._drawer.draw(self._data, index)
        return pictures

    def close(self) -> None:
        """Free the OpenGL context."""
        self._drawer.close()


def _copy_model(model: mujoco.MjModel, width: int, height: int) -> mujoco.MjModel:
    copied = copy.copy(model)
    _set_quality(copied, width, height)
    return copied


def _set_quality(model: mujoco.MjModel, width: int, height: int) -> None:
    model.vis.quality.offsamples = 0
    model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
    model.vis.global_.offheight = max(height, model.vis.global_.offheight)


class _GlDrawer:
    """MuJoCo's rasteriser in an off-screen OpenGL context."""

    def __init__(self, model: mujoco.MjModel, backend: str, width: int, height: int) -> None:
        self._model = model
        self._context: Any = importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
        self._context.make_current()
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 100)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[list(VISIBLE_GROUPS)] = 1
        self._option.sitegroup[:] = 0
        self._perturb = mujoco.MjvPerturb()
        self._target = mujoco.MjrContext(model, int(mujoco.mjtFontScale.mjFONTSCALE_100))
        mujoco.mjr_setBuffer(int(mujoco.mjtFramebuffer.mjFB_OFFSCREEN), self._target)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.empty((height, width, 3), dtype=np.uint8)

    def draw(self, data: mujoco.MjData, camera: int) -> npt.NDArray[np.uint8]:
        self._context.make_current()
        self._camera.fixedcamid = camera
        category = int(mujoco.mjtCatBit.mjCAT_ALL)
        mujoco.mjv_updateScene(
            self._model, data, self._option, self._perturb, self._camera, category, self._scene
        )
        mujoco.mjr_render(self._rectangle, self._scene, self._target)
        mujoco.mjr_readPixels(self._pixels, None, self._rectangle, self._target)
        return self._pixels[::-1]  # OpenGL counts rows from below

    def close(self) -> None:
        self._context.make_current()
        self._target.free()
        self._context.free()


class _WarpDrawer:
    """MuJoCo Warp's ray caster on Warp's CPU device: no OpenGL at all, slower."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        self._host, self._size = model, (width, height)

    def draw(self, data: mujoco.MjData, camera: int) -> npt.NDArray[np.uint8]:
        import mujoco_warp
        import warp

        width, height = self._size
        with warp.ScopedDevice("cpu"):
            model = mujoco_warp.put_model(self._host)
            state = mujoco_warp.put_data(self._host, data, nworld=1)
            mujoco_warp.kinematics(model, state)
            mujoco_warp.com_pos(model, state)
            mujoco_warp.camlight(model, state)
            context = mujoco_warp.create_render_context(
                self._host,
                nworld=1,
                cam_res=(width, height),
                cam_active=[i == camera for i in range(self._host.ncam)],
                render_rgb=True,
                render_depth=False,
                use_textures=True,
                use_shadows=False,
                enabled_geom_groups=list(VISIBLE_GROUPS),
            )
            mujoco_warp.refit_bvh(model, state, context)
            mujoco_warp.render(model, state, context)
            rgb = warp.zeros((1, height, width), dtype=warp.vec3)
            mujoco_warp.get_rgb(context, 0, rgb)
            picture = rgb.numpy()[0]
        return (255.0 * np.clip(picture, 0.0, 1.0) + 0.5).astype(np.uint8)

    def close(self) -> None:
        """Nothing is held between pictures."""
