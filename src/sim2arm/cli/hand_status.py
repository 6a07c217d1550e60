"""How a recording by hand stands, told on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .state_line import StateLine
from .turns import Phase

if TYPE_CHECKING:
    from sim2arm.sim.arm import SimulatedArm

    from .record_page import RecordPage

_LINE_TICKS = 6
"""Ticks between states on the terminal."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """How things stand at a tick."""

    phase: Phase
    seed: int
    episode: int
    """Number that the episode would have in the dataset."""
    seconds: float
    """Of the episode, in simulated time [s]."""
    success: bool
    gate: str
    """What the gate makes of what is asked for; `-` where nothing is."""
    hand: str
    """engaged, held or silent."""
    why: str
    """Why the arm does not follow, or what becomes of an episode that has ended."""
    kept: int
    discarded: int
    dropped: int
    """Rows for which there was no room, of all episodes."""
    rate_hz: float
    missed: int
    """Ticks of the loop."""


def in_line(status: Status) -> str:
    """Return how things stand as one line."""
    return (
        f"seed {status.seed} {status.phase.value} {status.seconds:.1f} s  hand {status.hand}  "
        f"gate {status.gate}  kept {status.kept}  discarded {status.discarded}  "
        f"{status.rate_hz:.0f} Hz, missed {status.missed}  {status.why}"
    ).rstrip()


class HandDisplay:
    """The terminal, and the page where there is one."""

    def __init__(self, line: StateLine, page: RecordPage | None = None) -> None:
        """Show there."""
        self._line, self._page = line, page
        self._ticks, self._key = 0, ("", 0, "")

    def note(self, text: str) -> None:
        """Write a line that stays."""
        self._line.note(text)

    def presses(self) -> Sequence[str]:
        """Return what was pressed on the page since the last call."""
        return () if self._page is None else self._page.presses()

    def show(self, arm: SimulatedArm, status: Status, left: float) -> None:
        """Show how things stand.

        Args:
            arm: as it stands.
            status: of this tick.
            left: time that may be spent [s].
        """
        if self._page is not None:
            self._page.draw(arm, status, left)
        key = (status.phase.value, status.seed, status.hand)
        self._ticks += 1
        if self._ticks % _LINE_TICKS == 0 or key != self._key:
            self._key = key
            self._line.show(in_line(status), key)
