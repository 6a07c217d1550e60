"""Two devices as one: a leader arm has no buttons, a keyboard or a pedal beside it has."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Literal

from .base import PRESSES, TeleopDevice, TeleopReading


class PairedDevice:
    """Motion and grip of one device, buttons of another; both clutches have to be closed.

    If either is silent, both are: a person whose clutch is not heard from does not hold it.
    """

    def __init__(self, motion: TeleopDevice, buttons: TeleopDevice) -> None:
        """Take two open devices, which are closed with this one."""
        self._motion, self._buttons = motion, buttons

    @property
    def kind(self) -> Literal["twist", "joints"]:
        """That of the device that moves the arm."""
        return self._motion.kind

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Those of the device that moves the arm."""
        return self._motion.joint_names

    def read(self) -> TeleopReading:
        """Return the newest readings of both, as old as the older of them.

        Raises:
            StaleReading: either is too old.
            RuntimeError: either failed for good.
        """
        moved, pressed = self._motion.read(), self._buttons.read()
        counts = {
            name: moved.presses.get(name, 0) + pressed.presses.get(name, 0) for name in PRESSES
        }
        return replace(
            moved,
            clutch=moved.clutch and pressed.clutch,
            presses={name: count for name, count in counts.items() if count},
            sequence=moved.sequence + pressed.sequence,
            stamp_ns=min(moved.stamp_ns, pressed.stamp_ns),
            receipt_ns=min(moved.receipt_ns, pressed.receipt_ns),
        )

    def close(self) -> None:
        """Close both."""
        try:
            self._motion.close()
        finally:
            self._buttons.close()

    def __enter__(self) -> PairedDevice:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
