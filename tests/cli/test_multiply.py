"""Demonstrations for moved objects: what is kept succeeded, and says what it was made of."""

# pyright: standard

from pathlib import Path

import numpy as np
import pytest

from sim2arm.cli import main as cli
from sim2arm.cli import multiply as _needs_the_train_extra  # noqa: F401
from sim2arm.policies.dataset.reader import Dataset


def made_of(tmp_path: Path, task: str, *words: str, tried: int) -> Dataset:
    source, out = tmp_path / "source", tmp_path / "out"
    assert cli.main(["record", task, *words, "--out", str(source), "--episodes", "1"]) == 0
    asked = ["multiply", str(source), "--out", str(out), "--episodes", str(tried)]
    assert cli.main(asked) == 0
    return Dataset(out)


def test_one_insertion_becomes_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = made_of(tmp_path, "peg-insertion", tried=4)
    kept = found.index.episodes
    assert kept >= 3 and f"{kept} of 4 episodes kept" in capsys.readouterr().out
    goals = set()
    for number in range(kept):
        rows, notes = found.episode(number), found.notes(number)
        assert rows["next.success"][-1, 0] and notes["source"] == 0
        assert 10_000 <= notes["seed"] < 10_004
        goals.add(tuple(np.round(rows["observation.socket_pose"][0], 3)))
    assert len(goals) == kept  # each is another episode


def test_two_arms(tmp_path: Path) -> None:
    found = made_of(tmp_path, "transfer-cube", "--robot", "ur5e", tried=1)
    rows = found.episode(0)
    assert rows["action"].shape[1] == 14 and rows["observation.state"].shape[1] == 14
    assert rows["measured.ee_pose"].shape[1] == 14
    names = found.features["action"].names
    assert names is not None and (names[6], names[13]) == ("left_gripper", "right_gripper")


def test_what_cannot_be_multiplied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["multiply", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert cli.main(["record", "reach", "--out", str(tmp_path / "reach"), "--episodes", "1"]) == 0
    capsys.readouterr()
    asked = ["multiply", str(tmp_path / "reach"), "--out", str(tmp_path / "out")]
    assert cli.main(asked) == 2
    assert "reach: paths of it cannot be carried along" in capsys.readouterr().err
    for more, said in (([], "none"), (["--episodes", "0"], "--episodes: expected 1 or more")):
        assert cli.main([*words, *more]) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()
