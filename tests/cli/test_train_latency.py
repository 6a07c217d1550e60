"""Training with measured latencies: the run keeps their record; other files are refused."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from sim2arm.calibration.latency import latency_record, read_latency
from sim2arm.cli import main as cli
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.randomizations import RANDOMIZATIONS, Randomization
from sim2arm.cli.run_record import CONFIG
from sim2arm.cli.runs import LATENCY, build_env, read_config, restore
from sim2arm.cli.train import train
from sim2arm.core.calibration_file import write_record
from sim2arm.sim.delay import CommandDelay
from sim2arm.sim.env import Env


def make_cfg(out: Path, **overrides: object) -> TrainCfg:
    small = replace(EXPERIMENTS["reach-ppo"][1], num_envs=2, iterations=1, trial_episodes=1)
    cfg = replace(small, algo=replace(small.algo, rollout=4, hidden=(4,)), out=out)
    return replace(cfg, **overrides)


def write_latency(path: Path, *samples: float) -> Path:
    write_record(path, latency_record(samples, device="fr3", method="from action to command"))
    return path


def test_a_run_keeps_the_latencies_that_its_commands_drew_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured, out = write_latency(tmp_path / "bench.yaml", 0.004, 0.003), tmp_path / "run"
    train("reach-ppo", make_cfg(out, latency=str(measured)))
    measured.rename(tmp_path / "elsewhere.yaml")
    assert read_latency(out / LATENCY) == (0.004, 0.003)
    assert read_config(out)[1].latency == str(out / LATENCY)
    moved = out.rename(tmp_path / "moved")
    env = cast(Env, restore(moved)[0].env)
    assert env.commands.line is not None
    assert env.commands.line.term == CommandDelay(samples=(0.004, 0.003))
    assert cli.main(["export", str(moved)]) == 0
    assert "latency/command" in (moved / "bundle" / "contract.yaml").read_text()


def test_a_run_goes_on_with_its_own_latencies_only(tmp_path: Path) -> None:
    measured, out = write_latency(tmp_path / "bench.yaml", 0.004, 0.003), tmp_path / "run"
    cfg = make_cfg(out, latency=str(measured))
    train("reach-ppo", cfg)
    train("reach-ppo", replace(cfg, resume=True, iterations=2))
    other = write_latency(tmp_path / "other.yaml", 0.005)
    for latency in (str(other), ""):
        with pytest.raises(
            cli.UserError, match=r"with other settings \(latency: .*latency.yaml != "
        ):
            train("reach-ppo", replace(cfg, resume=True, iterations=3, latency=latency))


def test_latencies_take_the_place_of_jitter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = write_latency(tmp_path / "bench.yaml", 0.004)
    drawn = Randomization(commands=CommandDelay(high=0.01, jitter=0.002, lost=0.1))
    monkeypatch.setitem(RANDOMIZATIONS, "late", lambda robot: drawn)
    for latency, term in (
        ("", drawn.commands),
        (str(measured), CommandDelay(high=0.01, samples=(0.004,), lost=0.1)),
    ):
        env = build_env(make_cfg(tmp_path, latency=latency, randomization="late"), 1)
        assert env.commands.line is not None and env.commands.line.term == term
    assert build_env(make_cfg(tmp_path), 1).commands.line is None


def test_a_file_without_latencies_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    monkeypatch.setitem(EXPERIMENTS, "reach-ppo", ("Small.", make_cfg(out)))
    (tmp_path / "some.yaml").write_text("version: 1\n")
    for name, line in (("none.yaml", "cannot be read"), ("some.yaml", "some.yaml: ")):
        assert cli.main(["train", "reach-ppo", "--latency", str(tmp_path / name)]) == 2
        err = capsys.readouterr().err
        assert "--latency" in err and line in err and err.count("\n") == 1
        assert not (out / CONFIG).exists()
