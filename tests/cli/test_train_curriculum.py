"""A training whose ranges widen with success: command line, resume, trial, contract."""

# pyright: standard

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from sim2arm.cli import export as export_verb
from sim2arm.cli import main as cli
from sim2arm.cli import train as module
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.run_record import CONFIG
from sim2arm.cli.runs import (
    METRICS,
    build_env,
    build_learner,
    load_learner,
    read_config,
    restore,
    write_config,
)
from sim2arm.core.contract import Contract
from sim2arm.policies.bundle import BundleError
from sim2arm.sim.curriculum import Curriculum, CurriculumCfg
from sim2arm.sim.env import Env
from sim2arm.sim.randomize import Randomizer
from sim2arm.sim.tasks.reach import ReachCfg


def make_cfg(out: Path, **overrides: object) -> TrainCfg:
    """Return a training of seconds, in which every episode succeeds in its fourth step.

    A block is two episodes of each world: they begin in one roll-out and end in the next.
    """
    default = EXPERIMENTS["reach-ppo"][1]
    task = ReachCfg(position_tolerance=10.0, rotation_tolerance=10.0, hold_steps=4, max_steps=9)
    cfg = replace(
        default,
        task=task,
        algo=replace(default.algo, rollout=8, hidden=(8,)),
        randomization="arm",
        curriculum=CurriculumCfg(start=0.0, step=0.5, episodes=8),
        num_envs=4,
        iterations=2,
        trial_every=1,
        trial_from=0.0,
        trial_episodes=2,
        out=out,
    )
    return replace(cfg, **overrides)


def columns_of(folder: Path, *names: str) -> list[tuple[str, ...]]:
    """Return some columns of the metrics."""
    with (folder / METRICS).open(newline="") as file:
        return [tuple(row[name] for name in names) for row in csv.DictReader(file)]


def error_of(contract: Contract) -> float:
    """Return the largest error of the gravity compensation, 0.02 in the whole ranges."""
    found = next(r for r in contract.ranges if r.name == "physics/gravity compensation")
    return round(found.high - 1.0, 12)


def exported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Contract:
    """Return the contract of the bundle that a run is exported to, without the networks."""
    found: list[Contract] = []

    def stop(_: object, contract: Contract, *__: object, **___: object) -> None:
        found.append(contract)
        raise BundleError("seen")

    with monkeypatch.context() as patch:
        patch.setattr(export_verb, "export_bundle", stop)
        patch.setattr(export_verb, "RECORDED", 2)
        assert cli.main(["export", str(folder)]) == 2
    return found[0]


def env_of(folder: Path) -> Env:
    """Return the environment of a run as it is exported."""
    return cast(Env, restore(folder, 1)[0].env)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The level at which episodes were drawn, each time some began."""
    levels: list[float] = []
    write = Randomizer.write

    def watched(randomizer: Randomizer, *args: Any) -> None:
        levels.append(randomizer.level)
        write(randomizer, *args)

    monkeypatch.setattr(Randomizer, "write", watched)
    return levels


def test_it_widens_resumes_and_stops_at_the_whole_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: list[float]
) -> None:
    out = tmp_path / "run"
    monkeypatch.setitem(EXPERIMENTS, "reach-ppo", ("Easy.", make_cfg(out)))
    assert cli.main(["train", "reach-ppo"]) == 0
    # The last iteration has a trial, which succeeds; but at the first level that stops nothing.
    rows = [("0.0", ""), ("0.0", "1.0")]
    assert columns_of(out, "level", "measured") == rows
    assert env_of(out).level == 0.0  # it rose to 0.5, where nothing ended yet

    assert cli.main(["train", "reach-ppo", "--resume", "--iterations", "4"]) == 0
    rows += [("0.5", ""), ("0.5", "1.0")]
    assert columns_of(out, "level", "measured") == rows
    contract = exported(out, monkeypatch)
    assert error_of(contract) == 0.01
    assert contract.low_level.kp_range[0] == pytest.approx((600 / 1.15**0.5, 600 * 1.15**0.5))
    ages = {spec.name: spec.trained_age_s for spec in contract.inputs}
    assert ages["joint_position"] == pytest.approx((0.0, 0.022))  # half of 40 + 4 ms

    drawn.clear()
    curriculum = Curriculum(make_cfg(out).curriculum)
    load_learner(build_learner(make_cfg(out)), out, curriculum, resume=True)
    assert drawn == [0.0, 1.0]  # those of a new run, then those that go on
    assert (curriculum.level, curriculum.held) == (1.0, 0.5)

    assert cli.main(["train", "reach-ppo", "--resume", "--iterations", "9"]) == 0
    rows += [("1.0", ""), ("1.0", "1.0")]  # the sixth is the first at which a block ended at 1
    assert columns_of(out, "level", "measured") == rows
    assert env_of(out).level == 1.0
    assert "drew from, 100 % at the end" in (out / "report.html").read_text()
    assert read_config(out)[1].curriculum == CurriculumCfg(start=0.0, step=0.5, episodes=8)


def test_every_rank_sets_the_level_of_physics_and_sensors(
    tmp_path: Path, drawn: list[float]
) -> None:
    cfg = make_cfg(tmp_path)
    learner, curriculum = build_learner(cfg), Curriculum(cfg.curriculum)
    assert set(drawn) == {0.0}  # the first episodes too
    module._follow(learner, curriculum, replace(cfg, iterations=3), tmp_path, lambda: False)
    env = cast(Env, learner.env)
    assert env.sensing is not None
    assert env.level == env.randomizer.level == env.sensing.level == curriculum.level == 0.5
    assert drawn[-1] == 0.5 and drawn == sorted(drawn)
    assert build_env(cfg, 2).level == 1.0  # of trials


def test_a_run_from_before_curricula_had_the_whole_ranges(tmp_path: Path) -> None:
    write_config(tmp_path, "reach-ppo", make_cfg(tmp_path))
    config = yaml.safe_load((tmp_path / CONFIG).read_text())
    assert config["settings"].pop("curriculum")["start"] == 0.0
    (tmp_path / CONFIG).write_text(yaml.safe_dump(config))
    assert read_config(tmp_path)[1].curriculum == CurriculumCfg()


def test_without_a_curriculum_there_is_no_level_to_tell(tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path / "run", curriculum=CurriculumCfg(), iterations=3)
    module.train("reach-ppo", cfg)
    assert columns_of(tmp_path / "run", "measured") == [("1.0",)]  # stopped by its first trial
    assert "level" not in (tmp_path / "run" / METRICS).read_text().splitlines()[0]
    assert env_of(tmp_path / "run").level == 1.0
