"""A raw log as a list of messages: rosbag2 folders, ours and others', and single MCAP files.

The payload of a message is read when it is asked for, so that a log may be larger than the memory.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

from .description import LIBRARY
from .records import (
    MESSAGE_HEAD,
    Channel,
    Fields,
    Op,
    RecordError,
    Schema,
    read_channel,
    read_schema,
)
from .scan import Chunk, LogError, Place, Scan
from .seals import unsealed

_PLAIN = (Op.SCHEMA, Op.CHANNEL, Op.MESSAGE)
"""Records that in our files are always in a chunk, below its checksum."""


_KEPT = re.compile(r"^[ -]*durability: (transient_local|1)\s*$", re.MULTILINE)


class LogMessage:
    """A message of a log.

    Attributes:
        topic: its name.
        type: `package/msg/Name`.
        sequence: number in its topic; in our logs every message has the next one.
        log_ns: when it was received, by the ROS clock.
        publish_ns: when it was made, by the ROS clock.
    """

    __slots__ = ("_data", "_file", "_size", "log_ns", "publish_ns", "sequence", "topic", "type")

    def __init__(
        self, topic: str, kind: str, head: tuple[int, int, int], data: bytes | int, size: int,
        file: IO[bytes],
    ) -> None:  # fmt: skip
        """Keep it.

        Args:
            topic: its name.
            kind: its type.
            head: sequence, log time and publish time.
            data: its payload, or where that lies in the file.
            size: bytes of it.
            file: which one.
        """
        self.topic, self.type = topic, kind
        self.sequence, self.log_ns, self.publish_ns = head
        self._data, self._size, self._file = data, size, file

    @property
    def data(self) -> bytes:
        """CDR with header.

        Raises:
            LogError: the file was changed since it was opened.
        """
        if isinstance(self._data, bytes):
            return self._data
        found = os.pread(self._file.fileno(), self._size, self._data)
        if len(found) != self._size:
            raise LogError(f"{self._file.name}: it was cut while it was read")
        return found


class Log:
    """A log that is open; a context manager.

    Attributes:
        path: folder or file.
        messages: in the order in which they were received.
        metadata: named texts of our own logs, in order; those whose checksum is another are left
            out and named in the problems.
        problems: what is damaged or missing, a line each.
        ours: whether our recorder wrote it, so that missing numbers are missing messages.
        kept: topics whose publishers kept the last message for who came late.
    """

    def __init__(self, path: str | Path) -> None:
        """Open all files and read them, payloads aside.

        Raises:
            LogError: it is no log; one line.
            OSError: it cannot be read.
        """
        self.path = Path(path)
        self.messages: list[LogMessage] = []
        self.metadata: list[tuple[str, Mapping[str, str]]] = []
        self.problems: list[str] = []
        self.kept: set[str] = set()
        self.ours = True
        self._open = ExitStack()
        try:
            for file in _files(self.path):
                self._read(self._open.enter_context(file.open("rb")), file.name)
            self._count()
        except BaseException:
            self._open.close()
            raise

    def _read(self, file: IO[bytes], name: str) -> None:
        part = _Part(Scan(file, name), file)
        before = len(self.messages)
        self.messages.extend(part.messages())
        part.scan.expect(len(self.messages) - before)
        self.metadata += part.metadata
        self.kept |= part.kept
        self.problems += part.problems()
        self.ours = self.ours and part.scan.library.startswith(LIBRARY)

    def _count(self) -> None:
        """Say how many messages of our recorder are missing, by their numbers."""
        counts, last = Counter[str](), dict[str, int]()
        for message in self.messages if self.ours else ():
            counts[message.topic] += 1
            last[message.topic] = message.sequence
        for topic, number in last.items():
            if missing := number + 1 - counts[topic]:
                self.problems.append(
                    f"{topic}: {missing} of {number + 1} messages are missing: dropped, or damaged"
                )

    def close(self) -> None:
        """Close the files."""
        self._open.close()

    def __enter__(self) -> Log:
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


class _Part:
    """What is in one file."""

    def __init__(self, scan: Scan, file: IO[bytes]) -> None:
        self.scan, self._file = scan, file
        self.metadata: list[tuple[str, Mapping[str, str]]] = []
        self.kept: set[str] = set()
        self._schemas: dict[int, Schema] = dict(scan.schemas)
        self._channels: dict[int, Channel] = {}
        for channel in scan.channels.values():
            self._of_channel(channel)
        self._ours = scan.library.startswith(LIBRARY)
        self._nameless: dict[int, int] = {}
        self._damaged = 0

    def messages(self) -> Iterator[LogMessage]:
        """Yield all messages; what else there is, is kept."""
        scan = self.scan
        for place in scan.records():
            if place.op == Op.CHUNK:
                chunk = scan.chunk(place)
                if chunk is not None:
                    yield from self._of_chunk(chunk, place)
            elif place.op == Op.METADATA or (place.op in _PLAIN and not self._ours):
                content = memoryview(scan.content(place))
                yield from self._of_record(place.op, content, place.offset)

    def _of_chunk(self, chunk: Chunk, place: Place) -> Iterator[LogMessage]:
        for op, content, at in self.scan.inner(chunk, place):
            offset = None if chunk.offset is None else chunk.offset + at
            yield from self._of_record(op, content, offset)

    def _of_record(self, op: int, content: memoryview, offset: int | None) -> Iterator[LogMessage]:
        try:
            if op == Op.SCHEMA:
                schema = read_schema(content)
                self._schemas[schema.number] = schema
            elif op == Op.CHANNEL:
                self._of_channel(read_channel(content))
            elif op == Op.METADATA:
                self._of_metadata(Fields(content))
            elif op == Op.MESSAGE:
                yield from self._of_message(content, offset)
        except RecordError:
            self._damaged += 1

    def _of_channel(self, channel: Channel) -> None:
        self._channels[channel.number] = channel
        # rosbag2 writes words, in older versions the numbers of rmw.
        if _KEPT.search(channel.metadata.get("offered_qos_profiles", "")):
            self.kept.add(channel.topic)

    def _of_metadata(self, fields: Fields) -> None:
        name, values = fields.text(), fields.mapping()
        if not self._ours:
            return
        found = unsealed(values)
        if found is None:
            raise RecordError("its checksum is another")
        self.metadata.append((name, found))

    def _of_message(self, content: memoryview, offset: int | None) -> Iterator[LogMessage]:
        if len(content) < MESSAGE_HEAD.size:
            raise RecordError("a message without a head")
        number, *head = MESSAGE_HEAD.unpack_from(content)
        channel = self._channels.get(number)
        schema = None if channel is None else self._schemas.get(channel.schema)
        if channel is None or schema is None:
            self._nameless[number] = self._nameless.get(number, 0) + 1
            return
        size = len(content) - MESSAGE_HEAD.size
        data: bytes | int = (
            bytes(content[MESSAGE_HEAD.size :]) if offset is None else offset + MESSAGE_HEAD.size
        )
        yield LogMessage(
            channel.topic, schema.name, (head[0], head[1], head[2]), data, size, self._file
        )

    def problems(self) -> list[str]:
        """Return what is damaged or missing."""
        found, name = list(self.scan.problems), Path(self._file.name).name
        if self._damaged:
            found.append(f"{name}: {self._damaged} damaged records are left out")
        for number, count in self._nameless.items():
            found.append(
                f"{name}: {count} messages of channel {number} are left out: what it is was lost"
            )
        return found


def _files(path: Path) -> list[Path]:
    """Return the files of a log, the oldest first.

    Raises:
        LogError: there are none.
    """
    if path.is_file() and path.suffix == ".mcap":
        return [path]
    if not path.is_dir():
        what = "found another file" if path.exists() else "found nothing"
        raise LogError(f"{path}: expected the folder of a log, or an .mcap file; {what}")
    found = [file for file in path.iterdir() if file.suffix == ".mcap" and file.is_file()]
    if not found:
        raise LogError(f"{path}: expected the folder of a log: no .mcap file lies in it")
    return sorted(found, key=_number)


def _number(path: Path) -> tuple[str, int]:
    """Return name and number of a file: `log_10.mcap` comes after `log_2.mcap`."""
    found = re.fullmatch(r"(.*?)_?(\d*)", path.stem)
    assert found is not None
    return found[1], int(found[2] or 0)
