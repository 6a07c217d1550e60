"""Episodes seen again are what cameras would have recorded, to the bit."""

# pyright: standard

from pathlib import Path

import numpy as np
import pytest

from sim2arm.cli import main as cli
from sim2arm.cli import record as _needs_the_train_extra  # noqa: F401
from sim2arm.policies.dataset.reader import Dataset


def record(out: Path, *words: str) -> None:
    words = ("lift-cube", "--episodes", "1", "--seed", "3", *words)
    assert cli.main(["record", *words, "--out", str(out)]) == 0


def test_cameras_see_what_they_would_have_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blind, seeing, again = (tmp_path / name for name in ("blind", "seeing", "again"))
    record(blind)
    record(seeing, "--cameras", "scene")
    words = ["replay", str(blind), "--cameras", "scene", "--out", str(again)]
    assert cli.main(words) == 0
    assert "1 episodes, as the cameras scene see them" in capsys.readouterr().out
    wanted, found = Dataset(seeing), Dataset(again)
    assert found.index.spec.features == wanted.index.spec.features
    documents = found.index.spec.documents, wanted.index.spec.documents
    assert documents[0]["setting"] == documents[1]["setting"]
    inputs = [{spec["name"]: spec for spec in d["contract"]["inputs"]} for d in documents]
    assert inputs[0] == inputs[1]
    assert found.notes(0) == wanted.notes(0)
    rows, others = wanted.episode(0), found.episode(0)
    assert rows.keys() == others.keys()
    for name, values in rows.items():
        np.testing.assert_array_equal(others[name], values, err_msg=name)
    frames = range(len(rows["index"]))
    for name, feature in wanted.features.items():
        if feature.dtype == "video":
            pictures = found.pictures(name, 0, frames)
            np.testing.assert_array_equal(pictures, wanted.pictures(name, 0, frames))


def test_what_cannot_be_seen_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "set")
    capsys.readouterr()
    for words, said in (
        ([], "--out: expected the folder"),
        (["--out", str(tmp_path / "new")], "--cameras: expected a name"),
        (["--out", str(tmp_path / "new"), "--cameras", "scen"], "unknown cameras"),
    ):
        assert cli.main(["replay", str(tmp_path / "set"), *words]) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.strip().splitlines()) == 1
        assert not (tmp_path / "new").exists()
