"""`sim2arm bench shift`: small trainings end in the rows; what cannot be measured is one line."""

# pyright: standard

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sim2arm.cli import main as cli
from sim2arm.cli.experiments import EXPERIMENTS


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the experiment a matter of seconds."""
    help_line, cfg = EXPERIMENTS["reach-ppo"]
    cfg = replace(
        cfg,
        task=replace(cfg.task, max_steps=5),
        algo=replace(cfg.algo, rollout=4, hidden=(4,)),
        num_envs=4,
        trial_episodes=2,
    )
    monkeypatch.setitem(EXPERIMENTS, "reach-ppo", (help_line, cfg))


def test_rows_of_small_trainings_and_a_second_call_trains_no_more(
    small: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, file = tmp_path / "runs", tmp_path / "shift.json"
    words = ["bench", "shift", "--experiment", "reach-ppo", "--randomization", "arm",
             "--iterations", "1", "--seeds", "5", "--arms", "1", "--episodes", "2",
             "--out", str(out), "--json", str(file)]  # fmt: skip
    assert cli.main(words) == 0
    rows = {(r["case"], r["metric"]): r for r in json.loads(file.read_text())["rows"]}
    for kind in ("none", "arm"):
        for level in range(4):
            row = rows[f"randomization {kind}, seed 5, shift {level}", "success"]
            assert 0.0 <= row["value"] <= 1.0
        base = rows[f"randomization {kind}, seed 5, shift 0", "success"]["value"]
        for level in (1, 2, 3):
            rate = rows[f"randomization {kind}, seed 5, shift {level}", "success"]["value"]
            lost = rows[f"randomization {kind}, all seeds, shift {level}", "success lost"]
            assert lost["value"] == pytest.approx(100.0 * (base - rate))
    capfd.readouterr()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert cli.main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    assert "train" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--arms", "0"], "--arms"),
        (["--experiment", "push-t-ppo"], "no shift for the task push-t"),
        (["--experiment", "lift"], "experiment"),
        (["--randomization", "pegs"], "randomization"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", "shift", *words]) == 2
    error = capsys.readouterr().err
    assert text in error and error.count("\n") == 1
