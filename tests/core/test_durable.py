"""Files that are whole after a failure, and their hashes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim2arm.core.durable import hash_file, make_folder, write_durably


def test_a_failure_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    write_durably(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.yaml"]


def test_the_hash_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")  # the example of FIPS 180-2
    assert hash_file(path).startswith("ba7816bf8f01cfea414140de5dae2223")


def test_folders_above_are_made_durable_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("sim2arm.core.durable.sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert synced == [tmp_path, tmp_path / "a"]
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2


_WRITER = """
import sys
from pathlib import Path
from sim2arm.core.durable import write_durably
for _ in range(300):
    write_durably(Path(sys.argv[1]), sys.argv[2].encode() * 1000)
"""


def test_two_processes_may_write_one_file(tmp_path: Path) -> None:
    """Two sweeps in one folder keep one table."""
    path = tmp_path / "table.json"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), letter]) for letter in "ab"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert path.read_bytes() in (b"a" * 1000, b"b" * 1000)
    assert list(tmp_path.iterdir()) == [path]
