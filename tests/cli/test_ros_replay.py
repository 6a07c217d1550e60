# pyright: standard, reportMissingModuleSource=false
"""`sim2arm ros replay` as a person uses it: one line per error, policy and gate on a recording."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sim2arm.cli import main as cli
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from tests.deploy_ros.logs import MadeUp  # noqa: E402
from tests.deploy_ros.swinging import swinging_contract, write_swinging  # noqa: E402

TICKS = 90
"""1.5 s of a log."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_swinging(tmp_path_factory.mktemp("replay") / "bundle")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = MadeUp(contract=swinging_contract()).describe().run(TICKS)
    return made.write(tmp_path_factory.mktemp("replay") / "log")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "missing BAG"),
        (
            ["nowhere"],
            "bag: nowhere: expected the folder of a log, or an .mcap file; found nothing",
        ),
        (["BUNDLE"], "no .mcap file lies in it"),
        (["LOG", "--rate", "0"], "--rate: expected above 0, got 0"),
        (["LOG", "--stamps", "recorded", "--loop"], "--loop: time does not go back"),
        (["LOG", "--bundle", "BUNDLE", "--rate", "2"], "--bundle: a policy runs in time"),
        (["LOG", "--bundle", "nowhere"], "neither a policy bundle nor a run with one"),
        (["LOG", "--topics", "/none"], "topics: /none is not in the log; it has"),
        (["LOG", "--topics", "/sim2arm/request"], "is what arms obey: it is not played"),
        (["LOG", "--graph", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    bundle: Path, log: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    known = {"BUNDLE": str(bundle), "LOG": str(log)}
    assert cli.main(["ros", "replay", *(known.get(word, word) for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert said in line


def replay(*words: str, logs: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sim2arm.cli.main", "ros", "replay", *words]
    return subprocess.run(
        [*command, "--logs", str(logs)], capture_output=True, text=True, timeout=80,
        env={**os.environ, "ROS_HOME": str(logs / "home")},
    )  # fmt: skip


def test_policy_and_gate_run_on_a_recording_without_an_arm(
    bundle: Path, log: Path, tmp_path: Path
) -> None:
    done = replay(str(log), "--bundle", str(bundle), logs=tmp_path / "logs")
    assert "gate    dry run: nothing is commanded" in done.stdout
    # On a busy machine ticks are late or missed, and the gate stops for it: then it says so.
    stopped = "error: the policy stopped before the recording was over: gate: " in done.stderr
    ended = done.returncode == 0 and "the recording is over" in done.stdout
    assert ended != (done.returncode == 2 and stopped), done.stdout + done.stderr
    found = re.search(
        r"gate in a dry run: approved (\d+)  slowed (\d+)  refused (\d+)", done.stdout
    )
    assert found is not None
    if ended:  # a request per tick of 1.5 s, and of the first moment while it was held
        assert int(found[1]) > 0.8 * TICKS and int(found[3]) == 0
    assert not (tmp_path / "logs" / "home" / "sim2arm").exists()  # no flight of a dry run


def test_alone_it_plays_to_its_end(log: Path, tmp_path: Path) -> None:
    done = replay(str(log), "--rate", "3", logs=tmp_path / "logs")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"bag     {log}, 0.5 s, 456 messages"  # 1.5 s at thrice the rate
    assert lines[-1] == "the recording is over"
