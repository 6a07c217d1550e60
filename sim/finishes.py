"""Surfaces that a geom may have, as materials of a scene, for `camera_terms.Materials`.

The textures are grey, so a geom keeps its colour; they are computed, nothing is loaded.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np
import numpy.typing as npt

FINISHES = ("finish_plain", "finish_checks", "finish_speckles", "finish_grain", "finish_glossy")
"""Names of the materials, the plain one first."""
_SIDE = 128
_REPEAT = 2.0
"""Repetitions of a texture per metre."""


def add_finishes(spec: mujoco.MjSpec) -> None:
    """Add the materials to a scene, changed in place."""
    textures = {
        "finish_checks": _checks(),
        "finish_speckles": _speckles(),
        "finish_grain": _grain(),
    }
    for name in FINISHES:
        glossy = name == "finish_glossy"
        material = spec.add_material(
            name=name, specular=0.8 if glossy else 0.2, shininess=0.8 if glossy else 0.3
        )
        if name not in textures:
            continue
        grey = np.repeat(textures[name][:, :, None], 3, axis=2)
        texture = spec.add_texture(
            name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=_SIDE, height=_SIDE, nchannel=3
        )
        texture.data = grey.tobytes()
        material.texrepeat, material.texuniform = (_REPEAT, _REPEAT), True
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _checks() -> npt.NDArray[np.uint8]:
    v, u = np.mgrid[0:_SIDE, 0:_SIDE] // (_SIDE // 8)
    return np.where((u + v) % 2 == 0, 255, 190).astype(np.uint8)


def _speckles() -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    return np.where(rng.random((_SIDE, _SIDE)) < 0.12, 140, 240).astype(np.uint8)


def _grain() -> npt.NDArray[np.uint8]:
    """Return wavy lines along one side, as of wood."""
    v, u = np.mgrid[0:_SIDE, 0:_SIDE] * (2.0 * np.pi / _SIDE)
    lines = np.sin(9.0 * v + 1.5 * np.sin(u)) + 0.6 * np.sin(21.0 * v + 2.0 * np.sin(u + 1.0))
    return (215.0 + 25.0 * lines).clip(0.0, 255.0).astype(np.uint8)
