"""Pictures: what draws them, what is in them, how the choice is made."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

import gc
import os
import subprocess
import sys

import mujoco
import numpy as np
import numpy.typing as npt
import pytest
import torch

from sim2arm.core.robots import PANDA
from sim2arm.sim.robots.franka import add_home_key, add_robot
from sim2arm.sim.scene import add_surroundings, add_table
from sim2arm.sim.worlds import rendering, table
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.mujoco import MujocoWorld
from sim2arm.sim.worlds.pictures import Cameras, Shot

Picture = npt.NDArray[np.uint8]


EVERY = pytest.mark.parametrize("engine", table.WORLDS)


def make_world(num_worlds: int, engine: str = "mujoco") -> World:
    """A red ball on a free joint in front of a camera that looks along +y."""
    spec = mujoco.MjSpec()
    ball = spec.worldbody.add_body(name="ball", pos=(0.0, 1.0, 0.0))
    ball.add_freejoint()
    ball.add_geom(name="ball", size=(0.2, 0.0, 0.0), rgba=(1.0, 0.0, 0.0, 1.0))
    ball.add_geom(name="unseen", size=(0.4, 0.0, 0.0), rgba=(0.0, 1.0, 0.0, 1.0), group=3)
    spec.worldbody.add_light(pos=(0.0, -1.0, 1.0), dir=(0.0, 1.0, -1.0))
    spec.worldbody.add_camera(name="front", pos=(0.0, 0.0, 0.0), xyaxes=(1, 0, 0, 0, 0, 1))
    return table.make_world(engine, spec, num_worlds, timestep=0.002, control_substeps=1)


def red(picture: Picture) -> npt.NDArray[np.bool_]:
    """Where the ball is."""
    channels = picture.astype(np.int64)
    return (channels[..., 0] > 60) & (channels[..., 0] > 3 * channels[..., 1:].max(axis=-1))


def centre(picture: Picture) -> tuple[float, float]:
    """Middle of the ball: column and row."""
    rows, columns = np.nonzero(red(picture))
    return float(columns.mean()), float(rows.mean())


def test_the_renderer_has_a_name() -> None:
    assert rendering.renderer_name() in {"egl", "osmesa", "glfw", "warp"}


@EVERY
def test_each_world_is_drawn_as_it_stands(engine: str) -> None:
    world = make_world(3, engine)
    ball = world.free_body("ball").q
    ball[1, 0] = 0.3  # right
    ball[2, 2] = 0.3  # up
    pictures = world.render("front", [0, 1, 2], 64, 48)
    assert pictures.shape == (3, 48, 64, 3) and pictures.dtype == np.uint8
    middle, right, up = (centre(picture) for picture in pictures)
    # Focal length of the default 45 degrees: 24 / tan(22.5 deg) = 57.9 pixels; 0.3 m at 1 m is
    # about 17 pixels.
    np.testing.assert_allclose(middle, (31.5, 23.5), atol=1.0)
    np.testing.assert_allclose(right, (31.5 + 17.4, 23.5), atol=2.0)
    np.testing.assert_allclose(up, (31.5, 23.5 - 17.4), atol=2.0)


@EVERY
def test_pictures_of_some_worlds_in_any_order_and_size(engine: str) -> None:
    world = make_world(3, engine)
    world.free_body("ball").q[2, 0] = 0.3
    both = world.render("front", [2, 0], 64, 48)
    np.testing.assert_array_equal(both[0], world.render("front", [2], 64, 48)[0])
    assert world.render("front", [0], 32, 32).shape == (1, 32, 32, 3)
    np.testing.assert_array_equal(both, world.render("front", [2, 0], 64, 48))


@EVERY
def test_per_world_parameters_are_seen(engine: str) -> None:
    world = make_world(2, engine)
    world.field("geom_rgba")[1, 0] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    world.field("geom_size")[1, 0, 0] = 0.1
    pictures = world.render("front", [0, 1], 64, 48)
    assert red(pictures[0]).sum() > 300
    assert red(pictures[1]).sum() == 0
    blue = pictures[1][..., 2] > 60
    assert 0 < blue.sum() < red(pictures[0]).sum() / 2


def test_a_renderer_that_is_gone_takes_nothing_with_it() -> None:
    """OpenGL numbers what it has per context, alike in all: its buffer may be another's number."""
    shot = Shot(camera="front", width=64, height=48)
    world = make_world(1)
    cameras, gone = world.cameras([shot]), make_world(1).cameras([shot])
    gone.draw()
    before = _rgb(cameras).clone()
    del gone
    gc.collect()
    world.free_body("ball").q[0, 0] = 0.3
    after = _rgb(cameras)
    assert not torch.equal(before, after)  # it was the old picture for good
    assert torch.equal(after, _rgb(world.cameras([shot])))


def _rgb(cameras: Cameras) -> torch.Tensor:
    rgb = cameras.draw()["front"].rgb
    assert rgb is not None
    return rgb


def test_collision_shapes_are_not_drawn() -> None:
    picture = make_world(1).render("front", [0], 64, 48)[0]
    assert red(picture)[24, 32]
    assert not (picture[..., 1] > 100).any()


def test_drawing_does_not_change_the_world() -> None:
    world = make_world(2)
    before = world.batch.state.copy()
    world.render("front", [0, 1], 32, 32)
    np.testing.assert_array_equal(world.batch.state, before)


def test_an_unknown_camera_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"camera 'side' is not in the model. Known: \['front'\]"):
        make_world(1).render("side", [0], 32, 32)


def test_a_back_end_that_does_not_draw_is_named() -> None:
    reason = rendering.probe("nonsense")
    assert reason is not None and reason.startswith("nonsense: ") and "nonsense" in reason[10:]


def test_the_rays_see_what_opengl_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(2)
    world.free_body("ball").q[1, 0] = 0.3
    world.field("geom_rgba")[1, 0, 1] = 0.1
    world.field("cam_pos")[1, 0, 2] = 0.1
    chosen = rendering.renderer_name()
    usual = world.render("front", [0, 1], 64, 48)
    monkeypatch.setattr(rendering, "renderer_name", lambda: "warp")
    cameras = world.cameras([Shot(camera="front", width=64, height=48)])
    assert cameras.renderer == "warp"
    rgb = cameras.draw()["front"].rgb
    assert rgb is not None
    rays = rgb.numpy()
    for a, b in zip(usual, rays, strict=True):
        np.testing.assert_allclose(centre(a), centre(b), atol=0.5)
        disagree = (red(a) != red(b)).mean()
        assert disagree < 0.02, f"{chosen} and the rays differ in {disagree:.1%} of the pixels"


def run_child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in {"MUJOCO_GL", "PYOPENGL_PLATFORM"}}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_importing_sets_nothing() -> None:
    code = (
        "import os, sim2arm.sim.worlds.mujoco\n"
        "assert 'MUJOCO_GL' not in os.environ and 'PYOPENGL_PLATFORM' not in os.environ\n"
    )
    child = run_child(code)
    assert child.returncode == 0, child.stderr


def test_without_opengl_the_rays_are_chosen() -> None:
    code = (
        "from sim2arm.sim.worlds import rendering\n"
        "rendering.probe = lambda backend: backend + ': absent'\n"
        "print(rendering.renderer_name())\n"
    )
    assert run_child(code).stdout.strip() == "warp"


def test_a_chosen_back_end_that_fails_is_an_error_and_no_fallback() -> None:
    code = (
        "from sim2arm.sim.worlds import rendering\n"
        "rendering.probe = lambda backend: backend + ': absent'\n"
        "rendering.renderer_name()\n"
    )
    child = run_child(code, MUJOCO_GL="glfw")
    assert child.returncode != 0
    assert "MUJOCO_GL=glfw does not draw on this machine: glfw: absent" in child.stderr


def test_the_robot_on_its_table_makes_a_picture() -> None:
    spec = mujoco.MjSpec()
    add_robot(spec, PANDA)
    add_surroundings(spec)
    add_table(spec)
    spec.worldbody.add_camera(
        name="front", pos=(1.5, 0.0, 0.6), xyaxes=(0, 1, 0, -0.2, 0, 1), fovy=50
    )
    add_home_key(spec, PANDA)
    picture = MujocoWorld(spec, 1).render("front", [0], 160, 120)[0].astype(np.int64)
    white = (picture.min(axis=-1) > 170) & (np.ptp(picture, axis=-1) < 12)
    wood = (picture[..., 0] > picture[..., 2] + 25) & (picture[..., 0] > 90)
    assert white.mean() > 0.02
    assert wood.mean() > 0.05
