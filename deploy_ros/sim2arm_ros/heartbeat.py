"""A sign that must go on being given for an arm to move: of a dead man's switch, or of a watchdog.

`std_msgs/Bool` on a topic of its own, true while the arm may move. Where it says false, or nothing
for longer than its timeout, the arm stops. It goes on with a new session once the sign is there
again. Pure code, no ROS.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HeartbeatCfg:
    """What graph.yaml says of it."""

    topic: str
    timeout_s: float = 0.1
    """Longest silence [s]."""

    def __post_init__(self) -> None:
        """Refuse a timeout that is none."""
        if not 0.0 < self.timeout_s <= 1.0:
            raise ValueError(f"heartbeat: timeout_s: expected up to 1, got {self.timeout_s}")


class Heartbeat:
    """Watches over the sign, or over none."""

    def __init__(self, cfg: HeartbeatCfg | None) -> None:
        """Begin knowing nothing.

        Args:
            cfg: None where no sign is needed.
        """
        self.cfg = cfg
        self._heard_ns: int | None = None
        self._says = False

    def hear(self, says: bool, steady_ns: int) -> None:
        """Take a sign: whether the arm may move."""
        self._says, self._heard_ns = says, steady_ns

    def age_s(self, steady_ns: int) -> float | None:
        """Return how old the newest sign to move is [s]; None if none came, or it said no."""
        if self._heard_ns is None or not self._says:
            return None
        return (steady_ns - self._heard_ns) / 1e9

    def problem(self, steady_ns: int, *, timed: bool = True) -> str | None:
        """Return why the arm must not move, or None.

        Args:
            steady_ns: steady time [ns].
            timed: whether silence counts; it does not where a simulation waits for commands.
        """
        cfg = self.cfg
        if cfg is None:
            return None
        if self._heard_ns is None:
            return f"heartbeat: nothing was heard on {cfg.topic}"
        if not self._says:
            return f"heartbeat: {cfg.topic} says that the arm must not move"
        if timed and (steady_ns - self._heard_ns) / 1e9 > cfg.timeout_s:
            return f"heartbeat: silent for more than {cfg.timeout_s} s"
        return None
