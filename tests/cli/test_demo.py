"""The demo from end to end on a small training; only the ROS nodes are played by this process."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli import demo, main, ros_evaluation
from sim2arm.cli.demo_summary import training_rate
from sim2arm.cli.evaluation import of_bundle, run_episodes
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.measured import Course, Measured
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.tasks.base import Task

PEG = EXPERIMENTS["peg-insertion-ppo"][1]
# Driving blind takes about 105 steps.
SMALL = replace(
    PEG,
    task=replace(PEG.task, max_steps=120),
    num_envs=16,
    trial_episodes=4,
    iterations=2,
)
ARGV = ["demo", "--episodes", "4", "--ros-episodes", "3", "--real-time-episodes", "2"]
ITEM = {
    "name": "joint_stiffness",
    "expected": [540, 660],
    "measured": 600.0,
    "unit": "N m/rad",
    "margin": 60.0,
    "ok": True,
    "note": "",
}


def fake_ros(
    bundle: Path,
    task: Task,
    seeds: Sequence[int],
    *,
    real_time: bool,
    folder: Path,
    progress: Callable[[int], None] | None = None,
) -> Measured:
    """Run the episodes here; in real time the second one turns out the other way."""
    policy = OnnxPolicy(bundle)
    episodes = run_episodes(task, policy.contract, of_bundle(policy), seeds, num_arms=1)
    if real_time:
        success = episodes.success.copy()
        success[1] ^= True
        episodes = replace(episodes, success=success)
    if progress is not None:
        progress(len(seeds))
    courses = [Course() for _ in seeds]
    if real_time:
        courses = [Course(latency_ms=np.full(int(n), 2.0)) for n in episodes.steps.tolist()]
        slow = np.append(courses[1].latency_ms, 20.0)
        courses[1] = replace(courses[1], latency_ms=slow, missed=3, late=4)
    return Measured(
        episodes=episodes,
        real_time=real_time,
        courses=tuple(courses),
        activation={"ok": True, "bundle": str(bundle), "robot": "fr3", "items": [ITEM]},
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPERIMENTS, "peg-insertion-ppo", ("Small.", SMALL))
    monkeypatch.setattr(ros_evaluation, "run_through_ros", fake_ros)
    monkeypatch.setattr(demo, "FILMED", 1)
    monkeypatch.setattr(demo, "FILMED_SHORT", 1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXPERIMENTS, "peg-insertion-ppo", ("Small.", SMALL))
        patch.setattr(ros_evaluation, "run_through_ros", fake_ros)
        patch.setattr(demo, "FILMED", 1)
        patch.setattr(demo, "FILMED_SHORT", 1)
        assert main.main([*ARGV, "--out", str(folder), "--json", str(folder / "rows.json")]) == 0
    yield folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "demo"))


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def no_call(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("this stage was done before")


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setattr(demo, name, no_call)


def test_the_summary_is_flat_and_tells_what_was_run(finished: Path) -> None:
    summary = read_json(finished / "summary.json")
    nested = {key for key, value in summary.items() if isinstance(value, dict)}
    assert nested == {"latency_ms"}
    assert summary["machine_cores"] >= 1 and summary["version_numpy"]
    assert summary["episodes_process"] == summary["episodes_open_loop"] == 4
    assert (summary["episodes_ros_lockstep"], summary["episodes_ros_realtime"]) == (3, 2)
    assert summary["success_open_loop"] == 1.0
    # Clopper-Pearson at 4 of 4: 0.025 ^ (1/4)
    assert summary["success_open_loop_low"] == pytest.approx(0.39764, abs=1e-5)
    assert 0 < summary["parity_max_abs"] < 1e-5
    assert summary["latency_ms"]["p50"] == 2.0 and summary["latency_ms"]["max"] == 20.0
    assert (summary["missed_periods"], summary["late_commands"]) == (3, 4)
    assert summary["same_steps_lockstep"] == 3 and summary["same_steps_realtime"] == 1
    assert summary["train_steps"] == 2 * SMALL.num_envs * SMALL.algo.rollout
    assert summary["train_steps_per_s"] > 0 and summary["wall_s"] > 0


def test_pairs_are_compared_with_the_episodes_in_process(finished: Path) -> None:
    summary = read_json(finished / "summary.json")
    lock_step = [
        summary[f"paired_lockstep_{key}"] for key in ("both", "neither", "only_process", "only_ros")
    ]
    assert sum(lock_step[:2]) == 3 and sum(lock_step[2:]) == 0
    assert summary["actions_max_abs_lockstep"] == 0.0  # the same bundle, another number of rows
    assert summary["discordant_lockstep"] == summary["incomplete_lockstep"] == []
    assert len(summary["discordant_realtime"]) == 1
    line = summary["discordant_realtime"][0]
    assert line.startswith("seed 1000001: in process ")
    assert line.endswith("; 3 periods without a new command; 4 late commands")


def test_the_report_shows_all_of_it(finished: Path) -> None:
    html = (finished / "report.html").read_text(encoding="utf-8")
    for words in (
        "driving blind to the noisy pose succeeds in 100.0 % of the same episodes",
        "data:video/mp4;base64,",
        "joint_stiffness",
        "540 to 660",
        "seed 1000001: in process",
        "max 20.00 ms",
        "period 16.67 ms",
        "environment steps",
        "Clopper-Pearson",
    ):
        assert words in html
    assert len(html) < 1_500_000


def test_rows_have_driving_blind_as_baseline(finished: Path) -> None:
    rows = read_json(finished / "rows.json")["rows"]
    process = next(row for row in rows if row["case"] == "in process")
    assert process["metric"] == "success" and process["baseline"] == "blind, open loop"
    assert process["baseline_value"] == 1.0


def test_a_second_call_repeats_nothing(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forbid(monkeypatch, "train", "export", "measure_in_process", "film_episodes")
    monkeypatch.setattr(ros_evaluation, "run_through_ros", no_call)
    (copied / "report.html").unlink()
    assert main.main([*ARGV, "--out", str(copied)]) == 0
    out, err = capsys.readouterr()
    assert err.count("done before") == 7
    assert re.fullmatch(r"this call: 0:\d\d", out.splitlines()[-1])
    assert "blind, open loop" in out and "[" in out and str(copied / "report.html") in out
    assert (copied / "report.html").is_file()


def test_ctrl_c_says_how_to_go_on_and_the_next_call_does(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*ARGV, "--out", str(copied), "--episodes", "3"]  # another size: run again
    forbid(monkeypatch, "train", "export")
    with monkeypatch.context() as patch:

        def interrupt(*args: Any, **kwargs: Any) -> Any:
            raise KeyboardInterrupt

        patch.setattr(demo, "measure_in_process", interrupt)
        assert main.main([*argv, "--real-time-episodes", "2"]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    command = f"sim2arm {' '.join(argv)} --real-time-episodes 2"
    assert last == f"sim2arm: interrupted: {copied} keeps what is done; go on with: {command}"
    assert main.main(argv) == 0
    summary = read_json(copied / "summary.json")
    assert summary["episodes_process"] == 3
    err = capsys.readouterr().err
    assert "[1/7] train: done before" in err and "[2/7] export: done before" in err


def test_ctrl_c_in_training_leaves_a_run_that_training_goes_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def train(name: str, cfg: Any) -> Path:
        seen.append(cfg.resume)
        (cfg.out).mkdir(exist_ok=True)
        from sim2arm.cli.runs import write_config

        write_config(cfg.out, name, cfg)
        raise KeyboardInterrupt("resume with: something else")

    monkeypatch.setattr(demo, "train", train)
    for _ in range(2):
        assert main.main([*ARGV, "--out", str(tmp_path / "demo")]) == 130
    assert seen == [False, True]


def test_a_folder_with_another_training_is_refused_and_fresh_starts_over(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(SMALL, seed=5)
    monkeypatch.setitem(EXPERIMENTS, "peg-insertion-ppo", ("Small.", other))
    assert main.main([*ARGV, "--out", str(copied)]) == 2
    line = capsys.readouterr().err.strip()
    assert line.endswith(
        f"{copied} holds a run with other settings (seed: 0 != 5): start over with "
        "--fresh, or choose another --out"
    )
    (copied / "mine.txt").touch()

    def stop(name: str, cfg: Any) -> Path:
        assert not cfg.resume
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "train", stop)
    assert main.main([*ARGV, "--out", str(copied), "--fresh"]) == 130
    assert "--fresh" not in capsys.readouterr().err.splitlines()[-1]
    left = {path.name for path in copied.iterdir()}
    assert left == {"mine.txt", "rows.json", "stages.json"}  # nothing that a demo did not write


def test_more_iterations_train_on(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class CalledError(Exception):
        pass

    def train(name: str, cfg: Any) -> Path:
        assert cfg.resume and cfg.iterations == 3
        raise CalledError

    monkeypatch.setattr(demo, "train", train)
    with pytest.raises(CalledError):
        main.main([*ARGV, "--out", str(copied), "--iterations", "3"])


def test_what_was_damaged_in_between_is_one_line(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forbid(monkeypatch, "train", "export", "measure_in_process", "film_episodes")
    measured = copied / demo.MEASURED / "in-process.safetensors"
    measured.write_bytes(b"not safetensors")
    argv = [*ARGV, "--out", str(copied)]
    assert main.main(argv) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"sim2arm: error: measured episodes {measured}: not a safetensors file")
    (copied / demo.BUNDLE / "contract.yaml").write_text("a: [")
    assert main.main(argv) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("sim2arm: error: bundle: ") and "contract.yaml" in line


def test_without_ros_the_figures_are_null(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forbid(monkeypatch, "train", "export", "measure_in_process", "film_episodes")
    argv = ["demo", "--episodes", "4", "--ros-episodes", "0", "--real-time-episodes", "0"]
    assert main.main([*argv, "--out", str(copied)]) == 0
    summary = read_json(copied / "summary.json")
    assert summary["success_ros_lockstep"] is None and summary["latency_ms"] is None
    assert "ROS" not in capsys.readouterr().out.split("report:")[0].replace("to ROS 2 works", "")


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--experiment", "peg-insertio"], "unknown experiment 'peg-insertio'; perhaps you meant"),
        (["--episodes", "0"], "--episodes must be 1 or more, got 0"),
        (["--ros-episodes", "600"], "--ros-episodes must lie in 0 to --episodes (500), got 600"),
        (["--real-time-episodes", "-1"], "--real-time-episodes must lie in 0 to --episodes (500)"),
        (["--iterations", "-3"], "--iterations must be 1 or more, got -3"),
        (["--out", __file__], f"--out: {__file__} cannot be written: {__file__} is not a folder"),
        (["--json", "."], "--json: . is a folder, expected the name of a file"),
    ],
)
def test_bad_arguments_are_one_line(
    argv: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["demo", *argv]) == 2
    err = capsys.readouterr().err.strip()
    assert line in err and "\n" not in err


def test_the_training_rate_counts_all_steps(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(f"{HEADER}100,2.0,,,\n300,4.0,0.1,0.2,0.5\n")
    assert training_rate(path) == (300, 75.0)


HEADER = "steps,wall_s,reward,success,measured\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a row per iteration, got none"),
        (HEADER, "expected a row per iteration, got none"),
        ("steps,wall_s\n1,2\n", "reward, success, measured missing"),
        (
            f"{HEADER}100,2.0,0.1,0.2,\n200,,0.1,0.2,\n",
            "row 2: expected a number above 0 in wall_s",
        ),
        (f"{HEADER}100,0.0,0.1,0.2,\n", "row 1: expected a number above 0 in wall_s, got '0.0'"),
        (f"{HEADER}nan,2.0,0.1,0.2,\n", "row 1: expected a number above 0 in steps"),
        (f"{HEADER}100,2.0,0.1,x,\n", "row 1: could not convert string to float: 'x'"),
        (f"{HEADER}100,2.0,0.1\n", "row 1: expected as many columns"),
        (f"{HEADER}100,2.0,0.1,0.2,,7\n", "row 1: expected as many columns"),
    ],
)
def test_damaged_metrics_of_a_training_that_is_done_are_one_line(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    text: str, words: str,
) -> None:  # fmt: skip
    forbid(monkeypatch, "train", "export", "measure_in_process", "film_episodes")
    (copied / "metrics.csv").write_text(text)
    assert main.main([*ARGV, "--out", str(copied)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"sim2arm: error: metrics {copied / 'metrics.csv'}: ") and words in line
