# pyright: standard, reportMissingModuleSource=false
"""A gate in real time on a bad link, and the motion that a controller makes of its commands.

Requests, answers of the gate and joint states come late, twice, in another order or not at all;
stamps jitter, the policy's clock runs at a rate of its own. The controller joins each command in
the update at which it is there. What is judged is that motion, seams included.

The gate judges a command as joined at its start, or later (`Gate.take_over`). One that is there
more than a period before its start is joined before the motion under way has ended; what is left of
that is in front of it. Such commands are counted.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sim2arm.core.contract import Contract
from sim2arm.core.robots import FR3
from sim2arm.core.trajectory import Trajectory, join, sample
from sim2arm_ros.convert import (
    change_from,
    change_message,
    command_message,
    request_from,
    request_message,
    trajectory_from,
)
from sim2arm_ros.gate_machine import GateMachine
from sim2arm_ros.gate_state import Command, GateState, MachineCfg
from sim2arm_ros.request_session import RequestSession
from sim2arm_ros.requests import Request, make_tag

from .swinging import swinging_contract
from .test_gate_fuzz import BOX, DT, Seen, check_joints, check_space
from .witness import POINTS

HOME = np.asarray(FR3.home)
TICK, MS = round(DT * 1e9), 1_000_000
JOINTS_NS = 4 * MS
"""Between joint states."""
NAMES = FR3.joint_names
SHARE = 16
"""Of so many commands one is judged by where its links are, and not by its joints alone."""


UNBOUNDED = np.full(3, np.inf)


@dataclass(frozen=True, kw_only=True)
class Wire:
    """What a link does to messages for a while."""

    latency: float = 0.001
    """One way [s]; each message takes half of it to 1.5 times as long."""
    lost: float = 0.0
    """Share of messages."""
    twice: float = 0.0
    """Share of messages that come again, a moment later."""
    spike: float = 0.0
    """Share of requests and answers that take 1 to 500 ms longer; those behind overtake them."""
    stall: float = 0.0
    """Share of joint states that take 1 to 500 ms longer; those behind come with them."""
    burst: int = 0
    """Most requests that are lost in a row."""


WIRES = (
    Wire(),
    Wire(latency=0.012, twice=0.1),
    Wire(latency=0.016, lost=0.03),
    Wire(latency=0.02, twice=0.05),
    Wire(latency=0.024, lost=0.01, spike=0.02),
    Wire(latency=0.004, spike=0.1, stall=0.002),
    Wire(latency=0.002, burst=3),
    Wire(latency=0.002, burst=25),
)
MOODS = ("steady", "steady", "noise", "noise", "reversals", "little", "far")
SPIKES = (Wire(spike=0.05), Wire(stall=0.005), Wire(latency=0.012, spike=0.05, stall=0.005))
DECIDES = (*[0.001] * 6, *[0.003] * 3, 0.02, 0.3)
"""Most that a gate may take to decide and publish [s], each time one of them."""
DRIFTS = (0.0, 0.0, 0.001, -0.001, 0.015, -0.015)
"""How much slower the policy's ticks are than the gate's, by run."""


@dataclass
class Told:
    """What came of a run."""

    seen: Seen = field(default_factory=Seen)
    wrong: list[str] = field(default_factory=list[str])
    cycles: int = 0
    """Control periods of policies."""
    commands: int = 0
    early: int = 0
    """Commands that begin with points of the motion under way."""
    worst: np.ndarray = field(default_factory=lambda: np.zeros(3))
    """Greatest velocity, acceleration and jerk, in units of the limits, after commands of which
    nobody promises that they are kept."""
    moved: int = 0
    """Starts that were not a whole number of periods after the last."""
    withheld: int = 0
    """Commands that were decided too long ago to be published."""
    counters: Counter[str] = field(default_factory=Counter[str])
    """Of the gate."""

    def broken(self) -> set[str]:
        """Return what was wrong."""
        return {*self.wrong, *(limit for limit, count in self.seen.violations.items() if count)}


class Controller:
    """A joint trajectory controller of 1 kHz: every way on which it is, is judged to its end."""

    def __init__(self, told: Told, phase_ns: int, slack: np.ndarray) -> None:
        """Stand at home; `slack` are bounds of velocity, acceleration and jerk in their limits."""
        self._told, self._phase, self._slack = told, phase_ns, slack
        self._start = self._update = 0
        self._ddq = np.zeros_like(HOME)
        still = np.stack([HOME, HOME])[None]
        self._way = Trajectory(times=np.array([[0.0, 1e-3]]), q=still, dq=0.0 * still)

    def update(self, now_ns: int) -> int:
        """Return the first update at or after a moment [ns]."""
        return now_ns + (self._phase - now_ns) % MS

    def at(self, *moments_ns: int) -> tuple[np.ndarray, ...]:
        """Return q, dq, ddq (K, n) that it commands at moments [ns] on its present way."""
        times = np.array([[(moment - self._start) / 1e9 for moment in moments_ns]])
        return tuple(part[0] for part in sample(self._way, times)[:3])

    def take(self, command: Command, update_ns: int) -> bool:
        """Join a command in an update; return whether anything of it lies in the future."""
        tag = make_tag(command.request.session, command.request.tick)
        message = command_message(command.trajectory, command.elapsed, NAMES, command.stamp_ns, tag)
        new, elapsed = trajectory_from(message, NAMES), (update_ns - command.stamp_ns) / 1e9
        if elapsed >= new.times[0, -1]:
            return False
        q, dq, _ = self.at(update_ns)
        self._ddq, self._update = self.at(update_ns)[2][0], update_ns
        self._way, self._start = join(q, dq, new, np.array([elapsed])), command.stamp_ns
        self._judge(early=len(message.points) > POINTS + 1)
        return True

    def _judge(self, *, early: bool) -> None:
        """Judge its way from now on as if no other command came."""
        told = self._told
        end = self._start + round(self._way.times[0, -1] * 1e9) + 2 * MS
        q, dq, ddq = self.at(*range(self._update + MS, end, MS))
        jerk = np.diff(np.concatenate([self._ddq[None], ddq]), axis=0) * 1e3
        told.commands += 1
        told.early += early
        slack = self._slack
        if slack.max() > 1.0:
            most = FR3.limits.dq_max, FR3.limits.ddq_max, FR3.limits.dddq_max
            shares = [np.abs(x / m).max() for x, m in zip((dq, ddq, jerk), most, strict=True)]
            told.worst = np.maximum(told.worst, shares)
        parts = (part[None] / more for part, more in zip((dq, ddq, jerk), slack, strict=True))
        check_joints(told.seen, FR3, q[None], *parts)
        told.seen.count("no rest at the end", (np.abs(dq[-1:]) > 1e-9).any(axis=-1))
        if told.commands % SHARE == 0:
            check_space(told.seen, FR3, self.at(*range(self._update, end, MS // 2))[0][None])


class RealTime:
    """A policy, a bad link, a gate, a controller and an arm that follows it."""

    def __init__(
        self, seed: int, told: Told, *, wires: tuple[Wire, ...] = WIRES, calm: bool = False,
        stuck: float = 0.0, lead: float = DT,
    ) -> None:  # fmt: skip
        """Begin at home.

        Args:
            seed: of everything.
            told: is added to.
            wires: what the link does.
            calm: a policy inside its limits whose clock runs as it should, a gate that decides at
                once.
            stuck: share of commands that take 1 to 500 ms longer, those behind come with them.
                What a controller makes of them the gate cannot know: how fast is not judged.
            lead: from a tick to the start of its motion [s].
        """
        self.random, self.told, self._calm = np.random.default_rng(seed), told, calm
        self._wires, self._wire, self.burst, self._stuck = wires, wires[0], 0, stuck
        self.machine = GateMachine(FR3, DT, BOX, MachineCfg(lead_s=lead))
        self._policies = [RequestSession(asking(share), FR3) for share in (0.8, 1.0, 1.15)]
        self.requests = self._policies[0]
        self.now, self._stamp = 10**10, 0
        slack = UNBOUNDED if stuck else np.ones(3)
        self.controller = Controller(told, int(self.random.integers(MS)), slack)
        self._stalled = self._arrived = self._asked = self._due = 0  # moments [ns]
        self._events: list[tuple[int, int, str, Any]] = []
        self._number = 0
        self._running, self._period, self._skipped, self._left = False, TICK, 0, 0
        self._heard = self.now  # newest stamp of a joint state that the policy has
        self._mood, self._action = "steady", np.zeros(6)
        self._put("joints", 0, None)
        self._put("tick", TICK, None)
        self._put("watch", TICK, None)

    def _put(self, what: str, after_ns: int, data: Any) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now + after_ns, self._number, what, data))

    def _send(self, what: str, data: Any) -> None:
        """Give a message to the link."""
        random, wire = self.random, self._wire
        if random.random() < wire.lost:
            return
        for _ in range(2 if random.random() < wire.twice else 1):
            takes = wire.latency * random.uniform(0.5, 1.5)
            takes += random.uniform(0.001, 0.5) if random.random() < wire.spike else 0.0
            self._put(what, round(takes * 1e9), data)

    def run(self, cycles: int) -> None:
        """Let control periods of policies pass."""
        goal = self.told.cycles + cycles
        before = Counter(vars(self.machine.counters))
        while self.told.cycles < goal:
            self.now, _, what, data = heapq.heappop(self._events)
            getattr(self, f"_{what}")(data)
        self.told.counters += Counter(vars(self.machine.counters)) - before

    # -- events --------------------------------------------------------------------------------

    def _joints(self, _: None) -> None:
        """The arm is where its controller wants it; stamps jitter and never go back."""
        random = self.random
        self._stamp = max(self._stamp + 1, self.now - int(random.uniform(0, 2 * MS)))
        if random.random() < self._wire.stall:
            self._stalled = self.now + round(random.uniform(0.001, 0.5) * 1e9)
        where = self.controller.at(self.now), self.controller.at(self._stamp)[0][0]
        self._put("state", max(0, self._stalled - self.now), (self._stamp, self.now, *where))
        self._put("joints", JOINTS_NS, None)

    def _state(self, data: Any) -> None:
        stamp, sent, (q, dq, _), measured = data
        self.machine.on_reference(q[0], dq[0], sent, self.now)
        self.machine.on_joints(measured, stamp, self.now, self.now)
        self._arrived = self.now
        self._send("news", stamp)

    def _watch(self, _: None) -> None:
        """The gate looks at its budgets."""
        machine, cfg = self.machine, self.machine.cfg
        machine.watch(self.now, self.now)
        self._put("watch", TICK, None)
        if machine.state is GateState.ACTIVE:
            if (self.now - self._arrived) / 1e9 > cfg.joint_timeout_s:
                self.told.wrong.append("ACTIVE without joint states")
            if (self.now - self._asked) / 1e9 > cfg.request_timeout_s:
                self.told.wrong.append("ACTIVE without requests")

    def _news(self, stamp: int) -> None:
        self._heard = max(self._heard, stamp)

    def _tick(self, _: None) -> None:
        """A control period of the policy."""
        self._put("tick", self._period, None)
        self._left -= 1
        if self._left < 0:
            self._change()
        machine = self.machine
        if self._running and machine.state is not GateState.ACTIVE and self.requests.tick > 12:
            self._running, self._skipped = False, 0
        if not self._running:
            if machine.state is GateState.FAULT:
                machine.operator_reset()
            commanded = machine.commanded() if machine.ready else None
            if commanded is None:
                return
            most = 1 if self._calm else len(self._policies)
            self.requests = self._policies[int(self.random.integers(most))]
            self.requests.begin(commanded[0])
            self._running, self.burst = True, 0
            drift = 0.0 if self._calm else self.random.choice(DRIFTS)
            self._period = round(TICK * (1.0 + drift))
            self._heard = self._stamp
        self.told.cycles += 1
        if self.requests.tick and self.random.random() < self._wire.lost:
            self._skipped += 1  # the processor was elsewhere
            return
        self.requests.skip(self._skipped)
        self._skipped = 0
        request = self._ask()
        if self.burst == 0 and self._wire.burst and self.random.random() < 0.05:
            self.burst = int(self.random.integers(1, self._wire.burst + 1))
        if self.burst:
            self.burst -= 1
            return
        self._send("request", request_message(request, NAMES, TICK))

    def _request(self, message: Any) -> None:
        machine, told = self.machine, self.told
        anchor, last = machine._track._anchor_ns, machine._session.tick
        request = request_from(message, NAMES, TICK)
        command = machine.on_request(request, self.now, self.now)
        self._asked = self.now
        self._tell_changes()
        if command is not None:
            told.moved += int(last >= 0 and machine._track._anchor_ns != anchor)
            self._judge(request.stamp_ns)
            most = DECIDES[0] if self._calm else float(self.random.choice(DECIDES))
            decides = self.random.uniform(0.0, most)
            if decides > command.spare_s:
                machine.withhold(decides)
                told.withheld += 1
                self._tell_changes()
            else:
                self._give(command, decides)

    def _tell_changes(self) -> None:
        answer = self.machine.answer()
        if answer is not None:
            session, tick, way, ddq = answer
            self._send("answer", change_message(way, ddq, NAMES, make_tag(session, tick)))

    def _judge(self, stamp_ns: int) -> None:
        """Judge that there is a command of a request with a stamp."""
        cfg, wrong = self.machine.cfg, self.told.wrong
        if (self.now - stamp_ns) / 1e9 > cfg.request_timeout_s:
            wrong.append("a command of an old request")
        if (self.now - self._arrived) / 1e9 > cfg.joint_timeout_s:
            wrong.append("a command from joint states that had been silent")

    def _give(self, command: Command, decides: float) -> None:
        """Give a command to the controller: it is there within the time that the gate allows.

        `decides` is how long the gate took until it published it [s].
        """
        random = self.random
        takes = decides + random.uniform(0.0, self.machine.cfg.transport_s)
        there = self.now + round(takes * 1e9) - MS
        if random.random() < self._stuck:
            there += round(random.uniform(0.001, 0.5) * 1e9)
        self._due = max(self._due, self.controller.update(max(there, self.now)))
        self._put("command", self._due - self.now, command)

    def _command(self, command: Command) -> None:
        if not self.controller.take(command, self.now) and not self._stuck:
            self.told.wrong.append("a command that was over before it was there")

    def _answer(self, message: Any) -> None:
        session, tick, way, ddq = change_from(message, NAMES)
        if self._running and session == self.requests.session:
            self.requests.resume(tick, way, ddq)

    # -- what is asked for -----------------------------------------------------------------------

    def _change(self) -> None:
        """Another mood of the policy, another link."""
        random = self.random
        self._left = int(random.integers(10, 60))
        self._wire = self._wires[int(random.integers(len(self._wires)))]
        self._mood = "steady" if self._calm else str(random.choice(MOODS))
        self._action = random.uniform(-1, 1, 6)

    def _ask(self) -> Request:
        random, mood, action = self.random, self._mood, self._action
        if mood == "noise":
            action = random.uniform(-1, 1, 6)
        elif mood == "reversals":
            action = np.sign(action) * (-1) ** self.requests.tick
        request = self.requests.ask(action, self.controller.at(self._heard)[0][0], self._heard)
        size = 0.0
        if mood == "little":
            size = 10.0 ** random.uniform(-6, -3.3)
        elif mood == "far" and random.random() < 0.1:
            size = 10.0 ** random.uniform(-3.3, 1)
        noise = size * random.normal(size=(2, 7))
        return replace(request, q=request.q + noise[0], dq=request.dq + 60 * noise[1])


def asking(share: float) -> Contract:
    """Return the contract of a policy whose controller asks for a share of the limits, or more."""
    contract = swinging_contract(max_age_s=1.0)
    parameters = {**contract.action.parameters, "limit_share": share}
    return replace(contract, action=replace(contract.action, parameters=parameters))


def run_real_time(cycles: int, seed: int, **cfg: Any) -> Told:
    """Return what came of so many control periods, in runs of 2000."""
    told = Told()
    while told.cycles < cycles:
        one = RealTime(seed + told.cycles, told, **cfg)
        one.run(min(2000, cycles - told.cycles))
    return told
