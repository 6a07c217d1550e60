"""Speed of cameras beside the bare renderer, for `world.py`: alone, and in an environment.

Alone, the scene is peg insertion on the FR3 with floor, sky and light, seen by the scene camera at
84 x 84 pixels. OpenGL here draws in software, on more threads than one, so its rate is also given
per second of CPU time, which is per core. On a GPU only the rate by the clock means something.

The bare renderer does what `mujoco.Renderer` does in its `update_scene` and `render`: that class
takes the OpenGL back end that was named before MuJoCo was imported, here the one that draws is.
"""

# MuJoCo's extension modules have no stubs; Warp's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

import copy
import importlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp
from _bare import wait_for

from sim2arm.cli.table import Row
from sim2arm.core.robots import FR3
from sim2arm.sim.camera_rig import CameraRig
from sim2arm.sim.cameras import CameraCfg, add_camera, drawn_intrinsics, scene_camera
from sim2arm.sim.draws import SeededDraws
from sim2arm.sim.env import Env
from sim2arm.sim.scene import add_surroundings
from sim2arm.sim.tasks.peg_insertion import PegInsertion, PegInsertionCfg
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.compiled import find
from sim2arm.sim.worlds.gl_camera import drawn_model, free_with
from sim2arm.sim.worlds.mujoco import MujocoWorld
from sim2arm.sim.worlds.pictures import OUTPUTS, VISIBLE_GROUPS, Shot
from sim2arm.sim.worlds.rendering import renderer_name
from sim2arm.sim.worlds.table import make_world
from sim2arm.sim.worlds.warp import WarpWorld

Draw = Callable[[], object]
"""Draws one picture of every world."""


def camera_rows(
    *, world: str, device: str, num_worlds: int, repeats: int = 5, seconds: float = 1.0
) -> list[Row]:
    """Return the rates of colour pictures beside bare renderers, and of all outputs together.

    Args:
        world: engine, `mujoco` or `warp`.
        device: where it runs, `cpu` or `cuda:0`.
        num_worlds: N; a draw gives N pictures.
        repeats: medians of so many are taken.
        seconds: about how long a repeat of each takes.
    """
    colour = scene_camera()
    everything = scene_camera(name="everything", outputs=OUTPUTS)
    worlds = peg_worlds(world, device, num_worlds, [colour, everything])
    rig = CameraRig(worlds, [colour])
    draws: dict[str, Draw] = {"": rig.draw} | bare_draws(worlds, rig)
    draws["all outputs"] = CameraRig(worlds, [everything]).draw
    rates = _measure(draws, worlds, repeats, seconds)
    renderer = rig.cameras.renderer
    case = f"peg-insertion on fr3, 84 x 84, {renderer} on {device}, {num_worlds} worlds"
    metrics = ["camera images", *(["camera images per core"] if device == "cpu" else [])]
    ours, every = rates.pop(""), rates.pop("all outputs")
    rows: list[Row] = []
    for k, metric in enumerate(metrics):
        rows += [
            Row(case=case, metric=metric, value=ours[k], unit="1/s", baseline=name,
                baseline_value=bare[k])
            for name, bare in rates.items()
        ]  # fmt: skip
        all_case = f"{case}, colour, depth and segmentation"
        rows.append(Row(case=all_case, metric=metric, value=every[k], unit="1/s"))
    return rows


def peg_worlds(world: str, device: str, num_worlds: int, cameras: list[CameraCfg]) -> World:
    """Return worlds of the task at different starts."""
    task = PegInsertion(PegInsertionCfg(), FR3)
    spec = task.scene()
    add_surroundings(spec)
    for cfg in cameras:
        add_camera(spec, cfg)
    worlds = make_world(
        world, spec, num_worlds, timestep=1.0 / 480.0, control_substeps=8, device=device
    )
    task.bind(worlds)
    starts = task.draw(SeededDraws(range(num_worlds)))
    everywhere = torch.ones(num_worlds, dtype=torch.bool, device=worlds.device)
    like = {"dtype": worlds.dtype, "device": worlds.device}
    task.reset(worlds, everywhere, {name: value.to(**like) for name, value in starts.items()})
    worlds.forward()
    return worlds


def bare_draws(world: World, rig: CameraRig) -> dict[str, Draw]:
    """Return what draws the same pictures without us, by name."""
    shot = Shot(camera="scene", width=84, height=84)
    if isinstance(world, WarpWorld):
        return {"mujoco_warp.render": BareRays(world, [shot]).draw}
    assert isinstance(world, MujocoWorld)
    if not has_bare_renderer(world):
        return {}
    defaults = copy.copy(world.model)
    defaults.vis.global_.offwidth, defaults.vis.global_.offheight = shot.width, shot.height
    return {
        "mujoco, same shapes": BareGl(world, shot, drawn_model(world.model, [shot]), True).draw,
        "mujoco, defaults": BareGl(world, shot, defaults, False).draw,
    }


def has_bare_renderer(world: World) -> bool:
    """Return whether there is one to compare with: not for rays on C worlds, without OpenGL."""
    return isinstance(world, WarpWorld) or renderer_name() != "warp"


class BarePictures:
    """Bare renderers that draw as many pictures as the cameras of an environment drew.

    Attributes:
        name: what they are called in a table.
    """

    def __init__(self, env: Env) -> None:
        """Take the environment's state and cameras; see `has_bare_renderer`."""
        assert env.eyes is not None
        self._eyes, self._before, world = env.eyes, env.eyes.drawn.copy(), env.world
        shots: list[Shot] = []
        for sight in env.eyes.vision.sights:
            k = drawn_intrinsics(sight.camera)
            n, outputs = sight.camera.samples, sight.camera.outputs
            shots.append(
                Shot(camera=sight.camera.name, width=n * k.width, height=n * k.height,
                     outputs=outputs)
            )  # fmt: skip
        self._rays: BareRays | None = None
        self._gl: dict[str, BareGl] = {}
        if isinstance(world, WarpWorld):
            self.name, self._rays = "mujoco_warp.render", BareRays(world, shots)
        else:
            assert isinstance(world, MujocoWorld)
            self.name = "mujoco, same shapes"
            for shot in shots:
                model = drawn_model(world.model, [shot])
                self._gl[shot.camera] = BareGl(world, shot, model, True)

    def draw(self) -> None:
        """Draw as many pictures as the environment has drawn since the last call."""
        drawn, before = self._eyes.drawn, self._before
        # On a GPU nobody counts, and every step draws.
        if self._rays is not None and (drawn != before or not any(drawn.values())):
            self._rays.draw()
        for name, gl in self._gl.items():
            gl.draw(drawn[name] - before[name])
        self._before = drawn.copy()


class BareGl:
    """MuJoCo's renderer in a loop over simulations whose poses are known."""

    def __init__(self, world: MujocoWorld, shot: Shot, model: Any, plain: bool) -> None:
        """Take the state of the worlds.

        Args:
            world: whose state is drawn.
            shot: the camera.
            model: with its settings for pictures.
            plain: whether shadows, reflections and haze are off, as in ours.
        """
        context = importlib.import_module(f"mujoco.{renderer_name()}").GLContext
        self._context: Any = context(shot.width, shot.height)
        self._context.make_current()
        self._model, self._plain = model, plain
        self._states = []
        for i in range(world.num_worlds):
            data = mujoco.MjData(model)
            world.batch.get_data(i, data)
            mujoco.mj_forward(model, data)
            self._states.append(data)
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 100)
        if plain:
            flags = mujoco.mjtRndFlag
            off = (flags.mjRND_SHADOW, flags.mjRND_REFLECTION, flags.mjRND_HAZE)
            self._scene.flags[[int(flag) for flag in off]] = 0
        self._option, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()
        self._option.geomgroup[:] = [group in VISIBLE_GROUPS for group in range(6)]
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = model.camera(shot.camera).id
        self._target = mujoco.MjrContext(model, int(mujoco.mjtFontScale.mjFONTSCALE_100))
        free_with(self, self._context, self._target)
        mujoco.mjr_setBuffer(int(mujoco.mjtFramebuffer.mjFB_OFFSCREEN), self._target)
        self._rectangle = mujoco.MjrRect(0, 0, shot.width, shot.height)
        self._pixels = np.empty((world.num_worlds, shot.height, shot.width, 3), dtype=np.uint8)
        self._depth = np.empty((shot.height, shot.width), dtype=np.float32)
        self._far = self._depth if "depth" in shot.outputs else None

    def draw(self, count: int | None = None) -> None:
        """Draw the first simulations, or every one."""
        self._context.make_current()
        everything, perturb = int(mujoco.mjtCatBit.mjCAT_ALL), mujoco.MjvPerturb()
        for data, pixels in zip(self._states[:count], self._pixels[:count], strict=True):
            mujoco.mjv_updateScene(
                self._model, data, self._option, perturb, self._camera, everything, self._scene
            )
            mujoco.mjr_render(self._rectangle, self._scene, self._target)
            mujoco.mjr_readPixels(pixels, self._far, self._rectangle, self._target)


class BareRays:
    """MuJoCo Warp's ray caster on the world's own data, without the way to tensors."""

    def __init__(self, world: WarpWorld, shots: Sequence[Shot]) -> None:
        """Allocate for all worlds."""
        self._world = world
        with wp.ScopedDevice(world.warp_device):
            self._context = mjw.create_render_context(
                world.model,
                nworld=world.num_worlds,
                cam_res=[(shot.width, shot.height) for shot in shots],
                cam_active=[find(world.model, "camera", shot.camera) for shot in shots],
                render_rgb=["rgb" in shot.outputs for shot in shots],
                render_depth=["depth" in shot.outputs for shot in shots],
                render_seg=False,
                use_shadows=False,
                render_skybox=True,
                enabled_geom_groups=list(VISIBLE_GROUPS),
            )

    def draw(self) -> None:
        """Draw every world."""
        with self._world.scope():
            mjw.refit_bvh(self._world.physics, self._world.state, self._context)
            mjw.render(self._world.physics, self._world.state, self._context)


def _measure(
    draws: dict[str, Draw], world: World, repeats: int, seconds: float
) -> dict[str, tuple[float, float]]:
    """Return pictures per second by the clock and by CPU time; all take turns in each repeat."""
    times = {name: _duration(draw, world, seconds) for name, draw in draws.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in draws}
    for _ in range(repeats):
        for name, draw in draws.items():
            wait_for(world.device)
            clock, busy = time.perf_counter(), time.process_time()
            for _ in range(times[name]):
                draw()
            wait_for(world.device)
            spent = time.perf_counter() - clock, time.process_time() - busy
            pictures = times[name] * world.num_worlds
            found[name].append((pictures / spent[0], pictures / spent[1]))
    return {
        name: (
            statistics.median(rate for rate, _ in rates),
            statistics.median(rate for _, rate in rates),
        )
        for name, rates in found.items()
    }


def _duration(draw: Draw, world: World, seconds: float) -> int:
    """Return how often something is drawn in a time, at least once; compiles what it needs."""
    draw()
    wait_for(world.device)
    start = time.perf_counter()
    draw()
    wait_for(world.device)
    return max(1, int(seconds / (time.perf_counter() - start)))
