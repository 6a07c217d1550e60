"""`sim2arm train`: files of a run, the trial that stops it, resume, errors."""

# pyright: standard

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sim2arm.cli import train as module
from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.metrics import EVENTS
from sim2arm.cli.runs import CHECKPOINT, METRICS, build_env, build_learner, load_learner
from sim2arm.cli.train import main, train
from sim2arm.cli.trial import Trial


def make_cfg(out: Path, **overrides: object) -> TrainCfg:
    """Return a training of seconds."""
    small = replace(EXPERIMENTS["reach-ppo"][1], out=out, num_envs=4, iterations=2)
    algo = replace(small.algo, rollout=8, hidden=(8,))
    return replace(small, algo=algo, trial_episodes=2, **overrides)


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the metrics of a run."""
    with (folder / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_resumes_where_it_ended(tmp_path: Path) -> None:
    out = tmp_path / "run"
    train("reach-ppo", make_cfg(out))
    first = rows_of(out)
    assert [row["iteration"] for row in first] == ["1", "2"]
    assert [row["measured"] for row in first] == ["", "0.0"]  # the last iteration has a trial
    train("reach-ppo", make_cfg(out, iterations=3, resume=True))
    rows = rows_of(out)
    assert rows[:2] == first
    assert [row["steps"] for row in rows] == ["32", "64", "96"]
    assert float(rows[2]["wall_s"]) >= float(rows[1]["wall_s"])  # the clock goes on
    page = (out / "report.html").read_text()
    assert "sim2arm train: reach-ppo" in page
    assert "96 steps of all worlds" in page
    events = EventAccumulator(str(out / EVENTS)).Reload()
    assert [event.step for event in events.Scalars("reward")] == [32, 64, 96]


def test_training_stops_at_the_measured_target_and_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([0.5, 0.9])
    monkeypatch.setattr(Trial, "success", lambda *_: next(measured))
    out = tmp_path / "run"
    cfg = make_cfg(out, iterations=9, trial_every=2, trial_from=0.0, target_success=0.9)
    train("reach-ppo", cfg)
    assert [row["measured"] for row in rows_of(out)] == ["", "0.5", "", "0.9"]
    train("reach-ppo", replace(cfg, resume=True))  # reached: nothing to do
    assert len(rows_of(out)) == 4


def test_no_trial_while_training_episodes_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def success(*_: object) -> float:
        calls.append(1)
        return 0.0

    monkeypatch.setattr(Trial, "success", success)
    train("reach-ppo", make_cfg(tmp_path / "run", iterations=3, trial_every=1))
    assert len(calls) == 1  # at the last iteration


def test_a_trial_is_the_same_episodes_each_time(tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path)
    env = build_env(cfg, 2)
    seen: list[torch.Tensor] = []
    reset = env.reset

    def watched(seeds: Sequence[int] | None = None) -> dict[str, torch.Tensor]:
        obs = reset(seeds)
        seen.append(obs["goal_pose"].clone())
        return obs

    env.reset = watched
    trial, model = Trial(env), build_learner(cfg).model
    assert trial.success(model) == trial.success(model) == 0.0
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=0)


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_learn", interrupted)
    with pytest.raises(KeyboardInterrupt, match="resume with: sim2arm train reach-ppo --resume"):
        train("reach-ppo", make_cfg(tmp_path / "run"))
    assert (tmp_path / "run" / CHECKPOINT).is_file()


def test_refusals(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(UserError, match="nothing to resume"):
        train("reach-ppo", make_cfg(out, resume=True))
    train("reach-ppo", make_cfg(out, iterations=1))
    with pytest.raises(UserError, match="holds a run already"):
        train("reach-ppo", make_cfg(out))
    for change in ({"num_envs": 8}, {"seed": 5}, {"trial_episodes": 3}):
        with pytest.raises(UserError, match="other settings"):
            train("reach-ppo", replace(make_cfg(out, resume=True), **change))
    with pytest.raises(UserError, match="experiment"):
        main(["peg-insertion-pop"])


def test_a_checkpoint_of_other_networks_is_one_line(tmp_path: Path) -> None:
    out = tmp_path / "run"
    cfg = make_cfg(out)
    train("reach-ppo", cfg)
    wider = build_learner(replace(cfg, algo=replace(cfg.algo, hidden=(16,))), 4)
    with pytest.raises(UserError, match=r"not of this version.s networks .*train again"):
        load_learner(wider, out)
    (out / CHECKPOINT).write_bytes(b"not safetensors")
    with pytest.raises(UserError, match="checkpoint"):
        load_learner(wider, out)
