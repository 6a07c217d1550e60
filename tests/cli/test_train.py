"""`sim2arm train`: files of a run, the trial that stops it, resume, errors."""

# pyright: standard

from __future__ import annotations

import csv
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sim2arm.cli import main as cli
from sim2arm.cli import train as module
from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.metrics import EVENTS
from sim2arm.cli.parse import parse_named
from sim2arm.cli.run_record import CONFIG
from sim2arm.cli.runs import (
    CHECKPOINT,
    METRICS,
    build_env,
    build_learner,
    load_learner,
    read_config,
    write_config,
)
from sim2arm.cli.train import main, train
from sim2arm.cli.train_page import command
from sim2arm.cli.trial import Trial
from sim2arm.policies.ppo import Ppo
from sim2arm.sim.draws import Draws, StreamDraws
from sim2arm.sim.tasks.base import Starts
from sim2arm.sim.tasks.reach import Reach


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
    trial, model = Trial(env), build_learner(cfg).actor
    assert trial.success(model) == trial.success(model) == 0.0
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=0)


@pytest.mark.parametrize(("randomization", "levels"), [("none", [1.0]), ("arm", [0.0, 1.0])])
def test_a_randomised_training_is_tried_without_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, randomization: str, levels: list[float]
) -> None:
    cfg = make_cfg(tmp_path, randomization=randomization)
    env = build_env(cfg, 2)
    rates, seen = {0.0: 0.9, 1.0: 0.4}, []

    def success(self: Trial, model: object) -> float:
        seen.append(env.level)
        return rates[env.level]

    monkeypatch.setattr(Trial, "_worse_half", success)
    assert Trial(env).success(build_learner(cfg).actor) == 0.4
    assert seen == levels
    assert env.level == 1.0
    rates[1.0] = 0.95
    actor = build_learner(cfg).actor
    assert Trial(env).success(actor) == min(rates[level] for level in levels)


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_learn", interrupted)
    out = str(tmp_path / "run")
    argv = ["reach-ppo", "--num-envs", "4", "--out", out]
    with pytest.raises(KeyboardInterrupt) as caught:
        main(argv)
    # Word for word what was typed: other settings would be refused.
    assert str(caught.value) == f"resume with: sim2arm train {' '.join(argv)} --resume"
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


class NotFinite:
    """`Ppo.update`, which in one iteration measures or leaves something that is not finite."""

    def __init__(self, iteration: int, *, weights: bool) -> None:
        self.iteration, self.weights, self.true = iteration, weights, Ppo.update

    def __call__(self, learner: Ppo) -> dict[str, torch.Tensor]:
        metrics = self.true(learner)
        if learner.iteration == self.iteration:
            if self.weights:
                with torch.no_grad():
                    learner.model.log_std[0] = float("inf")
            else:
                metrics["value_loss"] = torch.tensor(float("nan"))
        return metrics


@pytest.mark.parametrize("weights", [False, True])
def test_training_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    weights: bool,
) -> None:
    out = tmp_path / "run"
    train("reach-ppo", make_cfg(out))
    good = (out / CHECKPOINT).read_bytes()
    broken = NotFinite(4, weights=weights)
    monkeypatch.setattr(Ppo, "update", lambda learner: broken(learner))
    monkeypatch.setitem(EXPERIMENTS, "reach-ppo", ("Small.", make_cfg(out)))
    iterations = "4" if weights else "9"
    assert cli.main(["train", "reach-ppo", "--resume", "--iterations", iterations]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    what = "model/log_std is not finite after" if weights else "value_loss is nan in"
    assert line.startswith(f"sim2arm: error: training failed: {what} iteration 4; {out}")
    assert (out / CHECKPOINT).read_bytes() == good
    assert len(rows_of(out)) == (4 if weights else 3)


def test_a_learning_rate_far_too_high_is_found(tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path / "run", iterations=9)
    cfg = replace(cfg, algo=replace(cfg.algo, lr=1e30, lr_high=1e30, desired_kl=1e30))
    with pytest.raises(UserError, match=r"training failed: .* there is no checkpoint yet"):
        train("reach-ppo", cfg)
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_a_resumed_run_does_not_draw_the_same_start_states_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[torch.Tensor] = []
    draw = Reach.draw

    def watched(task: Reach, draws: Draws) -> Starts:
        drawn = draw(task, draws)
        if isinstance(draws, StreamDraws):
            starts.append(drawn["goal"])
        return drawn

    monkeypatch.setattr(Reach, "draw", watched)
    monkeypatch.setattr(Trial, "success", lambda *_: 0.0)  # its own environment draws as well
    train("reach-ppo", make_cfg(tmp_path / "run", iterations=1))
    first = torch.cat(starts)
    starts.clear()
    train("reach-ppo", make_cfg(tmp_path / "run", resume=True))
    built, *resumed = starts  # the environment draws once as it is built
    assert torch.equal(built, first[: len(built)])
    assert not torch.isin(torch.cat(resumed)[:, 0], first[:, 0]).any()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--num-envs", "0"], "num_envs: expected a whole number, 1 or more, got 0"),
        (["--iterations", "-3"], "iterations: expected a whole number, 1 or more, got -3"),
        (["--trial-every", "0"], "trial_every: expected a whole number, 1 or more, got 0"),
        (["--seed", "-1"], "seed: expected a whole number, 0 or more, got -1"),
        (["--algo.minibatches", "0"], "minibatches: expected 1 or more, got 0"),
        (["--algo.minibatches", "99"], "num_envs x algo.rollout: expected 99 or more, got 32"),
        (["--task.max-steps", "0"], "max_steps must be above 0, got 0"),
        (["--robot", "foo"], "robot 'foo' is not known"),
        (["--world", "mujocoo"], "unknown world 'mujocoo'; perhaps you meant mujoco"),
        (["--device", "cuda:0"], "world 'mujoco' runs on the cpu, not on 'cuda:0': take 'warp'"),
        (["--randomization", "peg"], "body 'peg' is not in the model. Known: ['world', 'fr3_link0"),
        (["--randomization", "pegs"], "unknown randomization 'pegs'; perhaps you meant peg"),
        (
            ["--actuators", "gears"],
            "actuators: expected one of ideal, motor, gear, motor-gear, got",
        ),
        (["--robot", "so101", "--actuators", "gear"], "no 'gear' for the robot 'so101', only for"),
        (["--lead-share", "2"], "lead_share: expected 0 to 1, got 2.0"),
        (["--curriculum.start", "2"], "start: expected 0 to 1, got 2.0"),
        (["--curriculum.start", "0"], "curriculum.start 0.0: without --randomization there are no"),
        (["--target-success", "nan"], "target_success: expected 0 to 1, got nan"),
        (["--controller.limit-share", "5"], "limit_share: expected 1 or less, because the gate"),
        (["--controller.damping", "-1"], "damping: expected a number above 0, got -1.0"),
        (["--controller.joint-margin", "2"], "joint_margin: expected less than 1.4"),
        (["--algo.relative", "a", "b"], "--algo.relative: 'a' of the pair a b is not a pose"),
        (
            ["--task.goal-low", *"100000", "--task.goal-high", *"011111"],
            "goal_low must not lie above goal_high, got (1.0,",
        ),
    ],
)
def test_settings_that_cannot_be_trained_are_one_line_and_leave_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    line: str,
) -> None:
    out = tmp_path / "run"
    monkeypatch.setitem(EXPERIMENTS, "reach-ppo", ("Small.", make_cfg(out)))
    assert cli.main(["train", "reach-ppo", *words]) == 2
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1
    assert not out.exists()  # so that the corrected command finds no other run


def test_a_run_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError, match=f"{out} cannot be written: {tmp_path / 'file'} is not"):
            train("reach-ppo", make_cfg(out))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("experiment: reach-ppo", "experiment: [", r"config.yaml:3:1?\d: expected valid YAML"),
        ("experiment: reach-ppo", "experiment: reach-pop", "unknown experiment .*reach-ppo"),
        ("commit:", "comit:", "comit: unknown key"),
        (
            "num_envs: 4",
            "num_envs: four",
            "settings.num_envs: expected a whole number.* got 'four'",
        ),
        ("rollout: 8", "rollout: 0", "settings.algo: rollout: expected 1 or more"),
        (
            "  robot: fr3",
            "  robt: fr3",
            r"settings lack \['robot'\]: the run is of another version",
        ),
        ("  robot: fr3", "  robot: fr3\n  speed: 1", "settings.speed: unknown key"),
        ("lead_share: 0.5", "lead_share: x", "settings.lead_share: expected a number"),
    ],
)
def test_a_broken_config_names_file_and_place(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    write_config(tmp_path, "reach-ppo", make_cfg(tmp_path))
    text = (tmp_path / CONFIG).read_text()
    assert before in text
    (tmp_path / CONFIG).write_text(text.replace(before, after))
    with pytest.raises(UserError, match=message) as caught:
        read_config(tmp_path)
    assert str(tmp_path / CONFIG) in str(caught.value)


def test_the_page_repeats_the_command_with_its_settings(tmp_path: Path) -> None:
    default = EXPERIMENTS["reach-ppo"][1]
    task = replace(default.task, max_steps=90)
    algo = replace(default.algo, lr_high=0.004, relative=(("ee_pose", "goal_pose"),))
    cfg = replace(default, task=task, algo=algo, seed=3, resume=True)
    words = command("reach-ppo", cfg, Path("runs/a b"))
    assert words == (
        "sim2arm train reach-ppo --task.max-steps 90 --algo.relative ee_pose goal_pose "
        "--algo.lr-high 0.004 --seed 3 --out 'runs/a b'"
    )
    name, read = parse_named(EXPERIMENTS, shlex.split(words)[2:], "sim2arm train", "experiment")
    assert (name, replace(read, out=None)) == ("reach-ppo", replace(cfg, resume=False))
    assert command("reach-ppo", default, Path("runs/reach-ppo")) == "sim2arm train reach-ppo"


def test_a_checkpoint_of_other_networks_is_one_line(tmp_path: Path) -> None:
    out = tmp_path / "run"
    cfg = make_cfg(out)
    train("reach-ppo", cfg)
    wider = build_learner(replace(cfg, algo=replace(cfg.algo, hidden=(16,))), 4)
    with pytest.raises(UserError, match=r"not of this version .*train again"):
        load_learner(wider, out)
    (out / CHECKPOINT).write_bytes(b"not safetensors")
    with pytest.raises(UserError, match="checkpoint"):
        load_learner(wider, out)
