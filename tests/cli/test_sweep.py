"""`sim2arm sweep`: what is missing is trained, the rest left; the table; what is refused."""

# pyright: standard

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim2arm.cli import main as cli
from sim2arm.cli import sweep_cells as module
from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.sweep import SweepCfg, chosen, rows_of, sweep
from sim2arm.cli.sweep_cells import Outcome, impossible, settings
from sim2arm.cli.sweeps import SWEEPS, Cell
from sim2arm.cli.touches import TOUCHES
from sim2arm.cli.train import train

TASK = replace(EXPERIMENTS["reach-ppo"][1].task, max_steps=5)  # type: ignore[call-arg]
SMALL = {
    "task": TASK,
    "algo.rollout": 4,
    "algo.hidden": (4,),
    "algo.epochs": 1,
    "trial_episodes": 1,
}
CELLS = {
    "teacher": Cell(case="teacher", experiment="reach-ppo", overrides=SMALL, published=0.9),
    "student": Cell(
        case="student",
        experiment="reach-ppo",
        overrides=SMALL | {"algo.freeze_critic": True},
        teacher="teacher",
    ),
    "smeller": Cell(case="smeller", experiment="reach-ppo", overrides={"nose": "dog"}),
    "watcher": Cell(case="watcher", experiment="reach-ppo", overrides={"cameras": "none such"}),
    "toucher": Cell(case="toucher", experiment="reach-ppo", overrides={"touch": "none such"}),
}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Return what is trained: folder and whether it goes on; the sweep is that of `CELLS`."""
    calls: list[tuple[str, bool]] = []

    def watched(name: str, cfg: TrainCfg) -> Path:
        assert cfg.out is not None
        calls.append((cfg.out.name, cfg.resume))
        return train(name, cfg)

    monkeypatch.setattr(module, "train", watched)
    monkeypatch.setitem(SWEEPS, "toy", ("A toy.", CELLS))
    return calls


def make_cfg(out: Path, **changes: Any) -> SweepCfg:
    """Return a sweep of seconds."""
    return SweepCfg(**({"name": "toy", "num_envs": 4, "iterations": 1, "episodes": 6,
                        "seeds": (0, 1), "out": out} | changes))  # fmt: skip


def test_what_is_missing_is_trained_and_the_rest_left(
    trained: list[tuple[str, bool]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = sweep(make_cfg(tmp_path))
    names = ["teacher-0", "teacher-1", "student-0", "student-1"]
    assert trained == [(name, False) for name in names]
    said = capsys.readouterr().err
    assert "smeller: left out: training has no setting nose" in said
    assert "watcher: left out: there are no cameras 'none such'" in said
    assert "toucher: left out: there is no touch 'none such'" in said
    assert [row.case for row in rows if row.metric == "success"] == ["teacher", "student"]
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["name"] == "sweep toy" and table["rows"][0]["baseline_value"] == 0.9
    found = {row["metric"]: row["value"] for row in table["rows"] if row["case"] == "student"}
    assert found["seeds"] == 2 and found["steps per seed"] == 16
    trained.clear()
    assert sweep(make_cfg(tmp_path)) == rows
    assert trained == []
    # One that was interrupted before it was measured goes on; its outcome is the same.
    (tmp_path / "student-1" / "measured.json").unlink()
    assert sweep(make_cfg(tmp_path)) == rows
    assert trained == [("student-1", True)]
    with pytest.raises(UserError, match="teacher-0 holds a run with other settings"):
        sweep(make_cfg(tmp_path, num_envs=5))


def test_figures_by_hand() -> None:
    outcomes = [
        Outcome(successes=n, episodes=10, steps=s, iterations=1) for n, s in ((5, 8), (9, 4))
    ]
    rows = rows_of(Cell(case="a", experiment="reach-ppo", published=0.5), outcomes)
    found = {row.metric: row.value for row in rows}
    assert found["success"] == 0.7 and rows[0].ratio == pytest.approx(1.4)
    # Clopper-Pearson for 14 of 20.
    assert found["success, 95 % low"] == pytest.approx(0.4572, abs=1e-4)
    assert found["success, 95 % high"] == pytest.approx(0.8811, abs=1e-4)
    assert (found["success of the worst seed"], found["success of the best seed"]) == (0.5, 0.9)
    assert found["steps per seed"] == 6


def test_cells_are_chosen_with_their_teachers() -> None:
    cells = SWEEPS["tacsl-table"][1]
    assert len(cells) == 2 * (1 + 3 * 6)
    found = chosen(cells, ["placement-dagger-f"])
    assert list(found) == ["placement-teacher", "placement-dagger-force-field"]
    with pytest.raises(UserError, match="unknown cell 'placement-dager'; perhaps you meant"):
        chosen(cells, ["placement-dager"])


@pytest.mark.parametrize("name", list(SWEEPS))
def test_every_cell_is_an_experiment_with_known_settings(name: str, tmp_path: Path) -> None:
    cells = SWEEPS[name][1]
    for cell in cells.values():
        assert not cell.teacher or cell.teacher in cells
        assert not impossible(cell)
        cfg = settings(tmp_path, cell, 3, {}, tmp_path / "run")
        assert cfg.seed == 3
        taught = isinstance(cfg, TrainCfg) and bool(cfg.teacher)
        assert taught == bool(cell.teacher)


@pytest.mark.parametrize("name", ["tacsl-table", "touch-placement"])
def test_cells_of_a_sweep_have_the_same_pads(name: str) -> None:
    """What they feel differs, not how soft they are."""
    kinds = {str(cell.overrides.get("touch", "none")) for cell in SWEEPS[name][1].values()}
    assert "none" not in kinds
    assert len({(TOUCHES[k].law, TOUCHES[k].grip, TOUCHES[k].sensor) for k in kinds}) == 1


def test_students_of_one_table_take_as_many_steps() -> None:
    for task in ("placement", "insertion"):
        steps = {
            cfg.iterations * cfg.algo.rollout * cfg.num_envs
            for kind in ("student", "aacd", "dagger", "bc")
            for cfg in [EXPERIMENTS[f"peg-{task}-{kind}"][1]]
        }
        assert len(steps) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["tacsl"], "unknown sweep 'tacsl'; perhaps you meant tacsl-table"),
        ([], "sim2arm sweep: missing NAME"),
        (["toy", "--episodes", "0"], "--episodes and --seeds: expected 1 or more"),
        (["toy", "--num-envs", "0"], "sweep: num_envs: expected a whole number"),
    ],
)
@pytest.mark.usefixtures("trained")
def test_bad_input_is_one_line(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "x")] if words else []
    assert cli.main(["sweep", *words, *out]) == 2
    assert line in capsys.readouterr().err


def test_a_finished_cell_trains_on_when_more_is_allowed(
    trained: list[tuple[str, bool]], tmp_path: Path
) -> None:
    one = make_cfg(tmp_path, cells=("teacher",), seeds=(0,))
    sweep(one)
    rows = sweep(replace(one, iterations=2))
    assert trained == [("teacher-0", False), ("teacher-0", True)]
    assert {row.metric: row.value for row in rows}["steps per seed"] == 32
