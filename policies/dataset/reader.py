"""Reader of LeRobotDataset v3.0: ours, whose files are checked, and those of others.

Rows are read by episode or by time windows around a frame. A window that reaches beyond its episode
repeats the first or last frame, and says so in a mask.
"""

# pyarrow has no stubs.
# pyright: standard

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim2arm.core.durable import hash_file

from .files import DatasetError
from .index import Index, episode_row, read_index
from .layout import PICTURES, Feature
from .pictures import decode_picture, read_video
from .tables import from_column, read_table

PAD = "_is_pad"
"""Ends the names of masks of windows."""
_KEPT = 8
"""Episodes whose rows stay in memory."""
Arrays = dict[str, Any]


class Dataset:
    """A dataset that is read.

    Attributes:
        root: its folder.
        index: what is committed.
        starts: (episodes + 1,) number of the first frame of each episode, and of all frames.
    """

    def __init__(self, root: str | Path) -> None:
        """Open it.

        Raises:
            DatasetError: there is none, or it is damaged; one line that names the file.
        """
        self.root = Path(root)
        self.index: Index = read_index(self.root)
        self._rows = self._episode_rows()
        lengths = [int(row["length"]) for row in self._rows]
        self.starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        if self.starts[-1] != self.index.frames:
            raise DatasetError(
                f"{self.root}: info.json says {self.index.frames} frames, the episodes have "
                f"{self.starts[-1]}"
            )
        self._checked: set[str] = set()
        self._memory: OrderedDict[int, Arrays] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.index.frames

    @property
    def features(self) -> Mapping[str, Feature]:
        """The columns beside the five that all datasets have."""
        return self.index.spec.features

    def _episode_rows(self) -> list[dict[str, Any]]:
        index = self.index
        if index.chain is not None:
            return [episode_row(index, number) for number in range(index.episodes)]
        rows: list[dict[str, Any]] = []
        for path in sorted((self.root / "meta" / "episodes").glob("*/*.parquet")):
            rows += read_table(path, stats=False).to_pylist()
        rows.sort(key=lambda row: row["episode_index"])
        rows = rows[: index.episodes]
        if [row["episode_index"] for row in rows] != list(range(index.episodes)):
            raise DatasetError(
                f"{self.root}/meta/episodes: expected episodes 0 to {index.episodes}"
            )
        return rows

    def notes(self, episode: int) -> Mapping[str, Any]:
        """Return the notes of an episode; none of others' datasets."""
        return self.index.records[episode]["notes"] if self.index.chain is not None else {}

    def episode(self, number: int) -> Arrays:
        """Return all rows of an episode but videos: arrays (frames, ...), of images PNG files.

        Raises:
            DatasetError: its file is damaged; one line that names it.
        """
        if number in self._memory:
            self._memory.move_to_end(number)
            return self._memory[number]
        row, path = self._rows[number], self._file(number, self._data_file(number))
        names = list(self.index.spec.columns)
        table = read_table(path, names)
        absent = [name for name in names if name not in table.column_names]
        if absent:
            raise DatasetError(f"{path}: the column {absent[0]} is missing")
        if len(table) != row["length"]:  # a file of several episodes
            mine = np.asarray(table["episode_index"]) == number
            table = table.filter(mine)
        if len(table) != row["length"]:
            raise DatasetError(
                f"{path}: expected {row['length']} rows of episode {number}, got {len(table)}"
            )
        found: Arrays = {}
        for name, feature in self.index.spec.columns.items():
            try:
                found[name] = from_column(feature, table[name])
            except ValueError as error:
                raise DatasetError(f"{path}: {name}: {error} (episode {number})") from error
        self._memory[number] = found
        while len(self._memory) > _KEPT:
            self._memory.popitem(last=False)
        return found

    def pictures(self, key: str, episode: int, frames: Sequence[int]) -> npt.NDArray[Any]:
        """Return pictures (len(frames), rows, columns, channels) of frames of an episode.

        Raises:
            DatasetError: a file is damaged, or a frame is not there; one line that names it.
        """
        feature = self.features[key]
        if feature.dtype == "video":
            path = self._file(episode, self._video_file(key, episode))
            first = float(self._rows[episode][f"videos/{key}/from_timestamp"])
            found = read_video(path, first, frames, self.index.spec.fps)
            if found[0].shape != feature.shape:
                raise DatasetError(
                    f"{path}: expected pictures {list(feature.shape)}, got {list(found[0].shape)}"
                )
            return np.stack(found)
        files = self.episode(episode)[key]
        try:
            return np.stack([decode_picture(files[frame], feature) for frame in frames])
        except ValueError as error:
            path = self.root / self._data_file(episode)
            raise DatasetError(f"{path}: {key}: {error} (episode {episode})") from error

    def window(self, index: int, offsets: Mapping[str, Sequence[int]]) -> Arrays:
        """Return columns around a frame.

        Args:
            index: of the frame in the dataset.
            offsets: by column, frames before (negative) and after it.

        Returns:
            By column (len(offsets), ...), and (len(offsets),) bool under the name with `PAD`: which
            lie beyond the episode and repeat its first or last frame.

        Raises:
            IndexError: there is no such frame.
            KeyError: there is no such column.
            DatasetError: a file is damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"expected a frame of 0 to {len(self) - 1}, got {index}")
        episode = int(np.searchsorted(self.starts, index, side="right")) - 1
        at, last = index - int(self.starts[episode]), int(self._rows[episode]["length"]) - 1
        found: Arrays = {}
        for key, own in offsets.items():
            wanted = at + np.asarray(own, dtype=np.int64)
            frames = wanted.clip(0, last)
            feature = self.features.get(key)
            if feature is not None and feature.dtype in PICTURES:
                found[key] = self.pictures(key, episode, frames.tolist())
            else:
                rows = self.episode(episode)[key]
                picked = [rows[k] for k in frames] if isinstance(rows, list) else rows[frames]
                found[key] = picked
            found[key + PAD] = wanted != frames
        return found

    def task(self, index: int) -> str:
        """Return in words what is done at a frame."""
        number = int(self.window(index, {"task_index": [0]})["task_index"][0, 0])
        return self.index.tasks[number]

    def _data_file(self, number: int) -> str:
        row = self._rows[number]
        return f"data/chunk-{row['data/chunk_index']:03d}/file-{row['data/file_index']:03d}.parquet"

    def _video_file(self, key: str, number: int) -> str:
        row = self._rows[number]
        chunk, file = (row[f"videos/{key}/{name}_index"] for name in ("chunk", "file"))
        return f"videos/{key}/chunk-{chunk:03d}/file-{file:03d}.mp4"

    def _file(self, episode: int, name: str) -> Path:
        """Return a file of an episode, whose hash is right where one is known.

        Raises:
            DatasetError: it is damaged.
        """
        path = self.root / name
        if self.index.chain is not None and name not in self._checked:
            try:
                found = hash_file(path)
            except OSError as error:
                reason = f"cannot be read: {error.strerror}"
                raise DatasetError(f"{path}: {reason} (episode {episode})") from error
            if found != self.index.records[episode]["files"].get(name):
                raise DatasetError(
                    f"{path}: it is damaged: its hash is another (episode {episode})"
                )
            self._checked.add(name)
        return path
