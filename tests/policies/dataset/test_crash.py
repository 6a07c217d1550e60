"""A crash at any moment loses the episode that runs, and nothing else."""

# pyright: standard

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sim2arm.cli.table import Row
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter
from tests.tables import Table

from .episodes import SPEC, assert_is, make, record

FEW, MANY = 6, 200
"""Processes that are killed, in every run of the tests and in `make faults`."""


def steps(monkeypatch: pytest.MonkeyPatch, act: Callable[[int, str], None]) -> None:
    """Call `act` with its number and name before each step that reaches the disk."""
    count = iter(range(10**6))
    real = {"replace": Path.replace, "fsync": os.fsync, "open": Path.open}

    def replace(self: Path, target: Any) -> Path:
        act(next(count), f"replace {target}")
        return real["replace"](self, target)

    def fsync(descriptor: int) -> None:
        act(next(count), "fsync")
        real["fsync"](descriptor)

    def opened(self: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        if "w" in mode:
            act(next(count), f"open {self}")
        return real["open"](self, mode, *more, **named)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "open", opened)


def steps_of_a_commit(folder: Path) -> int:
    """Return how many steps it has."""
    make(folder, 1)
    names: list[str] = []
    with pytest.MonkeyPatch.context() as patch, DatasetWriter(folder, SPEC) as writer:
        steps(patch, lambda _, name: names.append(name))
        record(writer, 1)
    assert len(names) > 25
    return len(names)


@pytest.fixture(scope="module")
def count(tmp_path_factory: pytest.TempPathFactory) -> int:
    return steps_of_a_commit(tmp_path_factory.mktemp("steps"))


def test_a_full_disk_at_any_step_loses_that_episode_only(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step of a commit fails in turn; the next commit and every reader go on."""
    make(tmp_path, 1)
    failing: list[int] = [-1]
    number = [0]

    def act(_: int, name: str) -> None:
        number[0] += 1
        if number[0] - 1 == failing[0]:
            raise OSError(28, "No space left on device", name)

    steps(monkeypatch, act)
    with DatasetWriter(tmp_path, SPEC) as writer:
        committed = 1
        for step in range(count):
            failing[0], number[0] = step, 0
            with pytest.raises(OSError, match="No space left"):
                record(writer, committed)
            failing[0] = -1
            found = Dataset(tmp_path)
            assert found.index.episodes == writer.index.episodes
            # the last step confirms what is written already
            assert writer.index.episodes == committed + (step == count - 1)
            committed = writer.index.episodes
        assert record(writer, committed) == committed
    dataset = Dataset(tmp_path)
    for episode in range(dataset.index.episodes):
        assert_is(dataset, episode, episode)


def test_death_at_any_step_loses_that_episode_only(tmp_path: Path, count: int) -> None:
    """The files as they are before each step are what a crash there leaves behind."""
    make(tmp_path / "whole", 1)
    left: list[tuple[Path, str]] = []

    def act(number: int, name: str) -> None:
        crash = tmp_path / f"crash{number}"
        left.append((crash, name))
        subprocess.run(["cp", "-r", tmp_path / "whole", crash], check=True)

    with pytest.MonkeyPatch.context() as patch, DatasetWriter(tmp_path / "whole", SPEC) as writer:
        steps(patch, act)
        record(writer, 1)
    assert len(left) == count
    names = [name for _, name in left]
    last = names.index(f"replace {tmp_path}/whole/meta/info.json")
    for number in sorted({*range(0, count, 3), last, last + 1}):
        crash = left[number][0]
        found = Dataset(crash)
        expected = 1 + (number > last)
        assert found.index.episodes == expected
        assert_is(found, 0, 0)
        with DatasetWriter(crash, SPEC) as again:
            assert record(again, expected) == expected
        found = Dataset(crash)
        for episode in range(expected + 1):
            assert_is(found, episode, episode)


def test_an_interrupt_after_the_last_step_overwrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes when info.json has its place: the episode is there, and stays."""
    with DatasetWriter(tmp_path, SPEC) as writer:

        def act(_: int, name: str) -> None:
            if name == "fsync" and before[0].endswith("meta/info.json"):
                raise KeyboardInterrupt
            before[0] = name

        before = [""]
        steps(monkeypatch, act)
        with pytest.raises(KeyboardInterrupt):
            record(writer, 0)
        monkeypatch.undo()
        assert record(writer, 1) == 1
    for episode in range(2):
        assert_is(Dataset(tmp_path), episode, episode)


def test_what_a_commit_that_failed_has_left_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other readers take every file that they find."""
    make(tmp_path, 1)
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())

    def act(_: int, name: str) -> None:
        if name.endswith("stats.json"):
            raise OSError(28, "No space left on device", name)

    with DatasetWriter(tmp_path, SPEC) as writer, pytest.MonkeyPatch.context() as patch:
        steps(patch, act)
        with pytest.raises(OSError, match="No space left"):
            record(writer, 1)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before
    (tmp_path / "data" / "chunk-000" / "file-001.parquet").write_bytes(b"of a crash")
    with DatasetWriter(tmp_path, SPEC):
        pass
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before


def _write_for_ever(root: Path, said: Any) -> None:
    with DatasetWriter(root, SPEC) as writer:
        while True:
            said.send(record(writer, writer.index.episodes) + 1)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    yield context


def kill(tmp_path: Path, server: Any, count: int) -> tuple[int, int]:
    """Kill processes that record; return how many episodes are left, and how often not all were."""
    rng, committed, lost = random.Random(0), 0, 0
    for _ in range(count):
        ours, theirs = server.Pipe(duplex=False)
        process = server.Process(target=_write_for_ever, args=(tmp_path, theirs), daemon=True)
        process.start()
        theirs.close()
        assert ours.poll(30.0)  # it has begun
        time.sleep(rng.uniform(0.0, 0.4))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        said = committed
        while ours.poll():
            try:
                said = ours.recv()
            except EOFError:
                break
        found = Dataset(tmp_path)
        try:
            assert found.index.episodes in (said, said + 1)  # committed, not yet said
            for episode in range(committed, found.index.episodes):
                assert_is(found, episode, episode)
        except (AssertionError, DatasetError):
            lost += 1
        committed = found.index.episodes
    found = Dataset(tmp_path)
    for episode in range(committed):
        assert_is(found, episode, episode)
    return committed, lost


def test_killed_processes_lose_the_episode_that_ran(tmp_path: Path, server: Any) -> None:
    committed, lost = kill(tmp_path, server, FEW)
    assert committed >= FEW and lost == 0


@pytest.mark.faults
def test_many_killed_processes(tmp_path: Path, server: Any, table: Table) -> None:
    case = "recorders killed at random moments"
    committed, lost = kill(tmp_path, server, MANY)
    table.none_of(case, "committed episodes lost or changed", lost, MANY, seed=0)
    table.add(Row(case=case, metric="committed episodes", value=committed))
    assert lost == 0


def test_a_read_only_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OSError, match="Read-only file system"):
        DatasetWriter(tmp_path / "x", SPEC)
    monkeypatch.undo()
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        Dataset(tmp_path / "x")
