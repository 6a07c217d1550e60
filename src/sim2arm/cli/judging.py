"""Who says that an episode of learning on an arm succeeded: task, a person's key, a classifier."""

# pyright: standard

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sim2arm.policies.success import SuccessJudge


class Judge:
    """Judges steps of episodes.

    Whoever is asked decides alone: that the task is done ends nothing where a key or a classifier
    judges.
    """

    def __init__(self, who: str, seen: Mapping[str, NDArray[Any]]) -> None:
        """Take who judges.

        Args:
            who: task, key, or a file of `sim2arm judge`.
            seen: what a file may look at (1, ...).

        Raises:
            OSError, ValueError: it is no such file, or it looks at what is not seen; one line.
        """
        self._who = who
        self._classifier = None
        if who in ("task", "key"):
            return
        self._classifier = SuccessJudge(Path(who))
        for name, shape in self._classifier.sees.items():
            if name not in seen:
                raise ValueError(f"judge {who}: looks at {name}, seen are {sorted(seen)}")
            if seen[name].shape[1:] != shape:
                raise ValueError(
                    f"judge {who}: {name}: expected {list(shape)}, got {list(seen[name].shape[1:])}"
                )

    def reset(self) -> None:
        """Begin an episode."""
        if self._classifier is not None:
            self._classifier.reset()

    def say(
        self,
        presses: Collection[str],
        seen: Mapping[str, NDArray[Any]],
        *,
        won: bool,
        lost: bool,
        cut: bool,
    ) -> tuple[bool, bool, bool]:
        """Return whether a step is success, ends in a state without future, and is cut.

        Args:
            presses: keys since the step before.
            seen: after the step (1, ...).
            won: whether the task says that it is done.
            lost: whether it gives up.
            cut: whether time is up, or the gate stopped the arm.
        """
        if self._who == "task":
            return won, won or lost, cut and not (won or lost)
        yes = "keep" in presses
        if self._classifier is not None:
            yes = self._classifier.won(seen) or yes
        ended = yes or "discard" in presses
        return yes, ended, (lost or cut) and not ended
