"""Records of an MCAP file, to bytes and back.

Only what a rosbag2 log has: schemas, channels, messages in chunks with their indexes, metadata, and
the summary at the end. Source: MCAP format specification, mcap.dev/spec.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

MAGIC = b"\x89MCAP0\r\n"
HEAD = struct.Struct("<BQ")
"""Of every record: what it is, and bytes of its content."""
MESSAGE_HEAD = struct.Struct("<HIQQ")
"""Of a message: channel, sequence, log time and publish time [ns]; its data follow."""
FOOTER = struct.Struct("<QQI")
"""Starts of summary and summary offsets, CRC of the summary."""
CHUNK_HEAD = struct.Struct("<QQQI")
"""Earliest and latest log time [ns], bytes and CRC of the records; compression, records follow."""
TAIL = HEAD.size + FOOTER.size + len(MAGIC)
"""Bytes of a file from its footer on."""


class Op(IntEnum):
    """Kinds of records."""

    HEADER = 0x01
    FOOTER = 0x02
    SCHEMA = 0x03
    CHANNEL = 0x04
    MESSAGE = 0x05
    CHUNK = 0x06
    MESSAGE_INDEX = 0x07
    CHUNK_INDEX = 0x08
    STATISTICS = 0x0B
    METADATA = 0x0C
    METADATA_INDEX = 0x0D
    SUMMARY_OFFSET = 0x0E
    DATA_END = 0x0F


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The type of messages."""

    number: int
    """From 1 on, in a file."""
    name: str
    """`package/msg/Name`."""
    encoding: str = "ros2msg"
    text: bytes = b""
    """Its definition and those of the types that it uses."""

    def pack(self) -> bytes:
        """Return the record."""
        body = struct.pack("<H", self.number) + text(self.name) + text(self.encoding)
        return record(Op.SCHEMA, body + struct.pack("<I", len(self.text)) + self.text)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """Messages of one topic."""

    number: int
    """In a file."""
    schema: int
    topic: str
    encoding: str = "cdr"
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def pack(self) -> bytes:
        """Return the record."""
        body = struct.pack("<HH", self.number, self.schema) + text(self.topic)
        return record(Op.CHANNEL, body + text(self.encoding) + mapping(self.metadata))


def record(op: Op, content: bytes) -> bytes:
    """Return a record with its head."""
    return HEAD.pack(op, len(content)) + content


def text(value: str) -> bytes:
    """Return a string with its length."""
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def mapping(values: Mapping[str, str]) -> bytes:
    """Return strings by string with their length."""
    data = b"".join(text(key) + text(value) for key, value in values.items())
    return struct.pack("<I", len(data)) + data


def pairs(layout: str, values: Iterable[tuple[int, int]]) -> bytes:
    """Return pairs of numbers, each as `layout`, with their length."""
    data = b"".join(struct.pack(layout, *pair) for pair in values)
    return struct.pack("<I", len(data)) + data


class RecordError(ValueError):
    """Bytes that are not the record which they should be."""


class Fields:
    """Reads the fields of a record one after the other; never beyond its end."""

    def __init__(self, data: bytes | memoryview) -> None:
        """Begin at the start of the content of a record."""
        self._data, self._at = memoryview(data), 0

    def bytes(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            RecordError: there are fewer; so do all the others.
        """
        end = self._at + size
        if end > len(self._data):
            raise RecordError("a field ends after its record")
        found = self._data[self._at : end]
        self._at = end
        return bytes(found)

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Return the next numbers, as `struct` names them."""
        return struct.unpack(f"<{layout}", self.bytes(struct.calcsize(f"<{layout}")))

    def sized(self) -> bytes:
        """Return the next bytes after their length of 4 bytes."""
        return self.bytes(self.numbers("I")[0])

    def text(self) -> str:
        """Return the next string."""
        try:
            return self.sized().decode()
        except UnicodeDecodeError as error:
            raise RecordError("a string is not UTF-8") from error

    def mapping(self) -> dict[str, str]:
        """Return the next strings by string."""
        inner, found = Fields(self.sized()), dict[str, str]()
        while inner.left:
            key = inner.text()
            found[key] = inner.text()
        return found

    @property
    def left(self) -> int:
        """Bytes that are left."""
        return len(self._data) - self._at


def read_schema(content: bytes | memoryview) -> Schema:
    """Return the schema of a record.

    Raises:
        RecordError: it is none.
    """
    fields = Fields(content)
    return Schema(
        number=fields.numbers("H")[0], name=fields.text(), encoding=fields.text(),
        text=fields.sized(),
    )  # fmt: skip


def read_channel(content: bytes | memoryview) -> Channel:
    """Return the channel of a record.

    Raises:
        RecordError: it is none.
    """
    fields = Fields(content)
    number, schema = fields.numbers("HH")
    return Channel(
        number=number, schema=schema, topic=fields.text(), encoding=fields.text(),
        metadata=fields.mapping(),
    )  # fmt: skip
