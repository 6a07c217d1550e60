"""The policy that comes with the package is what its experiment would train today, and works."""

from __future__ import annotations

import filecmp
import json
import re
from pathlib import Path

import pytest

from sim2arm.cli.demo import BUNDLE, main
from sim2arm.cli.demo_summary import SUMMARY
from sim2arm.cli.errors import UserError
from sim2arm.cli.eval import FIRST_SEED
from sim2arm.cli.evaluation import of_bundle
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.measured import measure_in_process
from sim2arm.cli.runs import build_task, other_run
from sim2arm.policies.pretrained import PEG_INSERTION
from sim2arm.policies.runtime import OnnxPolicy

EXPERIMENT = "peg-insertion-ppo"


def test_its_run_is_the_experiment_of_today() -> None:
    assert other_run(PEG_INSERTION, EXPERIMENT, EXPERIMENTS[EXPERIMENT][1]) == ""


def test_it_succeeds() -> None:
    policy = OnnxPolicy(PEG_INSERTION / BUNDLE, num_envs=10)
    assert policy.contract.provenance.experiment == EXPERIMENT
    task = build_task(EXPERIMENTS[EXPERIMENT][1])
    seeds = range(FIRST_SEED, FIRST_SEED + 10)
    measured = measure_in_process(
        task, policy.contract, of_bundle(policy), seeds, num_arms=10, label="pretrained"
    )
    assert int(measured.episodes.success.sum()) >= 8


def test_a_demo_of_it_trains_nothing_and_runs_through_ros(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real nodes with the shipped bundle: the same actions as in process, and real time works."""
    out = tmp_path / "demo"
    few = ["--episodes", "2", "--ros-episodes", "1", "--real-time-episodes", "1"]
    assert main(["--pretrained", "--out", str(out), *few]) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(r"this call: \d+:\d\d", said.splitlines()[-1])
    for file in (PEG_INSERTION / BUNDLE).iterdir():
        assert filecmp.cmp(file, out / BUNDLE / file.name, shallow=False)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "it was not trained here" in page and "demo --pretrained" in page
    summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    assert (summary["episodes_ros_lockstep"], summary["episodes_ros_realtime"]) == (1, 1)
    assert summary["same_steps_lockstep"] == 1
    assert summary["paired_lockstep_both"] + summary["paired_lockstep_neither"] == 1
    assert summary["actions_max_abs_lockstep"] == 0.0
    assert summary["latency_ms"]["p50"] > 0.0


def test_it_takes_no_training_options() -> None:
    with pytest.raises(UserError, match=r"^--pretrained takes the place of training: expected peg"):
        main(["--pretrained", "--iterations", "3"])
