"""Each joint by a small angle and back, one after the other: which one moves, and how far. No ROS.

What a command moves and what a reading tells are joined by names and wires. A joint that is another
than it is called, or that runs the other way, shows here before a policy moves the arm by metres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sim2arm.core.contract import Contract
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.trajectory import FloatArray

from .activation import Item


@dataclass(frozen=True, kw_only=True)
class WiggleCfg:
    """How joints are moved, and what is accepted."""

    angle: float = 0.03
    """How far each joint goes [rad]."""
    way_s: float = 1.0
    """Time out, and time back [s]; at most 0.05 rad/s with the angle above."""
    stand_s: float = 0.4
    """How long it stands before it goes, out there, and after it came back [s]."""
    other: float = 0.01
    """Most that any other joint may move meanwhile [rad]: a third of the angle."""
    share: float = 0.4
    """Share of the angle by which the joint may be off out there, and after it came back."""

    @property
    def seconds(self) -> float:
        """Time that a joint takes [s]."""
        return 2.0 * self.way_s + 3.0 * self.stand_s


def wiggle_contract(contract: Contract) -> Contract:
    """Return the contract with actions that name joint positions, without a gripper."""
    return as_joint_targets(replace(contract, gripper=None))


@dataclass(kw_only=True)
class Heard:
    """What came while the arm moved."""

    sides: FloatArray
    """(n,) to which side each joint went, +1 or -1."""
    moved: list[tuple[int, FloatArray]] = field(default_factory=list[tuple[int, FloatArray]])
    """Stamps [ns], and what the controller commanded (n,) [rad]."""
    seen: list[tuple[int, FloatArray]] = field(default_factory=list[tuple[int, FloatArray]])
    """Stamps [ns], and measured positions (n,) [rad]."""
    latency_s: list[float] = field(default_factory=list[float])
    """Per command, from the stamp of the joint state that it answers to its arrival here [s]."""
    commands: int = 0
    """That came."""


class Wiggle:
    """The motion of one arm, and the judge of it.

    Attributes:
        cfg: how joints are moved.
        sides: (n,) to which side each joint goes, +1 or -1.
        problem: what went wrong, one line; empty while nothing did.
        moved: (n,) largest motion of each joint on its turn, towards its side [rad].
    """

    def __init__(self, contract: Contract, cfg: WiggleCfg | None = None) -> None:
        """Prepare.

        Args:
            contract: of `wiggle_contract`, with the names of the arm.
            cfg: how joints are moved.
        """
        self.cfg, self.names, self.problem = cfg or WiggleCfg(), contract.joint_names, ""
        margin = contract.action.parameters["joint_margin"]
        self._low = np.array(contract.limits.q_min) + margin
        self._high = np.array(contract.limits.q_max) - margin
        self.moved = np.zeros(len(self.names))
        self._commanded = self.sides = np.zeros(len(self.names))
        self._before: FloatArray | None = None
        self._joint = -1

    def room(self, q: FloatArray) -> list[Item]:
        """Return the item of each joint at q (n,) [rad]: whether it can go out and back.

        All have to stand inside of what goals may be: a goal outside would be moved inwards.
        """
        least, note = self.cfg.angle, "move this joint away from its limit by hand"
        signs, room = self._sides_of(q)
        return [
            Item(
                name=f"room of {name}", expected=f">= {least:g}", unit="rad", note=note,
                measured=f"{free:.3f} {'upwards' if sign > 0 else 'downwards'}",
                ok=bool(free >= least),
            )
            if inside
            else Item(name=f"room of {name}", expected="inside its limits", unit="rad", ok=False,
                      measured=f"{value:.3f}, allowed {low:.3f} to {high:.3f}", note=note)
            for name, sign, free, inside, value, low, high in zip(
                self.names, signs, room, (q >= self._low) & (q <= self._high), q, self._low,
                self._high, strict=True,
            )
        ]  # fmt: skip

    def _sides_of(self, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return for each joint the side with more room, +1 or -1, and how much it is [rad]."""
        up, down = self._high - q, q - self._low
        return np.where(up >= down, 1.0, -1.0), np.maximum(up, down)

    def begin(self, q: FloatArray) -> None:
        """Begin at the commanded position q (n,) [rad], at rest."""
        self._commanded, (self.sides, _) = q.copy(), self._sides_of(q)
        self._joint, self._before, self.problem = -1, None, ""
        self.moved = np.zeros(len(self.names))

    @property
    def seconds(self) -> float:
        """Time that all of it takes [s]."""
        return len(self.names) * self.cfg.seconds

    def goal(self, seconds: float) -> FloatArray:
        """Return where the joints are to be (n,) [rad] this long after the start [s]."""
        goal, (joint, into) = self._commanded.copy(), self._turn(seconds)
        goal[joint] += self.sides[joint] * self._profile(into)
        return goal

    def turn(self, seconds: float) -> str:
        """Return whose turn it is this long after the start [s]."""
        return self.names[self._turn(seconds)[0]]

    def _turn(self, seconds: float) -> tuple[int, float]:
        """Return whose turn it is, and for how long it has been [s]."""
        joint = min(int(seconds / self.cfg.seconds), len(self.names) - 1)
        return joint, min(seconds - joint * self.cfg.seconds, self.cfg.seconds)

    def _profile(self, into: float) -> float:
        """Return the angle [rad] at a time of a joint's turn [s]: smooth out, stand, back."""
        cfg = self.cfg
        out = min(max((into - cfg.stand_s) / cfg.way_s, 0.0), 1.0)
        back = min(max((into - 2.0 * cfg.stand_s - cfg.way_s) / cfg.way_s, 0.0), 1.0)
        return 0.5 * cfg.angle * (math.cos(math.pi * back) - math.cos(math.pi * out))

    def see(self, q: FloatArray, seconds: float) -> str:
        """Judge measured positions.

        Args:
            q: (n,) [rad].
            seconds: since the start [s].

        Returns:
            What is wrong, one line; empty if nothing is.
        """
        joint, into = self._turn(seconds)
        if self._before is None or joint != self._joint:
            if self._joint >= 0:
                self.problem = self.problem or self._short(self._joint)
            if self.problem:
                return self.problem
            self._joint, self._before = joint, q.copy()
        way = q - self._before
        towards = float(self.sides[joint] * way[joint])
        self.moved[joint] = max(self.moved[joint], towards)
        self.problem = self.problem or self._judge(joint, into, way, towards)
        return self.problem

    def _judge(self, joint: int, into: float, way: FloatArray, towards: float) -> str:
        cfg, name = self.cfg, self.names[joint]
        asked = f"{name} was told to move by {self.sides[joint] * cfg.angle:+.3f} rad"
        others = np.abs(way)
        others[joint] = 0.0
        worst = int(others.argmax())
        if others[worst] > cfg.other:
            return f"{asked}, and {self.names[worst]} moved by {way[worst]:+.3f} rad: {_WIRES}"
        if towards < -cfg.other:
            return f"{asked}, and it moved by {way[joint]:+.3f} rad, the other way: {_SIGN}"
        slack = cfg.share * cfg.angle
        if towards > cfg.angle + slack:
            return f"{asked}, and it moved by {way[joint]:+.3f} rad: {_SIZE}"
        if into >= 2.0 * cfg.stand_s + cfg.way_s and (problem := self._short(joint)):
            return problem
        if into >= cfg.seconds - 0.25 * cfg.stand_s and abs(towards) > slack:
            return f"{asked} and back, and it stayed {way[joint]:+.3f} rad off: {_SIZE}"
        return ""

    def _short(self, joint: int) -> str:
        """Return that a joint did not come as far as it was told, or an empty string."""
        cfg, sign, moved = self.cfg, self.sides[joint], self.moved[joint]
        if moved >= (1.0 - cfg.share) * cfg.angle:
            return ""
        asked = f"{self.names[joint]} was told to move by {sign * cfg.angle:+.3f} rad"
        return f"{asked}, and it moved by {sign * moved:+.3f} rad: {_SIZE}"

    def items(self, done: float) -> list[Item]:
        """Return the item of each joint whose turn began.

        Args:
            done: time since the start [s].
        """
        last, _ = self._turn(done)
        over = done >= self.seconds - self.cfg.stand_s
        items: list[Item] = []
        for joint, name in enumerate(self.names[: last + 1]):
            wrong = bool(self.problem) and joint == self._joint
            if joint == last and not over and not wrong:
                break
            sign = self.sides[joint]
            items.append(
                Item(
                    name=f"wiggle of {name}", expected=f"{sign * self.cfg.angle:+.3f}", unit="rad",
                    measured=f"{sign * self.moved[joint]:+.3f}", ok=not wrong,
                    note=self.problem if wrong else "",
                )
            )  # fmt: skip
        return items


_WIRES = "names or wires of these joints are swapped"
_SIGN = "its sign is wrong in the driver or in the description"
_SIZE = "its gear, its unit or its gains are not what they are thought to be, or it is blocked"


def moves_by(names: Sequence[str], cfg: WiggleCfg) -> str:
    """Return what will move, in words for the person who is asked."""
    seconds = len(names) * cfg.seconds
    return (
        f"{len(names)} joints, one after the other, by {cfg.angle:g} rad "
        f"({math.degrees(cfg.angle):.1f} degrees) and back, {seconds:.0f} s in all"
    )
