"""Play, pause, step, speed: what the person at a page tells a simulation that runs beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

Actions = Literal["policy", "random", "zero"]
AS_FAST_AS_POSSIBLE = float("inf")
LATE = 0.25
"""A simulation that is later than this starts to count anew, instead of hurrying on [s]."""


class Restart(Exception):  # noqa: N818  # no error: it leaves a running episode
    """Other episodes are wanted than those that are running."""


class Playback:
    """Shared by the thread that simulates, which calls `wait`, and those that serve a page.

    Attributes:
        actions: what moves the arms.
        seed: of the first episode of the next round.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        actions: Actions = "policy",
        playing: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin at real-time speed.

        Args:
            seed: of the first episode.
            actions: what moves the arms.
            playing: not paused.
            clock: seconds on a steady clock.
        """
        self.actions: Actions = actions
        self.seed = seed
        self._playing, self._speed, self._clock = playing, 1.0, clock
        self._steps = 0
        self._restart = self._touched = False
        self._due = clock()
        self._changed = threading.Condition()

    @property
    def playing(self) -> bool:
        """Whether time goes on."""
        return self._playing

    @property
    def speed(self) -> float:
        """Simulated seconds per second that are wanted."""
        return self._speed

    def play(self, playing: bool = True) -> None:
        """Go on, or pause."""
        with self._changed:
            self._playing, self._due = playing, self._clock()
            self._touch()

    def step(self) -> None:
        """Pause after one more control step."""
        with self._changed:
            self._steps = 1 if self._playing else self._steps + 1
            self._playing = False
            self._touch()

    def set_speed(self, speed: float) -> None:
        """Change the speed.

        Raises:
            ValueError: it is not above 0.
        """
        if not speed > 0.0:
            raise ValueError(f"speed: expected a number above 0, got {speed}")
        with self._changed:
            self._speed, self._due = speed, self._clock()
            self._touch()

    def restart(self, seed: int) -> None:
        """Leave the episodes that are running and begin those of `seed` and the next ones."""
        with self._changed:
            self.seed, self._restart = seed, True
            self._touch()

    def redraw(self) -> None:
        """Have the page drawn again, though no time passes."""
        with self._changed:
            self._touch()

    def wait(self, period: float, draw: Callable[[], None]) -> None:
        """Return when the next control step is due.

        Args:
            period: of control steps, in simulated time [s].
            draw: called whenever something was changed meanwhile.

        Raises:
            Restart: other episodes are wanted.
        """
        while True:
            with self._changed:
                if self._restart:
                    self._restart, self._steps = False, 0
                    self._due = self._clock()
                    raise Restart
                left = self._left(period)
                if not self._touched and left > 0.0:
                    self._changed.wait(None if left == float("inf") else left)
                touched, self._touched = self._touched, False
                if not touched and self._left(period) <= 0.0:
                    self._advance(period)
                    return
            if touched:
                draw()

    def _left(self, period: float) -> float:
        """Return how long the next step is away [s]."""
        if not self._playing:
            return 0.0 if self._steps else float("inf")
        return self._due + period / self._speed - self._clock()

    def _advance(self, period: float) -> None:
        now = self._clock()
        if not self._playing:
            self._steps -= 1
        due = self._due + period / self._speed
        self._due = due if now - due < LATE else now

    def _touch(self) -> None:
        self._touched = True
        self._changed.notify_all()
