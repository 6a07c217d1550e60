"""Writer of demonstrations: an episode is committed as a whole, or it is as if it had never been.

Pictures are encoded beside the control loop; a frame for which there is no room is dropped as a
whole, and the next row says so. `commit` writes data, videos, the episode's row and record, tasks,
statistics and at last info.json, each whole and durable before the next. Whatever a crash leaves
beyond the totals of info.json is written over by the next episode.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from .encoding import Encoder
from .files import DatasetError, move_durably, write_hashed
from .index import Index, read_index, write_record
from .layout import (
    CHUNK,
    DEFAULTS,
    INFO,
    PICTURES,
    DatasetSpec,
    Feature,
    data_file,
    episode_file,
    record_file,
    video_file,
    write_json,
)
from .stats import Stats, has_stats, of_numbers
from .tables import episode_bytes, rows_bytes

DROPPED = "sync.dropped"
"""Column: frames that were dropped between the row before and this one."""
QUEUE = 64
"""Pictures of a column that may wait to be encoded."""
_COUNT = Feature(dtype="int64", shape=(1,), unit="1")
_LOCK, _RUNNING = ".lock", ".recording"


class DatasetWriter:
    """A dataset that grows by episodes; a context manager.

    Attributes:
        root: its folder.
        index: what is committed.
    """

    def __init__(self, root: str | Path, spec: DatasetSpec, *, queue: int = QUEUE) -> None:
        """Begin a dataset, or go on with one that has the same columns.

        Args:
            root: its folder.
            spec: what every episode has; a column `DROPPED` is added.
            queue: pictures of a column that may wait to be encoded.

        Raises:
            DatasetError: another one lies there, it is damaged, or another process writes to it.
            OSError: it cannot be written.
        """
        features = {**spec.features, DROPPED: _COUNT}
        self.root = Path(root)
        self.spec = DatasetSpec(
            fps=spec.fps, features=features, robot_type=spec.robot_type, documents=spec.documents
        )
        self._queue = queue
        self._running: Episode | None = None
        self.root.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.root / _LOCK)
        try:
            self.index = self._begin()
        except BaseException:
            self._lock.close()
            raise

    def _begin(self) -> Index:
        shutil.rmtree(self.root / _RUNNING, ignore_errors=True)
        if (self.root / INFO).is_file():
            found = read_index(self.root)
            found.expect(self.spec)
            found.repair()
            self.index = found
            self._clear()
            return found
        for path in self.root.iterdir():
            if path.name not in (_LOCK, "meta"):  # meta: a crash before the first info.json
                raise DatasetError(f"{self.root}: expected an empty folder, found {path.name}")
        return Index.begin(self.root, self.spec)

    def __enter__(self) -> DatasetWriter:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @property
    def scratch(self) -> Path:
        """A folder on the same disk for files that are on their way."""
        folder = self.root / _RUNNING
        folder.mkdir(exist_ok=True)
        return folder

    def close(self) -> None:
        """Let others write; an episode that runs is lost."""
        if not self._lock.closed:
            if self._running is not None and self._running.open:
                self._running.discard()
            shutil.rmtree(self.root / _RUNNING, ignore_errors=True)
            self._lock.close()

    def put(
        self,
        columns: Mapping[str, Any],
        videos: Mapping[str, Path],
        stats: Mapping[str, Stats],
        tasks: Sequence[str],
        notes: Mapping[str, Any],
    ) -> int:
        """Commit an episode that is whole; return its number.

        Args:
            columns: all but videos, arrays (frames, *shape), of strings and PNG files lists, as
                they are for the next episode.
            videos: finished files by column, which are moved.
            stats: by column.
            tasks: what is done in it.
            notes: plain data about it.

        Raises:
            OSError: it cannot be written; the dataset is as it was before, or the error came after
                the last step: `index` says.
        """
        self._check_open()
        try:
            return self._put(columns, videos, stats, tasks, notes)
        except BaseException:
            self.index = read_index(self.root)  # it may have been written, only not confirmed
            self._clear()
            raise

    def _check_open(self) -> None:
        if self._lock.closed:
            raise DatasetError(f"{self.root}: the writer is closed")

    def _clear(self) -> None:
        """Delete what a commit that did not end has left: other readers take all files."""
        number = self.index.episodes
        videos = [video_file(key, number) for key in self.spec.videos]
        for name in (data_file(number), episode_file(number), record_file(number), *videos):
            place = self.root / name
            for left in (place, *place.parent.glob(f".{place.name}.*")):
                left.unlink(missing_ok=True)

    def _put(
        self,
        columns: Mapping[str, Any],
        videos: Mapping[str, Path],
        stats: Mapping[str, Stats],
        tasks: Sequence[str],
        notes: Mapping[str, Any],
    ) -> int:
        root, index, spec = self.root, self.index, self.spec
        number, length = index.episodes, len(columns["index"])
        place, content = data_file(number), rows_bytes(spec.columns, columns)
        files = {place: write_hashed(root / place, content)}
        for key in spec.videos:
            place = video_file(key, number)
            files[place] = move_durably(videos[key], root / place)
        row = _row(spec, number, index.frames, length, list(tasks))
        place = episode_file(number)
        files[place] = write_hashed(root / place, episode_bytes(row, stats))
        record = write_record(spec, number, files, notes)
        write_hashed(root / record_file(number), record)
        self.index = index.grown(length, index.with_tasks(tasks), stats, record)
        return number

    def begin(self) -> Episode:
        """Begin an episode.

        Raises:
            DatasetError: another one runs, or the writer is closed.
            OSError: it cannot be written.
        """
        self._check_open()
        if self._running is not None and self._running.open:
            raise DatasetError(f"{self.root}: an episode runs already: commit or discard it")
        self._running = Episode(self, self.root / _RUNNING, self._queue)
        return self._running


class Episode:
    """An episode that runs.

    Attributes:
        length: rows so far.
        dropped: frames that were dropped so far.
        open: whether it still runs.
    """

    def __init__(self, writer: DatasetWriter, folder: Path, queue: int) -> None:
        """Begin; see `DatasetWriter.begin`."""
        self._writer, self._folder, self._spec = writer, folder, writer.spec
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.length = self.dropped = 0
        self._lost, self.open = 0, True
        self._unseen: dict[str, Any] = {}  # pictures of rows that were dropped, until newer ones
        features = self._spec.features
        self._given = {key: f for key, f in features.items() if key != DROPPED}
        self._rows: dict[str, list[Any]] = {
            key: [] for key, feature in features.items() if feature.dtype not in PICTURES
        }
        self._rows["task_index"] = []
        self._tasks: list[str] = []
        self._encoders = {
            key: Encoder(feature, self._spec.fps, folder / f"{number}.mp4", queue)
            for number, (key, feature) in enumerate(features.items())
            if feature.dtype in PICTURES
        }

    @property
    def full(self) -> bool:
        """Whether the next row would be dropped now."""
        return any(encoder.full for encoder in self._encoders.values())

    def add(self, frame: Mapping[str, Any], task: str) -> bool:
        """Add a row; return whether there was room for it, else it is dropped and counted.

        Args:
            frame: by column, arrays of the shape and type of its feature, strings; copies are
                kept. None for a picture that is the same as in the row before.
            task: what is done, in words.

        Raises:
            ValueError: a column is missing, unknown, or of another shape or type, or the first row
                lacks a picture.
            DatasetError: the episode has ended.
            OSError: pictures can no longer be encoded.
        """
        self._check_open()
        checked = self._check(frame)
        for encoder in self._encoders.values():
            encoder.check()
        if self.full:
            self._lost += 1
            self.dropped += 1
            new = {key: checked[key] for key in self._encoders if checked[key] is not None}
            self._unseen |= {key: picture.copy() for key, picture in new.items()}
            return False
        for key, encoder in self._encoders.items():
            unseen, picture = self._unseen.pop(key, None), checked[key]
            encoder.add(unseen if picture is None else picture)
        for key, rows in self._rows.items():
            if key in checked:
                rows.append(checked[key])
        self._rows[DROPPED].append(np.array([self._lost], dtype=np.int64))
        if task not in self._tasks:
            self._tasks.append(task)
        self._rows["task_index"].append(self._tasks.index(task))
        self._lost = 0
        self.length += 1
        return True

    def _check_open(self) -> None:
        if not self.open:
            raise DatasetError(f"{self._writer.root}: the episode has ended")

    def _check(self, frame: Mapping[str, Any]) -> dict[str, Any]:
        features = self._given
        if frame.keys() != features.keys():
            absent, more = sorted(features.keys() - frame), sorted(frame.keys() - features)
            raise ValueError(f"expected the columns of the dataset, lacking {absent}, new {more}")
        checked: dict[str, Any] = {}
        for key, feature in features.items():
            if feature.dtype == "string":
                checked[key] = str(frame[key])
                continue
            if frame[key] is None and key in self._encoders and self.length + self.dropped:
                checked[key] = None
                continue
            kept = np.asarray if key in self._encoders else np.array  # encoders copy themselves
            value = kept(frame[key])
            value = value.reshape(1) if value.shape == () else value
            if value.shape != feature.shape or value.dtype != feature.numpy:
                raise ValueError(
                    f"{key}: expected {feature.numpy} {list(feature.shape)}, got {value.dtype} "
                    f"{list(value.shape)}"
                )
            checked[key] = value
        return checked

    def discard(self) -> None:
        """Forget the episode, if it still runs."""
        if not self.open:
            return
        for encoder in self._encoders.values():
            encoder.abandon()
        shutil.rmtree(self._folder, ignore_errors=True)
        self.open = False

    def commit(self, notes: Mapping[str, Any] | None = None) -> int:
        """Write the episode durably; return its number.

        Args:
            notes: plain data about it, such as its seed.

        Raises:
            ValueError: it has no rows, or the notes are no plain data; it runs on.
            DatasetError: it has ended.
            OSError: it cannot be written; the dataset is as it was before, the episode is lost.
        """
        self._check_open()
        if not self.length:
            raise ValueError("an episode without rows cannot be committed")
        try:
            write_json(dict(notes or {}))
        except (TypeError, ValueError) as error:
            raise ValueError(f"notes: expected plain data: {error}") from error
        try:
            return self._commit(dict(notes or {}))
        finally:
            self.discard()

    def _commit(self, notes: dict[str, Any]) -> int:
        index, stats = self._writer.index, dict[str, Stats]()
        for key, encoder in self._encoders.items():
            stats[key] = encoder.finish()
        tasks = index.with_tasks(self._tasks)
        columns = self._columns(index.episodes, index.frames, [tasks.index(t) for t in self._tasks])
        for key, values in columns.items():
            if key not in self._encoders and has_stats({**self._spec.features, **DEFAULTS}[key]):
                stats[key] = of_numbers(np.asarray(values))
        videos = {key: self._encoders[key].path for key in self._spec.videos}
        notes = {**notes, "dropped": self.dropped}
        return self._writer.put(columns, videos, stats, self._tasks, notes)

    def _columns(self, number: int, start: int, tasks: list[int]) -> dict[str, Any]:
        count = np.arange(self.length)
        found: dict[str, Any] = {
            key: rows if self._is_text(key) else np.stack(rows)
            for key, rows in self._rows.items()
            if key != "task_index"
        }
        found |= {
            key: encoder.pngs for key, encoder in self._encoders.items()
            if encoder.feature.dtype == "image"
        }  # fmt: skip
        return found | {
            "timestamp": (count / self._spec.fps).astype(np.float32),
            "frame_index": count,
            "episode_index": np.full(self.length, number),
            "index": start + count,
            "task_index": np.array(tasks)[np.array(self._rows["task_index"])],
        }

    def _is_text(self, key: str) -> bool:
        return self._spec.features[key].dtype == "string"


def _row(
    spec: DatasetSpec, number: int, start: int, length: int, tasks: list[str]
) -> dict[str, Any]:
    """Return what the format says about an episode."""
    chunk, file = divmod(number, CHUNK)
    row: dict[str, Any] = {
        "episode_index": number,
        "tasks": tasks,
        "length": length,
        "data/chunk_index": chunk,
        "data/file_index": file,
        "dataset_from_index": start,
        "dataset_to_index": start + length,
    }
    for key in spec.videos:
        row |= {
            f"videos/{key}/chunk_index": chunk,
            f"videos/{key}/file_index": file,
            f"videos/{key}/from_timestamp": 0.0,
            f"videos/{key}/to_timestamp": length / spec.fps,
        }
    return {**row, "meta/episodes/chunk_index": chunk, "meta/episodes/file_index": file}


def _locked(path: Path) -> IO[bytes]:
    """Return the file that only one writer holds.

    Raises:
        DatasetError: another one has it.
    """
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise DatasetError(f"{path.parent}: another process writes to it") from error
    return file
