"""What surrounds a robot in a scene: floor, sky, light, a table. Collides only where it says so."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco


def add_surroundings(spec: mujoco.MjSpec, *, floor: float = -0.75) -> None:
    """Add sky, light and a checkered floor that is only seen (an object that falls keeps falling).

    Args:
        spec: the scene, changed in place.
        floor: height of the floor [m]; the robots' bases stand at 0, on a table.
    """
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=(0.82, 0.87, 0.92),
        rgb2=(0.55, 0.62, 0.70),
        width=64,
        height=384,
    )
    spec.add_texture(
        name="floor",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=(0.55, 0.58, 0.62),
        rgb2=(0.48, 0.51, 0.55),
        width=128,
        height=128,
    )
    material = spec.add_material(name="floor", texrepeat=(1, 1), texuniform=True, specular=0.1)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor"
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(4.0, 4.0, 0.1),
        pos=(0.0, 0.0, floor),
        material="floor",
        contype=0,
        conaffinity=0,
        group=2,
    )
    headlight = spec.visual.headlight
    headlight.ambient, headlight.diffuse = (0.38, 0.38, 0.38), (0.25, 0.25, 0.25)
    headlight.specular = (0.0, 0.0, 0.0)
    spec.worldbody.add_light(
        name="sun",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=(1.0, -1.0, 3.0),
        dir=(-0.35, 0.45, -1.0),
        diffuse=(0.55, 0.54, 0.52),
        specular=(0.25, 0.25, 0.25),
        ambient=(0.0, 0.0, 0.0),
    )


def add_table(
    spec: mujoco.MjSpec,
    *,
    centre: tuple[float, float] = (0.35, 0.0),
    half: tuple[float, float] = (0.55, 0.6),
    floor: float = -0.75,
) -> None:
    """Add a table with its top at height 0, `table` collides; four legs are only seen.

    Args:
        spec: the scene, changed in place.
        centre: of the top [m].
        half: half sizes of the top [m].
        floor: height on which the legs stand [m].
    """
    x, y, thickness = *centre, 0.02
    spec.add_material(name="table", rgba=(0.80, 0.68, 0.52, 1.0), specular=0.15, shininess=0.2)
    spec.add_material(name="legs", rgba=(0.30, 0.31, 0.33, 1.0), specular=0.2)
    spec.worldbody.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(*half, thickness),
        pos=(x, y, -thickness),
        material="table",
    )
    height = -0.5 * floor - thickness
    for side_x in (-1.0, 1.0):
        for side_y in (-1.0, 1.0):
            spec.worldbody.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=(0.03, 0.03, height),
                pos=(
                    x + side_x * (half[0] - 0.05),
                    y + side_y * (half[1] - 0.05),
                    floor + height,
                ),
                material="legs",
                contype=0,
                conaffinity=0,
                group=2,
            )
