"""`bench world`: every row has its baseline, and the bare engine does the same physics."""

# pyright: standard

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sim2arm.cli import bench
from sim2arm.cli import main as cli
from sim2arm.cli.checkout import find_checkout
from sim2arm.cli.errors import UserError
from sim2arm.core.robots import FR3
from sim2arm.sim.arm import make_task
from sim2arm.sim.env import Env
from sim2arm.sim.worlds.rendering import renderer_name
from sim2arm.sim.worlds.table import WORLDS
from sim2arm.sim.worlds.warp import WarpWorld
from tests.sim.test_warp import hold, make_held_scene

ROOT = find_checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="benchmarks are part of a checkout")
ENGINES = {"mujoco": "mujoco.batch", "warp": "mujoco_warp"}


@pytest.mark.parametrize(("world", "baseline"), ENGINES.items())
def test_rows_and_baselines(tmp_path: Path, world: str, baseline: str) -> None:
    path = tmp_path / "world.json"
    small = ["--world", world, "--num-worlds", "2", "3", "--steps", "2", "--repeats", "1"]
    learn = ["--learn-iterations", "1"] if world == "mujoco" else []
    assert bench.main(["world", *small, *learn, "--threads", "1", "--json", str(path)]) == 0
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    metrics = ["env steps", "world steps", *["PPO steps, learning included"] * len(learn[:1])]
    assert [row["metric"] for row in rows] == metrics * 2
    assert all(row["baseline"] == baseline and row["ratio"] > 0 for row in rows)
    assert {row["case"] for row in rows} == {
        f"peg-insertion-ppo, {world} on cpu, {n} worlds" for n in (2, 3)
    }


@pytest.mark.parametrize("world", ENGINES)
def test_rows_of_pictures(tmp_path: Path, world: str) -> None:
    path = tmp_path / "world.json"
    small = ["--world", world, "--num-worlds", "2", "--steps", "2", "--repeats", "1"]
    small += ["--cameras", "scene", "--picture-seconds", "0.01", "--json", str(path)]
    assert bench.main(["world", *small]) == 0
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    gl = world == "mujoco" and renderer_name() != "warp"
    bare = ["mujoco, same shapes", "mujoco, defaults"] if gl else ["mujoco_warp.render"]
    if world == "mujoco" and not gl:
        bare = []
    for metric in ("camera images", "camera images per core"):
        assert [row["baseline"] for row in rows if row["metric"] == metric] == [*bare, None]
    with_pictures = rows[-1]
    assert with_pictures["metric"] == "env steps with pictures"
    if bare:
        assert with_pictures["baseline"] == f"{ENGINES[world]} and {bare[0]}"
    assert all(row["value"] > 0 and "2 worlds" in row["case"] for row in rows)


def test_every_engine_has_its_bare_one() -> None:
    assert ENGINES.keys() <= WORLDS.keys()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--world", "process"], "--world: expected mujoco or warp, which have a bare engine"),
        (["--num-worlds", "4", "2"], "--num-worlds: expected numbers that rise, got [4, 2]"),
        (["--world", "warp", "--num-worlds", "2", "--randomization", "?"], "randomization"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", "world", *words]) == 2
    error = capsys.readouterr().err
    assert text in error and error.count("\n") == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_the_bare_engine_does_the_same_physics(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ROOT is not None
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    module = importlib.import_module("_bare")
    env = Env(make_task("peg-insertion", "fr3"), FR3, num_envs=2, world=engine)
    bare = module.make_bare(env.world, substeps=8, threads=1)
    env.reset([0, 1])
    for _ in range(3):
        bare.load()
        env.step(torch.ones((2, 6)))
        bare.run(env.commands.controls)
    theirs = (
        torch.from_numpy(bare._batch.bind("qpos"))
        if engine == "mujoco"
        else module.wp.to_torch(bare._state.qpos)
    )
    arm = env.world.joints(FR3.joint_names).q
    torch.testing.assert_close(theirs[:, :7], arm, rtol=0, atol=0 if engine == "mujoco" else 1e-6)


def test_the_bare_warp_engine_takes_over_welds_and_activations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ROOT is not None
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    module = importlib.import_module("_bare")
    world = WarpWorld(make_held_scene(), 3)
    bare = module.make_bare(world, substeps=8, threads=1)
    hold(world)
    for _ in range(3):
        world.forward()  # hands over the pose of the mocap body
        bare.load()
        world.step()
        bare.run(torch.zeros((3, 8, 1)))
    theirs = module.wp.to_torch(bare._state.qpos)
    torch.testing.assert_close(theirs, world.qpos, rtol=0, atol=1e-4)
    assert world.qpos[0, 2] - world.qpos[2, 2] > 1e-3  # the third ball falls


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--steps", "0"], "must be 1 or more"),
        (["--world", "mujocoo"], "unknown world 'mujocoo'; perhaps you meant mujoco"),
        (["--device", "cuda:0"], "world 'mujoco' runs on the cpu, not on 'cuda:0'"),
        (["--world", "warp", "--device", "cuda:9"], "device 'cuda:9': torch finds no GPU here"),
        (["--cameras", "scen"], "unknown cameras 'scen'; perhaps you meant scene"),
        (["--experiment", "reach"], "unknown experiment 'reach'; perhaps you meant .*reach-ppo"),
    ],
)
def test_bad_input_is_one_line(words: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        bench.main(["world", *words])
