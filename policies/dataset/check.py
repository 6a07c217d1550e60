"""What is wrong with a dataset, and what of it can be saved."""

# pyarrow has no stubs.
# pyright: standard

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim2arm.core.durable import hash_file

from .files import DatasetError
from .index import read_record
from .layout import (
    DEFAULTS,
    DOCUMENTS,
    PICTURES,
    DatasetSpec,
    data_file,
    episode_file,
    read_features,
    read_json,
    video_file,
)
from .reader import Dataset
from .stats import of_numbers
from .tables import episode_stats, from_column, read_table
from .writer import DROPPED, DatasetWriter


def problems(root: Path) -> Iterator[str]:
    """Yield what is wrong, a line each, which names the file and the episode."""
    try:
        dataset = Dataset(root)
    except DatasetError as error:
        yield str(error)
        return
    for episode in range(dataset.index.episodes):
        yield from _of_episode(dataset, episode)


def _of_episode(dataset: Dataset, episode: int) -> Iterator[str]:
    try:
        rows = dataset.episode(episode)
    except DatasetError as error:
        yield str(error)
        rows = {}
    length = int(dataset.starts[episode + 1] - dataset.starts[episode])
    for key, feature in dataset.features.items():
        if feature.dtype not in PICTURES or (feature.dtype == "image" and not rows):
            continue
        try:
            for first in range(0, length, 64):  # not all in memory
                dataset.pictures(key, episode, range(first, min(first + 64, length)))
        except DatasetError as error:
            yield str(error)
    for key, expected in (("frame_index", 0), ("index", int(dataset.starts[episode]))):
        if rows and not np.array_equal(rows[key][:, 0], expected + np.arange(length)):
            yield f"{dataset.root}: {key} of episode {episode} is not counted from {expected}"


@dataclass(frozen=True, kw_only=True)
class Salvaged:
    """What of a dataset was saved."""

    saved: list[int]
    """Numbers that the episodes had."""
    lost: list[str]
    """A line per episode that was not."""


def salvage(root: Path, out: Path) -> Salvaged:
    """Write the episodes that are whole to a new dataset, by their records alone.

    Also those that a crash left finished, but not yet in info.json.

    Raises:
        DatasetError: there is no record that can be read, or `out` cannot be begun.
        OSError: it cannot be written.
    """
    if out.exists() and any(out.iterdir()):
        raise DatasetError(f"{out}: expected an empty folder")
    saved, lost = list[int](), list[str]()
    records: list[dict[str, Any]] = []
    for path in sorted((root / "meta" / "sim2arm").glob("chunk-*/file-*.json")):
        try:
            records.append(read_record(path)[0])
        except DatasetError as error:
            lost.append(str(error))
    if not records:
        raise DatasetError(f"{root}/meta/sim2arm: no record of an episode can be read")
    writer: DatasetWriter | None = None
    try:
        for record in records:
            try:
                parts = _load(root, record)
            except DatasetError as error:
                lost.append(str(error))
                continue
            if writer is None:
                spec = _spec(root, record)
                if not spec.documents:
                    lost.append(f"{root / DOCUMENTS}: they are damaged or missing, and left out")
                writer = DatasetWriter(out, spec)
            _put(writer, root, record, parts)
            saved.append(int(record["episode_index"]))
    finally:
        if writer is not None:
            writer.close()
    return Salvaged(saved=saved, lost=lost)


def _spec(root: Path, record: dict[str, Any]) -> DatasetSpec:
    try:
        whole = hash_file(root / DOCUMENTS) == record["documents"]
        documents = read_json(root / DOCUMENTS)[0] if whole else {}
    except (DatasetError, OSError):
        documents = {}
    features = read_features(record["features"], root)
    features.pop(DROPPED, None)
    return DatasetSpec(
        fps=record["fps"], features=features, robot_type=record["robot_type"], documents=documents
    )


def _load(root: Path, record: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return columns, statistics and tasks of an episode whose files are whole."""
    number = int(record["episode_index"])
    for name, expected in record["files"].items():
        path = root / name
        try:
            found = hash_file(path)
        except OSError as error:
            raise DatasetError(
                f"{path}: cannot be read: {error.strerror} (episode {number})"
            ) from error
        if found != expected:
            raise DatasetError(f"{path}: it is damaged: its hash is another (episode {number})")
    features = {**read_features(record["features"], root), **DEFAULTS}
    table = read_table(root / data_file(number))
    columns = {
        key: from_column(feature, table[key])
        for key, feature in features.items()
        if feature.dtype != "video"
    }
    row = read_table(root / episode_file(number)).to_pylist()[0]
    return columns, episode_stats(row), list(row["tasks"])


def _put(
    writer: DatasetWriter,
    root: Path,
    record: dict[str, Any],
    parts: tuple[dict[str, Any], dict[str, Any], list[str]],
) -> None:
    """Commit an episode of another dataset, with the numbers that it gets here."""
    columns, stats, tasks = parts
    number, index = int(record["episode_index"]), writer.index
    known = index.with_tasks(tasks)
    old = columns["task_index"][:, 0]
    # tasks of an episode are listed as they first appear
    order = list(dict.fromkeys(old.tolist()))
    numbers = {before: known.index(task) for before, task in zip(order, tasks, strict=True)}
    count = np.arange(len(old))
    columns |= {
        "episode_index": np.full(len(old), index.episodes),
        "index": index.frames + count,
        "task_index": np.array([numbers[k] for k in old.tolist()]),
    }
    for key in ("episode_index", "index", "task_index"):
        stats[key] = of_numbers(columns[key])
    videos: dict[str, Path] = {}
    for place, key in enumerate(writer.spec.videos):
        videos[key] = writer.scratch / f"{place}.mp4"
        shutil.copyfile(root / video_file(key, number), videos[key])
    writer.put(columns, videos, stats, tasks, record["notes"])
