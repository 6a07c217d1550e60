"""`sim2arm train` of demonstrations: record, learn, go on, export, and what is refused."""

# pyright: standard

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from sim2arm.cli import main as cli
from sim2arm.cli.imitation_runs import (
    joints_of,
    keep_best,
    open_demonstrations,
    read_imitation,
    restore_imitation,
)
from sim2arm.cli.metrics import IMITATION, read_metrics
from sim2arm.cli.sweeps import SWEEPS, Cell
from sim2arm.core.contract import Contract
from sim2arm.policies.checkpoint import load_checkpoint
from sim2arm.policies.imitation import Imitation
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.policies.torch_policy import TorchPolicy

SMALL = [
    *("--algo.chunk", "6", "--algo.dim", "16", "--algo.heads", "2", "--algo.feed", "32"),
    *("--algo.style-layers", "1", "--algo.layers", "1", "--learn.batch", "4"),
    *("--trial-episodes", "2", "--trial-every", "100"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations of reach."""
    root = tmp_path_factory.mktemp("data") / "reach"
    assert cli.main(["record", "reach", "--out", str(root), "--episodes", "2"]) == 0
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped at 100 steps and went on to 150, and its bundle."""
    out = tmp_path_factory.mktemp("runs") / "reach-act"
    words = ["train", "reach-act", "--data", str(data), "--out", str(out), *SMALL]
    assert cli.main([*words, "--steps", "100"]) == 0
    assert cli.main([*words, "--steps", "150", "--resume"]) == 0
    assert cli.main(["export", str(out), "--success", "0.5"]) == 0
    return out


def test_a_run_goes_on(run: Path) -> None:
    rows = read_metrics(run / "metrics.csv", IMITATION)
    assert [row["steps"] for row in rows] == [100, 150]
    assert rows[1]["loss"] < rows[0]["loss"]
    assert int(load_checkpoint(run / "checkpoint.safetensors")["steps"]) == 150
    assert "Success and loss over steps of learning" in (run / "report.html").read_text()
    name, cfg = read_imitation(run)
    assert (name, cfg.steps, cfg.algo.chunk) == ("reach-act", 100, 6)


def test_the_bundle_is_the_run(run: Path) -> None:
    policy, contract, _ = restore_imitation(run)
    bundle = OnnxPolicy(run / "bundle")
    other = bundle.contract
    assert isinstance(other, Contract)
    assert other.provenance.success == 0.5 and other.provenance.steps == 150
    assert other.provenance.experiment == "reach-act"
    assert (other.action.kind, other.action.horizon) == ("joint_position", 6)
    assert other.executor.kind == "ensemble"
    assert [spec.name for spec in other.observations] == ["joint_position", "ee_pose", "goal_pose"]
    assert contract.action == other.action and policy is not None


def test_it_is_evaluated_and_watched(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["eval", str(run), "--episodes", "2", "--num-arms", "2"]) == 0
    assert "success" in capsys.readouterr().out
    film = tmp_path / "film.mp4"
    words = ["view", str(run), "--video", str(film), "--episodes", "1", "--num-worlds", "1"]
    assert cli.main(words) == 0
    assert film.stat().st_size > 1000


def test_what_is_refused(
    data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(said: str, *words: str, out: Path = tmp_path / "run") -> None:
        assert cli.main(["train", *words, "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.strip().splitlines()) == 1, error
        assert out == run or not out.exists()

    here = ("--data", str(data))
    absent = tmp_path / "none"
    refused(
        f"no demonstrations there: sim2arm record reach --out {absent} --episodes 50",
        "reach-act", "--data", str(absent),
    )  # fmt: skip
    refused("recorded with task reach, expected lift-cube", "lift-cube-act", *here)
    refused("recorded with cameras none, expected scene", "reach-act", *here, "--cameras", "scene")
    refused("unknown array 'goal'", "reach-act", *here, "--learn.sees", "joint_position", "goal")
    refused("expected joint_position among them", "reach-act", *here, "--learn.sees", "goal_pose")
    refused("expected 9 episodes or more, got 2", "reach-act", *here, "--episodes", "9")
    refused("--learn.relative: ", "reach-act", *here, "--learn.relative", "goal_pose", "hand_pose")
    refused("execute: expected 1 to 20", "reach-act", *here, "--executor.execute", "21")
    refused("holds a run already", "reach-act", *here, out=run)
    refused("with other settings", "reach-act", *here, "--resume", "--seed", "4", out=run)
    refused("nothing to resume", "reach-act", *here, "--resume")
    refused("unknown experiment", "reach-ac", *here)


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration of lifting."""
    root = tmp_path_factory.mktemp("data") / "lift-cube"
    assert cli.main(["record", "lift-cube", "--out", str(root), "--episodes", "1"]) == 0
    return root


@pytest.mark.parametrize("name", ["lift-cube-bc", "lift-cube-act-jepa", "reach-beso"])
def test_other_networks_are_trained(name: str, data: Path, cubes: Path, tmp_path: Path) -> None:
    """What they export is tested beside the networks."""
    words = ["--data", str(data if name.startswith("reach") else cubes)]
    words += ["--steps", "3", "--trial-episodes", "1", "--learn.batch", "4"]
    out = tmp_path / "run"
    assert cli.main(["train", name, *words, "--out", str(out)]) == 0
    policy, contract, cfg = restore_imitation(out)
    assert contract.action.horizon == cfg.algo.chunk - cfg.algo.past
    assert policy.features.goal == getattr(cfg.algo, "goal", ())
    # What learnt and what is restored of its weights are the same policy.
    demonstrations, again = open_demonstrations(cfg)
    bounds = again.action.low, again.action.high
    learner = Imitation(
        cfg.algo, cfg.learn, demonstrations, bounds, joints_of(again), total=cfg.steps
    )
    learner.load_state_dict(load_checkpoint(out / "checkpoint.safetensors"))
    frames = torch.arange(0, len(demonstrations), 40)
    seen = demonstrations.seen(frames, cfg.algo.history)
    obs = {n: (v if cfg.algo.history > 1 else v[:, 0]).numpy() for n, v in seen.items()}
    chunks = [
        TorchPolicy(each, contract, len(frames)).act(obs) for each in (policy, learner.deployed)
    ]
    np.testing.assert_array_equal(chunks[0], chunks[1])


def test_damaged_runs(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "run"
    damaged.mkdir()
    for name in ("config.yaml", "policy.yaml", "checkpoint.safetensors"):
        (damaged / name).write_bytes((run / name).read_bytes())

    def refused(said: str) -> None:
        assert cli.main(["export", str(damaged)]) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.strip().splitlines()) == 1, error

    config = yaml.safe_load((damaged / "config.yaml").read_text())
    config["settings"]["algo"]["dim"] = 32
    (damaged / "config.yaml").write_text(yaml.safe_dump(config))
    refused("is not of this version")
    (damaged / "checkpoint.safetensors").write_bytes(b"nothing")
    refused("damaged")
    (damaged / "policy.yaml").unlink()
    refused("policy.yaml")
    assert cli.main(["view", str(damaged)]) == 2
    assert "run sim2arm export first" in capsys.readouterr().err


def test_chunks_are_around_the_arm_inside_its_limits(run: Path) -> None:
    bundle = OnnxPolicy(run / "bundle")
    action, q = bundle.contract.action, np.array([[0.0, -0.78, 0.0, -2.35, 0.0, 1.57, 0.78]])
    zero = {s.name: np.zeros((1, *s.array_shape), s.dtype) for s in bundle.contract.observations}
    pose = np.array([[0.3, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0]], np.float32)
    obs = zero | {"joint_position": q.astype(np.float32), "ee_pose": pose, "goal_pose": pose}
    chunk = bundle.act(obs)
    assert chunk.shape == (1, 6, 7)
    assert np.abs(chunk - q[:, None]).max() < 0.5
    assert (chunk >= np.array(action.low)).all() and (chunk <= np.array(action.high)).all()


def test_a_sweep_of_imitations(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What one part is worth: cells learn from the same demonstrations, as long as each other."""
    small = {
        **{"algo.chunk": 6, "algo.dim": 16, "algo.heads": 2, "algo.feed": 32, "algo.layers": 1},
        **{"algo.style_layers": 1, "learn.batch": 4, "trial_episodes": 2},
    }
    cells = {
        name: Cell(case=name, experiment="reach-act", overrides=small | more)
        for name, more in {"whole": {}, "alone": {"executor.execute": 6}}.items()
    }
    monkeypatch.setitem(SWEEPS, "toy", ("A toy.", cells))
    monkeypatch.setitem(SWEEPS, "other", ("PPO.", {"a": Cell(case="a", experiment="reach-ppo")}))
    words = ["sweep", "toy", "--data", str(data), "--seeds", "3", "--episodes", "3"]
    words += ["--out", str(tmp_path)]
    assert cli.main([*words, "--steps", "20"]) == 0
    table = json.loads((tmp_path / "table.json").read_text())
    figures = {(row["case"], row["metric"]): row["value"] for row in table["rows"]}
    assert figures["whole", "steps per seed"] == figures["alone", "steps per seed"] == 20
    assert figures["whole", "seeds"] == 1 and ("whole", "score") not in figures
    _, cfg = read_imitation(tmp_path / "alone-3")
    assert (cfg.executor.execute, cfg.seed, cfg.algo.chunk) == (6, 3, 6)
    written = (tmp_path / "whole-3" / "metrics.csv").read_text()
    assert cli.main([*words, "--steps", "20"]) == 0  # measured: nothing is left to do
    assert (tmp_path / "whole-3" / "metrics.csv").read_text() == written
    assert cli.main([*words, "--steps", "30", "--cells", "whole"]) == 0
    assert '"steps": 30' in (tmp_path / "whole-3" / "measured.json").read_text()
    capsys.readouterr()
    assert cli.main(["sweep", "other", "--steps", "5", "--out", str(tmp_path / "o")]) == 2
    assert "--steps: reach-ppo has no such setting" in capsys.readouterr().err


def test_demonstrations_alone(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is simulated: as with demonstrations of a robot, some are held out."""
    three = tmp_path / "three"
    shutil.copytree(data, three)
    words = ["record", "reach", "--out", str(three), "--episodes", "1"]
    assert cli.main(words) == 0
    out = tmp_path / "run"
    words = ["train", "act", *SMALL, "--trial-every", "50", "--out", str(out)]
    assert cli.main([*words, "--data", str(three), "--steps", "100"]) == 0
    rows = read_metrics(out / "metrics.csv", IMITATION)
    assert len(rows) == 1 and np.isnan(rows[0]["measured"])
    assert 0.0 < rows[0]["held_out"] < 0.2  # joints go as far as 2 rad
    page = (out / "report.html").read_text()
    assert "2 episodes that are held out" in page and "eval" not in page.split("Settings")[0]
    capsys.readouterr()
    assert cli.main(["export", str(out)]) == 0
    assert "Skipping" not in capsys.readouterr().err
    contract = OnnxPolicy(out / "bundle").contract
    assert contract.action.kind == "joint_position" and contract.robot == "fr3"
    for verb in (["eval", str(out)], ["view", str(out), "--video", str(tmp_path / "x.mp4")]):
        assert cli.main(verb) == 2
        assert "nothing is simulated" in capsys.readouterr().err
    assert cli.main([*words, "--data", str(data), "--steps", "100", "--out", str(data / "x")]) == 2
    assert "expected 3 episodes or more (--held-out), got 2" in capsys.readouterr().err
    assert cli.main(["train", "act", "--data", str(three), "--cameras", "scene"]) == 2
    assert "without a task nothing is simulated" in capsys.readouterr().err
    more = ["--data", str(three), "--episodes", "2", "--out", str(data / "x")]
    assert cli.main([*words, *more]) == 2
    assert "are not enough to hold 2 out" in capsys.readouterr().err
    assert cli.main([*words, "--data", str(three), "--robot", "panda", "--out", "x"]) == 2
    assert "recorded with robot fr3, expected panda" in capsys.readouterr().err


def test_the_best_policy_of_a_run_is_kept(tmp_path: Path) -> None:
    """Of 0.5, 0.4, 0.5 and 0.3 the third: of equal ones the last."""
    for steps, score in enumerate((0.5, 0.4, 0.5, 0.3)):
        keep_best(tmp_path, {"steps": torch.tensor(steps)}, score)
    assert int(load_checkpoint(tmp_path / "best.safetensors")["steps"]) == 2


def test_a_run_is_deployed_as_its_best_policy(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    state = load_checkpoint(folder / "checkpoint.safetensors")
    better = {n: v + 1.0 if n == "model/network.out.bias" else v for n, v in state.items()}
    keep_best(folder, better, 2.0)
    last, best = (restore_imitation(each)[0].state_dict() for each in (run, folder))
    difference = best["network.out.bias"] - last["network.out.bias"]
    torch.testing.assert_close(difference, torch.ones_like(difference))
