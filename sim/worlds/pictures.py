"""Pictures of all worlds at once: what is asked for, what comes back, what may differ per world."""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    from .base import World

Output = Literal["rgb", "depth", "segmentation"]
OUTPUTS: tuple[Output, ...] = ("rgb", "depth", "segmentation")
VISIBLE_GROUPS = (0, 1, 2)
"""Geom groups in pictures; group 3 holds collision shapes."""
SEEN_SHARE = 0.5
"""What lies beyond this share of the far plane counts as background: OpenGL's sky begins there."""

SHOWN = frozenset(
    {
        *("cam_pos", "cam_quat", "cam_fovy", "cam_intrinsic"),
        *("geom_size", "geom_rgba", "geom_matid"),
        *("mat_rgba", "mat_specular", "mat_shininess", "mat_emission"),
        *("light_active", "light_type", "light_pos", "light_dir", "light_ambient"),
        *("light_diffuse", "light_specular", "light_attenuation", "light_cutoff", "light_exponent"),
    }
)
"""Model fields that every renderer shows with the values of each world. Where bodies and geoms are
is the engine's; MuJoCo Warp computes those that cannot move once, for all worlds."""
TEXTURES = frozenset({"mat_texid", "mat_texrepeat", "mat_texuniform"})
"""Model fields that the ray caster shows per world and OpenGL has once for all."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One camera of the model, the size of its pictures and what they hold."""

    camera: str
    """Name in the model."""
    width: int
    """[pixels]"""
    height: int
    """[pixels]"""
    outputs: tuple[Output, ...] = ("rgb",)

    def __post_init__(self) -> None:
        """Refuse pictures without size or content."""
        if self.width < 1 or self.height < 1:
            raise ValueError(
                f"camera {self.camera!r}: sizes must be 1 or more, got {self.width} x {self.height}"
            )
        if not self.outputs or not set(self.outputs) <= set(OUTPUTS):
            raise ValueError(
                f"camera {self.camera!r}: outputs: expected some of {OUTPUTS}, got {self.outputs}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """The latest pictures of one camera; the tensors stay the same, drawing overwrites them."""

    rgb: Tensor | None = None
    """(N, H, W, 3) uint8, sRGB."""
    depth: Tensor | None = None
    """(N, H, W) float32: distance along the optical axis [m]; 0 where nothing is seen."""
    segmentation: Tensor | None = None
    """(N, H, W) int32: number of the geom in the model; -1 where nothing is seen."""


class Cameras(Protocol):
    """Cameras of N worlds that are drawn together."""

    @property
    def renderer(self) -> str:
        """What draws: `egl`, `osmesa`, another OpenGL, or `warp`, the ray caster."""
        ...

    @property
    def pictures(self) -> Mapping[str, Pictures]:
        """The latest pictures by name of the camera; zero before they are first drawn."""
        ...

    def draw(self, chosen: Tensor | None = None) -> Mapping[str, Pictures]:
        """Draw worlds as they stand, mocap poses, model fields and all.

        Args:
            chosen: (N,) bool, or indices; the pictures of other worlds stay as they are. None: all.

        Returns:
            `pictures`.
        """
        ...

    def field(self, name: str) -> Tensor:
        """Return the live per-world values (N, ...) of a model field that pictures show.

        Raises:
            ValueError: it does not show, or this renderer has it once for all worlds.
        """
        ...


def allocate(shot: Shot, num_worlds: int, device: torch.device) -> Pictures:
    """Return empty pictures of one camera."""
    shape = (num_worlds, shot.height, shot.width)
    wanted = shot.outputs
    return Pictures(
        rgb=torch.zeros((*shape, 3), dtype=torch.uint8, device=device) if "rgb" in wanted else None,
        depth=torch.zeros(shape, device=device) if "depth" in wanted else None,
        segmentation=torch.full(shape, -1, dtype=torch.int32, device=device)
        if "segmentation" in wanted
        else None,
    )


def check_shots(shots: Sequence[Shot]) -> None:
    """See that there are shots and that no camera is asked for twice.

    Raises:
        ValueError: there are none, or two of one camera.
    """
    names = [shot.camera for shot in shots]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"expected one shot per camera and at least one, got {names}")


def check_shown(name: str, *, textures: bool) -> None:
    """See that a model field shows with the values of each world.

    Args:
        name: of the field.
        textures: whether the renderer has textures per world.

    Raises:
        ValueError: it does not.
    """
    if name in TEXTURES and not textures:
        raise ValueError(
            f"{name!r}: OpenGL has it once for all worlds. Choose among materials of the scene "
            "with geom_matid, or draw with the world 'warp'"
        )
    if name not in SHOWN | TEXTURES:
        raise ValueError(
            f"{name!r} is no model field that pictures show per world (headlight and textures' "
            f"pixels are one for all). Known: {sorted(SHOWN | TEXTURES)}"
        )


def mask_of(chosen: Tensor, num_worlds: int) -> Tensor:
    """Return indices or a mask as a mask (N,) on the same device."""
    if chosen.dtype == torch.bool:
        return chosen
    mask = torch.zeros(num_worlds, dtype=torch.bool, device=chosen.device)
    return mask.index_fill(0, chosen.to(torch.int64), True)


def render_some(
    world: World, kept: dict[Shot, Cameras], shot: Shot, ids: Sequence[int]
) -> npt.NDArray[np.uint8]:
    """Return pictures (n, height, width, 3) of some worlds, in any order; cameras are kept."""
    if shot not in kept:
        kept[shot] = world.cameras([shot])
    rows = torch.tensor(list(ids), dtype=torch.int64, device=world.device)
    rgb = kept[shot].draw(rows)[shot.camera].rgb
    assert rgb is not None
    return rgb[rows].cpu().numpy()
