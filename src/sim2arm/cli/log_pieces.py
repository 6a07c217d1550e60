"""Pieces of an episode of a raw log: what lies between two gaps."""

# pyright: standard

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim2arm.policies.dataset.writer import Episode

if TYPE_CHECKING:
    from sim2arm_ros.log_runs import Run

SHOWN = 5
"""Reasons of a kind that are shown."""


class Piece:
    """Rows without a gap between them.

    Attributes:
        run: the episode that they are of.
        first: number of the tick of its first row, None before that.
        episode: where its rows go; None before the first, or if they are in the dataset already.
        rows: so far.
    """

    def __init__(self, run: Run, log: str) -> None:
        """Begin the first piece of an episode of a log of this name."""
        self.run, self._log = run, log
        self._gaps = self._said = self._number = 0
        self._first_gap = ""
        self.rows = 1
        self.next("")

    def next(self, gap: str) -> None:
        """Begin the next piece of the same episode."""
        self._gaps += bool(gap)
        self._first_gap = self._first_gap or gap
        self._number += bool(self.rows)
        self.first: int | None = None
        self.episode: Episode | None = None
        self.rows = 0

    def say(self, gap: str, *, refused: bool, short: bool) -> None:
        """Print what becomes of it, if that is not clear."""
        session = f"session {self.run.session.name}"
        if refused:
            print(f"{session}: refused {gap}")
        elif gap and self.rows and self._said < SHOWN:
            self._said += 1
            kept = "left out" if short else "kept"
            print(f"{session}: cut {gap}; {self.rows} rows before it {kept}")
        elif not gap and self.rows and short:
            print(f"{session}: its last {self.rows} rows are left out: too few")
        if not gap and self._gaps > self._said:
            print(f"{session}: {self._gaps} gaps, the first {self._first_gap}")

    def notes(self, gap: str) -> dict[str, Any]:
        """Return what the dataset notes of it."""
        run = self.run
        return {
            **run.notes, "log": self._log, "session": run.session.name, "first_tick": self.first,
            "piece": self._number, "cut": gap, "success": run.success and not gap,
            "ended": run.ended and not gap,
        }  # fmt: skip
