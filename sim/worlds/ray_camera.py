"""Pictures by MuJoCo Warp's ray caster: of all Warp worlds at once, or of C worlds without OpenGL.

Shadows are off, the sky is drawn, as with OpenGL. The two differ where OpenGL shades vertices and
rays shade pixels, and at edges.
"""

# MuJoCo's extension modules have no stubs; Warp's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import mujoco
import mujoco_warp as mjw
import torch
import warp as wp
from torch import Tensor

from sim2arm.sim.warp_device import warp_device

from .compiled import find
from .pictures import (
    SEEN_SHARE,
    SHOWN,
    TEXTURES,
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
    from .warp import WarpWorld

_PLACES = ("geom_xpos", "geom_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir")


class RayCameras:
    """See `Cameras`; draws all Warp worlds on their device, keeps the pictures of the chosen."""

    renderer = "warp"

    def __init__(self, world: WarpWorld, shots: Sequence[Shot]) -> None:
        """Allocate for all worlds.

        Raises:
            KeyError: the model has no such camera.
            ValueError: a camera is asked for twice.
        """
        check_shots(shots)
        self._world = world
        self.pictures: Mapping[str, Pictures] = {
            shot.camera: allocate(shot, world.num_worlds, world.device) for shot in shots
        }
        with world.scope():
            self._rays = _Rays(world.model, world.num_worlds, shots)

    def draw(self, chosen: Tensor | None = None) -> Mapping[str, Pictures]:
        """See `Cameras`."""
        world = self._world
        world.forward()
        with world.scope():
            mjw.camlight(world.physics, world.state)
            self._rays.cast(world.physics, world.state)
            keep = None if chosen is None else mask_of(chosen, world.num_worlds)
            for name, pictures in self.pictures.items():
                for target, drawn in self._rays.read(name, pictures):
                    _copy(target, drawn, keep)
        return self.pictures

    def field(self, name: str) -> Tensor:
        """See `Cameras`."""
        check_shown(name, textures=True)
        return self._world.field(name)


class HostRayCameras:
    """See `Cameras`; draws C worlds one after the other on the CPU, where OpenGL is missing.

    The C engine says where everything is.
    """

    renderer = "warp"

    def __init__(self, world: MujocoWorld, shots: Sequence[Shot]) -> None:
        """Make a model of one world for the ray caster.

        Raises:
            KeyError: the model has no such camera.
            ValueError: a camera is asked for twice.
            NotImplementedError: the scene uses what MuJoCo Warp does not have.
        """
        check_shots(shots)
        self._world = world
        self.pictures: Mapping[str, Pictures] = {
            shot.camera: allocate(shot, world.num_worlds, world.device) for shot in shots
        }
        with self._scope():
            self._physics = mjw.put_model(world.model)
            self._state = mjw.make_data(world.model, nworld=1)
            self._model = copy.copy(world.model)
            self._data = mujoco.MjData(self._model)
            self._rays = _Rays(world.model, 1, shots)

    def draw(self, chosen: Tensor | None = None) -> Mapping[str, Pictures]:
        """See `Cameras`."""
        world, n = self._world, self._world.num_worlds
        world.write_mocap()
        worlds = range(n) if chosen is None else mask_of(chosen, n).nonzero()[:, 0].tolist()
        with self._scope():
            for i in worlds:
                self._load(i)
                self._rays.cast(self._physics, self._state)
                for name, pictures in self.pictures.items():
                    for target, drawn in self._rays.read(name, pictures):
                        target[i : i + 1].copy_(drawn)
        return self.pictures

    def field(self, name: str) -> Tensor:
        """See `Cameras`."""
        check_shown(name, textures=True)
        return self._world.field(name)

    def _load(self, i: int) -> None:
        """Take over places and model fields of one world."""
        batch, model, data = self._world.batch, self._model, self._data
        batch.get_model(i, model)
        batch.get_data(i, data)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_camlight(model, data)
        for name in _PLACES:
            row = wp.to_torch(getattr(self._state, name))[0]
            row.copy_(torch.from_numpy(getattr(data, name)).reshape(row.shape))
        for name in SHOWN | TEXTURES:
            if batch.expanded(name) is not None:
                row = wp.to_torch(getattr(self._physics, name))[0]
                row.copy_(torch.from_numpy(getattr(model, name)).reshape(row.shape))

    @staticmethod
    def _scope() -> Any:
        return wp.ScopedDevice(warp_device(torch.device("cpu")))


class _Rays:
    """A render context of MuJoCo Warp on the present device."""

    def __init__(self, model: Any, num_worlds: int, shots: Sequence[Shot]) -> None:
        self._far = SEEN_SHARE * model.vis.map.zfar * model.stat.extent
        context = mjw.create_render_context(
            model,
            nworld=num_worlds,
            cam_res=[(shot.width, shot.height) for shot in shots],
            cam_active=[find(model, "camera", shot.camera) for shot in shots],
            render_rgb=["rgb" in shot.outputs for shot in shots],
            render_depth=["depth" in shot.outputs for shot in shots],
            render_seg=["segmentation" in shot.outputs for shot in shots],
            use_textures=True,
            use_shadows=False,
            render_skybox=True,
            use_precomputed_rays=False,  # field of view and intrinsics may differ per world
            enabled_geom_groups=list(VISIBLE_GROUPS),
        )
        # These are taken from the model of the scene, but worlds may have lights of their own.
        context.light_attenuation_is_default, context.has_spot_lights = False, True
        self._context = context
        self._place: dict[str, tuple[Shot, dict[str, int]]] = {}
        starts = {"rgb": 0, "depth": 0, "segmentation": 0}
        for shot in shots:
            self._place[shot.camera] = (shot, dict(starts))
            for output in shot.outputs:
                starts[output] += shot.width * shot.height

    def cast(self, physics: Any, state: Any) -> None:
        """Draw all cameras; the places of geoms, cameras and lights must be current."""
        mjw.refit_bvh(physics, state, self._context)
        mjw.render(physics, state, self._context)

    def read(self, camera: str, pictures: Pictures) -> list[tuple[Tensor, Tensor]]:
        """Return pairs of what is to be filled, and the same of what was drawn."""
        shot, start = self._place[camera]
        size, frame = shot.width * shot.height, (shot.height, shot.width)
        pairs: list[tuple[Tensor, Tensor]] = []

        def part(array: Any, output: str) -> Tensor:
            first = start[output]
            return wp.to_torch(array)[:, first : first + size]

        if pictures.rgb is not None:
            packed = part(self._context.rgb_data, "rgb").contiguous()  # 0xAARRGGBB
            channels = packed.view(torch.uint8).unflatten(1, (*frame, 4))
            pairs += [(pictures.rgb[..., k], channels[..., 2 - k]) for k in range(3)]
        if pictures.depth is not None:
            depth = part(self._context.depth_data, "depth").unflatten(1, frame)
            pairs.append((pictures.depth, torch.where(depth < self._far, depth, 0.0)))
        if pictures.segmentation is not None:
            found = part(self._context.seg_data, "segmentation")[..., 0].unflatten(1, frame)
            pairs.append((pictures.segmentation, found))
        return pairs


def _copy(target: Tensor, drawn: Tensor, keep: Tensor | None) -> None:
    """Write rows of chosen worlds, without waiting for a GPU."""
    if keep is not None:
        mask = keep.to(target.device).reshape(-1, *[1] * (target.ndim - 1))
        drawn = torch.where(mask, drawn, target)
    target.copy_(drawn)
