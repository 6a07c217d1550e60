"""Writer of one MCAP file: what was flushed is readable, however the process ends.

Messages are gathered in a chunk with a checksum, and a chunk is written by one call. Types and
topics stand in the chunk that first uses them, so that the checksum covers them too. A chunk that
cannot be written as a whole is cut off again.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from .records import (
    CHUNK_HEAD,
    FOOTER,
    HEAD,
    MAGIC,
    MESSAGE_HEAD,
    Channel,
    Op,
    Schema,
    mapping,
    pairs,
    record,
    text,
)

_NEVER = 2**64 - 1


class RawFile(Protocol):
    """An unbuffered file, as `open(..., "xb", buffering=0)` returns it; tests put others in."""

    def write(self, data: memoryview, /) -> int | None:
        """Write some of the bytes; return how many."""
        ...

    def truncate(self, size: int, /) -> int:
        """Cut the file."""
        ...

    def seek(self, offset: int, /) -> int:
        """Go on writing there."""
        ...

    def fileno(self) -> int:
        """Return the descriptor."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class McapFile:
    """An MCAP file that grows.

    Attributes:
        size: bytes that are written.
        waiting: bytes of the chunk that is not.
        counts: messages by channel, those of the chunk included.
        start_ns: earliest log time, of no message the largest number there is.
        end_ns: latest log time.
    """

    def __init__(self, file: RawFile, library: str) -> None:
        """Write the beginning.

        Args:
            file: empty.
            library: what writes it.

        Raises:
            OSError: it cannot be written.
        """
        self._file = file
        self.size = self.waiting = 0
        self.counts: dict[int, int] = {}
        self.start_ns, self.end_ns = _NEVER, 0
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._chunks: list[bytes] = []
        self._metadata: list[bytes] = []
        self._begin_chunk()
        self._write(MAGIC + record(Op.HEADER, text("ros2") + text(library)))

    def _begin_chunk(self) -> None:
        self._parts: list[bytes] = []
        self._index: dict[int, list[tuple[int, int]]] = {}
        self._first_ns, self._last_ns, self.waiting = _NEVER, 0, 0

    def _append(self, data: bytes) -> None:
        self._parts.append(data)
        self.waiting += len(data)

    def add_channel(self, schema: Schema, channel: Channel) -> None:
        """Name a topic and its type, before its first message."""
        if schema.number not in self._schemas:
            self._schemas[schema.number] = schema
            self._append(schema.pack())
        self._channels[channel.number] = channel
        self.counts[channel.number] = 0
        self._append(channel.pack())

    def add(
        self, channel: int, sequence: int, log_ns: int, publish_ns: int, data: bytes
    ) -> None:  # fmt: skip
        """Take a message; nothing is written before `flush`."""
        self._index.setdefault(channel, []).append((log_ns, self.waiting))
        self._append(HEAD.pack(Op.MESSAGE, MESSAGE_HEAD.size + len(data)))
        self._append(MESSAGE_HEAD.pack(channel, sequence, log_ns, publish_ns))
        self._append(data)
        self._first_ns, self._last_ns = min(self._first_ns, log_ns), max(self._last_ns, log_ns)
        self.counts[channel] += 1

    def flush(self) -> None:
        """Write the chunk, if there is anything in it.

        Raises:
            OSError: it cannot be written: it is lost, the file is as it was before.
        """
        if not self.waiting:
            return
        data, index, first, last = b"".join(self._parts), self._index, self._first_ns, self._last_ns
        self._begin_chunk()
        first = first if index else 0
        try:
            self._write_chunk(data, index, first, last)
        except OSError:
            for channel, own in index.items():
                self.counts[channel] -= len(own)
            raise
        if index:
            self.start_ns, self.end_ns = min(self.start_ns, first), max(self.end_ns, last)

    def _write_chunk(
        self, data: bytes, index: Mapping[int, list[tuple[int, int]]], first: int, last: int
    ) -> None:
        start, size = self.size, len(data)
        head = CHUNK_HEAD.pack(first, last, size, zlib.crc32(data))
        chunk = record(Op.CHUNK, head + text("") + struct.pack("<Q", size) + data)
        places, indexes, at = list[tuple[int, int]](), list[bytes](), start + len(chunk)
        for channel, own in index.items():
            places.append((channel, at))
            indexes.append(
                record(Op.MESSAGE_INDEX, struct.pack("<H", channel) + pairs("<QQ", own))
            )  # fmt: skip
            at += len(indexes[-1])
        self._write(b"".join([chunk, *indexes]))
        where = struct.pack("<QQQQ", first, last, start, len(chunk)) + pairs("<HQ", places)
        where += (
            struct.pack("<Q", at - start - len(chunk)) + text("") + struct.pack("<QQ", size, size)
        )
        self._chunks.append(record(Op.CHUNK_INDEX, where))

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Write named texts, at once.

        Raises:
            OSError: they cannot be written.
        """
        data, at = record(Op.METADATA, text(name) + mapping(values)), self.size
        self._write(data)
        place = struct.pack("<QQ", at, len(data)) + text(name)
        self._metadata.append(record(Op.METADATA_INDEX, place))

    def _write(self, data: bytes) -> None:
        """Write all of it, or leave the file as it was."""
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError:
            self._file.truncate(self.size)
            self._file.seek(self.size)
            raise
        self.size += len(data)

    def sync(self) -> None:
        """Make what is written outlast a loss of power.

        Raises:
            OSError: the disk does not confirm it.
        """
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Write the chunk, the summary and the end; close the file whatever happens.

        Raises:
            OSError: something could not be written; what was flushed before is readable.
        """
        try:
            try:
                self.flush()
            finally:
                self._write(self._summary())
            self.sync()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _summary(self) -> bytes:
        end = record(Op.DATA_END, struct.pack("<I", 0))
        groups: list[tuple[Op, Iterable[bytes]]] = [
            (Op.SCHEMA, (schema.pack() for schema in self._schemas.values())),
            (Op.CHANNEL, (channel.pack() for channel in self._channels.values())),
            (Op.STATISTICS, (self._statistics(),)),
            (Op.CHUNK_INDEX, self._chunks),
            (Op.METADATA_INDEX, self._metadata),
        ]
        start = at = self.size + len(end)
        summary, offsets = b"", b""
        for op, records in groups:
            group = b"".join(records)
            if group:
                offsets += record(Op.SUMMARY_OFFSET, struct.pack("<BQQ", op, at, len(group)))
            summary, at = summary + group, at + len(group)
        head = HEAD.pack(Op.FOOTER, FOOTER.size) + struct.pack("<QQ", start, at)
        summary += offsets + head
        return end + summary + struct.pack("<I", zlib.crc32(summary)) + MAGIC

    def _statistics(self) -> bytes:
        total = sum(self.counts.values())
        counts = pairs("<HQ", self.counts.items())
        start = self.start_ns if total else 0
        numbers = (total, len(self._schemas), len(self._channels), 0, len(self._metadata))
        head = struct.pack("<QHIII", *numbers)
        tail = struct.pack("<IQQ", len(self._chunks), start, self.end_ns)
        return record(Op.STATISTICS, head + tail + counts)
