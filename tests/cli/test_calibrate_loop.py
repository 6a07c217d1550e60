"""The loop of calibration on arms that hide their numbers: what is made and compared."""

# pyright: standard

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim2arm.calibration.dynamics_file import read_dynamics
from sim2arm.cli import main as cli
from sim2arm.cli.calibrate_loop import DONE, CalibrateLoopCfg, compared, of_draws
from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.export import ExportCfg, export
from sim2arm.cli.runs import read_config
from sim2arm.cli.train import train
from sim2arm.core.robot_files import find_robot
from sim2arm.sim.hidden_arm import draw_arm, record_arm
from sim2arm.sim.identification import ArmReplay
from tests.cli.test_train_dynamics import write_dynamics

FR3 = find_robot("fr3")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a policy that has learnt nothing."""
    small = replace(EXPERIMENTS["reach-ppo"][1], num_envs=2, iterations=1, trial_episodes=1)
    algo = replace(small.algo, rollout=4, hidden=(4,))  # type: ignore[call-arg]
    out = tmp_path_factory.mktemp("loop") / "run"
    train("reach-ppo", replace(small, algo=algo, out=out))
    export(ExportCfg(run=out))
    return out


def test_each_arm_is_identified_trained_on_and_compared(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = tmp_path / "loop" / "arm-3"
    arm.mkdir(parents=True)
    write_dynamics(arm / "dynamics.yaml")  # as if it had been identified
    argv = ["calibrate", "loop", "--run", str(run), "--out", str(tmp_path / "loop"), "--draws", "1",
            "--first", "3", "--iterations", "1", "--episodes", "2"]  # fmt: skip
    assert cli.main([*argv, "--json", str(tmp_path / "rows.json")]) == 0
    success = json.loads((arm / DONE).read_text())
    assert set(success["success"]) == {"before", "trained on", "identified", "true"}
    hidden = draw_arm(FR3, np.random.default_rng(3)).numbers
    truth = read_dynamics(arm / "truth.yaml")
    assert {name: value for name, (value, _) in truth.numbers.items()} == pytest.approx(hidden)
    for name, record in (("identified", "dynamics"), ("true", "truth")):
        settings = read_config(arm / name)[1]
        assert settings.start == str(run)
        kept = read_dynamics(settings.dynamics)
        assert kept.numbers == read_dynamics(arm / f"{record}.yaml").numbers
        assert (arm / name / "bundle" / "contract.yaml").is_file()
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {row["metric"] for row in rows} >= {"success, before", "success, identified, 95 % low"}
    assert read_config(tmp_path / "loop" / "more")[1].dynamics == ""  # trained on, no record
    capsys.readouterr()
    before = (arm / DONE).stat().st_mtime_ns
    assert cli.main(argv) == 0  # what is there is not made again
    assert (arm / DONE).stat().st_mtime_ns == before
    assert cli.main([*argv[:-1], "3"]) == 2  # results of other settings are not taken for these
    assert "is of other settings or another run" in capsys.readouterr().err


def test_shares_by_hand() -> None:
    arms = [{"before": 0.5, "trained on": 0.5, "identified": 0.8, "true": 0.9},
            {"before": 0.7, "trained on": 0.7, "identified": 0.9, "true": 0.9}]  # fmt: skip
    rows = {row.metric: row.value for row in compared("x", arms)}
    assert rows["success that the hidden arm costs"] == pytest.approx(0.3)
    assert rows["share of it that comes back"] == pytest.approx(100 * 0.25 / 0.3)
    low, high = (rows[f"share of it that comes back, 95 % {end}"] for end in ("low", "high"))
    assert low == pytest.approx(75.0) and high == pytest.approx(100.0)
    assert rows["success, before, 95 % low"] == 0.5 and rows["success, true"] == 0.9
    same = [dict.fromkeys(arms[0], 0.9)]
    assert not any("share" in row.metric for row in compared("x", same))


def test_a_hidden_arm_is_the_same_for_the_same_seed_and_moves_as_it_is_hidden() -> None:
    one, same, other = (draw_arm(FR3, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert one.numbers == same.numbers != other.numbers
    recording, width = record_arm(one, np.random.default_rng(1), seconds=8.0, noise=1e-9, lost=0.1)
    replay = ArmReplay(FR3, recording, width=width, threads=1)
    values = np.array([one.numbers[number.name] for number in replay.numbers])
    (found,) = replay.run(values[None])
    np.testing.assert_allclose(found, replay.measured, atol=2e-6)
    assert len(recording.q) < 0.95 * len(recording.told_q)


def test_what_cannot_go_on_is_one_line(run: Path, tmp_path: Path) -> None:
    cfg = CalibrateLoopCfg(run=tmp_path, out=tmp_path / "out")
    with pytest.raises(UserError, match="is not a run"):
        of_draws(cfg)
    assert cli.main(["calibrate", "loop", "--run", str(run), "--out", str(tmp_path / "o"),
                     "--draws", "0"]) == 2  # fmt: skip
