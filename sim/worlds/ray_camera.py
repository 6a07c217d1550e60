"""Pictures of all Warp worlds by one camera, with MuJoCo Warp's ray caster on their device."""

# MuJoCo's extension modules have no stubs; Warp's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco_warp as mjw
import torch
import warp as wp
from torch import Tensor

from .compiled import find
from .rendering import VISIBLE_GROUPS

if TYPE_CHECKING:
    from .warp import WarpWorld


class RayCamera:
    """A camera of the model at one size; shadows are off, as with OpenGL."""

    def __init__(self, world: WarpWorld, camera: str, width: int, height: int) -> None:
        """Allocate for all worlds.

        Raises:
            KeyError: the model has no such camera.
        """
        model = world.model
        index = find(model, "camera", camera)
        self._world = world
        self._context = mjw.create_render_context(
            model,
            nworld=world.num_worlds,
            cam_res=(width, height),
            cam_active=[i == index for i in range(model.ncam)],
            render_rgb=True,
            render_depth=False,
            use_textures=True,
            use_shadows=False,
            enabled_geom_groups=list(VISIBLE_GROUPS),
        )
        self._rgb = wp.zeros(
            (world.num_worlds, height, width), dtype=wp.vec3, device=world.warp_device
        )

    def draw(self) -> Tensor:
        """Return pictures (N, height, width, 3) uint8 of the present state, on the device."""
        physics, state = self._world.physics, self._world.state
        mjw.camlight(physics, state)
        mjw.refit_bvh(physics, state, self._context)
        mjw.render(physics, state, self._context)
        mjw.get_rgb(self._context, 0, self._rgb)
        return (255.0 * wp.to_torch(self._rgb).clamp(0.0, 1.0) + 0.5).to(torch.uint8)
