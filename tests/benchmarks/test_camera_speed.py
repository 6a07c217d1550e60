"""The bare renderer draws the same picture, and as many as the environment."""

# pyright: standard

import importlib
import sys
from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.cli.checkout import find_checkout
from sim2arm.core.robots import FR3
from sim2arm.sim.camera_rig import CameraRig
from sim2arm.sim.cameras import scene_camera
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.vision import Sight, Vision
from sim2arm.sim.worlds.rendering import renderer_name

ROOT = find_checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="benchmarks are part of a checkout")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    assert ROOT is not None
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    return importlib.import_module("_camera_speed")


def test_the_bare_renderer_draws_the_same(module: Any) -> None:
    if renderer_name() == "warp":
        pytest.skip("no OpenGL on this machine")
    world = module.peg_worlds("mujoco", "cpu", 2, [scene_camera()])
    rig = CameraRig(world, [scene_camera()])
    ours = rig.draw()["scene_rgb"].numpy()
    draw = module.bare_draws(world, rig)["mujoco, same shapes"]
    draw()
    theirs = draw.__self__._pixels[:, ::-1]
    np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(ours[0], ours[1])


def test_as_many_bare_pictures_as_the_environment_drew(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if renderer_name() == "warp":
        pytest.skip("no OpenGL on this machine")
    vision = Vision(sights=(Sight(camera=scene_camera()),))
    env = Env(make_task("reach", "fr3"), FR3, num_envs=3, vision=vision)
    env.reset()
    bare = module.BarePictures(env)
    counts: list[int] = []
    monkeypatch.setattr(bare._gl["scene"], "draw", counts.append)
    for _ in range(4):
        env.step(torch.zeros(3, 6))
        bare.draw()
    assert counts == [0, 3, 0, 3]  # 30 Hz
