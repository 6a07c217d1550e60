"""Rows of camera images: a baseline each, and the bare renderer draws the same picture."""

# pyright: standard

import importlib
import sys
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.checkout import find_checkout
from sim2arm.cli.table import Row
from sim2arm.sim.camera_rig import CameraRig
from sim2arm.sim.cameras import scene_camera
from sim2arm.sim.worlds.rendering import renderer_name

ROOT = find_checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="benchmarks are part of a checkout")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    assert ROOT is not None
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    return importlib.import_module("_camera_speed")


@pytest.mark.parametrize("world", ["mujoco", "warp"])
def test_rows_and_baselines(module: Any, world: str) -> None:
    rows: list[Row] = module.camera_rows(
        world=world, device="cpu", num_worlds=2, repeats=1, seconds=0.01
    )
    gl = world == "mujoco" and renderer_name() != "warp"
    baselines = ["mujoco, same shapes", "mujoco, defaults"] if gl else ["mujoco_warp.render"]
    if world == "mujoco" and not gl:
        baselines = []
    for metric in ("camera images", "camera images per core"):
        names = [row.baseline for row in rows if row.metric == metric]
        assert names == [*baselines, None]
    assert all(row.value > 0 and "2 worlds" in row.case for row in rows)


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
