# pyright: standard, reportMissingModuleSource=false
"""What was asked for an arm that is elsewhere by now: lost requests, late ones, late answers.

A request goes on from the end of the tick before, or from what the gate told of one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.robots import FR3
from sim2arm.core.trajectory import Trajectory, sample
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from sim2arm_ros.convert import (  # noqa: E402
    change_from,
    change_message,
    request_from,
    request_message,
)
from sim2arm_ros.gate import GateCfg  # noqa: E402
from sim2arm_ros.gate_machine import GateMachine  # noqa: E402
from sim2arm_ros.gate_state import Command, GateState, MachineCfg  # noqa: E402
from sim2arm_ros.request_session import RequestSession  # noqa: E402
from sim2arm_ros.requests import Request, make_tag  # noqa: E402

from .swinging import swinging_contract  # noqa: E402
from .test_gate_machine import DT, HOME, Bench, make_active  # noqa: E402

TICK = round(DT * 1e9)


# -- by hand -----------------------------------------------------------------------------------


def after_a_loss(lost: int) -> Bench:
    """Return a bench whose last requests did not arrive, at the next tick."""
    bench = make_active(20, lead_s=DT)
    for _ in range(lost):
        bench.pass_time(DT)
        bench.arm()
        bench.request()
    bench.pass_time(DT)
    bench.arm()
    bench.watch()
    return bench


def test_what_follows_on_a_lost_request_is_left_out_until_the_policy_knows() -> None:
    bench = after_a_loss(3)
    published, counters = len(bench.commands), bench.machine.counters
    assert bench.send(bench.request()) is None  # goes on from a lost one
    assert bench.state is GateState.ACTIVE and len(bench.commands) == published
    assert (counters.outdated, counters.missed) == (1, 4)
    bench.run(10)  # it was told
    assert (counters.outdated, counters.missed) == (1, 4)
    assert (counters.slowed, counters.refused) == (0, 0)


def test_what_follows_on_a_lost_request_is_used_if_it_passes_as_it_is() -> None:
    """The arm coasts for a period: one request less changes the acceleration and not more."""
    bench = after_a_loss(1)
    command, counters = bench.send(bench.request()), bench.machine.counters
    assert command is not None and bench.told is None
    np.testing.assert_allclose(command.trajectory.q[0, 1], command.request.q, atol=1e-8)
    bench.run(10)
    assert (counters.outdated, counters.missed, counters.slowed) == (0, 1, 0)


def test_what_was_made_for_an_arm_elsewhere_does_not_slow_it() -> None:
    """The same words of a policy that knows where the arm is are moved inside the limits."""
    bench = make_active(20, lead_s=DT)
    bench.pass_time(DT)
    bench.arm()
    request = bench.request()
    request.q[0] += 4e-4
    unknowing = replace(request, after=request.tick - 3)
    assert bench.send(unknowing) is None and bench.machine.counters.outdated == 1
    bench = make_active(20, lead_s=DT)
    bench.pass_time(DT)
    bench.arm()
    request = bench.request()
    request.q[0] += 4e-4
    command, counters = bench.send(request), bench.machine.counters
    assert command is not None and (counters.slowed, counters.outdated) == (1, 0)


def test_requests_that_never_learn_hold() -> None:
    bench = make_active(20, lead_s=DT)
    bench.request()
    for _ in range(20):
        bench.pass_time(DT)
        bench.arm()
        bench.watch()
        request = bench.request()
        request.q[:] += 2e-3  # it is sure that the arm is elsewhere
        assert bench.send(replace(request, after=request.tick - 4)) is None
        bench.told = None  # deaf
        if bench.state is not GateState.ACTIVE:
            break
    assert bench.machine.reason.startswith("no command for 0.1")
    assert bench.machine.reason.endswith(": requests do not go on from where the arm is")
    assert bench.machine.counters.outdated == pytest.approx(0.1 / DT, abs=1)


@pytest.mark.parametrize("told", [False, True])
def test_a_request_that_knows_of_nothing_that_was_is_left_out(told: bool) -> None:
    """It says that it goes on from a tick that is not the last, or was commanded as asked."""
    bench = make_active(20, lead_s=DT)  # else all of them come late
    bench.pass_time(DT)
    bench.arm()
    request = bench.request()
    request.q[0] += 4e-4
    request = replace(request, after=request.tick - (1 if told else 3), told=told)
    assert bench.send(request) is None and bench.state is GateState.ACTIVE
    assert bench.machine.counters.outdated == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_numbers_that_are_none_stop_the_arm_whatever_the_policy_knew(value: float) -> None:
    bench = make_active()
    bench.request()
    bench.pass_time(DT)
    bench.arm()
    request = bench.request()
    request.q[3] = value
    assert bench.send(request) is None
    assert bench.state is GateState.HOLD and "refused" in bench.machine.reason


def test_out_of_step_for_too_long_holds_whoever_knows_in_the_end() -> None:
    """Requests are lost, others do not know of it, four are lost: too late for one that knows."""
    bench = make_active(20, lead_s=DT)

    def pass_tick() -> Request:
        bench.pass_time(DT)
        bench.arm()
        bench.watch()
        return bench.request()

    told = None
    for _ in range(3):
        pass_tick()
    for _ in range(2):
        assert bench.send(pass_tick()) is None and bench.state is GateState.ACTIVE
        told, bench.told = bench.told, None
    for _ in range(4):
        pass_tick()
    bench.told = told
    assert bench.send(pass_tick()) is None and bench.state is GateState.HOLD
    assert bench.machine.reason.startswith("no command for 0.1")


def test_what_an_arm_does_without_a_new_command() -> None:
    bench = make_active(30, lead_s=DT)
    gate = bench.machine._gate
    assert gate is not None
    start = gate._elapsed[0]
    for periods in (0, 1, 2, 5, 60):
        way, ddq = gate.ahead(periods)
        times = np.arange(0.0, 0.2, 0.001)
        there = sample(gate._trajectory, (start + periods * DT + times)[None])
        here = sample(way, times[None])
        for a, b in zip(here[:2], there[:2], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)
        assert np.array_equal(ddq, there[2][0, 0])
    assert not ddq.any() and way.times[0, -1] < 0.01  # it stands


def session_at(ticks: int) -> RequestSession:
    """Return the requests of a run after so many ticks."""
    session = RequestSession(swinging_contract(), FR3)
    session.begin(HOME)
    for k in range(ticks):
        session.ask(np.array([0.0, 0.3, 0.0, 0.0, 0.0, 0.0]), HOME, k * TICK)
    return session


def standing_at(q: np.ndarray) -> Trajectory:
    way = np.repeat(q[None, None], 2, axis=1)
    return Trajectory(times=np.array([[0.0, 1e-3]]), q=way, dq=0.0 * way)


def test_a_policy_that_was_told_goes_on_from_there_and_says_so() -> None:
    session, nothing = session_at(6), np.zeros(6)
    assert session.ask(nothing, HOME, 0).goes_on_from == 5
    elsewhere = HOME + 0.01
    session.resume(4, standing_at(elsewhere), np.zeros(7))
    session.skip(2)
    request = session.ask(nothing, elsewhere, 0)
    assert (request.tick, request.after, request.told) == (9, 4, True)
    assert np.abs(request.q - elsewhere).max() < 1e-3  # as far as a period of its controller
    request = session.ask(nothing, elsewhere, 0)
    assert (request.tick, request.after, request.told) == (10, 9, False)


@pytest.mark.parametrize(("tick", "heard"), [(3, False), (8, False), (9, True), (10, False)])
def test_what_is_said_of_requests_from_before_is_known_already(tick: int, heard: bool) -> None:
    session, nothing = session_at(8), np.zeros(6)
    session.resume(6, standing_at(HOME), np.zeros(7))
    session.skip(1)
    assert session.ask(nothing, HOME, 0).tick == 9
    session.resume(tick, standing_at(HOME), np.zeros(7))
    assert session.ask(nothing, HOME, 0).told is heard


def test_a_new_run_of_a_gate_whose_last_command_was_late_is_judged_as_any() -> None:
    bench = make_active(20, lead_s=DT)
    bench.pass_time(DT)
    bench.arm()
    request = bench.request()
    bench.pass_time(DT + 0.002)
    assert bench.send(request) is not None and bench.machine._session.rough
    bench.machine.operator_hold()
    bench.pass_time(0.5)
    assert bench.machine.operator_reset() is None
    bench.make_ready()
    request = replace(bench.request("b", tick=0), q=bench.q, dq=np.zeros(7))
    assert bench.send(request) is not None
    assert not bench.machine._session.rough


def test_a_new_run_has_heard_nothing() -> None:
    session = session_at(5)
    session.resume(3, standing_at(HOME), np.zeros(7))
    session.begin(HOME)
    request = session.ask(np.zeros(6), HOME, 0)
    assert (request.tick, request.goes_on_from, request.told) == (0, -1, False)


# -- whatever the link does --------------------------------------------------------------------


class Link:
    """A policy and a gate with a link between them that loses and delays; an arm that follows."""

    def __init__(self, seed: int, cfg: MachineCfg) -> None:
        self.random = np.random.default_rng(seed)
        self.machine = GateMachine(FR3, DT, GateCfg(), cfg)
        self.requests = RequestSession(swinging_contract(max_age_s=1.0), FR3)
        self.now, self.tick, self.skipped = 10**10, 0, 0
        self.way: Trajectory | None = None
        self.start, self.q, self.next_tick = 0, HOME, self.now
        self.up: deque[tuple[int, Any]] = deque()  # messages: what is on the wire
        self.down: deque[tuple[int, Any]] = deque()
        self.commands: list[Command] = []

    def arm(self) -> np.ndarray:
        q, dq = HOME, np.zeros(7)
        if self.way is not None:
            at = np.array([[(self.now - self.start) / 1e9]])
            q, dq = (part[0, 0] for part in sample(self.way, at)[:2])
        self.machine.on_reference(q, dq, self.now, self.now)
        self.machine.on_joints(q, self.now, self.now, self.now)
        return q

    def _put(self, line: deque[Any], latency: float, lost: float, what: Any) -> None:
        """Send something on, in order, unless it is lost."""
        if self.random.random() < lost:
            return
        late = latency * self.random.uniform(0.5, 1.1) * 1e9
        before = line[-1][0] if line else 0
        line.append((max(before, self.now + round(late)), what))

    def run(self, ticks: int, latency: float, lost: float) -> None:
        """Let control periods pass in milliseconds.

        Args:
            ticks: how many.
            latency: of the link, one way [s].
            lost: share of requests, answers and ticks that come to nothing.
        """
        while ticks:
            self.now += 1_000_000
            if self.now % 4_000_000 == 0 or self.now >= self.next_tick:
                self.q = self.arm()
                self.machine.watch(self.now, self.now)
            while self.down and self.down[0][0] <= self.now:
                _, tick, way, ddq = change_from(self.down.popleft()[1], FR3.joint_names)
                self.requests.resume(tick, way, ddq)
            if self.now >= self.next_tick:
                self.next_tick, ticks = self.next_tick + TICK, ticks - 1
                self._act(latency, lost)
            while self.up and self.up[0][0] <= self.now:
                self._judge(self.up.popleft()[1], latency, lost)

    def _act(self, latency: float, lost: float) -> None:
        if self.tick and self.random.random() < lost:  # the processor was elsewhere
            self.skipped += 1
        else:
            self.requests.skip(self.skipped)
            self.skipped = 0
            turn = np.sin(self.tick / 20.0)
            action = np.array([0.0, 0.6 * turn, -0.5 * turn, 0.0, 0.1, 0.0])
            request = self.requests.ask(action, self.q, self.now)
            message = request_message(request, FR3.joint_names, TICK)
            self._put(self.up, latency, lost, message)
        self.tick += 1

    def _judge(self, message: Any, latency: float, lost: float) -> None:
        request = request_from(message, FR3.joint_names, TICK)
        command = self.machine.on_request(request, self.now, self.now)
        if command is not None:
            self.commands.append(command)
            self.way, self.start = command.trajectory, command.stamp_ns
        answer = self.machine.answer()
        if answer is not None:
            session, tick, way, ddq = answer
            tag = make_tag(session, tick)
            self._put(self.down, latency, lost, change_message(way, ddq, FR3.joint_names, tag))


def begun(seed: int, *, lead: float, latency: float) -> Link:
    """Return a link whose policy was let in."""
    link = Link(seed, MachineCfg(lead_s=lead, request_timeout_s=0.5, reference_timeout_s=1.0))
    for _ in range(6):
        link.now += 4_000_000
        link.arm()
    link.requests.begin(HOME)
    link.next_tick = link.now
    link.run(20, latency, 0.0)
    return link


@pytest.mark.parametrize(
    ("latency", "lost"),
    [(0.0005, 0.0), (0.06, 0.0), (0.0005, 0.1), (0.008, 0.1), (0.03, 0.03), (0.06, 0.02)],
)
def test_whatever_the_link_does_a_policy_inside_its_limits_is_never_slowed(
    latency: float, lost: float
) -> None:
    """Nothing is refused either, and the arm keeps moving: all that is lost is time.

    A late command, a lost request and a lost answer each cost the time until the policy knows.
    """
    for seed in range(3):
        link = begun(seed, lead=DT + latency, latency=latency)
        link.run(200, latency, lost)
        counters, machine = link.machine.counters, link.machine
        assert machine.state is GateState.ACTIVE, machine.reason
        assert (counters.slowed, counters.refused) == (0, 0)
        assert counters.missed <= counters.approved / 2
        assert machine.session == link.requests.session


@pytest.mark.parametrize(
    ("lead", "latency", "share"), [(0.004, 0.009, 0.25), (DT, 1.1 * DT, 0.4), (DT, 1.3 * DT, 0.7)]
)
def test_where_all_commands_come_late_most_are_used(
    lead: float, latency: float, share: float
) -> None:
    """The link takes longer than the lead: what fits is used, told or not."""
    link = begun(0, lead=lead, latency=latency)
    link.run(300, latency, 0.0)
    counters = link.machine.counters
    assert counters.late > 50 and 0 < counters.missed < share * 300
    assert (counters.slowed, counters.refused, link.machine.state) == (0, 0, GateState.ACTIVE)


def make_late(bench: Bench, late: float) -> tuple[Request, Command]:
    """Send a request so long after the start of its motion [s]; return it and its command."""
    bench.pass_time(DT)
    bench.arm()
    request = bench.request()
    bench.pass_time(DT + late)
    command = bench.send(request)
    bench.pass_time(-DT - late)
    assert command is not None
    return request, command


def test_a_late_command_that_was_moved_is_told_and_one_that_was_not_is_not() -> None:
    for late, told in ((0.002, False), (0.0095, True)):
        bench = make_active(30, lead_s=DT)
        request, command = make_late(bench, late)
        moved = np.abs(command.trajectory.q[0, -5] - request.q).max() > 1e-6
        assert moved is np.bool_(told) and (bench.told is not None) is told


def test_one_late_command_does_not_keep_the_gate_from_slowing() -> None:
    """A policy that wants a little too much is slowed, told and slowed again, as before."""
    bench = make_active(30, lead_s=DT)
    make_late(bench, 0.002)
    for _ in range(12):
        bench.pass_time(DT)
        bench.arm()
        bench.watch()
        request = bench.request()
        request.q[0] += 4e-4
        bench.send(request)
    counters = bench.machine.counters
    assert counters.slowed >= 4 and counters.outdated <= 2
    assert bench.state is GateState.ACTIVE


def test_what_merely_fits_is_no_answer_for_ever() -> None:
    """A policy that never hears, whose requests always fit: it stands."""
    bench = make_active(20, lead_s=DT)
    began = bench.steady
    for _ in range(200):
        bench.pass_time(DT)
        bench.arm()
        bench.watch()
        request = bench.request(action=(0.0,) * 6)
        bench.send(replace(request, after=request.tick - 3))
        bench.told = None
        if bench.state is not GateState.ACTIVE:
            break
    assert (bench.steady - began) / 1e9 == pytest.approx(1.0, abs=2.5 * DT)
    assert bench.machine.reason.endswith("allowed 1 s: does the policy hear the gate?")


def test_a_state_that_was_kept_goes_on_the_same() -> None:
    """Also after commands that were late, whose ends are rough."""
    bench = make_active(30, lead_s=DT)
    make_late(bench, 0.002)
    assert bench.machine._session.rough
    for _ in range(8):
        bench.pass_time(DT)
        bench.arm()
        twin, request = GateMachine(FR3, DT, GateCfg(), bench.machine.cfg), bench.request()
        twin.load_state_dict(bench.machine.state_dict())
        assert twin._session == bench.machine._session
        bench.pass_time(DT + 0.002)
        command, other = bench.send(request), twin.on_request(request, bench.ros, bench.steady)
        assert command is not None and other is not None
        assert np.array_equal(command.trajectory.q, other.trajectory.q)
        moments = [bench.ros - round(back * TICK) for back in (0.0, 0.5, 1.0, 1.5)]
        here, there = (
            [machine._track.expected(moment) for moment in moments]
            for machine in (bench.machine, twin)
        )  # what was published a moment ago is not written over
        np.testing.assert_array_equal(here, there)
        bench.pass_time(-DT - 0.002)
