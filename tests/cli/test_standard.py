"""`sim2arm train standard-...`: files of a run, what goes on, cells of sweeps, what is refused."""

# pyright: standard

from __future__ import annotations

import csv
import itertools
import shlex
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sim2arm.cli import main as cli
from sim2arm.cli import standard_train as module
from sim2arm.cli.errors import UserError
from sim2arm.cli.parse import parse_named
from sim2arm.cli.runs import CHECKPOINT, METRICS, REPLAY
from sim2arm.cli.standard_train import Trial, build_standard, read_standard, train_standard
from sim2arm.cli.standards import STANDARDS, StandardCfg
from sim2arm.cli.sweep import SweepCfg, sweep
from sim2arm.cli.sweeps import SWEEPS, Cell
from sim2arm.cli.train_page import command
from sim2arm.policies.checkpoint import load_checkpoint
from sim2arm.policies.cqn import CqnCfg
from sim2arm.sim.standard import StandardEnv
from tests.sim.standard_toys import toys

TASK = "gym:Pendulum-v1"


def make_cfg(out: Path, name: str = "standard-sac", **overrides: object) -> StandardCfg:
    """Return a training of seconds: 200 frames are an episode."""
    base = STANDARDS[name][1]
    learn = replace(base.algo.learn, batch=4, rows=4000, random=50, keep=False)
    algo = replace(base.algo, learn=learn, hidden=(8,))
    if isinstance(algo, CqnCfg):
        algo = replace(algo, low=-1000.0, high=0.0)
    small = {"frames": 400, "trial_every": 200, "trial_episodes": 2, "task": TASK}
    small |= {"repeat": 2, "out": out}
    return replace(base, algo=algo, **{**small, **overrides})


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the metrics of a run."""
    with (folder / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", [name for name in STANDARDS if name != "standard-drqv2"])
def test_every_algorithm_learns_from_the_state(name: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train_standard(name, make_cfg(out, name, frames=200))
    rows = rows_of(out)
    assert [(row["iteration"], row["steps"]) for row in rows] == [("20", "200")]
    assert -2000.0 < float(rows[0]["measured"]) < 0.0
    assert all(np.isfinite(float(value)) for value in rows[0].values() if value)
    assert rows[0]["critic_loss"]


def test_pictures_are_learnt_from(tmp_path: Path) -> None:
    out, cfg = tmp_path / "run", make_cfg(tmp_path / "run", "standard-drqv2")
    sight = replace(cfg.algo.sight, width=2, trunk=4)
    cfg = replace(cfg, task="gym:Three-v0", pixels=16, frames=160, repeat=1)
    cfg = replace(cfg, algo=replace(cfg.algo, sight=sight))
    with toys():
        train_standard("standard-drqv2", cfg)
        learner = build_standard(cfg)
    assert rows_of(out)[-1]["steps"] == "160" and rows_of(out)[-1]["critic_loss"]
    assert tuple(learner.replay.obs["pixels"].shape) == (16, 16, 3)
    assert learner.replay.obs["pixels"].stack == 3


def test_a_run_goes_on_with_its_replay(tmp_path: Path) -> None:
    out = tmp_path / "run"
    cfg = make_cfg(out)
    cfg = replace(cfg, algo=replace(cfg.algo, learn=replace(cfg.algo.learn, keep=True)))
    train_standard("standard-sac", cfg)
    assert (out / REPLAY).is_dir()
    goes_on = replace(cfg, frames=600, resume=True)
    learner = build_standard(goes_on, out)
    assert len(learner.replay) == 202  # 400 frames, 2 per action, and the last of two episodes
    train_standard("standard-sac", goes_on)
    rows = rows_of(out)
    assert [row["steps"] for row in rows] == ["200", "400", "600"]
    assert len(build_standard(goes_on, out).replay) == 303
    assert int(load_checkpoint(out / CHECKPOINT)["steps"]) == 300
    assert read_standard(out)[1] == replace(cfg, out=None)
    page = (out / "report.html").read_text()
    assert "Returns over frames" in page and "sim2arm export" not in page


def test_without_keeping_it_a_run_begins_its_replay_anew(tmp_path: Path) -> None:
    out = tmp_path / "run"
    train_standard("standard-sac", make_cfg(out))
    assert not (out / REPLAY).exists()
    assert len(build_standard(make_cfg(out), out).replay) == 0


def interrupt_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let Ctrl-C be pressed in a step of any environment."""
    calls, step = itertools.count(1), StandardEnv.step

    def interrupted(env: StandardEnv, action: torch.Tensor) -> object:
        if next(calls) == number:
            signal.raise_signal(signal.SIGINT)
        return step(env, action)

    monkeypatch.setattr(StandardEnv, "step", interrupted)


def test_an_interrupt_leaves_a_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    cfg = make_cfg(out)
    words = shlex.split(command("standard-sac", cfg, out, STANDARDS["standard-sac"][1]))[1:]
    interrupt_at(monkeypatch, 42)  # the second step of the ninth iteration
    assert cli.main(words) == 130
    assert f"resume with: sim2arm {shlex.join(words)} --resume" in capsys.readouterr().err
    assert int(load_checkpoint(out / CHECKPOINT)["iteration"]) == 9
    assert cli.main([*words, "--resume"]) == 0
    rows = rows_of(out)
    assert [row["steps"] for row in rows] == ["200", "400"]
    assert [int(row["iteration"]) for row in rows] == [20, 40]


def test_an_interrupt_in_the_last_trial_loses_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is heard once the trial is over; a second ends it at once."""
    cfg = make_cfg(tmp_path / "run", trial_every=1000)

    def twice(*_: object) -> list[float]:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return []

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trial, "returns", twice)
        train_standard("standard-sac", cfg)
    assert rows_of(tmp_path / "run") == []
    train_standard("standard-sac", replace(cfg, resume=True))
    assert [row["steps"] for row in rows_of(tmp_path / "run")] == ["400"]
    assert rows_of(tmp_path / "run")[0]["measured"]


def test_a_run_that_lost_its_networks_begins_anew(tmp_path: Path) -> None:
    out, cfg = tmp_path / "run", make_cfg(tmp_path / "run")
    cfg = replace(cfg, algo=replace(cfg.algo, learn=replace(cfg.algo.learn, keep=True)))
    train_standard("standard-sac", cfg)
    (out / CHECKPOINT).unlink()
    train_standard("standard-sac", replace(cfg, frames=200, resume=True))
    assert len(build_standard(cfg, out).replay) == 101  # not those of before, too


def test_a_trial_is_the_deterministic_policy_on_its_seeds(tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path, trial_episodes=2)
    learner, trial = build_standard(cfg), Trial(cfg)
    found = trial.returns(learner.actor)
    assert found == trial.returns(learner.actor) and found[0] != found[1]
    env = StandardEnv(TASK, repeat=2)
    obs, total = env.reset([module.FIRST_SEED]), 0.0
    for _ in range(100):
        with torch.no_grad():
            action, _ = learner.actor(learner.actor.see(obs), {})
        obs, reward, _, _, _ = env.step(action)
        total += float(reward)
    assert found[0] == pytest.approx(total, rel=1e-5)


def test_a_sweep_of_standard_tasks_is_of_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {
        "task": TASK,
        "frames": 200,
        "trial_episodes": 1,
        "algo.hidden": (8,),
        "repeat": 2,
        "algo.learn": replace(STANDARDS["standard-sac"][1].algo.learn, batch=4, rows=4000),
    }
    cell = Cell(case="sac", experiment="standard-sac", overrides=small, published=-100.0)
    monkeypatch.setitem(SWEEPS, "toy", ("A toy.", {"sac": cell}))
    rows = sweep(SweepCfg(name="toy", seeds=(0, 1), episodes=2, out=tmp_path))
    found = {row.metric: row for row in rows}
    assert found["return"].baseline_value == -100.0
    worst, best = (found[f"return of the {word} seed"].value for word in ("worst", "best"))
    assert worst <= found["return"].value <= best < 0.0
    assert found["deviation over seeds"].value == pytest.approx((best - worst) / 2, rel=1e-6)
    assert found["frames per seed"].value == 200
    again = sweep(SweepCfg(name="toy", seeds=(0, 1), episodes=2, out=tmp_path))
    assert again == rows


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--task gym:Pendulum-v1", "bounds of the discounted returns of gym:Pendulum-v1"),
        ("--repeat 4", "expected 0 or less and 400 or more"),
        ("--algo.low 1", "expected 0 or less and 200 or more"),
    ],
)
def test_cqn_is_told_which_returns_there_are(words: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        parse_named(STANDARDS, ["standard-cqn", *words.split()], "sim2arm train", "experiment")


def test_torchrun_and_gpus_that_are_not_there_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="--device cuda:0: expected cpu"):
        train_standard("standard-sac", make_cfg(tmp_path / "run", device="cuda:0"))
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    with pytest.raises(UserError, match="standard-sac learns in one process"):
        cli.run_verb("train", ["standard-sac", "--out", str(tmp_path / "run")])


def test_what_is_wrong_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    cfg = make_cfg(out, frames=20)
    train_standard("standard-sac", cfg)
    with pytest.raises(UserError, match=r"holds a run with other settings .*seed: 0 != 1"):
        train_standard("standard-sac", replace(cfg, seed=1, resume=True))
    with pytest.raises(UserError, match="holds a run of standard-sac"):
        train_standard("standard-td3", make_cfg(out, "standard-td3", resume=True))
    with pytest.raises(UserError, match="learnt a standard task, without an arm"):
        cli.run_verb("export", [str(out)])
    with pytest.raises(UserError, match="--task: gym:CartPole-v1: expected actions in a box"):
        train_standard("standard-sac", make_cfg(tmp_path / "other", task="gym:CartPole-v1"))
    assert not (tmp_path / "other").exists()
    for words, line in {
        "--pixels 8": "pixels: expected 15 or more",
        "--frames 0": "frames: expected a whole number, 1 or more, got 0",
        "--algo.sight.asymmetric": "algo.sight.asymmetric: a standard task tells its critic",
        "--algo.learn.rows 2000": "rows: expected more than random",
    }.items():
        with pytest.raises(UserError, match=line):
            parse_named(STANDARDS, ["standard-sac", *words.split()], "sim2arm train", "experiment")
