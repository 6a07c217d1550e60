"""What cameras see differs between worlds: measured in the pictures, on both engines."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from collections.abc import Callable
from typing import Any

import mujoco
import pytest
import torch

from sim2arm.core.driver_stage import DriverStage, intrinsics_of_view
from sim2arm.sim.camera_rig import CameraRig
from sim2arm.sim.camera_terms import CameraPose, CameraView, Colour, Light, Materials
from sim2arm.sim.cameras import CameraCfg, add_camera, look_at
from sim2arm.sim.randomize import Randomizer, Term
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.table import make_world

BOTH = pytest.mark.parametrize("engine", ("mujoco", "warp"))
CAMERA = CameraCfg(
    name="eye",
    pose=look_at((0.0, -1.0, 0.0), (0.0, 0.0, 0.0)),  # x of the world is to the right, z up
    intrinsics=intrinsics_of_view(101, 101, 90.0),  # focal length 50.5 pixels
    stage=DriverStage(width=101, height=101, out_width=101, out_height=101),
    outputs=("rgb", "segmentation"),
)
NONE = torch.tensor([False, True, False])
"""Of three worlds, the one whose episode begins."""


class Law:
    lead = torch.zeros(3, 1)


def make_rig(engine: str, *terms: Term) -> tuple[CameraRig, Randomizer, World]:
    """A ball before a wall, three worlds."""
    spec = mujoco.MjSpec()
    for name, colour in (("red", (0.8, 0.2, 0.2, 1.0)), ("green", (0.2, 0.8, 0.2, 1.0))):
        spec.add_material(name=name, rgba=colour, specular=0.0)
    spec.visual.headlight.ambient = (0.1, 0.1, 0.1)
    spec.visual.headlight.diffuse = (0.0, 0.0, 0.0)
    spec.worldbody.add_light(
        name="sun",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        dir=(0.0, 1.0, 0.0),
        diffuse=(0.6, 0.6, 0.6),
        specular=(0.0, 0.0, 0.0),
    )
    spec.worldbody.add_geom(name="ball", size=(0.15, 0.0, 0.0), material="red")
    spec.worldbody.add_geom(
        name="wall",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(4.0, 0.1, 4.0),
        pos=(0.0, 1.0, 0.0),
        rgba=(0.6, 0.6, 0.5, 1.0),
    )
    add_camera(spec, CAMERA)
    world = make_world(engine, spec, 3, timestep=0.002, control_substeps=1)
    return CameraRig(world, [CAMERA]), Randomizer(terms, world, Law()), world


def draw(
    rig: CameraRig, terms: Randomizer, unit: list[float], level: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Begin an episode in the middle world; return colours and geoms of worlds 0 and 1."""
    terms.level = level
    row = torch.tensor(unit, dtype=torch.float64)
    terms.write(NONE, row.expand(3, -1))
    frames = rig.draw()
    assert torch.equal(frames["eye_rgb"][0], frames["eye_rgb"][2])
    return frames["eye_rgb"][:2].double(), frames["eye_segmentation"][:2]


def middle(geoms: torch.Tensor) -> tuple[float, float]:
    rows, columns = torch.nonzero(geoms == 0, as_tuple=True)
    return float(columns.double().mean()), float(rows.double().mean())


@BOTH
def test_a_shifted_camera(engine: str) -> None:
    rig, terms, world = make_rig(engine, CameraPose(camera="eye", position=0.1, rotation=0.0))
    _, geoms = draw(rig, terms, [1.0, 0.5, 0.0, 0.5, 0.5, 0.5])
    # 0.1 m to the right and 0.1 m down, of 1 m: the ball goes 5.05 pixels left and up.
    assert middle(geoms[0]) == pytest.approx((50.0, 50.0), abs=0.3)
    assert middle(geoms[1]) == pytest.approx((50.0 - 5.05, 50.0 - 5.05), abs=0.6)
    # The frame that the calibration knows stays.
    torch.testing.assert_close(world.site("eye_optical").pose[0], world.site("eye_optical").pose[1])


@BOTH
def test_a_turned_camera(engine: str) -> None:
    rig, terms, _ = make_rig(engine, CameraPose(camera="eye", position=0.0, rotation=0.1))
    _, geoms = draw(rig, terms, [0.5, 0.5, 0.5, 0.5, 1.0, 0.5])
    # About one axis of the picture, by 0.1 rad: 50.5 tan(0.1) = 5.07 pixels aside, none up.
    u, v = middle(geoms[1])
    assert abs(u - 50.0) == pytest.approx(5.07, abs=0.6) and v == pytest.approx(50.0, abs=0.3)
    _, geoms = draw(rig, terms, [0.5, 0.5, 0.5, 0.5, 1.0, 0.5], level=0.0)
    assert middle(geoms[1]) == pytest.approx((50.0, 50.0), abs=0.3)


@BOTH
def test_another_view(engine: str) -> None:
    rig, terms, _ = make_rig(engine, CameraView(camera="eye", focal=1.5, axis=8.0))
    _, geoms = draw(rig, terms, [1.0, 0.5, 0.5])
    wide, near = (float((one == 0).sum()) for one in geoms)
    assert near / wide == pytest.approx(1.5**2, rel=0.05)
    _, geoms = draw(rig, terms, [0.5, 1.0, 0.5])
    u, v = middle(geoms[1])
    assert abs(u - 50.0) == pytest.approx(8.0, abs=0.4) and v == pytest.approx(50.0, abs=0.3)


@BOTH
def test_another_light(engine: str) -> None:
    rig, terms, _ = make_rig(engine, Light(light="sun", brightness=1.25, tint=1.2, direction=1.0))
    nominal = [0.5] * 10
    rgb, _ = draw(rig, terms, nominal)
    torch.testing.assert_close(rgb[0], rgb[1], atol=1.0, rtol=0)
    # The wall faces the light: 0.6 (0.1 + 0.6) of 255; 1.25 times the light is 0.6 (0.1 + 0.75).
    rgb, _ = draw(rig, terms, [1.0, *nominal[1:]])
    assert rgb[0, 5, 5, 0] == pytest.approx(0.6 * 0.7 * 255, abs=1.5)
    assert rgb[1, 5, 5, 0] == pytest.approx(0.6 * 0.85 * 255, abs=1.5)
    # Red by 1.2: 0.6 (0.1 + 0.72).
    rgb, _ = draw(rig, terms, [0.5, 1.0, *nominal[2:]])
    assert rgb[1, 5, 5, 0] == pytest.approx(0.6 * 0.82 * 255, abs=1.5)
    assert rgb[1, 5, 5, 1] == pytest.approx(0.6 * 0.7 * 255, abs=1.5)
    # Turned by 1 rad: 0.6 (0.1 + 0.6 cos 1).
    rgb, _ = draw(rig, terms, [*nominal[:4], 0.5, 0.5, 1.0, *nominal[7:]])
    assert rgb[1, 5, 5, 0] == pytest.approx(0.6 * (0.1 + 0.6 * 0.5403) * 255, abs=1.5)


@BOTH
def test_other_colours(engine: str) -> None:
    rig, terms, _ = make_rig(engine, Colour(geoms=("wall",), materials=("red",), factor=2.0))
    rgb, _ = draw(rig, terms, [0.0, 0.5, 1.0])
    assert rgb[1, 5, 5].tolist() == pytest.approx(
        [0.3 * 0.7 * 255, 0.6 * 0.7 * 255, 1.0 * 0.7 * 255], abs=1.5
    )
    assert rgb[1, 50, 50].tolist() == pytest.approx(
        [0.4 * 0.7 * 255, 0.2 * 0.7 * 255, 0.4 * 0.7 * 255], abs=3.0
    )


@BOTH
def test_other_materials(engine: str) -> None:
    rig, terms, _ = make_rig(engine, Materials(geoms=("ball",), materials=("red", "green")))
    rgb, _ = draw(rig, terms, [0.9, 0.0])
    assert rgb[0, 50, 50].argmax() == 0 and rgb[1, 50, 50].argmax() == 1
    rgb, _ = draw(rig, terms, [0.9, 0.6], level=0.5)  # not drawn
    assert rgb[1, 50, 50].argmax() == 0
    rgb, _ = draw(rig, terms, [0.1, 0.0])
    assert rgb[1, 50, 50].argmax() == 0


def test_ranges_are_told() -> None:
    ranges = (
        *CameraPose(camera="eye", position=0.02, rotation=0.05).ranges(),
        *CameraView(camera="eye", focal=1.25, axis=0.5).ranges(),
        *Light(light="sun").ranges(),
        *Colour(materials=("red",), factor=2.0).ranges(),
    )
    told = {one.name: (one.low, one.high, one.unit) for one in ranges}
    assert told["calibration/camera_eye/position"] == (-0.02, 0.02, "m")
    assert told["calibration/camera_eye/rotation"] == (-0.05, 0.05, "rad")
    assert told["calibration/camera_eye/focal"] == (0.8, 1.25, "1")
    assert told["appearance/light_sun/direction"] == (-0.5, 0.5, "rad")
    assert told["appearance/colour_red"] == (0.5, 2.0, "1")
    assert len(told) == len(ranges) == 9
    (focal, axis) = CameraView(camera="eye", focal=1.21, axis=0.5).ranges(0.5)
    assert (focal.low, focal.high) == pytest.approx((1 / 1.1, 1.1))  # half the way of a logarithm
    assert (axis.low, axis.high) == (-0.25, 0.25)


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "pose": (lambda: CameraPose(camera="eye", position=-1.0), ValueError, "position"),
    "focal": (lambda: CameraView(camera="eye", focal=0.9), ValueError, "expected factors"),
    "axis": (lambda: CameraView(camera="eye", axis=-1.0), ValueError, "axis"),
    "light": (lambda: Light(light="sun", direction=-1.0), ValueError, "direction"),
    "colour": (lambda: Colour(factor=1.5), ValueError, "name geoms or materials"),
    "materials": (lambda: Materials(geoms=("a",), materials=("b",)), ValueError, "at least two"),
    "through": (
        lambda: make_rig("mujoco", Colour(geoms=("ball",))),
        ValueError,
        "takes its colour from material 'red'",
    ),
    "unknown light": (
        lambda: make_rig("mujoco", Light(light="moon")),
        KeyError,
        "light 'moon' is not in the model",
    ),
    "unknown material": (
        lambda: make_rig("mujoco", Colour(materials=("blue",))),
        KeyError,
        "material 'blue' is not in the model",
    ),
}


@pytest.mark.parametrize(("call", "error", "text"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_is_wrong(
    call: Callable[[], Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_camera_without_intrinsics_is_an_error() -> None:
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(size=(0.1, 0.0, 0.0))
    spec.worldbody.add_camera(name="plain", pos=(0.0, 0.0, 1.0))
    world = make_world("mujoco", spec, 1, timestep=0.002, control_substeps=1)
    with pytest.raises(ValueError, match="'plain' has no intrinsics"):
        CameraView(camera="plain").bind(world, Law())
