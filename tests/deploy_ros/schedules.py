"""Random schedules of joint states and requests, late, lost and wrong; what the gate may do then.

Whether a command was right is judged by what was sent and when, not by what the gate remembers.
"""

# pyright: standard

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sim2arm.core.controllers import EeDelta, EeDeltaCfg
from sim2arm.core.robots import FR3
from sim2arm.core.trajectory import Trajectory, sample
from sim2arm_ros.gate import GateCfg
from sim2arm_ros.gate_machine import GateMachine
from sim2arm_ros.gate_state import Command, GateState, MachineCfg
from sim2arm_ros.requests import Request

DT = 1.0 / 60.0
JOINTS_NS = 4_000_000  # between joint states
HOME = np.asarray(FR3.home)
JOINT_FAULTS = ("silent", "old", "ahead", "back", "again", "not finite", "jumps")
REQUEST_FAULTS = ("silent", "old", "ahead", "not finite", "far", "again", "other", "tick ahead")


@dataclass
class Told:
    """What came of schedules."""

    wrong: list[str] = field(default_factory=list[str])
    commands: int = 0
    stops: Counter[str] = field(default_factory=Counter[str])
    """How often the gate left ACTIVE, by the fault that was under way."""


class Schedule:
    """One gate, one arm that follows it, one policy, and what goes wrong between them."""

    def __init__(self, seed: int, told: Told, cfg: MachineCfg | None = None) -> None:
        self.random, self.told = np.random.default_rng(seed), told
        self.cfg = cfg or MachineCfg()
        self.machine = GateMachine(FR3, DT, GateCfg(), self.cfg)
        self.ros = self.steady = 10**10
        self.stamp = self.receipt = 0  # of the newest joint state that arrived
        self.finite = True
        self.way: Trajectory | None = None
        self.start = 0
        self.policy = EeDelta(FR3, DT, EeDeltaCfg(), HOME[None].copy())
        self.session = self.tick = 0
        self.asked = -1
        self.answer: tuple[int, Trajectory, np.ndarray] | None = None
        self.joints, self.asks, self.left = "", "", 0
        self.latched = self.active = False

    def run(self, ticks: int) -> None:
        """Let some control periods pass."""
        next_tick = self.steady + round(DT * 1e9)
        while ticks:
            self.ros += JOINTS_NS
            self.steady += JOINTS_NS
            self._arm()
            if self.steady >= next_tick:
                next_tick += round(DT * 1e9)
                ticks -= 1
                self._change()
                self._ask()
                self.machine.watch(self.ros, self.steady)
                self._judge_state()
                active = self.machine.state is GateState.ACTIVE
                if self.active and not active:
                    self.told.stops[self.joints or self.asks or "none"] += 1
                self.active = active

    def _change(self) -> None:
        """Begin or end a fault now and then."""
        self.left -= 1
        if self.left > 0:
            return
        random = self.random
        self.left = int(random.integers(2, 16))
        which = random.random()
        self.joints = str(random.choice(JOINT_FAULTS)) if which < 0.3 else ""
        self.asks = str(random.choice(REQUEST_FAULTS)) if 0.3 <= which < 0.6 else ""
        resets = self.machine.state is GateState.FAULT and random.random() < 0.5
        if resets and self.machine.operator_reset() is None:
            self.latched = False

    def _arm(self) -> None:
        q, dq = HOME, np.zeros(7)
        if self.way is not None:
            parts = sample(self.way, np.array([[(self.ros - self.start) / 1e9]]))
            q, dq = parts[0][0, 0], parts[1][0, 0]
        kind, stamp, random = self.joints, self.ros, self.random
        if kind == "silent":
            return
        if kind == "old":
            stamp -= int(random.integers(0, 200_000_000))
        elif kind == "ahead":
            stamp += int(random.integers(0, 200_000_000))
        elif kind == "back" and random.random() < 0.2:
            stamp -= int(random.integers(10**6, 10**9))
        elif kind == "again":
            stamp = self.stamp or stamp
        elif kind == "not finite":
            q = q.copy()
            q[random.integers(7)] = random.choice([np.nan, np.inf, -np.inf])
        elif kind == "jumps":
            q = q + random.uniform(-0.6, 0.6, 7)
        self.machine.on_reference(q, dq, self.ros, self.steady)
        self.machine.on_joints(q, stamp, self.ros, self.steady)
        self.finite = bool(np.isfinite(q).all())
        if self.finite:
            self.stamp, self.receipt = stamp, self.steady
        self._watch_latch()

    def _ask(self) -> None:
        if self.machine.ready and self.tick:  # a policy that begins anew
            self.session, self.tick = self.session + 1, 0
            self.asked, self.answer = -1, None
            commanded = self.machine.commanded()
            at = HOME if commanded is None else commanded[0]
            self.policy = EeDelta(FR3, DT, EeDeltaCfg(), at[None].copy())
        told = self.answer is not None
        if self.answer is not None:
            (self.asked, way, _), self.answer = self.answer, None
            now = np.array([[(self.tick - 1 - self.asked) * DT]])
            q, dq, ddq = (part[:, 0] for part in sample(way, now)[:3])
            self.policy.motion.resume(q, dq, ddq, np.arange(1))
        action = np.array([[0.0, 0.4 * np.sin(0.2 * self.tick), 0.2, 0.0, 0.0, 0.0]])
        q, dq = self.policy.step(action, self.policy.pose)
        values: dict[str, Any] = {
            "session": f"s{self.session}", "tick": self.tick, "stamp_ns": self.ros,
            "q": q[0], "dq": dq[0], "after": self.asked, "told": told,
        }  # fmt: skip
        self.asked = self.tick
        self.tick += 1
        kind, random = self.asks, self.random
        if kind == "silent":
            return
        if kind in ("old", "ahead"):
            off = int(random.integers(0, 400_000_000))
            values["stamp_ns"] += off if kind == "ahead" else -off
        elif kind == "not finite":
            where = str(random.choice(["q", "dq"]))
            values[where] = values[where].copy()
            values[where][random.integers(7)] = random.choice([np.nan, np.inf, -np.inf])
        elif kind == "far":
            values["q"] = values["q"] + random.uniform(-2, 2, 7)
        elif kind == "again":
            values |= {"tick": max(0, self.tick - 2), "after": None, "told": False}
        elif kind == "other":
            values |= {"session": f"x{self.session}", "tick": int(random.integers(0, 3))}
        elif kind == "tick ahead":
            values["tick"] += int(random.integers(20, 1000))
        self._send(Request(**values))

    def _send(self, request: Request) -> None:
        active = self.machine.session if self.machine.state is GateState.ACTIVE else ""
        command = self.machine.on_request(request, self.ros, self.steady)
        if command is not None:
            self.told.commands += 1
            self.way, self.start = command.trajectory, command.stamp_ns
            self._judge(command, request)
            if active and request.session != active:
                self._wrong("a command of another policy")
        answer = self.machine.answer()
        if answer is not None:
            self.answer = answer[1:]
        self._watch_latch()

    def _watch_latch(self) -> None:
        if self.machine.state is GateState.FAULT:
            self.latched = True
        elif self.latched:
            self._wrong("left FAULT without the operator")
            self.latched = False

    def _judge(self, command: Command, request: Request) -> None:
        cfg = self.cfg
        if self.latched:
            self._wrong("a command in FAULT")
        if (self.steady - self.receipt) / 1e9 > cfg.joint_timeout_s:
            self._wrong("a command from joint states that had been silent")
        if abs(self.ros - self.stamp) / 1e9 > cfg.joint_age_s:
            self._wrong("a command from joint states with an old stamp")
        if not self.finite:
            self._wrong("a command while joint states were not finite")
        if abs(self.ros - request.stamp_ns) / 1e9 > cfg.request_timeout_s:
            self._wrong("a command of an old request")
        way = command.trajectory
        if not (np.isfinite(way.q).all() and np.isfinite(way.dq).all() and not way.dq[:, -1].any()):
            self._wrong("a command that is not finite or does not end at rest")

    def _judge_state(self) -> None:
        """Right after the gate looked at its budgets."""
        if self.machine.state is GateState.ACTIVE:
            if (self.steady - self.receipt) / 1e9 > self.cfg.joint_timeout_s:
                self._wrong("ACTIVE without joint states")
            if not self.finite:
                self._wrong("ACTIVE with joint states that are not finite")

    def _wrong(self, what: str) -> None:
        self.told.wrong.append(what)


def run_schedules(count: int, seed: int = 0, ticks: int = 40) -> Told:
    """Run schedules; return all that was wrong in them."""
    told = Told()
    for index in range(count):
        Schedule(seed + index, told).run(ticks)
    return told
