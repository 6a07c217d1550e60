"""A policy that sees pictures: exported by hand, evaluated in process, as sheet and film."""

# pyright: standard

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import Tensor, nn

from sim2arm.cli import evaluation, runs
from sim2arm.cli import main as cli
from sim2arm.cli.cameras import CAMERAS
from sim2arm.cli.errors import UserError
from sim2arm.cli.evaluation import of_bundle, run_episodes
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.run_record import provenance
from sim2arm.cli.runs import build_env
from sim2arm.policies.export import export_bundle
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.reach import ReachCfg
from sim2arm.sim.vision import Vision
from sim2arm_ros.page_pictures import FAR, NEAR, NOTHING, grey_depth

CFG = replace(EXPERIMENTS["reach-ppo"][1], task=ReachCfg(max_steps=8), cameras="scene")


class Brightness(nn.Module):
    """Goes along x by the mean of the picture; the other inputs have no effect."""

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        mean = obs["scene_rgb"].to(torch.float32).mean(dim=(1, 2, 3)) / 255.0
        rest = sum(v.sum(dim=-1) for name, v in obs.items() if name != "scene_rgb")
        x = mean - 0.5 + 0.0 * rest
        return torch.stack([x, *[0.0 * x] * 5], dim=-1)[:, None], state


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a bundle, as `train` and `export` would leave it."""
    folder = tmp_path_factory.mktemp("pictures") / "run"
    runs.write_config(folder, "reach-ppo", CFG)
    env = runs.build_env(CFG, 1)
    contract = make_contract(env, provenance(folder, 0))
    names = [spec.name for spec in contract.observations]
    obs, frames = env.reset(), list[dict[str, np.ndarray]]()
    for _ in range(4):
        frames.append({name: obs[name].numpy().copy() for name in names})
        obs = env.step(torch.ones(1, 6))[0]
    sequence = {name: np.stack([frame[name][0] for frame in frames]) for name in names}
    export_bundle(Brightness(), contract, [sequence], folder / "bundle")
    return folder


def refused(argv: Sequence[Any], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main([str(word) for word in argv]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def test_episodes_of_a_policy_that_sees(run: Path) -> None:
    policy = OnnxPolicy(run / "bundle", num_envs=2)
    vision, act = CAMERAS["scene"].vision, of_bundle(policy)
    seen: list[np.ndarray] = []

    def watch(obs: dict[str, np.ndarray]) -> Any:
        seen.append(obs["scene_rgb"].copy())
        return act(obs)

    contract, task = policy.contract, runs.build_task(CFG)
    done = run_episodes(task, contract, watch, [3, 4], num_arms=2, vision=vision)
    pictures = np.stack(seen)  # (T, N, H, W, 3)
    assert pictures.dtype == np.uint8 and pictures.shape[1:] == (2, 84, 84, 3)
    wanted = pictures.mean(axis=(2, 3, 4)) / 255.0 - 0.5
    np.testing.assert_allclose(np.stack(done.actions)[..., 0].T, wanted, atol=1e-5)
    # 30 Hz of 60: every second picture is new, when the arm moves.
    new = [not np.array_equal(a, b) for a, b in pairwise(pictures)]
    assert not any(new[::2]) and any(new[1::2])
    alone = run_episodes(task, contract, act_alone(run), [4], num_arms=1, vision=vision)
    np.testing.assert_array_equal(alone.actions[0], done.actions[1])


def act_alone(run: Path) -> Any:
    return of_bundle(OnnxPolicy(run / "bundle"))


def test_other_cameras_than_in_training_are_refused(run: Path) -> None:
    contract, task = OnnxPolicy(run / "bundle").contract, runs.build_task(CFG)
    with pytest.raises(UserError, match=r"'scene_rgb', which no camera or gel of this arm gives"):
        run_episodes(task, contract, act_alone(run), [0], num_arms=1)
    (sight,) = CAMERAS["scene"].vision.sights
    other = Vision(sights=(replace(sight, camera=replace(sight.camera, rate_hz=60.0)),))
    with pytest.raises(UserError, match=r"'scene_rgb' is not as in training: .*rate_hz"):
        run_episodes(task, contract, act_alone(run), [0], num_arms=1, vision=other)


def test_eval_takes_the_cameras_of_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "eval.json"
    words = ["eval", run, "--episodes", 2, "--num-arms", 2, "--json", out]
    assert cli.main([str(word) for word in words]) == 0
    rows = {row["metric"]: row["value"] for row in json.loads(out.read_text())["rows"]}
    assert rows["episodes"] == 2


def test_a_shift_moves_the_cameras(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms: list[SimulatedArm] = []
    monkeypatch.setattr(
        evaluation, "SimulatedArm", lambda *a, **k: arms.append(SimulatedArm(*a, **k)) or arms[-1]
    )
    words = ["eval", run, "--episodes", 1, "--num-arms", 1, "--shift", 2, "--eval-seed", 5]
    assert cli.main([str(word) for word in words]) == 0
    plain, other = (arm.world.field("cam_pos")[0] for arm in arms)
    # Training left the camera where it is; level 2 moves it by 2 cm along each axis.
    np.testing.assert_allclose((other - plain).abs().numpy(), [[0.02] * 3], atol=1e-9)


def test_a_sheet_of_an_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sheets" / "reach.png"
    words = ["view", "reach-ppo", "--cameras", "scene-wrist", "--num-worlds", "2"]
    assert cli.main([*words, "--sheet", str(path)]) == 0
    line = capsys.readouterr().out
    assert "2 worlds at steps 1, 25, 50, 75, each with scene_rgb, wrist_rgb" in line
    picture = imread(path)[..., :3]
    # Two cameras of 84 pixels, twice as large; 4 columns, 2 rows, gaps of 4, the line below.
    assert picture.shape == (2 * 168 + 4 + 36, 4 * 336 + 3 * 4, 3)
    cells = [picture[:168, k * 340 : k * 340 + 336] for k in range(4)]
    assert all(np.abs(a - b).mean() > 0.005 for a, b in pairwise(cells))


def test_a_film_of_a_bundle(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "film.mp4"
    words = ["view", run / "bundle", "--num-worlds", 2, "--video", path]
    assert cli.main([str(word) for word in words]) == 0
    assert "of what is seen in 2 worlds" in capsys.readouterr().out
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    # 8 steps, every second one is shown, and the last one stands for 1 s at 30 Hz.
    assert len(frames) == 4 + 30
    assert frames[0].shape == (168 + 36, 340, 3)


def test_the_wrist_camera_is_on_the_hand_of_any_arm() -> None:
    cfg = replace(EXPERIMENTS["reach-ppo"][1], robot="ur5e", cameras="wrist")
    eyes = cast(Env, build_env(cfg, 1)).eyes
    assert eyes is not None
    source = eyes.specs["wrist_rgb"].source or ""
    assert source.startswith("mounted on ur5e_hand at 0.07 0 0.04 ")


def test_bad_input_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "a.png"
    reach = ["view", "reach-ppo"]
    assert "nothing is seen there" in refused([*reach, "--sheet", sheet], capsys)
    assert "go to --sheet or --video" in refused([*reach, "--cameras", "scene"], capsys)
    assert "perhaps you meant scene" in refused([*reach, "--cameras", "scen"], capsys)
    real = [*reach, "--cameras", "scene-wrist-real", "--sheet", sheet]
    assert "geom 'table' is not in the model" in refused(real, capsys)
    handless = ["train", "reach-ppo", "--robot", "so101", "--cameras", "wrist", "--out", tmp_path]
    said = refused(handless, capsys)
    assert "camera 'wrist': expected one body '*_hand' in the scene, found []" in said
    train = ["train", "peg-insertion-ppo", "--cameras", "scene-wrist-real", "--num-envs", "2"]
    said = refused([*train, "--out", tmp_path / "x"], capsys)
    assert "--cameras scene-wrist-real: no network reads 'scene_depth'" in said


def test_depth_is_grey() -> None:
    depth = np.array([[0.0, NEAR, FAR, 9.0, (NEAR * FAR) ** 0.5]], dtype=np.float32)
    expected = [NOTHING, (255,) * 3, (0,) * 3, (0,) * 3, (128,) * 3]
    np.testing.assert_array_equal(grey_depth(depth)[0], expected)
