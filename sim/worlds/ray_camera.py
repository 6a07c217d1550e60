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
from .picture_kernels import unpack_depth, unpack_geoms, unpack_rgb
from .pictures import (
    OUTPUTS,
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
_SPECIAL = ("cam_fovy", "cam_intrinsic", "light_attenuation", "light_type")
"""Fields for which the ray caster takes a shorter way while they are one for all worlds."""


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
        self._world, self._shots = world, tuple(shots)
        self.pictures: Mapping[str, Pictures] = {
            shot.camera: allocate(shot, world.num_worlds, world.device) for shot in shots
        }
        self._chosen = torch.ones(world.num_worlds, dtype=torch.bool, device=world.device)
        self._rays = self._make_rays()

    def draw(self, chosen: Tensor | None = None) -> Mapping[str, Pictures]:
        """See `Cameras`."""
        world = self._world
        if chosen is None:
            self._chosen.fill_(True)
        else:
            self._chosen.copy_(mask_of(chosen, world.num_worlds))
        if self._rays.varying != self._varying():
            self._rays = self._make_rays()
        world.forward()
        with world.scope():
            mjw.camlight(world.physics, world.state)
            self._rays.cast(world.physics, world.state)
            for name, pictures in self.pictures.items():
                self._rays.read(name, pictures, self._chosen)
        return self.pictures

    def field(self, name: str) -> Tensor:
        """See `Cameras`."""
        check_shown(name, textures=True)
        return self._world.field(name)

    def _make_rays(self) -> _Rays:
        world = self._world
        with world.scope():
            return _Rays(world.model, world.num_worlds, self._shots, self._varying())

    def _varying(self) -> frozenset[str]:
        """Return which of `_SPECIAL` have values per world; one world may always be written to."""
        physics, n = self._world.physics, self._world.num_worlds
        return frozenset(name for name in _SPECIAL if getattr(physics, name).shape[0] == n)


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
        self._always = torch.ones(1, dtype=torch.bool)
        with self._scope():
            self._physics = mjw.put_model(world.model)
            self._state = mjw.make_data(world.model, nworld=1)
            self._model = copy.copy(world.model)
            self._data = mujoco.MjData(self._model)
            self._rays = _Rays(world.model, 1, shots, frozenset(_SPECIAL))

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
                    self._rays.read(name, _row(pictures, i), self._always)
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
    """A render context of MuJoCo Warp on the present device.

    Attributes:
        varying: fields of `_SPECIAL` with which it draws what each world has.
    """

    def __init__(
        self, model: Any, num_worlds: int, shots: Sequence[Shot], varying: frozenset[str]
    ) -> None:
        self.varying = varying
        self._far = SEEN_SHARE * model.vis.map.zfar * model.stat.extent
        self._context = mjw.create_render_context(
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
            use_precomputed_rays=not varying & {"cam_fovy", "cam_intrinsic"},
            enabled_geom_groups=list(VISIBLE_GROUPS),
        )
        # These it takes from the model of the scene, but worlds may have lights of their own.
        if "light_attenuation" in varying:
            self._context.light_attenuation_is_default = False
        if "light_type" in varying:
            self._context.has_spot_lights = True
        self._place: dict[str, tuple[int, dict[str, int]]] = {}
        starts = {"rgb": 0, "depth": 0, "segmentation": 0}
        for shot in shots:
            size = shot.width * shot.height
            self._place[shot.camera] = (size, dict(starts))
            for output in shot.outputs:
                starts[output] += size

    def cast(self, physics: Any, state: Any) -> None:
        """Draw all cameras; the places of geoms, cameras and lights must be current."""
        mjw.refit_bvh(physics, state, self._context)
        mjw.render(physics, state, self._context)

    def read(self, camera: str, pictures: Pictures, chosen: Tensor) -> None:
        """Copy what was drawn of worlds (N,) bool."""
        context, mask = self._context, wp.from_torch(chosen)
        size, start = self._place[camera]
        dim = (len(chosen), size)
        if pictures.rgb is not None:
            target = wp.from_torch(pictures.rgb.flatten(1, 2))
            inputs = [context.rgb_data, start["rgb"], mask, target]
            wp.launch(unpack_rgb, dim=dim, inputs=inputs)
        if pictures.depth is not None:
            target = wp.from_torch(pictures.depth.flatten(1))
            inputs = [context.depth_data, start["depth"], mask, self._far, target]
            wp.launch(unpack_depth, dim=dim, inputs=inputs)
        if pictures.segmentation is not None:
            target = wp.from_torch(pictures.segmentation.flatten(1))
            inputs = [context.seg_data, start["segmentation"], mask, target]
            wp.launch(unpack_geoms, dim=dim, inputs=inputs)


def _row(pictures: Pictures, i: int) -> Pictures:
    """Return the memory of the pictures of one world, with its axis of length 1."""
    return Pictures(
        **{
            output: None if all_worlds is None else all_worlds[i : i + 1]
            for output, all_worlds in ((name, getattr(pictures, name)) for name in OUTPUTS)
        }
    )
