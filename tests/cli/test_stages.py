import json
from pathlib import Path

import pytest

from sim2arm.cli import stages as module
from sim2arm.cli.errors import UserError
from sim2arm.cli.stages import Results, Stages


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


class Work:
    """Takes 5 s by the clock and counts its calls."""

    def __init__(self, clock: Clock, error: BaseException | None = None) -> None:
        self.clock, self.error, self.calls = clock, error, 0

    def __call__(self) -> Results:
        self.calls += 1
        self.clock.now += 5.0
        if self.error is not None:
            raise self.error
        return {"call": self.calls}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_what_is_done_is_not_repeated(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    path, work = tmp_path / "run" / "stages.json", Work(clock)
    for _ in range(2):  # the second reads what the first wrote
        assert Stages(path, 3).run("train", {"steps": (1, 2)}, work) == {"call": 1}
    assert work.calls == 1 and Stages(path, 3).seconds == 5.0
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["[1/3] train", "[1/3] train: done before, in 0:05"]


def test_other_inputs_or_a_missing_output_repeat_a_stage(tmp_path: Path, clock: Clock) -> None:
    path, work, output = tmp_path / "stages.json", Work(clock), tmp_path / "out"
    for count, inputs in ((1, {"a": 1}), (2, {"a": 2}), (3, {"a": 2})):
        Stages(path, 1).run("export", inputs, work, outputs=[output])
        assert work.calls == count  # the third call: the file is not there
    output.touch()
    Stages(path, 1).run("export", {"a": 2}, work, outputs=[output])
    assert work.calls == 3


def test_a_stage_that_was_interrupted_runs_again_and_keeps_its_time(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "stages.json"
    with pytest.raises(KeyboardInterrupt):
        Stages(path, 1).run("train", {"a": 1}, Work(clock, KeyboardInterrupt()))
    assert not Stages(path, 1).entries["train"].done
    stages = Stages(path, 1)
    stages.run("train", {"a": 1}, Work(clock))
    assert stages.entries["train"].done
    assert stages.seconds == 10.0  # 5 s before Ctrl-C and 5 s after


@pytest.mark.parametrize(("goes_on", "seconds"), [(False, 5.0), (True, 10.0)])
def test_time_with_other_inputs_counts_only_where_work_goes_on(
    tmp_path: Path, clock: Clock, goes_on: bool, seconds: float
) -> None:
    stages = Stages(tmp_path / "stages.json", 1)
    for value in (1, 2):
        stages.run("train", {"iterations": value}, Work(clock), goes_on=goes_on)
    assert stages.seconds == seconds


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"train": {"done": True}})])
def test_a_broken_file_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "stages.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"stages\.json: .*; start over with --fresh"):
        Stages(path, 1)
