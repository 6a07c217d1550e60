# pyright: standard
"""The measuring parts of `bench ros`; the nodes themselves have tests of their own."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sim2arm.calibration.latency import read_latency
from sim2arm.cli.errors import UserError
from sim2arm.core.calibration_file import write_record
from sim2arm.core.contract import Contract
from sim2arm.policies.verify import load_contract
from sim2arm.sim.tasks.table import make_task
from sim2arm_ros.dds import install

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    if str(FOLDER) not in sys.path:  # as `sim2arm bench` does
        sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ros() -> ModuleType:
    install()
    return load("ros")


@pytest.fixture(scope="module")
def files(ros: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return ros.make_bundle("state", 100.0, 32.0, tmp_path_factory.mktemp("bench"))


def test_the_bundle_is_at_the_rate_and_its_task_does_not_end(files: Any) -> None:
    contract: Contract = load_contract(files.bundle)
    assert contract.control_hz == 100.0
    task = make_task(files.task, "fr3", files.settings.read_text())
    assert task.cfg.max_steps == 3200  # 32 s at 100 Hz
    assert task.cfg.position_tolerance == 0.0


@pytest.mark.parametrize(
    ("sees", "names"), [("camera", {"scene_rgb", "wrist_rgb"}), ("touch", {"touch_field"})]
)
def test_policies_that_see_more_are_timed_with_all_that_they_see(
    ros: ModuleType, tmp_path: Path, sees: str, names: set[str]
) -> None:
    files = ros.make_bundle(sees, 60.0, 30.0, tmp_path)
    assert names <= {spec.name for spec in load_contract(files.bundle).inputs}
    assert (files.vision is not None) == (sees == "camera")
    assert (files.touch is not None) == (sees == "touch")
    times = ros.work_times(files.bundle, ticks=3)
    assert all((values > 0).all() for values in times.values())


def test_message_sizes_are_those_on_the_wire(ros: ModuleType, files: Any) -> None:
    observation, command = ros.message_sizes(files.bundle)
    # Seven names of 11 characters and 14 numbers of 8 bytes, and their frame.
    assert 7 * 11 + 14 * 8 < observation < 500
    # Five points of 14 numbers, and their frame.
    assert 7 * 11 + 5 * 14 * 8 < command < 1500


def test_policy_and_gate_are_timed_tick_by_tick(ros: ModuleType, files: Any) -> None:
    times = ros.work_times(files.bundle, ticks=5)
    assert {name: len(values) for name, values in times.items()} == {"policy": 5, "gate": 5}
    assert all((values > 0).all() for values in times.values())


def test_a_sleep_loop_counts_every_deadline_it_sleeps_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = load("_sleep")
    clock = [0.0]
    # At 10 Hz: the second sleep takes 0.25 s too long. Deadlines 0.1; 0.2 reached at 0.45, so 0.3
    # and 0.4 are over; then 0.5.
    extra = iter([0.0, 0.25, 0.0])

    def sleep(seconds: float) -> None:
        clock[0] += seconds + next(extra)

    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module.time, "sleep", sleep)
    found = module.run(10.0, 0.5)
    assert found["missed"] == 2
    np.testing.assert_allclose(found["lateness_s"], [0.0, 0.25, 0.0], atol=1e-9)


def test_the_baselines_measure(ros: ModuleType) -> None:
    slept = ros.sleep_baseline(100.0, 0.3)
    assert len(slept.seconds) + slept.missed >= 30
    assert (slept.seconds >= 0).all()
    echoed = ros.echo_baseline((368, 900), 100.0, 0.5)
    assert len(echoed.seconds) > 25  # of 50 sent
    assert (echoed.seconds > 0).all()


def test_rows_stand_beside_both_baselines(ros: ModuleType) -> None:
    # 100 latencies of 1..100 ms: p50 50.5, p99 99.01, max 100.
    latency = ros.Timing(seconds=np.arange(1, 101) / 1e3, missed=3)
    nodes = ros.Nodes(latency=latency, commands=103, late=4, stops=("because",))
    sleep = ros.Timing(seconds=np.full(10, 0.0005), missed=1)
    echo = ros.Timing(seconds=np.full(10, 0.002), missed=0)
    rows = ros.node_rows("60 Hz", nodes, {"sleep": sleep, "dds-echo": echo})
    table = {(row.metric, row.baseline): (row.value, row.baseline_value) for row in rows}
    command = "observation to command"
    assert table[f"{command}, p50", "sleep"] == pytest.approx((50.5, 0.5))
    assert table[f"{command}, p99", "dds-echo"] == pytest.approx((99.01, 2.0))
    assert table[f"{command}, max", "dds-echo"] == pytest.approx((100.0, 2.0))
    assert table["missed periods", "sleep"] == (3, 1)
    assert table["late commands", None] == (4, None)
    assert table["periods", None] == (103, None)
    assert table["early stops", None] == (1, None)
    assert {row.case for row in rows} == {"60 Hz"}


@pytest.mark.parametrize(
    "words",
    [
        ["--rates", "55"],
        ["--seconds", "0"],
        ["--seconds", "x"],
        ["--rate", "60"],
        ["--latency", "file.yaml"],  # of which rate?
        ["--rates", "60", "--latency", "file.json"],
        ["--rates", "60", "--sees", "state", "touch", "--latency", "file.yaml"],
        ["--sees", "smell"],
    ],
)
def test_bad_arguments_are_one_line(ros: ModuleType, words: list[str]) -> None:
    with pytest.raises(UserError):
        ros.main(words)


def test_main_writes_every_row(
    ros: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(
        ros,
        "measure",
        lambda sees, rate, *_: [ros.Row(case=f"{rate:g} Hz, {sees}", metric="m", value=1)],
    )
    assert ros.main(["--seconds", "1", "--json", str(tmp_path / "r.json")]) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["name"] == "ros"
    assert [row["case"] for row in found["rows"]] == ["60 Hz, state", "100 Hz, state"]
    assert "100 Hz" in capsys.readouterr().out


def test_each_latency_is_kept_for_the_delays_of_a_simulation(
    ros: ModuleType, tmp_path: Path
) -> None:
    latency = ros.Timing(seconds=np.array([0.004, 0.003, 1.5]), missed=2)
    nodes = ros.Nodes(latency=latency, commands=5, late=1, stops=())
    record = ros.latencies(60.0, nodes)
    write_record(tmp_path / "latency.yaml", record)
    assert read_latency(tmp_path / "latency.yaml") == (0.004, 0.003)
    assert record.notes == ("commands missed: 2 of 5", "commands a second or more late: 1 of 5")
    assert record.settings == {"rate_hz": 60.0}
