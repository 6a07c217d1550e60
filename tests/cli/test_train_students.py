"""A teacher and its students: trainings of seconds, their bundles, what is refused."""

# pyright: standard

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from sim2arm.cli import main as cli
from sim2arm.cli.errors import UserError
from sim2arm.cli.eval import EvalCfg, evaluate
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.export import ExportCfg, export
from sim2arm.cli.parse import parse_named
from sim2arm.cli.runs import METRICS, build_learner, read_config, restore
from sim2arm.cli.shows import show_run
from sim2arm.cli.teachers import take_start
from sim2arm.cli.train import train
from sim2arm.cli.train_page import command
from sim2arm.policies.distill import DistillCfg
from sim2arm.policies.ppo import Ppo, PpoCfg
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.tasks.peg_placement import PegPlacementCfg


def make_cfg(name: str, out: Path, **changes: object) -> TrainCfg:
    """Return a training of seconds."""
    cfg = EXPERIMENTS[name][1]
    task = replace(cast(PegPlacementCfg, cfg.task), max_steps=10)
    if isinstance(cfg.algo, DistillCfg):
        algo = replace(cfg.algo, rollout=4, sequence=2, epochs=1, minibatches=2, hidden=(4,))
    else:
        algo = replace(cast(PpoCfg, cfg.algo), rollout=4, epochs=1, minibatches=2, hidden=(4,))
    algo = replace(algo, actor=replace(algo.actor, lstm=min(3, algo.actor.lstm)))
    small = {"num_envs": 4, "iterations": 1, "trial_episodes": 2, "task": task, "algo": algo}
    return replace(cfg, out=out, **(small | changes))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a teacher."""
    out = tmp_path_factory.mktemp("teacher") / "run"
    return train("peg-placement-ppo", make_cfg("peg-placement-ppo", out))


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the metrics of a run."""
    with (folder / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", params=["peg-placement-aacd", "peg-placement-dagger"])
def student(
    request: pytest.FixtureRequest, teacher: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, TrainCfg, Path]:
    """Return a student's experiment, its settings and its run of two iterations."""
    name, out = request.param, tmp_path_factory.mktemp("student") / "run"
    cfg = make_cfg(name, out, teacher=str(teacher))
    train(name, cfg)
    train(name, replace(cfg, iterations=2, resume=True))
    return name, cfg, out


def test_a_student_is_trained_and_resumed(student: tuple[str, TrainCfg, Path]) -> None:
    name, cfg, out = student
    rows = rows_of(out)
    assert [row["iteration"] for row in rows] == ["1", "2"]
    assert ("imitation_loss" in rows[0]) == (name == "peg-placement-dagger")
    assert read_config(out)[1].algo == cfg.algo


def test_its_bundle_has_its_memory_and_can_be_evaluated(
    student: tuple[str, TrainCfg, Path],
) -> None:
    *_, out = student
    export(ExportCfg(run=out))
    policy = OnnxPolicy(out / "bundle", num_envs=2)
    assert [state.shape for state in policy.contract.states] == [(1, 3), (1, 3)]
    assert "peg_pose" not in [spec.name for spec in policy.contract.inputs]
    found = {r.metric: r.value for r in evaluate(EvalCfg(path=out, episodes=2, num_arms=2))}
    assert found["episodes"] == 2


def test_it_can_be_watched(student: tuple[str, TrainCfg, Path]) -> None:
    *_, out = student
    seen: list[int] = []
    show = show_run(out, 2, world="mujoco", device="cpu")
    show.play([1, 2], lambda: "policy", lambda moment: seen.append(moment.step))
    assert seen[-1] == 10


def test_a_frozen_critic_is_the_teachers(teacher: Path, tmp_path: Path) -> None:
    cfg = make_cfg("peg-placement-aacd", tmp_path / "run", teacher=str(teacher))
    cfg = replace(cfg, algo=replace(cfg.algo, freeze_critic=True))  # type: ignore[call-arg]
    train("peg-placement-aacd", cfg)
    theirs, ours = (cast(Ppo, restore(f, 1)[0]).model for f in (teacher, tmp_path / "run"))
    for name, value in theirs.critic.state_dict().items():
        assert torch.equal(value, ours.critic.state_dict()[name])
    assert not torch.equal(theirs.actor.norm.mean[:3], ours.actor.norm.mean[:3])


def test_a_training_begins_with_the_networks_of_another(teacher: Path, tmp_path: Path) -> None:
    cfg = make_cfg("peg-placement-ppo", tmp_path / "run", start=str(teacher))
    before = cast(Ppo, restore(teacher, 1)[0]).model.state_dict()
    learner = build_learner(cfg)
    fresh = cast(Ppo, learner).model.state_dict()
    assert not all(torch.equal(value, fresh[name]) for name, value in before.items())
    take_start(learner, cfg)
    taken = cast(Ppo, learner).model.state_dict()
    assert all(torch.equal(value, taken[name]) for name, value in before.items())
    train("peg-placement-ppo", cfg)
    assert read_config(tmp_path / "run")[1].start == str(teacher)
    algo = cast(PpoCfg, cfg.algo)
    out = tmp_path / "other"
    for wrong, line in (
        (replace(cfg, start=str(tmp_path)), "is not a run"),
        (replace(cfg, algo=replace(algo, hidden=(5,))), "--start .*its networks are others"),
        (replace(cfg, controller=replace(cfg.controller, position_scale=0.001)), "its actions are"),
    ):
        with pytest.raises(UserError, match=line):
            train("peg-placement-ppo", replace(wrong, out=out))
        assert not out.exists()
    with pytest.raises(ValueError, match="start: only PPO begins with networks"):
        replace(cfg, teacher=str(teacher))


def test_teachers_that_do_not_fit_are_one_line(teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    aacd = make_cfg("peg-placement-aacd", out, teacher=str(teacher))
    dagger = make_cfg("peg-placement-dagger", out, teacher=str(teacher))
    algo = cast(PpoCfg, aacd.algo)
    controller = replace(dagger.controller, position_scale=0.001)
    insertion = replace(
        make_cfg("peg-placement-dagger", out), task=EXPERIMENTS["peg-insertion-dagger"][1].task,
        algo=replace(dagger.algo, relative=()), teacher=str(teacher),
    )  # fmt: skip
    for name, cfg, line in (
        ("peg-placement-aacd", replace(aacd, teacher=str(tmp_path)), "is not a run"),
        (
            "peg-placement-aacd",
            replace(aacd, algo=replace(algo, critic_relative=())),
            r"its critic has other relative poses: \(\('pad_pose', 'ee_pose'\), \('pad_pose'",
        ),
        (
            "peg-placement-aacd",
            replace(aacd, algo=replace(algo, critic_hidden=(5,))),
            "--teacher .*size mismatch",
        ),
        (
            "peg-placement-dagger",
            replace(dagger, controller=controller),
            "its actions are others: controller",
        ),
        ("peg-insertion-dagger", insertion, "expected a teacher of the same task"),
    ):
        with pytest.raises(UserError, match=line):
            train(name, cfg)
        assert not out.exists()


def test_settings_that_do_not_go_together() -> None:
    dagger = EXPERIMENTS["peg-placement-dagger"][1]
    with pytest.raises(ValueError, match="teacher: expected the run folder"):
        replace(dagger, teacher="")
    student = EXPERIMENTS["peg-placement-student"][1]
    with pytest.raises(ValueError, match=r"algo\.freeze_critic: a critic that nobody taught"):
        replace(student, algo=replace(student.algo, freeze_critic=True))  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="num_envs: a minibatch of an actor that remembers"):
        replace(student, num_envs=3)


def test_what_no_robot_knows_is_not_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = make_cfg("peg-placement-ppo", tmp_path / "run")
    algo = replace(cfg.algo, sees="critic")  # type: ignore[call-arg]
    train("peg-placement-ppo", replace(cfg, algo=algo))
    assert cli.main(["export", str(tmp_path / "run")]) == 2
    assert "its policy sees what no robot knows" in capsys.readouterr().err


def test_the_command_of_a_run_says_switches() -> None:
    cfg = EXPERIMENTS["peg-placement-aacd"][1]
    algo = replace(cast(PpoCfg, cfg.algo), freeze_critic=True)
    wanted = replace(cfg, algo=replace(algo, actor=replace(algo.actor, lstm=7)))
    words = command("peg-placement-aacd", wanted, Path("runs/peg-placement-aacd"))
    assert words == ("sim2arm train peg-placement-aacd --algo.actor.lstm 7 --algo.freeze-critic")
    assert parse_named(EXPERIMENTS, words.split()[2:], "sim2arm train", "experiment")[1] == wanted
