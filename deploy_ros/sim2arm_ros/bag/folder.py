"""Writer of a rosbag2 folder: MCAP files of bounded size, and what `ros2 bag` reads first.

`metadata.yaml` is written at the start, with every further file and at the end, each time durably.
After a kill it counts too few messages and the last file has no end: `ros2 bag reindex` makes it
again, and `reader.py` reads the files without it.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from sim2arm.core.durable import make_folder, sync_folder, write_durably

from .description import LIBRARY, Part, Topic, description
from .mcap_file import McapFile, RawFile
from .records import Channel, Schema
from .seals import sealed

METADATA = "metadata.yaml"


@dataclass(frozen=True, kw_only=True)
class FolderCfg:
    """How a folder is written."""

    split_bytes: int = 2 << 30
    """A file that is larger is followed by another."""
    least_free_bytes: int = 200 << 20
    """Room on the disk that is left to others."""


def open_raw(path: Path) -> RawFile:
    """Open a new file without a buffer."""
    return path.open("xb", buffering=0)


class BagFolder:
    """A folder that grows; all calls are made by one thread.

    Attributes:
        path: of the folder.
        size: bytes that are written.
    """

    def __init__(
        self,
        path: Path,
        about: Mapping[str, Mapping[str, str]],
        cfg: FolderCfg | None = None,
        open_file: Callable[[Path], RawFile] = open_raw,
    ) -> None:
        """Begin the first file.

        Args:
            path: a folder that is empty, or is not there yet.
            about: named texts that every file has.
            cfg: how it is written.
            open_file: opens a new file.

        Raises:
            ValueError: something lies there already.
            OSError: it cannot be written, or the disk is full.
        """
        self.path, self._about, self._cfg = path, about, cfg or FolderCfg()
        self._open_file = open_file
        self._topics: dict[str, tuple[int, Topic]] = {}
        self._schemas: dict[str, Schema] = {}
        self._parts: list[Part] = []
        self._known: set[str] = set()
        self.size = 0
        make_folder(path)
        if any(path.iterdir()):
            raise ValueError(f"{path}: expected an empty folder for the log, found something in it")
        self.check_room()
        self._begin_file()

    @property
    def _part(self) -> Part:
        return self._parts[-1]

    def check_room(self) -> None:
        """See that there is room on the disk.

        Raises:
            OSError: there is not.
        """
        free, least = shutil.disk_usage(self.path).free, self._cfg.least_free_bytes
        if free < least:
            words = f"{free >> 20} MiB are free, {least >> 20} MiB are left to others"
            raise OSError(errno.ENOSPC, words, str(self.path))

    def _begin_file(self) -> None:
        path = self.path / f"{self.path.resolve().name}_{len(self._parts)}.mcap"
        file = McapFile(self._open_file(path), LIBRARY)
        self._parts.append(Part(path=path, file=file))
        self._known = set()
        for name, values in self._about.items():
            file.add_metadata(name, sealed(values))
        file.sync()
        sync_folder(self.path)
        self._write_metadata()

    def add_topic(self, topic: Topic) -> None:
        """Name a topic before its first message."""
        if topic.type not in self._schemas:
            number = len(self._schemas) + 1
            text = topic.definition.encode()
            self._schemas[topic.type] = Schema(number=number, name=topic.type, text=text)
        number, _ = self._topics.get(topic.name, (len(self._topics) + 1, topic))
        self._topics[topic.name] = (number, topic)

    def add(self, topic: str, sequence: int, log_ns: int, publish_ns: int, data: bytes) -> None:
        """Take a message.

        Args:
            topic: its name.
            sequence: number in its topic; where numbers are missing, messages are.
            log_ns: when it was received, by the ROS clock.
            publish_ns: when it was made, by the ROS clock.
            data: CDR with header.
        """
        part, (number, known) = self._part, self._topics[topic]
        if topic not in self._known:
            self._known.add(topic)
            metadata = {
                "offered_qos_profiles": yaml.safe_dump(list(map(dict, known.qos))),
                "topic_type_hash": known.type_hash,
            }
            schema = self._schemas[known.type]
            channel = Channel(number=number, schema=schema.number, topic=topic, metadata=metadata)
            part.file.add_channel(schema, channel)
        part.file.add(number, sequence & 0xFFFFFFFF, max(log_ns, 0), max(publish_ns, 0), data)

    @property
    def waiting(self) -> int:
        """Bytes that a kill would lose now."""
        return self._part.file.waiting

    def flush(self) -> None:
        """Write what waits; begin another file if this one is large.

        Raises:
            OSError: it cannot be written, what waited is lost.
        """
        part = self._part
        before = part.file.size
        part.file.flush()
        self.size += part.file.size - before
        if part.file.size >= self._cfg.split_bytes:
            self._count(part)
            part.file.finish()
            self._begin_file()

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Write named texts, at once.

        Raises:
            OSError: they cannot be written.
        """
        self._part.file.add_metadata(name, sealed(values))

    def sync(self) -> None:
        """Make what is written outlast a loss of power.

        Raises:
            OSError: the disk does not confirm it, or is full.
        """
        self._part.file.sync()
        self.check_room()

    def finish(self) -> None:
        """End the last file and describe all of them.

        Raises:
            OSError: something could not be written; what was flushed before is readable.
        """
        try:
            self._part.file.finish()
        finally:
            self._count(self._part)
            self._write_metadata()

    def _count(self, part: Part) -> None:
        names = {number: name for name, (number, _) in self._topics.items()}
        part.counts = {names[number]: count for number, count in part.file.counts.items()}

    def _write_metadata(self) -> None:
        topics = [topic for _, topic in self._topics.values()]
        write_durably(self.path / METADATA, description(self._parts, topics))
