"""The records of one MCAP file, found by its summary, or one after the other where it has none.

A file that was cut by a kill is read up to its last whole chunk. What is damaged is named and left
out; nothing of a chunk whose checksum is another is ever used.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

from .compression import unpacked
from .records import (
    CHUNK_HEAD,
    FOOTER,
    HEAD,
    MAGIC,
    TAIL,
    Channel,
    Fields,
    Op,
    RecordError,
    Schema,
    read_channel,
    read_schema,
)


class Place(NamedTuple):
    """Where the content of a record lies in a file."""

    op: int
    offset: int
    size: int


class LogError(Exception):
    """It is no log, or not one that is read here; one line that names the file."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """The records of a chunk whose checksum is right."""

    records: memoryview
    offset: int | None
    """Where they lie in the file; None if they are compressed there."""


class Scan:
    """One file.

    Attributes:
        library: what wrote it.
        problems: what is damaged or missing, a line each.
        schemas: by number, those of the summary.
        channels: by number, those of the summary.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        """Read its beginning and its end.

        Args:
            file: open for reading.
            name: for messages.

        Raises:
            LogError: it is no MCAP file.
        """
        self._file, self._name = file, name
        self.size = file.seek(0, 2)
        self.problems: list[str] = []
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.library, self._indexed, self._messages = "", list[Place](), 0
        self._whole = False
        start = self._at(0, len(MAGIC))
        if start != MAGIC[: len(start)]:
            raise LogError(f"{name}: expected an MCAP file")
        self._begin = len(MAGIC)
        header = self._record_at(self._begin) if self.size >= self._begin else None
        if header is None or header.op != Op.HEADER:
            if header is not None:
                raise LogError(f"{name}: expected the header of an MCAP file")
            self.problems.append(f"{name}: cut off at byte {self.size}, before its first record")
            self._begin = self.size
            return
        self._begin = header.offset + header.size
        try:
            fields = Fields(self.content(header))
            fields.text()
            self.library = fields.text()
        except RecordError as error:
            raise LogError(f"{name}: header: {error}") from error
        self._summary()

    def _at(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def content(self, place: Place) -> bytes:
        """Return the content of a record."""
        return self._at(place.offset, place.size)

    def _record_at(self, offset: int) -> Place | None:
        """Return the record that begins somewhere, None if the file ends before it does."""
        head = self._at(offset, HEAD.size)
        if len(head) < HEAD.size:
            return None
        op, size = HEAD.unpack(head)
        at = offset + HEAD.size
        return Place(op, at, size) if size <= self.size - at else None

    # -- summary -------------------------------------------------------------------------------

    def _summary(self) -> None:
        """Read the summary, if there is one and its checksum is right."""
        tail = self._at(self.size - TAIL, TAIL) if self.size >= self._begin + TAIL else b""
        self._whole = tail.endswith(MAGIC) and HEAD.unpack_from(tail) == (Op.FOOTER, FOOTER.size)
        if not self._whole:
            return
        start, _, checksum = FOOTER.unpack_from(tail, HEAD.size)
        if not self._begin <= start <= self.size - TAIL:
            return
        data = self._at(start, self.size - start - len(MAGIC) - 4)
        if checksum and zlib.crc32(data) != checksum:
            self.problems.append(f"{self._name}: the summary at byte {start} is damaged")
            return
        places = list[Place]()
        try:
            for op, content in _records(memoryview(data)[: -HEAD.size - 16]):
                self._take(op, content, places)
        except RecordError as error:
            self.problems.append(f"{self._name}: the summary at byte {start}: {error}")
            return
        self._indexed = sorted(places, key=lambda place: place.offset)

    def _take(self, op: int, content: memoryview, places: list[Place]) -> None:
        fields = Fields(content)
        if op == Op.SCHEMA:
            schema = read_schema(content)
            self.schemas[schema.number] = schema
        elif op == Op.CHANNEL:
            channel = read_channel(content)
            self.channels[channel.number] = channel
        elif op == Op.STATISTICS:
            self._messages = fields.numbers("Q")[0]
        elif op == Op.CHUNK_INDEX:
            _, _, at, size = fields.numbers("QQQQ")
            places.append(Place(Op.CHUNK, at + HEAD.size, size - HEAD.size))
        elif op == Op.METADATA_INDEX:
            at, size = fields.numbers("QQ")
            places.append(Place(Op.METADATA, at + HEAD.size, size - HEAD.size))

    # -- records -------------------------------------------------------------------------------

    def records(self) -> Iterator[Place]:
        """Yield chunks, metadata, and what of schemas, channels and messages is in no chunk."""
        if self._indexed:
            yield from self._by_summary()
        else:
            yield from self._one_by_one()

    def expect(self, messages: int) -> None:
        """Say if there are fewer messages than the summary counts."""
        if self._indexed and messages != self._messages:
            self.problems.append(
                f"{self._name}: {messages} messages are readable, its summary counts "
                f"{self._messages}"
            )

    def _by_summary(self) -> Iterator[Place]:
        for place in self._indexed:
            if self._record_at(place.offset - HEAD.size) != place:
                self.problems.append(
                    f"{self._name}: at byte {place.offset - HEAD.size} is not the record that "
                    "its summary names"
                )
            else:
                yield place

    def _one_by_one(self) -> Iterator[Place]:
        at = self._begin
        while at < self.size:
            place = self._record_at(at)
            if place is None:
                self.problems.append(
                    f"{self._name}: cut off at byte {self.size}: the {self.size - at} bytes from "
                    f"{at} on are no whole record"
                )
                return
            if place.op == Op.DATA_END:
                if not self._whole:
                    self.problems.append(
                        f"{self._name}: cut off at byte {self.size}, in its summary"
                    )
                return
            yield place
            at = place.offset + place.size
        self.problems.append(f"{self._name}: it was not ended: read up to byte {self.size}")

    def chunk(self, place: Place) -> Chunk | None:
        """Return the records of a chunk, None if it is damaged: then a problem names it."""
        try:
            return self._chunk(place)
        except RecordError as error:
            self.problems.append(f"{self._name}: the chunk at byte {place.offset - 9}: {error}")
            return None

    def _chunk(self, place: Place) -> Chunk:
        content = self.content(place)
        fields = Fields(content)
        _, _, size, checksum = fields.numbers("QQQI")
        compression = fields.text()
        stored = fields.numbers("Q")[0]
        at = CHUNK_HEAD.size + 4 + len(compression.encode()) + 8
        if stored != place.size - at:
            raise RecordError("it is damaged: its length is another")
        data = memoryview(content)[at:]
        if compression:
            data = memoryview(unpacked(bytes(data), compression))
        if len(data) != size:
            raise RecordError("it is damaged: its length is another")
        if (checksum or self.library.startswith("sim2arm")) and zlib.crc32(data) != checksum:
            raise RecordError("it is damaged: its checksum is another")
        return Chunk(records=data, offset=None if compression else place.offset + at)

    def inner(self, chunk: Chunk, place: Place) -> Iterator[tuple[int, memoryview, int]]:
        """Yield kind, content and place in the chunk of its records; a problem ends them."""
        at = 0
        try:
            for op, content in _records(chunk.records):
                at += HEAD.size
                yield op, content, at
                at += len(content)
        except RecordError as error:
            self.problems.append(f"{self._name}: the chunk at byte {place.offset - 9}: {error}")


def _records(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(data):
        if at + HEAD.size > len(data):
            raise RecordError("its last record is not whole")
        op, size = HEAD.unpack_from(data, at)
        at += HEAD.size
        if size > len(data) - at:
            raise RecordError("its last record is not whole")
        yield op, data[at : at + size]
        at += size
