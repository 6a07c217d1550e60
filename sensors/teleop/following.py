"""A follower arm and its leader: joint positions through a clutch that never makes the arm jump."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .base import MAX_AGE, FloatArray, TeleopReading
from .clutch import GripperHand, Watch, tick_length

_RUNS_AWAY = 1.5
"""A leader that is moved this many start tolerances away during the approach ends it."""
_FASTEST_HAND = 15.0
"""Readings that a joint cannot have made at this speed are an error of the leader's encoder or
bus [rad/s] (ours; a flick of the wrist makes about 10)."""
_SLACK = 0.1
"""Jump between two readings that no speed needs to explain [rad]."""
_THERE = 1e-9
"""Distance from the leader at which the approach is over [rad]."""


@dataclass(frozen=True, kw_only=True)
class FollowCfg:
    """How an arm follows a leader."""

    mode: Literal["absolute", "relative"] = "absolute"
    """absolute: the arm takes the leader's position; relative: it makes the leader's motions since
    the clutch was closed, from wherever it stands."""
    start_tolerance: float = 0.2
    """absolute: a joint of the leader that is farther than this from the arm is refused [rad]."""
    approach_speed: float = 0.5
    """absolute: speed of the arm until it has arrived at the leader [rad/s]."""
    top_speed: float = 2.0
    """Speed of the arm afterwards: a leader that is faster is caught up with [rad/s]."""
    gripper_rate: float = 5.0
    """How fast the gripper's element follows the grip, whose range is 2 [1/s]."""
    max_age: float = MAX_AGE
    """Silence after which the arm holds [s]."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.mode not in ("absolute", "relative"):
            raise ValueError(f"mode: expected absolute or relative, got {self.mode!r}")
        for name in ("start_tolerance", "approach_speed", "top_speed", "gripper_rate", "max_age"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class JointCommand:
    """Where the arm is asked to be."""

    q: FloatArray
    """(n,) joint positions [rad], in the order of the follower's names."""
    gripper: float
    """-1 closed, 1 open."""
    follows: bool
    """Whether the arm follows the leader or is on its way to it."""
    why: str = ""
    """Why it holds; one line."""


def start_problem(
    names: Sequence[str], leader: FloatArray, follower: FloatArray, tolerance: float
) -> str:
    """Return why a leader may not take over an arm, or an empty string.

    Args:
        names: of the n joints.
        leader: (n,) positions [rad].
        follower: (n,) positions [rad].
        tolerance: largest distance of a joint [rad].
    """
    distance = np.abs(leader - follower)
    worst = int(np.argmax(distance))
    if distance[worst] <= tolerance:
        return ""
    return (
        f"leader joint {names[worst]!r} is at {leader[worst]:.3f} rad, the arm at "
        f"{follower[worst]:.3f} rad: expected at most {tolerance:g} rad apart; move the leader to "
        "the arm's position"
    )


class JointTeleop:
    """From readings of a leader to joint positions of its follower.

    Attributes:
        q: (n,) what was commanded last [rad].
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        device_names: Sequence[str],
        q: FloatArray,
        cfg: FollowCfg | None = None,
        *,
        limits: tuple[Sequence[float], Sequence[float]] | None = None,
        gripper: float = 1.0,
    ) -> None:
        """Start holding.

        Args:
            joint_names: of the follower, n.
            device_names: of the leader, in the order of its readings; more than n are allowed.
            q: (n,) position of the follower [rad].
            cfg: how it follows.
            limits: least and greatest commands, n each: a leader beyond them leaves the arm there.
            gripper: the gripper's element, -1 closed, 1 open.

        Raises:
            ValueError: the leader lacks a joint, or a shape is wrong.
        """
        missing = [name for name in joint_names if name not in device_names]
        if missing:
            raise ValueError(
                f"leader: expected the joints {list(joint_names)}, got {list(device_names)}: "
                f"name its joints as those of the arm"
            )
        self.cfg, self._names = cfg or FollowCfg(), list(joint_names)
        self._count = len(device_names)
        self._order = [list(device_names).index(name) for name in joint_names]
        bounds = limits or ([-math.inf] * len(joint_names), [math.inf] * len(joint_names))
        self._low, self._high = (np.asarray(bound, dtype=np.float64) for bound in bounds)
        self.reset(q, gripper)

    def reset(self, q: FloatArray, gripper: float = 1.0) -> None:
        """Start again at a position (n,) [rad], as at the start of an episode.

        Raises:
            ValueError: it has another shape or is not finite.
        """
        self._watch = Watch(self.cfg.max_age)
        self._hand = GripperHand(self.cfg.gripper_rate, gripper)
        self._before_ns: int | None = None
        self.resume(q)

    def resume(self, q: FloatArray, gripper: float | None = None) -> None:
        """Go on from another position (n,) [rad] than was commanded: somebody else changed it.

        The clutch closes anew from there.

        Args:
            q: the position.
            gripper: the gripper's element, as it was if none.

        Raises:
            ValueError: it has another shape or is not finite.
        """
        if q.shape != (len(self._names),) or not np.all(np.isfinite(q)):
            raise ValueError(f"q: expected {len(self._names)} finite numbers, got {q}")
        self.q = np.array(q, dtype=np.float64)
        if gripper is not None:
            self._hand.resume(gripper)
        self._open()

    def start_problem(self, reading: TeleopReading) -> str:
        """Return why the leader may not take the arm over from here, or an empty string.

        Raises:
            ValueError: the reading is not of a leader with these joints.
        """
        leader = self._of(reading)
        if self.cfg.mode == "relative":
            return ""
        wanted = np.clip(leader, self._low, self._high)
        return start_problem(self._names, wanted, self.q, self.cfg.start_tolerance)

    def step(self, reading: TeleopReading | None, now_ns: int, why: str = "") -> JointCommand:
        """Return the command of this control tick.

        Args:
            reading: the newest, or none where the device raised `StaleReading`.
            now_ns: by the steady clock [ns].
            why: the device's words where there is no reading.

        Raises:
            ValueError: the reading is not of a leader with these joints.
        """
        leader = None if reading is None else self._of(reading)
        dt, self._before_ns = tick_length(self._before_ns, now_ns), now_ns
        problem = self._watch.problem(reading, now_ns, why)
        if not problem and reading is not None and leader is not None:
            problem = self._follow(leader, reading.receipt_ns, dt)
        if problem:
            self._open()
        gripper = self._hand.step(reading, not problem, dt)
        return JointCommand(q=self.q.copy(), gripper=gripper, follows=not problem, why=problem)

    def _of(self, reading: TeleopReading) -> FloatArray:
        """Return the leader's joints (n,) in the order of the arm."""
        if reading.joints is None or reading.joints.shape != (self._count,):
            raise ValueError(f"reading: expected joints ({self._count},), got another device's")
        return reading.joints[self._order]

    def _open(self) -> None:
        self._offset: FloatArray | None = None  # of the command from the leader; none: open
        self._arrived = False
        self._last: tuple[FloatArray, int] | None = None

    def _follow(self, leader: FloatArray, receipt_ns: int, dt: float) -> str:
        """Move the command; return why the clutch opens instead, or an empty string."""
        cfg = self.cfg
        if self._offset is None:
            return self._close(leader, receipt_ns)
        if self._last is not None:
            moved = np.abs(leader - self._last[0])
            reach = _SLACK + _FASTEST_HAND * 1e-9 * max(receipt_ns - self._last[1], 0)
            if np.any(moved > reach):
                worst = self._names[int(np.argmax(moved))]
                return f"leader joint {worst!r} jumped by {moved.max():.3f} rad"
        self._last = (leader, receipt_ns)
        wanted = np.clip(leader + self._offset, self._low, self._high)
        if not self._arrived:
            far = start_problem(self._names, wanted, self.q, _RUNS_AWAY * cfg.start_tolerance)
            if far:
                return far
        reach = (cfg.top_speed if self._arrived else cfg.approach_speed) * dt
        self.q = self.q + np.clip(wanted - self.q, -reach, reach)
        self._arrived = self._arrived or bool(np.all(np.abs(wanted - self.q) < _THERE))
        return ""

    def _close(self, leader: FloatArray, receipt_ns: int) -> str:
        """Take the reference anew; the command stays where it is."""
        relative = self.cfg.mode == "relative"
        offset = self.q - leader if relative else np.zeros(len(leader))
        wanted = np.clip(leader + offset, self._low, self._high)
        refused = start_problem(self._names, wanted, self.q, self.cfg.start_tolerance)
        if not refused:
            self._offset, self._last = offset, (leader, receipt_ns)
            self._arrived = bool(np.all(np.abs(wanted - self.q) < _THERE))
        return refused
