"""The client's end of a worker: starts it, asks it, notices its death, ends it.

`process_protocol` says how the two sides talk.
"""

# pyright: standard

from __future__ import annotations

import mmap
import os
import signal
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Sequence
from typing import IO, Any

from .base import CapacityError
from .compiled import UnknownNameError
from .process_protocol import GRACE_S, PROTOCOL, Channel, ChannelClosedError, Message, take_memory

PATIENCE_S = 300.0
"""A command that takes longer is taken for one that never ends [s]."""
_ERRORS: dict[str, type[Exception]] = {
    error.__name__: error
    for error in (UnknownNameError, CapacityError, KeyError, ValueError, NotImplementedError)
}
_LINES = 5
"""Of a worker's last output that an error shows."""


class WorkerError(RuntimeError):
    """A worker died, was killed because it did not answer, or failed in an unknown way."""


class Worker:
    """A process that holds worlds; ended when nobody holds it any more.

    Attributes:
        scenes: formats that it reads, the best first.
        several: whether it may hold several worlds.
        memory: regions of each world, by their numbers.
        dropped: worlds that nobody holds any more; the worker is told with the next command.
    """

    def __init__(self, command: Sequence[str], patience: float = PATIENCE_S) -> None:
        """Start it.

        Args:
            command: program and arguments.
            patience: time limit of a command, the start among them [s].

        Raises:
            WorkerError: it does not start, or speaks another protocol.
        """
        self.command, self._patience = tuple(command), patience
        self._last = self._worlds = 0
        self.memory: dict[int, dict[int, mmap.mmap]] = {}
        self.dropped: list[int] = []
        self._ended: str | None = None
        ours, theirs = socket.socketpair()
        ours.settimeout(patience)
        self._channel = Channel(ours)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (read when the worker dies)
        try:
            self._process = subprocess.Popen(
                [*self.command, "--channel", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
            )
        except OSError as error:
            ours.close()
            self._log.close()
            raise WorkerError(f"worker {self.command[0]} does not start: {error}") from error
        finally:
            theirs.close()
        self.close = weakref.finalize(self, _end, self._process, self._channel, self._log)
        greeting, _ = self._guarded("its start", self._channel.receive)
        if greeting.get("protocol") != PROTOCOL:
            self.close()
            raise WorkerError(
                f"worker {self.command[0]} speaks protocol {greeting.get('protocol')}, expected "
                f"{PROTOCOL}: bring both sides to one version of sim2arm"
            )
        self.engine = str(greeting["engine"])
        self.scenes: list[str] = greeting["scenes"]
        self.several = bool(greeting["several"])

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self.close.alive and self._ended is None and self._process.poll() is None

    def new_world(self) -> int:
        """Return the number of a world to build."""
        number = self._worlds
        self._worlds += 1
        self.memory[number] = {}
        return number

    def ask(
        self, do: str, world: int, memory: Sequence[tuple[int, int]] = (), **request: Any
    ) -> Message:
        """Return the answer to a command; its new regions are in `memory` then.

        Args:
            do: the command.
            world: its number.
            memory: descriptor and size [bytes] of memory that goes with it.
            request: the rest of the message.

        Raises:
            WorkerError: the worker is dead, does not answer, or failed in a way unknown here.
            ValueError, KeyError, CapacityError, NotImplementedError: the engine refused.
        """
        self._last += 1
        dropped = [self.dropped.pop() for _ in range(len(self.dropped))]
        for number in dropped:
            del self.memory[number]
        message = {"id": self._last, "do": do, "world": world, "drop": dropped} | request
        if memory:
            message["regions"] = [[i, size] for i, (_, size) in enumerate(memory)]
        self._guarded(do, lambda: self._channel.send(message, [fd for fd, _ in memory]))
        answer: Message = {"id": 0}
        while answer["id"] != self._last:  # else of a command that was given up
            answer, fds = self._guarded(do, self._channel.receive)
            self._take(answer, fds)
        if "error" in answer:
            raise _error(answer["error"], self.engine)
        return answer["ok"]

    def _take(self, answer: Message, fds: Sequence[int]) -> None:
        """Map the memory that came with an answer."""
        regions = self.memory.get(answer["world"], {})  # a world may be gone
        for (number, size), fd in zip(answer.get("ok", {}).get("regions", ()), fds, strict=True):
            regions[number] = take_memory(fd, size)

    def _guarded(self, do: str, talk: Callable[[], Any]) -> Any:
        """Return what a talk on the channel gives; end the worker where it fails."""
        if self._ended is None and not self.close.alive:
            self._ended = f"worker {self.command[0]} was closed: build the world again"
        if self._ended is not None:
            raise WorkerError(self._ended)
        try:
            return talk()
        except TimeoutError:
            what = f"did not answer within {self._patience:g} s and was killed"
            self._process.kill()
        except ChannelClosedError:
            what = "ended"
        try:
            status = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if what == "ended":
            what = f"ended ({_status(status)})"
        text = " | ".join(_last_lines(self._log))
        said = f"; its last output: {text}" if text else ""
        self._ended = f"worker {' '.join(self.command)} {what} during {do}{said}"
        self.close()
        raise WorkerError(self._ended)


def _end(process: subprocess.Popen[bytes], channel: Channel, log: IO[bytes]) -> None:
    """End a worker: it goes when the channel closes; one that does not is killed."""
    channel.close()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    log.close()


def _status(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def _last_lines(log: IO[bytes]) -> list[str]:
    size = os.fstat(log.fileno()).st_size
    tail = os.pread(log.fileno(), 4096, max(0, size - 4096)).decode(errors="replace")
    return [line.strip() for line in tail.splitlines() if line.strip()][-_LINES:]


def _error(error: Message, engine: str) -> Exception:
    """Return the exception that a worker reports."""
    for kind in error["kinds"]:
        if kind in _ERRORS:
            return _ERRORS[kind](error["text"])
    return WorkerError(f"{engine} failed: {error['kinds'][0]}: {error['text']}\n{error['trace']}")


_RUNNING: weakref.WeakValueDictionary[tuple[Any, ...], Worker] = weakref.WeakValueDictionary()


def worker_of(command: Sequence[str], patience: float = PATIENCE_S) -> Worker:
    """Return the running worker of a command if it takes another world, else a new one.

    Raises:
        WorkerError: it does not start, or speaks another protocol.
    """
    key = (os.getpid(), patience, *command)
    found = _RUNNING.get(key)
    if found is not None and found.several and found.alive:
        return found
    _RUNNING[key] = started = Worker(command, patience)
    return started
