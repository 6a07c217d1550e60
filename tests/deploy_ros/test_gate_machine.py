# pyright: standard
"""HOLD, ACTIVE, FAULT: every way in and out, with clocks that the test turns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2arm.core.controllers import EeDelta, EeDeltaCfg
from sim2arm.core.limits import velocity_bounds
from sim2arm.core.robots import FR3
from sim2arm.core.trajectory import Trajectory, coast, join, sample
from sim2arm_ros.gate import GateCfg
from sim2arm_ros.gate_machine import HELD, RELEASED, STOPPED, GateMachine
from sim2arm_ros.gate_state import Command, GateState, MachineCfg
from sim2arm_ros.requests import Request

DT = 1.0 / 60.0
DT_NS = round(DT * 1e9)
WAY_NS = 6_000_000
"""From a request to the controller, at most, where its command is late."""
HOME = np.asarray(FR3.home)
REST = np.zeros(7)
LIMITS = FR3.limits
ALONG_Y = (0.0, 0.3, 0.0, 0.0, 0.0, 0.0)


class Bench:
    """A gate machine, an arm that follows, and two clocks."""

    def __init__(self, **cfg: Any) -> None:
        self.machine = GateMachine(FR3, DT, GateCfg(), MachineCfg(**cfg))
        self.ros, self.steady = 10_000_000_000, 5_000_000_000
        self.q, self.dq = HOME.copy(), REST.copy()
        self.trajectory: Trajectory | None = None
        self.start = 0
        self.commands: list[Command] = []
        self.policy = EeDelta(FR3, DT, EeDeltaCfg(), HOME[None].copy())
        self.tick, self.asked = 0, -1
        self.told: tuple[int, Trajectory, np.ndarray] | None = None

    def pass_time(self, seconds: float) -> None:
        self.ros += round(seconds * 1e9)
        self.steady += round(seconds * 1e9)

    def arm(self) -> None:
        """Send what the arm says now: it follows its trajectory exactly."""
        if self.trajectory is not None:
            t = np.array([[(self.ros - self.start) / 1e9]])
            q, dq, _, _ = sample(self.trajectory, t)
            self.q, self.dq = q[0, 0], dq[0, 0]
        self.machine.on_reference(self.q, self.dq, self.ros, self.steady)
        self.machine.on_joints(self.q, self.ros, self.ros, self.steady)

    def watch(self) -> None:
        self.machine.watch(self.ros, self.steady)

    def make_ready(self) -> None:
        for _ in range(self.machine.cfg.good_ticks):
            self.pass_time(0.004)
            self.arm()
        assert self.machine.ready

    def request(
        self, session: str = "a", action: Sequence[float] = ALONG_Y, **overrides: Any
    ) -> Request:
        """Return the next request of a policy that moves along y and hears the gate."""
        told = self.told is not None
        if self.told is not None:
            (self.asked, way, _), self.told = self.told, None
            now = np.array([[(self.tick - 1 - self.asked) * DT]])
            q, dq, ddq = (part[:, 0] for part in sample(way, now)[:3])
            self.policy.motion.resume(q, dq, ddq, np.arange(1))
        q, dq = self.policy.step(np.array([action]), self.policy.pose)
        values: dict[str, Any] = {
            "session": session, "tick": self.tick, "stamp_ns": self.ros, "q": q[0], "dq": dq[0],
        }  # fmt: skip
        if "tick" not in overrides:
            values |= {"after": self.asked, "told": told}
        self.asked = self.tick
        self.tick += 1
        return Request(**(values | overrides))

    def send(self, request: Request) -> Command | None:
        command = self.machine.on_request(request, self.ros, self.steady)
        if command is not None:
            self.commands.append(command)
            self.trajectory, self.start = command.trajectory, command.stamp_ns
        answer = self.machine.answer()
        if answer is not None:
            self.told = answer[1:]
        return command

    def run(self, ticks: int) -> None:
        """Run the policy for some ticks, everything on time."""
        for _ in range(ticks):
            self.pass_time(DT)
            self.arm()
            self.watch()
            assert self.send(self.request()) is not None, self.machine.reason

    @property
    def state(self) -> GateState:
        return self.machine.state


def make_active(ticks: int = 20, **cfg: Any) -> Bench:
    bench = Bench(**cfg)
    bench.make_ready()
    bench.run(ticks)
    assert bench.state is GateState.ACTIVE
    return bench


def assert_no_entry(bench: Bench) -> None:
    """Assert that the policy that was stopped is not let in again by going on."""
    for _ in range(10):
        bench.pass_time(DT)
        bench.arm()
        bench.watch()
        assert bench.send(bench.request()) is None


@pytest.mark.parametrize("width", [-0.001, 0.081, np.nan, np.inf])
def test_a_width_that_no_gripper_has_is_refused(width: float) -> None:
    bench = make_active()
    bench.pass_time(DT)
    bench.arm()
    command = bench.send(bench.request(width=0.08))
    assert command is not None and command.request.width == 0.08
    bench.pass_time(DT)
    bench.arm()
    assert bench.send(bench.request(width=width)) is None
    assert bench.state is GateState.HOLD
    assert bench.machine.reason.startswith("request refused: gripper: expected 0 to 0.08 m, got")
    assert_no_entry(bench)


# -- HOLD -> ACTIVE ----------------------------------------------------------------------------


def test_starts_in_hold_and_knows_nothing() -> None:
    bench = Bench()
    assert bench.state is GateState.HOLD and not bench.machine.ready
    assert bench.machine.commanded() is None
    assert bench.send(bench.request()) is None
    assert bench.machine.rejected == "a" and "no joint state yet" in bench.machine.reason


def test_five_healthy_joint_states_and_tick_0_open_the_gate() -> None:
    bench = Bench()
    for k in range(5):
        assert not bench.machine.ready, k
        bench.pass_time(0.004)
        bench.arm()
    assert bench.machine.ready
    command = bench.send(bench.request())
    assert command is not None and bench.state is GateState.ACTIVE
    assert command.stamp_ns == bench.ros and bench.machine.session == "a"


def test_a_session_does_not_begin_in_the_middle() -> None:
    bench = Bench()
    bench.make_ready()
    bench.tick = 1
    assert bench.send(bench.request()) is None
    assert bench.state is GateState.HOLD and bench.machine.counters.ignored == 1


def test_a_session_that_was_turned_away_does_not_come_back() -> None:
    bench = Bench()
    bench.send(bench.request())
    bench.make_ready()
    assert bench.send(bench.request(tick=0)) is None
    bench.policy = EeDelta(FR3, DT, EeDeltaCfg(), HOME[None].copy())
    assert bench.send(bench.request("b", tick=0)) is not None


def test_a_session_that_has_ended_does_not_come_back() -> None:
    bench = make_active()
    bench.send(bench.request(release=True))
    assert bench.state is GateState.HOLD and "released" in bench.machine.reason
    bench.pass_time(0.5)
    bench.make_ready()
    assert bench.send(bench.request(tick=0)) is None
    assert bench.state is GateState.HOLD


def test_remembered_sessions_are_bounded() -> None:
    bench = Bench()
    for k in range(1000):
        bench.send(bench.request(f"s{k}", tick=0))
    assert len(bench.machine._session.ended) <= 256
    assert "s999" in bench.machine._session.ended


def test_no_session_begins_while_the_arm_moves() -> None:
    bench = make_active()
    bench.send(bench.request(release=True))
    for _ in range(6):  # 24 ms: the stop of 60 ms and more is under way
        bench.pass_time(0.004)
        bench.arm()
    assert np.abs(bench.dq).max() > 0.01
    assert not bench.machine.ready and bench.machine._unready() == "the arm is not at rest"
    bench.pass_time(0.5)
    bench.make_ready()


def test_no_session_begins_far_from_what_the_controller_commands() -> None:
    bench = Bench()
    for _ in range(6):
        bench.pass_time(0.004)
        bench.machine.on_reference(HOME + 0.3, REST, bench.ros, bench.steady)
        bench.machine.on_joints(HOME, bench.ros, bench.ros, bench.steady)
    assert not bench.machine.ready
    assert bench.send(bench.request()) is None
    assert "0.300 rad from what the controller commands" in bench.machine.reason


def test_old_news_of_the_controller_do_not_open_the_gate() -> None:
    bench = Bench()
    bench.make_ready()
    for _ in range(100):
        bench.pass_time(0.004)
        bench.machine.on_joints(HOME, bench.ros, bench.ros, bench.steady)
    assert not bench.machine.ready
    bench.arm()
    assert bench.machine.ready


def test_a_start_outside_the_limits_is_refused() -> None:
    bench = Bench()
    bench.q = HOME.copy()
    bench.q[3] = -0.1  # the limit is -0.1518
    bench.make_ready()
    assert bench.send(bench.request()) is None
    assert "inside the limits of fr3" in bench.machine.reason


@pytest.mark.parametrize("seconds", [-0.2, 0.2])
def test_first_request_must_be_of_now(seconds: float) -> None:
    bench = Bench()
    bench.make_ready()
    assert bench.send(bench.request(stamp_ns=bench.ros + round(seconds * 1e9))) is None
    assert "the request is 0.200 s" in bench.machine.reason


# -- ACTIVE -> HOLD ----------------------------------------------------------------------------


def test_silence_of_the_policy_holds_after_its_budget() -> None:
    bench = make_active()
    bench.pass_time(0.05)
    bench.arm()
    bench.watch()
    assert bench.state is GateState.ACTIVE
    bench.pass_time(0.051)
    bench.arm()
    bench.watch()
    assert bench.state is GateState.HOLD and "no request for 0.101 s" in bench.machine.reason
    assert_no_entry(bench)


def test_a_gate_that_slept_holds_before_it_judges() -> None:
    """No watch in between: the queued request itself must not slip through."""
    bench = make_active()
    bench.pass_time(0.5)
    bench.arm()
    assert bench.send(bench.request()) is None
    assert bench.state is GateState.HOLD


@pytest.mark.parametrize("seconds", [-0.11, 0.11])
def test_a_request_with_a_stamp_that_is_not_of_now_holds(seconds: float) -> None:
    bench = make_active()
    bench.pass_time(DT)
    bench.arm()
    assert bench.send(bench.request(stamp_ns=bench.ros + round(seconds * 1e9))) is None
    assert bench.state is GateState.HOLD and "the request is 0.110 s" in bench.machine.reason


def test_a_tick_that_runs_ahead_of_its_stamp_holds() -> None:
    """Else the gate would believe that the arm has come to rest while it moves."""
    bench = make_active()
    bench.pass_time(DT)
    bench.arm()
    assert bench.send(bench.request(tick=1000)) is None
    assert bench.state is GateState.HOLD and "from its time" in bench.machine.reason


def test_joint_states_that_fall_silent_hold_then_fault() -> None:
    bench = make_active()
    bench.pass_time(0.051)
    bench.watch()
    assert bench.state is GateState.HOLD and "silent" in bench.machine.reason
    bench.pass_time(0.1)
    bench.watch()
    assert bench.state is GateState.FAULT


def test_joint_states_that_fall_silent_after_a_release_fault_as_well() -> None:
    bench = make_active()
    bench.pass_time(0.01)
    bench.watch()
    bench.send(bench.request(release=True))
    bench.pass_time(0.2)
    bench.watch()
    assert bench.state is GateState.FAULT


def test_joint_states_that_were_silent_all_along_are_no_fault() -> None:
    bench = Bench()
    bench.make_ready()
    bench.pass_time(10.0)
    bench.watch()
    assert bench.state is GateState.HOLD and not bench.machine.ready


@pytest.mark.parametrize(("seconds", "words"), [(0.06, "0.060 s old"), (-0.06, "0.060 s ahead")])
def test_joint_states_with_stamps_off_hold(seconds: float, words: str) -> None:
    bench = make_active()
    bench.pass_time(0.001)
    bench.ros += round(seconds * 1e9)  # the ROS clock, not the joint states
    bench.machine.on_joints(bench.q, bench.ros - round(seconds * 1e9), bench.ros, bench.steady)
    bench.watch()
    assert bench.state is GateState.HOLD and words in bench.machine.reason


def test_joint_states_that_are_not_finite_hold() -> None:
    bench = make_active()
    q = bench.q.copy()
    q[0] = np.nan
    bench.machine.on_joints(q, bench.ros, bench.ros, bench.steady)
    assert bench.state is GateState.HOLD and bench.machine.good_ticks == 0


def test_a_reference_that_is_not_finite_holds_and_is_forgotten() -> None:
    bench = make_active()
    bench.machine.on_reference(HOME * np.nan, REST, bench.ros, bench.steady)
    assert bench.state is GateState.HOLD
    assert bench.machine.commanded() is None


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308, 1e3])
@pytest.mark.parametrize("where", ["q", "dq"])
def test_a_request_that_cannot_be_followed_is_refused(value: float, where: str) -> None:
    bench = make_active()
    bench.pass_time(DT)
    bench.arm()
    good = bench.request()
    bad: dict[str, Any] = {"q": good.q.copy(), "dq": good.dq.copy()}
    bad[where][2] = value
    assert bench.send(bench.request(tick=good.tick, **bad)) is None
    assert bench.state is GateState.HOLD and "refused" in bench.machine.reason
    assert bench.machine.counters.refused == 1
    assert_no_entry(bench)


def test_a_problem_keeps_policies_out_until_it_is_withdrawn() -> None:
    bench = make_active()
    bench.machine.set_problem("subscriber", "no controller listens")
    assert bench.state is GateState.HOLD
    bench.pass_time(0.5)
    for _ in range(10):
        bench.pass_time(0.004)
        bench.arm()
    assert not bench.machine.ready
    assert bench.send(bench.request("b", tick=0)) is None
    bench.machine.set_problem("subscriber", None)
    bench.make_ready()


# -- FAULT -------------------------------------------------------------------------------------


def test_two_policies_at_once_are_a_fault() -> None:
    bench = make_active()
    assert bench.send(bench.request("b", tick=0)) is None
    assert bench.state is GateState.FAULT and "two policies" in bench.machine.reason


def test_stamps_of_joint_states_that_go_back_are_a_fault_once() -> None:
    bench = make_active()
    bench.machine.on_joints(bench.q, bench.ros - 10**9, bench.ros, bench.steady)
    assert bench.state is GateState.FAULT and "went back" in bench.machine.reason
    assert bench.machine.operator_reset() is None
    bench.ros -= 10**9  # an arm that was started again
    bench.pass_time(0.5)
    bench.make_ready()


def test_an_arm_that_does_not_follow_is_a_fault() -> None:
    bench = make_active()
    bench.machine.on_joints(bench.q + 0.21, bench.ros, bench.ros, bench.steady)
    assert bench.state is GateState.FAULT and "from its command" in bench.machine.reason


def test_a_controller_that_obeys_somebody_else_is_a_fault() -> None:
    bench = make_active()
    bench.machine.on_reference(bench.q - 0.25, REST, bench.ros, bench.steady)
    assert bench.state is GateState.FAULT and "somebody else" in bench.machine.reason


def test_fault_stays_until_the_operator() -> None:
    bench = make_active()
    bench.machine.fault("e-stop")
    bench.machine.fault("something later")
    assert bench.machine.reason == "e-stop" and bench.machine.counters.faults == 1
    bench.pass_time(0.5)
    for _ in range(20):
        bench.pass_time(0.004)
        bench.arm()
        bench.watch()
    assert bench.state is GateState.FAULT and not bench.machine.ready
    assert bench.send(bench.request("b", tick=0)) is None
    assert bench.machine.rejected == "b"
    assert bench.machine.operator_reset() is None
    assert bench.state is GateState.HOLD
    bench.make_ready()
    assert bench.send(bench.request("b", tick=0)) is None  # it was turned away
    bench.policy = EeDelta(FR3, DT, EeDeltaCfg(), bench.q[None].copy())
    assert bench.send(bench.request("c", tick=0)) is not None


@pytest.mark.parametrize("how", ["hold", "stop"])
def test_an_activation_does_not_take_back_what_an_operator_stopped(how: str) -> None:
    bench = make_active()
    machine = bench.machine
    if how == "hold":
        machine.operator_hold()
        assert machine.stops == {HELD: HELD}
    else:
        machine.operator_stop("e-stop service")
        assert machine.stops == {STOPPED: "e-stop service"}
    state, reason = machine.state, next(iter(machine.stops.values()))
    assert machine.activate() == reason
    assert machine.state is state and not machine.ready
    assert machine.operator_reset() is None
    assert machine.activate() is None and machine.stops == {}
    assert machine.state is GateState.HOLD


def test_an_activation_leaves_a_fault_of_before() -> None:
    bench = make_active()
    bench.machine.fault("joint states went back")
    assert bench.machine.activate() is None
    assert bench.state is GateState.HOLD
    bench.machine.set_problem("gains", "kp of joint 2", fatal=True)
    assert bench.machine.activate() == "kp of joint 2"
    assert bench.state is GateState.FAULT


def test_a_policy_that_gives_up_says_why() -> None:
    bench = make_active()
    bench.send(bench.request(release=True, why="input 'eye': stamp age 0.3 s"))
    assert bench.machine.reason == f"{RELEASED}: input 'eye': stamp age 0.3 s"


@pytest.mark.parametrize(
    "name",
    ["request_timeout_s", "joint_timeout_s", "joint_age_s", "reference_timeout_s", "latch_after_s",
     "following_error"],
)  # fmt: skip
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_nothing_exceeds_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected more than 0, got"):
        MachineCfg(**{name: value})  # pyright: ignore[reportArgumentType]


def test_the_operator_cannot_reset_what_persists() -> None:
    bench = make_active()
    bench.machine.set_problem("gains", "kp of joint 2", fatal=True)
    assert bench.machine.operator_reset() == "kp of joint 2"
    assert bench.state is GateState.FAULT
    bench.machine.set_problem("gains", None)
    assert bench.state is GateState.FAULT
    assert bench.machine.operator_reset() is None


# -- a hold of the operator --------------------------------------------------------------------


def test_a_hold_of_the_operator_keeps_out_what_is_on_its_way_until_the_reset() -> None:
    bench = make_active()
    bench.machine.operator_hold()
    assert bench.state is GateState.HOLD and bench.machine.reason == HELD
    assert bench.send(bench.request()) is None  # of the session that was held
    for _ in range(40):
        bench.pass_time(0.004)
        bench.arm()
        bench.watch()
    assert bench.send(bench.request("b", tick=0)) is None  # a policy that waited for the gate
    assert bench.state is GateState.HOLD and not bench.machine.ready
    assert bench.machine.not_ready == HELD
    assert bench.machine.operator_reset() is None
    bench.make_ready()
    bench.policy = EeDelta(FR3, DT, EeDeltaCfg(), bench.q[None].copy())
    assert bench.send(bench.request("c", tick=0)) is not None


def test_a_reset_that_is_refused_leaves_the_hold_in_place() -> None:
    bench = make_active()
    bench.machine.set_problem("subscriber", "no controller listens")
    bench.machine.operator_hold()
    assert bench.machine.operator_reset() == "no controller listens"
    bench.machine.set_problem("subscriber", None)
    for _ in range(20):
        bench.pass_time(0.004)
        bench.arm()
    assert not bench.machine.ready and bench.machine.not_ready == HELD


def test_a_hold_is_no_way_out_of_a_fault() -> None:
    bench = make_active()
    bench.machine.fault("e-stop")
    bench.machine.operator_hold()
    assert bench.state is GateState.FAULT and bench.machine.not_ready == "e-stop"


# -- time --------------------------------------------------------------------------------------


def test_one_missed_tick_is_coasted_and_the_next_passes_unslowed() -> None:
    bench = make_active()
    control = bench.policy  # coasts, as the arm does
    q, dq = coast(control.motion.q, control.motion.dq, control.motion.ddq, DT)
    control.motion.resume(q, dq, 0.0 * dq, np.arange(1))
    bench.tick += 1
    bench.pass_time(DT)
    bench.arm()
    bench.watch()
    bench.run(20)
    assert bench.machine.counters.missed == 1 and bench.machine.counters.slowed == 0


def test_starts_are_evenly_spaced_under_jittering_stamps() -> None:
    bench = make_active(1, lead_s=DT)
    random = np.random.default_rng(0)
    for _ in range(50):
        bench.pass_time(DT)
        bench.arm()
        jitter = int(random.uniform(0, 8e6))
        assert bench.send(bench.request(stamp_ns=bench.ros - jitter)) is not None
    stamps = np.array([command.stamp_ns for command in bench.commands])
    np.testing.assert_allclose(np.diff(stamps), DT_NS, atol=1)


def test_starts_follow_a_clock_that_runs_slower_without_a_jump() -> None:
    """ROS time 5 % slower than the ticks: starts follow by 0.2 % of a period per tick."""
    bench = make_active(1, lead_s=DT)
    for _ in range(200):
        bench.ros += round(0.95 * DT_NS)
        bench.steady += DT_NS
        bench.arm()
        if bench.send(bench.request()) is None:
            break
    assert "from its time, allowed 0.1 s" in bench.machine.reason  # 5 % is too much in the end
    starts = [  # what is under way until then comes before the last six points
        command.stamp_ns + round(command.trajectory.times[0, -6] * 1e9)
        for command in bench.commands
    ]
    steps = np.diff(starts) / DT_NS
    assert steps.min() >= 1 - 0.0021 and steps.max() <= 1.0 + 1e-6


def test_motions_start_a_lead_after_their_ticks_and_are_published_from_there() -> None:
    bench = make_active(lead_s=DT)
    bench.pass_time(DT)
    bench.arm()
    command = bench.send(bench.request())
    assert command is not None
    assert command.stamp_ns == pytest.approx(bench.ros + DT_NS, abs=20)
    assert command.elapsed == pytest.approx(-DT, abs=1e-6)  # nothing of it is past
    assert bench.machine.counters.late == 0


def test_a_command_that_is_too_late_is_left_out_and_the_policy_goes_on_from_the_coast() -> None:
    bench = make_active(30, lead_s=DT)
    published = len(bench.commands)
    bench.pass_time(DT)
    bench.arm()
    request = bench.request()
    bench.ros += round(1.9 * DT_NS)
    assert bench.send(request) is None and bench.state is GateState.ACTIVE
    bench.ros -= round(1.9 * DT_NS)
    counters = bench.machine.counters
    assert (counters.missed, counters.late, counters.dropped) == (1, 0, 1)
    bench.run(5)
    assert len(bench.commands) == published + 5
    assert bench.machine.counters.slowed == 0 and bench.machine.counters.refused == 0


@pytest.mark.parametrize("late_by", [-0.1, 0.01, (33e-6 - 6e-3) / DT, (2e-6 - 6e-3) / DT])
def test_a_controller_that_has_a_late_command_soon_goes_on_as_it_did_until_it_leaves(
    late_by: float,
) -> None:
    """The start of the motion, a knot of the one before, may lie between."""
    bench = make_active(30, lead_s=DT)
    before = bench.commands[-1]
    bench.pass_time(DT)
    bench.arm()
    request = bench.request()
    bench.ros += round((1.0 + late_by) * DT_NS)
    command = bench.send(request)
    assert command is not None and bench.machine.counters.late == 1
    leaves_ns = command.stamp_ns + round(command.trajectory.times[0, -6] * 1e9)
    assert leaves_ns == bench.ros + WAY_NS  # as long as it may take to the controller
    assert command.spare_s == bench.machine.cfg.deciding_s

    def old(at_ns: int) -> tuple[np.ndarray, ...]:
        return tuple(
            part[0] for part in sample(before.trajectory, _seconds(at_ns - before.stamp_ns))[:3]
        )

    q, dq, _ = old(bench.ros)
    way = command.trajectory  # as a controller gets it: its state first, then what is not past
    kept = way.times[0] > command.elapsed
    first = np.array([command.elapsed - 1e-3])
    new = Trajectory(
        times=np.concatenate([first, way.times[0, kept]])[None],
        q=np.concatenate([q, way.q[0, kept]])[None],
        dq=np.concatenate([dq, way.dq[0, kept]])[None],
    )
    joined = join(q, dq, new, _seconds(bench.ros - command.stamp_ns)[0])
    for at_ns in (*range(bench.ros, leaves_ns, 100_000), leaves_ns - 20_000, leaves_ns - 1_000):
        there = sample(joined, _seconds(at_ns - command.stamp_ns))[:3]
        for mine, theirs, allowed in zip(there, old(at_ns), (1e-9, 1e-6, 1e-2), strict=True):
            np.testing.assert_allclose(mine[0], theirs, atol=allowed)


def test_a_command_that_is_taken_back_was_never_there() -> None:
    bench = make_active(30, lead_s=DT)
    before, counters = bench.commands[-1], bench.machine.counters
    approved, published = counters.approved, bench.machine._session.published_ns
    bench.pass_time(DT)
    bench.arm()
    request = bench.request()
    bench.pass_time(0.004)
    command = bench.machine.on_request(request, bench.ros, bench.steady)
    assert command is not None and command.spare_s == pytest.approx(DT - 0.004 - 0.003, abs=1e-6)
    bench.machine.withhold(0.05)
    assert (counters.approved, counters.dropped) == (approved, 1)
    assert bench.machine._session.published_ns == published
    answer = bench.machine.answer()
    assert answer is not None and answer[1] == request.tick
    old = sample(before.trajectory, _seconds(command.stamp_ns + DT_NS - before.stamp_ns))
    np.testing.assert_allclose(answer[2].q[:, 0], old[0][:, 0], atol=1e-8)
    bench.told = answer[1:]
    bench.pass_time(DT - 0.004)
    bench.arm()
    after = bench.send(bench.request())
    assert after is not None
    there = sample(before.trajectory, _seconds(after.stamp_ns - before.stamp_ns))
    np.testing.assert_allclose(after.trajectory.q[:, 0], there[0][:, 0], atol=1e-8)
    np.testing.assert_allclose(after.trajectory.dq[:, 0], there[1][:, 0], atol=1e-6)
    for _ in range(10):  # always so: it holds, and says why
        bench.pass_time(DT)
        bench.arm()
        bench.watch()
        if bench.machine.on_request(bench.request(), bench.ros, bench.steady) is not None:
            bench.machine.withhold(0.05)
        answer = bench.machine.answer()
        bench.told = None if answer is None else answer[1:]
    assert bench.state is GateState.HOLD and "commands are too late" in bench.machine.reason


def _seconds(ns: int) -> np.ndarray:
    return np.array([[ns / 1e9]])


def test_commands_that_are_always_too_late_hold() -> None:
    bench = make_active(30, lead_s=DT)
    for _ in range(10):
        bench.pass_time(DT)
        bench.arm()
        request = bench.request()
        bench.ros += round(1.9 * DT_NS)
        assert bench.send(request) is None
        bench.ros -= round(1.9 * DT_NS)
        if bench.state is GateState.HOLD:
            break
    assert re.fullmatch(
        r"no command for 0\.1\d+ s, allowed 0\.1 s: commands are too late, the last by 0\.0\d+ s",
        bench.machine.reason,
    )


def test_requests_out_of_order_are_ignored() -> None:
    bench = make_active()
    bench.pass_time(DT)
    bench.arm()
    assert bench.send(bench.request(tick=5)) is None
    assert bench.state is GateState.ACTIVE and bench.machine.counters.ignored == 1


# -- lock step ---------------------------------------------------------------------------------


def test_lock_step_waits_for_the_joint_state_of_the_request() -> None:
    bench = Bench(lock_step=True)
    bench.make_ready()
    early = bench.request(stamp_ns=bench.ros + DT_NS)
    assert bench.send(early) is None and bench.state is GateState.HOLD
    assert bench.machine.pending(bench.ros, bench.steady) is None
    bench.pass_time(DT)
    bench.arm()
    command = bench.machine.pending(bench.ros, bench.steady)
    assert command is not None and command.stamp_ns == bench.ros and command.elapsed == 0.0
    assert bench.machine.pending(bench.ros, bench.steady) is None  # once


def test_lock_step_forgets_a_request_that_is_released_while_it_waits() -> None:
    bench = Bench(lock_step=True)
    bench.make_ready()
    bench.send(bench.request(stamp_ns=bench.ros + DT_NS))
    bench.send(bench.request(release=True))
    bench.pass_time(DT)
    bench.arm()
    assert bench.machine.pending(bench.ros, bench.steady) is None
    assert bench.state is GateState.HOLD


def test_lock_step_has_no_time_budgets() -> None:
    bench = Bench(lock_step=True)
    bench.make_ready()
    assert bench.send(bench.request()) is not None
    bench.steady += 10**12
    bench.watch()
    assert bench.state is GateState.ACTIVE


# -- whatever comes ----------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.floats(-3.0, 3.0),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 0.0]),
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["good", "good", "good", "near", "wild", "release", "other", "pause"]),
        st.lists(NUMBERS, min_size=14, max_size=14),
        st.floats(1e-6, 1e-1),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_whatever_is_asked_what_is_published_stays_inside(events: list[Any]) -> None:
    bench = make_active(3)
    for kind, numbers, size in events:
        bench.pass_time(DT)
        bench.arm()
        bench.watch()
        if kind == "pause":
            bench.pass_time(size)
            continue
        request = bench.request("b" if kind == "other" else "a", release=kind == "release")
        values = np.array(numbers)
        if kind == "wild":
            request = replace(request, q=values[:7], dq=values[7:])
        elif kind == "near":
            with np.errstate(all="ignore"):
                off = np.nan_to_num(values, posinf=1.0, neginf=-1.0) * size
            request = replace(request, q=request.q + off[:7], dq=request.dq + off[7:])
        bench.send(request)
        if bench.state is not GateState.ACTIVE:
            bench.pass_time(1.0)
            bench.machine.operator_reset()
            bench.make_ready()
            bench.policy = EeDelta(FR3, DT, EeDeltaCfg(), bench.q[None].copy())
            bench.tick, bench.asked, bench.told = 0, -1, None
    for command in bench.commands:
        assert_inside(command)


def assert_inside(command: Command) -> None:
    """Assert the limits of one trajectory, stop included, and that it ends at rest."""
    trajectory = command.trajectory
    assert np.isfinite(trajectory.q).all() and np.isfinite(trajectory.dq).all()
    assert (np.diff(trajectory.times) > 0).all() and (trajectory.dq[0, -1] == 0.0).all()
    q, dq, ddq, _ = sample(trajectory, np.arange(0.0, trajectory.times[0, -1], 1e-3)[None])
    assert (q >= np.array(LIMITS.q_min) - 1e-6).all() and (q <= np.array(LIMITS.q_max) + 1e-6).all()
    low, high = velocity_bounds(LIMITS, q)
    assert (dq <= high + 1e-4).all() and (dq >= low - 1e-4).all()
    assert (np.abs(ddq) <= np.array(LIMITS.ddq_max) * 1.001).all()
