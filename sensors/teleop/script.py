"""A device that plays written steps: for tests, demonstrations without hands, and scripted experts.

A script is YAML, a list of steps such as
`{seconds: 1.5, twist: [0, 0, -1, 0, 0, 0], press: [gripper_close]}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from sim2arm.core import plain
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.base import Clocks

from .base import MAX_AGE, PRESSES, TeleopReading, check_teleop, teleop_spec


@dataclass(frozen=True, kw_only=True)
class ScriptStep:
    """What the device says for a while."""

    seconds: float
    """For how long [s]."""
    twist: tuple[float, ...] = (0.0,) * 6
    """Translation, then rotation, in [-1, 1]."""
    clutch: bool = True
    """Whether the arm may follow."""
    press: tuple[str, ...] = ()
    """What is pressed at its beginning."""
    silent: bool = False
    """Whether the device says nothing meanwhile, as one that was unplugged."""

    def __post_init__(self) -> None:
        """Check the numbers and the presses."""
        if not 0.0 < self.seconds < 1e6:
            raise ValueError(f"seconds: expected more than 0, got {self.seconds}")
        if len(self.twist) != 6 or not all(-1.0 <= number <= 1.0 for number in self.twist):
            raise ValueError(f"twist: expected 6 numbers from -1 to 1, got {list(self.twist)}")
        for name in self.press:
            if name not in PRESSES:
                raise ValueError(f"press: expected some of {list(PRESSES)}, got {name!r}")
        if self.silent and self.press:
            raise ValueError("silent: nothing is pressed on a device that says nothing")


def load_script(path: Path) -> tuple[ScriptStep, ...]:
    """Return the steps of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a list of steps; one line with the place.
    """
    text = path.read_text(encoding="utf-8")
    return plain.load_steps(text, str(path), ScriptStep, "each with seconds")


class ScriptedDevice:
    """A twist device that plays steps from its first reading on, then it is silent."""

    def __init__(self, steps: Sequence[ScriptStep], *, clocks: Clocks | None = None) -> None:
        """Prepare; the first `read` starts the script.

        Raises:
            ValueError: there is no step.
        """
        if not steps:
            raise ValueError("script: expected at least one step, got none")
        self._steps, self._clocks = tuple(steps), clocks or Clocks()
        self._ends = np.cumsum([step.seconds for step in steps])
        self._start_ns: int | None = None
        self._sequence, self._closed = 0, False
        self._spec = teleop_spec((), MAX_AGE)
        self._last: TeleopReading | None = None

    @property
    def over(self) -> bool:
        """Whether all steps have been played."""
        passed = self._clocks.steady_ns() - (self._start_ns or 0)
        return self._start_ns is not None and 1e-9 * passed >= self._ends[-1]

    @property
    def kind(self) -> Literal["twist", "joints"]:
        """What its readings hold."""
        return "twist"

    @property
    def joint_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def read(self) -> TeleopReading:
        """Return what the script says now.

        Raises:
            StaleReading: the script is over or silent, or the device was closed.
        """
        now = self._clocks.steady_ns()
        if self._start_ns is None:
            self._start_ns = now
        at = int(np.searchsorted(self._ends, 1e-9 * (now - self._start_ns), side="right"))
        if self._closed or at >= len(self._steps):
            raise StaleReading(f"the script {'was closed' if self._closed else 'is over'}")
        if self._steps[at].silent:
            return check_teleop(self._last, self._spec, self._clocks, "the script is silent")
        pressed = [name for step in self._steps[: at + 1] for name in step.press]
        self._sequence += 1
        self._last = TeleopReading(
            twist=np.array(self._steps[at].twist),
            clutch=self._steps[at].clutch,
            presses={name: pressed.count(name) for name in pressed},
            sequence=self._sequence,
            stamp_ns=self._clocks.wall_ns(),
            receipt_ns=now,
        )
        return self._last

    def close(self) -> None:
        """End the script."""
        self._closed = True

    def __enter__(self) -> ScriptedDevice:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
