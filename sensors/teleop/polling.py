"""A thread asks a device again and again and keeps what it said last.

Every device here is a `Source`: something that is opened, asked, and opened again after it went
away. The thread gives what it says numbers and times.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol

from sim2arm.core.clock import steady_ns
from sim2arm.core.spec import ArraySpec, StaleReading
from sim2arm.sensors.base import Clocks

from .base import MAX_AGE, PRESSES, FloatArray, TeleopReading, check_teleop, teleop_spec


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """What a source says when it is asked; the fields are those of `TeleopReading`."""

    twist: FloatArray | None = None
    joints: FloatArray | None = None
    clutch: bool = True
    gripper: float | None = None
    pressed: tuple[str, ...] = ()
    """What was pressed since it was asked before."""


class Source(Protocol):
    """An open device."""

    def poll(self) -> Sample | None:
        """Return what the device says, or none if it did not say anything now.

        Whatever is not a sign of life of the device itself is none: readings grow old then.

        Raises:
            OSError: the device is gone or broken; one line.
        """
        ...

    def close(self) -> None:
        """Let the device go."""
        ...


class PolledDevice:
    """A source as a `TeleopDevice`; use it in a `with` block or close it.

    Attributes:
        clocks: of its stamps and receipts.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        *,
        joint_names: tuple[str, ...] = (),
        rate_hz: float = 100.0,
        max_age: float = MAX_AGE,
        retry: float = 0.5,
        clocks: Clocks | None = None,
    ) -> None:
        """Start the thread; `wait` for the first reading.

        Args:
            open_source: opens the device, now and after it went away; OSError if it is not there.
            joint_names: of a leader; none for twists.
            rate_hz: how often it is asked.
            max_age: oldest reading that `read` returns [s].
            retry: time between attempts to open a device that went away [s].
            clocks: others than those of this machine.

        Raises:
            ValueError: a number that is not above 0.
        """
        for name, value in (("rate_hz", rate_hz), ("max_age", max_age), ("retry", retry)):
            if not value > 0:
                raise ValueError(f"{name}: expected more than 0, got {value}")
        self._open, self._names = open_source, joint_names
        self._period, self._retry = 1.0 / rate_hz, retry
        self.clocks = clocks or Clocks()
        self._spec = teleop_spec(joint_names, max_age)
        self._news = threading.Condition()
        self._newest: TeleopReading | None = None
        self._presses: dict[str, int] = {}
        self._why, self._fault, self._count = "", "", 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="teleop", daemon=True)
        self._thread.start()

    @property
    def kind(self) -> Literal["twist", "joints"]:
        """What its readings hold."""
        return "joints" if self._names else "twist"

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Of a leader; empty for twists."""
        return self._names

    @property
    def spec(self) -> Mapping[str, ArraySpec]:
        """The twist or the joint positions, with the oldest age."""
        return self._spec

    def wait(self, timeout: float) -> TeleopReading:
        """Return the first reading, when it is there.

        Raises:
            StaleReading: nothing came in time [s].
            RuntimeError: as `read`.
        """
        with self._news:
            self._news.wait_for(lambda: self._newest is not None or bool(self._fault), timeout)
        return self.read()

    def read(self) -> TeleopReading:
        """Return the newest reading.

        Raises:
            StaleReading: it is too old, as while a device that went away is looked for, or closed.
            RuntimeError: the device failed for good.
        """
        with self._news:
            newest, why, fault = self._newest, self._why, self._fault
        if fault:
            raise RuntimeError(fault)
        if self._stop.is_set():
            raise StaleReading(f"{', '.join(self._spec)}: the device was closed")
        return check_teleop(newest, self._spec, self.clocks, why)

    def close(self) -> None:
        """Stop the thread and let the device go."""
        self._stop.set()
        self._thread.join(timeout=2.0)

    def __enter__(self) -> PolledDevice:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._ask(self._open())
            except OSError as error:
                with self._news:
                    self._why = " ".join(str(error).split())
            except Exception as error:  # a fault of ours: `read` says so instead of waiting
                with self._news:
                    self._fault = f"{type(error).__name__}: {error}"
                    self._news.notify_all()
                return
            self._stop.wait(self._retry)

    def _ask(self, source: Source) -> None:
        """Ask an open source until it fails or the end."""
        try:
            with self._news:
                self._why = "the device is open but silent"
            while not self._stop.is_set():
                began = steady_ns()
                # Before the question: however long the answer takes, it is not taken for newer.
                stamp, receipt = self.clocks.wall_ns(), self.clocks.steady_ns()
                sample = source.poll()
                if sample is not None:
                    self._take(sample, stamp, receipt)
                self._stop.wait(max(self._period - 1e-9 * (steady_ns() - began), 0.0))
        finally:
            source.close()

    def _take(self, sample: Sample, stamp: int, receipt: int) -> None:
        unknown = [name for name in sample.pressed if name not in PRESSES]
        if unknown:
            raise ValueError(f"presses: expected some of {list(PRESSES)}, got {unknown}")
        with self._news:
            for name in sample.pressed:
                self._presses[name] = self._presses.get(name, 0) + 1
            self._count += 1
            self._newest = TeleopReading(
                twist=sample.twist,
                joints=sample.joints,
                clutch=sample.clutch,
                gripper=sample.gripper,
                presses=dict(self._presses),
                sequence=self._count,
                stamp_ns=stamp,
                receipt_ns=receipt,
            )
            self._news.notify_all()
