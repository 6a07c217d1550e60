"""Pictures of worlds with what this machine has: OpenGL by EGL, by OSMesa, or MuJoCo Warp's rays.

A broken OpenGL stack can end the process, so each is tried by drawing one picture in a child
process. The choice is made once per process, when the first picture is asked for, and sets
`MUJOCO_GL` and `PYOPENGL_PLATFORM` then; MuJoCo's own context classes are used directly, because
`import mujoco` has already decided on GLFW where the variable was unset. If the caller has set
`MUJOCO_GL`, that one is used or nothing.
"""

# pyright: standard

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from .gl_camera import GlCameras
from .pictures import Cameras, Shot

if TYPE_CHECKING:
    from .mujoco import MujocoWorld

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


def make_cameras(world: MujocoWorld, shots: Sequence[Shot]) -> Cameras:
    """Return cameras on C worlds, drawn by what this process draws with.

    Raises:
        KeyError: the model has no such camera.
        ValueError: a camera is asked for twice.
    """
    name = renderer_name()
    if name == "warp":
        from .ray_camera import HostRayCameras  # loads MuJoCo Warp, which takes a second

        return HostRayCameras(world, shots)
    return GlCameras(world, shots, name)
