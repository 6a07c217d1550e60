"""Damage is named, never read as if it were data; what is whole is saved."""

# pyright: standard

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sim2arm.cli import main as cli
from sim2arm.cli.table import Row
from sim2arm.policies.dataset.check import problems, salvage
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter
from tests.tables import Table

from .episodes import SPEC, assert_is, make, record

FEW, MANY = 150, 10_000
"""Random changes of files, in every run of the tests and in `make faults`."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "set"
    make(root, 3)
    return root


def flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def overwrite(content: bytes, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(content)), rng.randrange(1, 64)
    return content[:at] + rng.randbytes(min(size, len(content) - at)) + content[at + size :]


def longer(content: bytes, rng: random.Random) -> bytes:
    return content + rng.randbytes(rng.randrange(1, 64))


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, cut, overwrite, longer)


def mutate(whole: Path, tmp_path: Path, count: int) -> tuple[int, int]:
    """Change files and read everything.

    Returns:
        How often damage was named, and how often something else was read than was written.
    """
    root, rng = tmp_path / "set", random.Random(1)
    shutil.copytree(whole, root)
    paths = sorted(p for p in root.rglob("*") if p.is_file() and p.name != ".lock")
    named = wrong = 0
    for _ in range(count):
        path = rng.choice(paths)
        content = path.read_bytes()
        kind = rng.randrange(len(CHANGES) + 2)
        if kind == len(CHANGES):
            path.unlink()
        elif kind == len(CHANGES) + 1:  # another file of this kind in its place
            path.write_bytes(rng.choice([p for p in paths if p.suffix == path.suffix]).read_bytes())
        else:
            path.write_bytes(CHANGES[kind](content, rng))
        try:
            dataset = Dataset(root)
            for episode in range(3):
                assert_is(dataset, episode, episode)
        except DatasetError as error:
            named += 1
            assert "\n" not in str(error) and str(root) in str(error)
        except AssertionError:
            wrong += 1
        path.write_bytes(content)
    return named, wrong


def test_no_change_of_a_file_gives_a_wrong_frame(whole: Path, tmp_path: Path) -> None:
    """Reading either names a damaged file, or returns what was written."""
    named, wrong = mutate(whole, tmp_path, FEW)
    assert wrong == 0
    assert named > FEW // 3  # tasks and statistics are made again


@pytest.mark.faults
def test_none_of_many_changes_gives_a_wrong_frame(
    whole: Path, tmp_path: Path, table: Table
) -> None:
    case = "files of a dataset changed at random"
    named, wrong = mutate(whole, tmp_path, MANY)
    table.none_of(case, "wrong frames", wrong, MANY, seed=1)
    table.add(Row(case=case, metric="named", value=named))
    assert wrong == 0


def damage(path: Path, at: int = 100) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(bytes(content))


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "set")
    return tmp_path / "set"


FILES = {
    "rows": "data/chunk-000/file-001.parquet",
    "video": "videos/observation.images.scene/chunk-000/file-001.mp4",
}


@pytest.mark.parametrize("kind", FILES)
def test_the_doctor_names_file_and_episode(
    root: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doctor", str(root)]) == 0
    assert "3 episodes, 18 frames, with hashes: well" in capsys.readouterr().out
    damage(root / FILES[kind])
    assert cli.main(["doctor", str(root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"{root / FILES[kind]}: it is damaged: its hash is another (episode 1)" in lines
    assert lines[-1].startswith("1 problem; sim2arm salvage")


def test_tasks_and_statistics_are_made_again(root: Path) -> None:
    before = [(root / "meta" / name).read_bytes() for name in ("tasks.parquet", "stats.json")]
    (root / "meta" / "tasks.parquet").unlink()
    damage(root / "meta" / "stats.json")
    assert list(problems(root)) == []
    with DatasetWriter(root, SPEC):
        pass
    after = [(root / "meta" / name).read_bytes() for name in ("tasks.parquet", "stats.json")]
    assert after == before


def test_whole_episodes_are_saved(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By their records alone: also without info.json, and what it did not know of yet."""
    info = (root / "meta" / "info.json").read_bytes()
    with DatasetWriter(root, SPEC) as writer:
        record(writer, 3)
    (root / "meta" / "info.json").write_bytes(info[:-40])
    damage(root / FILES["video"])
    out = root.parent / "saved"
    assert cli.main(["salvage", str(root), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{root / FILES['video']}: it is damaged: its hash is another (episode 1)"
    assert lines[1] == f"{out}: 3 episodes saved, 1 lost"
    saved = Dataset(out)
    for number, episode in enumerate((0, 2, 3)):
        assert_is(saved, number, episode)
    assert saved.index.spec.documents == SPEC.documents
    assert list(problems(out)) == []
    lengths = [5, 7, 5]
    stats = json.loads((out / "meta" / "stats.json").read_text())
    assert stats["index"]["max"] == [sum(lengths) - 1] and stats["action"]["count"] == [17]


def test_damaged_documents_are_not_saved(root: Path, tmp_path: Path) -> None:
    path = root / "meta" / "sim2arm.json"
    path.write_text(path.read_text().replace("30.0", "60.0"))
    found = salvage(root, tmp_path / "saved")
    assert found.lost == [f"{path}: they are damaged or missing, and left out"]
    assert Dataset(tmp_path / "saved").index.spec.documents == {}
    with pytest.raises(DatasetError, match="expected an empty folder"):
        salvage(root, tmp_path / "saved")
    with pytest.raises(DatasetError, match="expected an empty folder"):
        salvage(root, root)


def test_hashes_cannot_be_taken_away(root: Path) -> None:
    info = root / "meta" / "info.json"
    info.write_text(info.read_text().replace('"sim2arm"', '"sim3arm"'))
    with pytest.raises(DatasetError, match=r"info\.json: it is damaged: its hashes are missing"):
        Dataset(root)


def test_nothing_to_save_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["salvage", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "no record of an episode can be read" in capsys.readouterr().err
    with pytest.raises(DatasetError, match="no record"):
        salvage(tmp_path, tmp_path / "out")
    assert cli.main(["doctor", str(tmp_path / "nothing")]) == 2
    assert "expected the folder of a dataset" in capsys.readouterr().err


def test_time_is_not_lost_to_hashes(whole: Path) -> None:
    """A file is checked once, not for each frame."""
    dataset = Dataset(whole)
    dataset.window(0, {"action": [0]})
    assert dataset._checked == {"data/chunk-000/file-000.parquet"}
    damage(whole / FILES["rows"])
    try:
        dataset.window(0, {"action": [0]})
        with pytest.raises(DatasetError, match="episode 1"):
            dataset.window(6, {"action": [0]})
    finally:
        damage(whole / FILES["rows"])
    assert np.isfinite(dataset.window(6, {"action": [0]})["action"]).all()
