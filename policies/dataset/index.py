"""What of a dataset is committed: the totals of info.json, tasks, statistics, records of episodes.

info.json is written last and holds hashes: of the tasks, statistics and documents, a chain over the
records of all episodes, and of itself. Tasks and statistics follow from the rows of the episodes;
where a crash left newer ones, or they are damaged, they are made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from sim2arm.core.durable import hash_file, write_durably

from .files import DatasetError, write_hashed
from .layout import (
    CHUNK,
    DATA_PATH,
    DEFAULTS,
    DOCUMENTS,
    INFO,
    STATS,
    TASKS,
    VERSION,
    VIDEO_PATH,
    DatasetSpec,
    episode_file,
    feature_json,
    read_features,
    read_json,
    record_file,
    write_json,
)
from .stats import Stats, aggregate
from .tables import episode_stats, read_table, read_tasks, tasks_bytes

_OURS = "sim2arm"
"""Key of info.json under which hashes lie."""
_START = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, kw_only=True)
class Index:
    """What is committed."""

    root: Path
    spec: DatasetSpec
    episodes: int
    frames: int
    tasks: tuple[str, ...]
    """By number."""
    stats: Mapping[str, Stats]
    """Of all episodes."""
    chain: str | None
    """Hash over the records of all episodes; none of a dataset that others wrote."""

    @classmethod
    def begin(cls, root: Path, spec: DatasetSpec) -> Index:
        """Write an empty dataset.

        Raises:
            OSError: it cannot be written.
        """
        write_durably(root / DOCUMENTS, write_json(dict(spec.documents)))
        none = cls(root=root, spec=spec, episodes=0, frames=0, tasks=(), stats={}, chain=_START)
        none._write()
        return none

    def with_tasks(self, tasks: Sequence[str]) -> tuple[str, ...]:
        """Return the tasks by number, with those that are new."""
        return (*self.tasks, *(task for task in tasks if task not in self.tasks))

    def grown(
        self, length: int, tasks: Sequence[str], stats: Mapping[str, Stats], record: bytes
    ) -> Index:
        """Write that an episode is committed, whose own files are there; return the new index.

        Raises:
            OSError: it cannot be written; what is committed is as it was.
        """
        assert self.chain is not None
        known = [self.stats] if self.episodes else []
        found = Index(
            root=self.root,
            spec=self.spec,
            episodes=self.episodes + 1,
            frames=self.frames + length,
            tasks=tuple(tasks),
            stats=aggregate([*known, stats]),
            chain=_link(self.chain, record),
        )
        found._write()
        return found

    def _write(self) -> None:
        hashes = {
            "tasks": write_hashed(self.root / TASKS, tasks_bytes(self.tasks)),
            "stats": write_hashed(self.root / STATS, _stats_bytes(self.stats)),
        }
        write_durably(self.root / INFO, write_json(self._info(hashes)))

    def _info(self, hashes: Mapping[str, str]) -> dict[str, Any]:
        spec = self.spec
        every = {**spec.features, **DEFAULTS}
        info: dict[str, Any] = {
            "codebase_version": VERSION,
            "robot_type": spec.robot_type or None,
            "total_episodes": self.episodes,
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": spec.fps,
            "splits": {"train": f"0:{self.episodes}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if spec.videos else None,
            "features": {key: feature_json(f, spec.fps) for key, f in every.items()},
        }
        documents = hash_file(self.root / DOCUMENTS)
        ours = {"version": 1, "chain": self.chain, "documents": documents, **hashes}
        return {**info, _OURS: {**ours, "self": _digest({**info, _OURS: ours})}}

    def expect(self, spec: DatasetSpec) -> None:
        """Check that episodes of another description may be added.

        Raises:
            DatasetError: they may not; one line.
        """
        if self.chain is None:
            raise DatasetError(f"{self.root}: another program wrote it: choose another folder")
        mine, theirs = ({**s.features, **DEFAULTS} for s in (self.spec, spec))
        changed = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
        here = ""
        if self.spec.fps != spec.fps:
            here = f"{self.spec.fps} frames per second, not {spec.fps}"
        elif self.spec.robot_type != spec.robot_type:
            here = f"the robot {self.spec.robot_type!r}, not {spec.robot_type!r}"
        elif changed:
            here = f"other columns: {', '.join(changed)}"
        elif write_json(dict(self.spec.documents)) != write_json(dict(spec.documents)):
            here = f"other documents ({DOCUMENTS}: contract, calibration, robot)"
        if here:
            raise DatasetError(f"{self.root}: holds {here}: choose another folder")

    def repair(self) -> None:
        """Write tasks and statistics again where a crash left newer ones.

        Raises:
            OSError: they cannot be written.
        """
        for name, content in ((TASKS, tasks_bytes(self.tasks)), (STATS, _stats_bytes(self.stats))):
            path = self.root / name
            if not path.is_file() or path.read_bytes() != content:
                write_durably(path, content)

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Records of the episodes; none of a dataset that others wrote.

        Raises:
            DatasetError: one is damaged; one line that names it.
        """
        if self.chain is None:
            return []
        found, link = list[dict[str, Any]](), _START
        for number in range(self.episodes):
            path = self.root / record_file(number)
            record, content = read_record(path)
            if record["episode_index"] != number:
                raise DatasetError(f"{path}: it is not the record of episode {number}")
            found.append(record)
            link = _link(link, content)
        if link != self.chain:
            raise DatasetError(f"{self.root}/meta/sim2arm: records are not those of info.json")
        return found


def read_index(root: Path) -> Index:
    """Return what of a dataset is committed.

    Raises:
        DatasetError: it is none, or damaged; one line that names the file.
    """
    path = root / INFO
    info, _ = read_json(path)
    try:
        version, ours = str(info["codebase_version"]), info.get(_OURS)
        episodes, frames, fps = (
            int(info[key]) for key in ("total_episodes", "total_frames", "fps")
        )
        features, robot = info["features"], str(info.get("robot_type") or "")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: it is not the info of a dataset: {error}") from error
    if not version.startswith("v3."):
        raise DatasetError(f"{path}: expected LeRobotDataset v3, got {version!r}")
    if ours is not None and _digest(_without_self(info)) != ours.get("self"):
        raise DatasetError(f"{path}: it is damaged: its hash is another")
    documents: Mapping[str, Any] = {}
    if ours is None and (root / DOCUMENTS).is_file():
        raise DatasetError(f"{path}: it is damaged: its hashes are missing")
    if ours is not None:
        if _hash_of(root / DOCUMENTS) != ours.get("documents"):
            raise DatasetError(f"{root / DOCUMENTS}: it is damaged: its hash is another")
        documents, _ = read_json(root / DOCUMENTS)
    try:
        spec = DatasetSpec(
            fps=fps, features=read_features(features, path), robot_type=robot, documents=documents
        )
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from error
    bare = Index(
        root=root, spec=spec, episodes=episodes, frames=frames, tasks=(), stats={},
        chain=None if ours is None else str(ours.get("chain")),
    )  # fmt: skip
    return _foreign(bare) if ours is None else _checked(bare, ours)


def write_record(
    spec: DatasetSpec, number: int, files: Mapping[str, str], notes: Mapping[str, Any]
) -> bytes:
    """Return the record of an episode: from all records together a dataset can be made again.

    Args:
        spec: of the dataset.
        number: of the episode.
        files: hashes of its files, by place below the root.
        notes: plain data about it.
    """
    features = {key: feature_json(feature, spec.fps) for key, feature in spec.features.items()}
    record = {
        "episode_index": number,
        "files": dict(files),
        "notes": dict(notes),
        "fps": spec.fps,
        "robot_type": spec.robot_type,
        "features": features,
        "documents": hashlib.sha256(write_json(dict(spec.documents))).hexdigest(),
    }
    return write_json({**record, "self": _digest(record)})


def read_record(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the record of an episode, and the bytes of its file.

    Raises:
        DatasetError: it is damaged; one line.
    """
    record, content = read_json(path)
    if not isinstance(record, dict) or "self" not in record:
        raise DatasetError(f"{path}: it is not the record of an episode")
    found = dict(cast(dict[str, Any], record))
    if found.pop("self") != _digest(found):
        raise DatasetError(f"{path}: it is damaged: its hash is another")
    return found, content


def _foreign(bare: Index) -> Index:
    at = bare.root / STATS
    stats = _read_stats(at) if at.is_file() else {}
    return replace(bare, tasks=tuple(read_tasks(bare.root / TASKS)), stats=stats)


def _checked(bare: Index, ours: Mapping[str, Any]) -> Index:
    """Return the index with tasks and statistics, made again where the files are not those."""
    tasks_at, stats_at = bare.root / TASKS, bare.root / STATS
    if (_hash_of(tasks_at), _hash_of(stats_at)) == (ours.get("tasks"), ours.get("stats")):
        return replace(bare, tasks=tuple(read_tasks(tasks_at)), stats=_read_stats(stats_at))
    tasks, total = list[str](), list[Mapping[str, Stats]]()
    for number in range(bare.episodes):
        row = episode_row(bare, number, stats=True)
        tasks += [task for task in row["tasks"] if task not in tasks]
        total = [aggregate([*total, episode_stats(row)])]
    return replace(bare, tasks=tuple(tasks), stats=total[0] if total else {})


def episode_row(index: Index, number: int, *, stats: bool = False) -> dict[str, Any]:
    """Return what is said about an episode of a dataset of ours, statistics only if asked for.

    Raises:
        DatasetError: its file is damaged.
    """
    path = index.root / episode_file(number)
    if _hash_of(path) != index.records[number]["files"].get(episode_file(number)):
        raise DatasetError(f"{path}: it is damaged: its hash is another (episode {number})")
    row: dict[str, Any] = read_table(path, stats=stats).to_pylist()[0]
    return row


def _without_self(info: Mapping[str, Any]) -> dict[str, Any]:
    ours = {key: value for key, value in info[_OURS].items() if key != "self"}
    return {**info, _OURS: ours}


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(write_json(value)).hexdigest()


def _link(chain: str, record: bytes) -> str:
    return hashlib.sha256(chain.encode() + hashlib.sha256(record).digest()).hexdigest()


def _hash_of(path: Path) -> str | None:
    try:
        return hash_file(path)
    except OSError:
        return None


def _read_stats(path: Path) -> dict[str, Stats]:
    found: dict[str, dict[str, Any]] = read_json(path)[0]
    try:
        return {
            key: {name: np.asarray(value, dtype=np.float64) for name, value in own.items()}
            for key, own in found.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: it holds no statistics: {error}") from error


def _stats_bytes(stats: Mapping[str, Stats]) -> bytes:
    return write_json(
        {
            key: {
                name: value.astype(np.int64 if name == "count" else np.float64).tolist()
                for name, value in own.items()
            }
            for key, own in stats.items()
        }
    )
