"""A thread that keeps a camera open and holds its newest frame; drivers say how, by functions.

What is not read is never decoded. A device that goes away is looked for until it is back, and
meanwhile the newest frame grows old, which whoever reads it is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, TypeVar

from sim2arm.core.spec import ArraySpec, Reading

from .base import Clocks, Counters, check_fresh


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """What a device gave, not decoded yet."""

    data: Any
    """As the driver has it."""
    sequence: int
    """Number among the new ones, from 1."""
    stamp_ns: int
    """When it was taken, on the clock of the spec [ns]."""
    receipt_ns: int
    """When it came, on the steady clock [ns]."""


class CameraThread:
    """The newest frame of a device, and what went wrong on the way.

    Attributes:
        counters: what happened so far.
        why: what is known of a device that does not deliver, empty if it does.
        fault: why it never will with this config, empty if it may.
        on_news: called in the thread with each new frame and with a fault; does nothing by itself.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], None],
        decode: Callable[[Any], Mapping[str, Any] | None],
        *,
        retry: float,
        errors: tuple[type[Exception], ...],
    ) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            name: of the device, for messages.
            connect: opens it, gives its frames to `keep`, and returns or raises when it is gone.
            decode: returns the arrays of a frame's data by name, or none if it is broken.
            retry: time between attempts to open it [s].
            errors: that a device raises which is not there or goes away.
        """
        self.name, self._connect, self._decode = name, connect, decode
        self._retry, self._errors = retry, errors
        self._news = threading.Condition()
        self._newest: Frame | None = None
        self._decoded: Reading | None = None
        self.counters = Counters()
        self.why = self.fault = ""
        self.on_news: Callable[[], object] = _nothing
        self._stop = threading.Event()
        self._opened = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to open the device."""
        self._thread.start()

    def close(self) -> None:
        """Let the device go."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)  # a driver may wait for 10 s; the thread is daemon

    # -- for who reads -------------------------------------------------------------------------

    def wait(self, timeout: float) -> None:
        """Wait for the first frame or for a fault [s]."""
        with self._news:
            self._news.wait_for(lambda: self._newest is not None or bool(self.fault), timeout)

    def read(self, spec: Mapping[str, ArraySpec], clocks: Clocks) -> Reading:
        """Return the newest frame as a reading, decoded once.

        Raises:
            StaleReading: it is too old, as while a device that went away is looked for.
            RuntimeError: the device does not give what was asked for; it takes another config.
        """
        with self._news:
            frame, why, fault = self._newest, self.why, self.fault
        if fault:
            raise RuntimeError(f"{self.name}: {fault}")
        done = 0 if self._decoded is None else self._decoded.sequence
        if frame is not None and frame.sequence != done:
            self._make(frame)
        return check_fresh(self._decoded, spec, clocks, why)

    def _make(self, frame: Frame) -> None:
        """Make a reading of a frame; one that is broken leaves the reading before it."""
        arrays = self._decode(frame.data)
        if arrays is None:
            self.count(broken=1)
            with self._news:
                if self._newest is frame:
                    self._newest = None
            return
        for array in arrays.values():
            array.flags.writeable = False
        self._decoded = Reading(
            arrays=arrays,
            sequence=frame.sequence,
            stamp_ns=frame.stamp_ns,
            receipt_ns=frame.receipt_ns,
        )

    # -- for the driver, in the thread ---------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether the driver should return from `connect`."""
        return self._stop.is_set() or bool(self.fault)

    @property
    def newest(self) -> Frame | None:
        """The newest frame, none before the first and after a broken one."""
        return self._newest

    def opened(self) -> None:
        """Note that the device is open, the second time as a reconnection."""
        if self._opened:
            self.count(reconnects=1)
        self._opened = True

    def keep(self, data: Any, stamp_ns: int, receipt_ns: int) -> None:
        """Hold a new frame, fields as in `Frame`."""
        with self._news:
            self.counters = replace(self.counters, frames=self.counters.frames + 1)
            self._newest = Frame(
                data=data, sequence=self.counters.frames, stamp_ns=stamp_ns, receipt_ns=receipt_ns
            )
            self.why = ""
            self._news.notify_all()
        self.on_news()

    def count(self, **more: int) -> None:
        """Add to counters."""
        with self._news:
            now = self.counters
            self.counters = replace(now, **{n: getattr(now, n) + k for n, k in more.items()})

    def say(self, why: str) -> None:
        """Say why nothing comes."""
        with self._news:
            self.why = why

    def give_up(self, fault: str) -> None:
        """Make `read` raise a fault from now on."""
        with self._news:
            self.fault = fault
            self._news.notify_all()
        self.on_news()

    def pause(self, seconds: float) -> None:
        """Wait, unless the thread is to stop [s]."""
        self._stop.wait(seconds)

    def _run(self) -> None:
        """Keep the device open until the end."""
        while not self.stopping:
            try:
                self._connect()
            except self._errors as error:
                self.say(" ".join(str(error).split()))
            except Exception as error:  # a fault of ours: `read` says so instead of waiting
                self.give_up(f"{type(error).__name__}: {error}")
            self.pause(0.0 if self.stopping else self._retry)


def _nothing() -> None:
    """Nobody waits for news."""


class ThreadedCamera:
    """What drivers have in common whose frames a `CameraThread` holds."""

    clocks: Clocks
    thread: CameraThread
    _spec: Mapping[str, ArraySpec]

    @property
    def spec(self) -> Mapping[str, ArraySpec]:
        """The arrays after the driver stage."""
        return self._spec

    @property
    def counters(self) -> Counters:
        """What happened to pictures so far."""
        return self.thread.counters

    def wait(self, timeout: float) -> Reading:
        """Return the first reading, when it is there.

        Raises:
            StaleReading: nothing came in time [s].
            RuntimeError: as `read`.
        """
        self.thread.wait(timeout)
        return self.read()

    def read(self) -> Reading:
        """Return the newest arrays of the spec.

        Raises:
            StaleReading: they are too old, as while a device that went away is looked for.
            RuntimeError: the device does not give what was asked for; it takes another config.
        """
        return self.thread.read(self._spec, self.clocks)

    def close(self) -> None:
        """Stop the thread and let the device go."""
        self.thread.close()

    def __enter__(self: _Camera) -> _Camera:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_Camera = TypeVar("_Camera", bound=ThreadedCamera)
