"""Episodes by hand, one after another: what buttons do, and what becomes of an episode that ended.

READY: the arm stands at the start of an episode. RUNNING: it is recorded. ENDED: the task says that
it is over; what `keep` says will be done with it, at the next start or at the end, unless a button
says otherwise. OVER: as many as wanted are kept, or the person had enough.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

Deed = Literal["begin", "keep", "discard"]
"""What is to be done with an episode."""


class Phase(Enum):
    """Where an episode stands."""

    READY = "ready"
    RUNNING = "recording"
    ENDED = "ended"
    OVER = "over"


class Turns:
    """What is recorded next.

    Attributes:
        phase: of the episode.
        seed: of the episode; one that is recorded again has the same.
        kept, discarded: how many so far.
        success: whether the episode that ended was one.
    """

    def __init__(self, seed: int, wanted: int, keep: Literal["success", "all"]) -> None:
        """Be ready for the first episode.

        Args:
            seed: of the first.
            wanted: how many are to be kept.
            keep: whether those that end without success are kept too.
        """
        self.phase, self.seed, self._wanted, self._all = Phase.READY, seed, wanted, keep == "all"
        self.kept = self.discarded = 0
        self.success = False

    @property
    def verdict(self) -> Literal["keep", "discard"]:
        """What becomes of the episode that ended if nobody says otherwise."""
        return "keep" if self.success or self._all else "discard"

    def press(self, name: str) -> tuple[Deed, ...]:
        """Take a press, one of `PRESSES`; return what is to be done, in order."""
        begun = self.phase in (Phase.RUNNING, Phase.ENDED)
        if name == "start" and self.phase in (Phase.READY, Phase.ENDED):
            before = self._settle() if begun else ()
            if self.phase is not Phase.READY:
                return before
            self.phase = Phase.RUNNING
            return (*before, "begin")
        if name == "quit" and self.phase is not Phase.OVER:
            before = self._settle() if begun else ()
            self.phase = Phase.OVER
            return before
        if name == "keep" and begun:
            return self._keep()
        if name in ("discard", "rerecord") and begun:
            return self._discard(again=name == "rerecord")
        return ()

    def refuse(self) -> None:
        """Say that an episode could not begin."""
        self.phase = Phase.READY

    def end(self, success: bool) -> None:
        """Say that the task is over."""
        self.phase, self.success = Phase.ENDED, success

    def _settle(self) -> tuple[Deed, ...]:
        """Do with an episode what is done if nobody says; one that still runs is discarded."""
        ended = self.phase is Phase.ENDED
        return self._keep() if ended and self.verdict == "keep" else self._discard()

    def _keep(self) -> tuple[Deed, ...]:
        self.kept, self.seed, self.success = self.kept + 1, self.seed + 1, False
        self.phase = Phase.OVER if self.kept >= self._wanted else Phase.READY
        return ("keep",)

    def _discard(self, *, again: bool = False) -> tuple[Deed, ...]:
        self.discarded, self.seed, self.success = self.discarded + 1, self.seed + (not again), False
        self.phase = Phase.READY
        return ("discard",)
