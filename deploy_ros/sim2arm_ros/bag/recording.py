"""Messages on their way to the disk: a bounded queue, and a thread that writes.

Whoever receives messages never waits for the disk. What finds no room is dropped, and said three
times: in numbers of messages that are missing, in the state, and as named texts in the log.

What a kill of the process loses: the chunk that is being gathered, `chunk_s` or `chunk_bytes` of
messages, and what waits in the queue because the disk is slower than the messages. What a loss of
power loses: `sync_s` more.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from .description import Topic
from .folder import BagFolder

DROPPED = "sim2arm/dropped"
"""Name of the texts that say what is missing since the last such texts, by topic."""


@dataclass(frozen=True, kw_only=True)
class RecordingCfg:
    """How much may wait, and for how long."""

    queue_messages: int = 20_000
    """Messages that may wait for the disk."""
    queue_bytes: int = 256 << 20
    """Bytes of them."""
    chunk_bytes: int = 1 << 20
    """A chunk that is larger is written."""
    chunk_s: float = 0.25
    """A chunk is written this long after its first message [s]."""
    sync_s: float = 1.0
    """How often the disk is asked to confirm [s]."""


@dataclass(frozen=True, kw_only=True)
class RecordingState:
    """How a recording stands."""

    messages: int
    """That were taken."""
    size: int
    """Bytes on the disk."""
    waiting: int
    """Bytes that are not there yet."""
    dropped: int
    """Messages for which there was no room."""
    lost: int
    """Messages that the middleware did not deliver."""
    error: str
    """Why it ended, empty while it goes on."""


@dataclass(kw_only=True)
class _Missing:
    """What is missing of a topic since it was last written down."""

    dropped: int = 0
    lost: int = 0
    stamps: list[int] = field(default_factory=list[int])
    """Log time of the first and of the last [ns]."""

    def note(self, log_ns: int) -> None:
        self.stamps = [*self.stamps[:1], log_ns]

    def text(self) -> str:
        first, last = self.stamps[0], self.stamps[-1]
        return json.dumps(
            {"dropped": self.dropped, "lost": self.lost, "from_ns": first, "to_ns": last}
        )


class _Item(NamedTuple):
    topic: str
    sequence: int
    log_ns: int
    publish_ns: int
    data: bytes


class Recording:
    """Writes what is put in, in a thread of its own."""

    def __init__(self, folder: BagFolder, cfg: RecordingCfg | None = None) -> None:
        """Start the thread; the folder is its own from now on."""
        self._folder, self._cfg = folder, cfg or RecordingCfg()
        self._changed = threading.Condition()
        self._queue: deque[_Item | Topic] = deque()
        self._queued = self._waiting = 0  # bytes in the queue, and in the chunk
        self._sequences: dict[str, int] = {}
        self._missing: dict[str, _Missing] = {}
        self._messages = self._dropped = self._lost = 0
        self._error = ""
        self._hurry = self._closing = False
        self._chunk_since = 0.0
        self._synced = time.monotonic()
        self._unsynced = False
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    # -- for the one who receives --------------------------------------------------------------

    def add_topic(self, topic: Topic) -> None:
        """Name a topic before its first message."""
        with self._changed:
            self._sequences[topic.name] = 0
            self._queue.append(topic)

    def put(
        self, topic: str, log_ns: int, publish_ns: int, data: bytes, *, urgent: bool = False
    ) -> bool:
        """Take a message; return whether there was room, at once.

        Args:
            topic: its name.
            log_ns: when it was received, by the ROS clock.
            publish_ns: when it was made.
            data: CDR with header, nobody else's memory.
            urgent: there is room for it, and it is written without waiting for others.
        """
        with self._changed:
            if self._error or self._closing:
                return False
            sequence = self._sequences[topic]
            self._sequences[topic] = sequence + 1
            cfg = self._cfg
            full = len(self._queue) >= cfg.queue_messages or self._queued >= cfg.queue_bytes
            if full and not urgent:
                self._dropped += 1
                missing = self._missing.setdefault(topic, _Missing())
                missing.dropped += 1
                missing.note(log_ns)
                return False
            self._queue.append(_Item(topic, sequence, log_ns, publish_ns, data))
            self._queued += len(data)
            self._messages += 1
            self._hurry = self._hurry or urgent
            self._changed.notify()
            return True

    def lose(self, topic: str, count: int, log_ns: int) -> None:
        """Note that the middleware did not deliver some messages."""
        with self._changed:
            self._lost += count
            self._sequences[topic] += count
            missing = self._missing.setdefault(topic, _Missing())
            missing.lost += count
            missing.note(log_ns)

    def state(self) -> RecordingState:
        """Return how it stands."""
        with self._changed:
            return RecordingState(
                messages=self._messages, size=self._folder.size, dropped=self._dropped,
                waiting=self._queued + self._waiting, lost=self._lost, error=self._error,
            )  # fmt: skip

    def close(self) -> None:
        """Write what waits, end the log and the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._step():
                pass
            self._write_missing()
        except Exception as error:  # whatever it is, the one who receives must hear of it
            self._fail(error)
        try:
            self._folder.finish()
        except Exception as error:  # what was flushed is readable without an end
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        with self._changed:
            self._error = self._error or f"{self._folder.path}: {reason}"
            self._queue.clear()
            self._queued = 0

    def _step(self) -> bool:
        """Take what waits and write what is due; return whether to go on."""
        items, hurry = self._take()
        for item in items:
            if isinstance(item, Topic):
                self._folder.add_topic(item)
                continue
            if not self._folder.waiting:
                self._chunk_since = time.monotonic()
            self._folder.add(*item)
            self._waiting = self._folder.waiting
        now = time.monotonic()
        due = now >= self._chunk_since + self._cfg.chunk_s
        if self._waiting and (hurry or due or self._waiting >= self._cfg.chunk_bytes):
            self._folder.flush()
            self._waiting, self._unsynced = 0, True
            self._write_missing()
        if self._unsynced and (hurry or now >= self._synced + self._cfg.sync_s):
            self._folder.sync()
            self._unsynced, self._synced = False, time.monotonic()
        return bool(items) or not self._closing

    def _take(self) -> tuple[list[_Item | Topic], bool]:
        """Wait for messages, or until something is due; return up to a chunk of them."""
        with self._changed:
            pause = self._cfg.sync_s
            if self._waiting:
                pause = max(0.0, self._chunk_since + self._cfg.chunk_s - time.monotonic())
            self._changed.wait_for(lambda: self._queue or self._closing or self._hurry, pause)
            items, size = list[_Item | Topic](), 0
            while self._queue and size < self._cfg.chunk_bytes:
                item = self._queue.popleft()
                items.append(item)
                size += 0 if isinstance(item, Topic) else len(item.data)
            self._queued -= size
            hurry = self._hurry and not self._queue
            self._hurry = self._hurry and not hurry
            return items, hurry

    def _write_missing(self) -> None:
        with self._changed:
            missing, self._missing = self._missing, {}
        if missing:
            texts = {topic: each.text() for topic, each in missing.items()}
            self._folder.add_metadata(DROPPED, texts)
