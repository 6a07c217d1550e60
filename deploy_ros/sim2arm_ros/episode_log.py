"""What happened in an episode of a policy through ROS nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

COUNTERS = ("missed", "late", "dropped", "outdated", "slowed", "refused")
"""Counters of the gate that an episode keeps; `gate_state.Counters` says what they count."""


@dataclass(kw_only=True)
class EpisodeLog:
    """What happened in one episode."""

    seed: int
    success: bool = False
    steps: int = 0
    """Control periods of the arm from reset to the end, 0 if it did not end; in real time some
    pass before the first tick of the policy."""
    ended: str = ""
    """How it ended, as the arm says; empty if it was broken off."""
    reason: str = ""
    """Why it was broken off, empty if it ran to its end."""
    actions: list[NDArray[np.float32]] = field(default_factory=list[NDArray[np.float32]])
    """Per tick of the policy before the end (A,); a tick of which no action was heard repeats the
    last one, zeros before the first."""
    stamps: list[int] = field(default_factory=list[int])
    """Per tick, of the newest joint state that the policy had seen [ns]."""
    unheard: list[int] = field(default_factory=list[int])
    """Ticks of which no action was heard: the policy skipped them, or the message was lost."""
    latency_s: list[float] = field(default_factory=list[float])
    """Per command, from the observation to its arrival at the arm [s]."""
    missed: int = 0
    late: int = 0
    dropped: int = 0
    slowed: int = 0
    refused: int = 0

    def hear(self, tick: int, action: NDArray[np.float32], stamp_ns: int) -> None:
        """Note what the policy answered at a tick; ticks must rise."""
        if tick < len(self.actions):
            return
        last = self.actions[-1] if self.actions else np.zeros_like(action)
        before = self.stamps[-1] if self.stamps else stamp_ns
        while len(self.actions) < tick:
            self.unheard.append(len(self.actions))
            self.actions.append(last)
            self.stamps.append(before)
        self.actions.append(action)
        self.stamps.append(stamp_ns)

    def end(self, episode: Mapping[str, str]) -> None:
        """Note how the episode ended; ticks that answer its last observation are not part of it."""
        self.success = episode.get("success") == "True"
        self.steps, self.ended = int(episode.get("steps", "0")), episode.get("ended", "")
        end_ns = int(episode.get("stamp_ns", "0"))
        silent = set(self.unheard)
        before = [k for k, at in enumerate(self.stamps) if at < end_ns and k not in silent]
        ticks = before[-1] + 1 if before else 0
        del self.actions[ticks:], self.stamps[ticks:]
        self.unheard = [tick for tick in self.unheard if tick < ticks]
