"""What robots say of themselves: each kind judged, and the gate that stops because of it."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim2arm.core import plain
from sim2arm.core.contract import SPEED, TrainedRange
from sim2arm_ros.activation import mode_items
from sim2arm_ros.flight import Flight, fly, keep_flight, read_flight
from sim2arm_ros.gate import GateCfg
from sim2arm_ros.gate_machine import GateMachine
from sim2arm_ros.gate_state import GateState, MachineCfg
from sim2arm_ros.robot_modes import (
    FRANKA_MODES,
    KINDS,
    UR_ROBOT_MODES,
    UR_SAFETY_MODES,
    ModesCfg,
    RobotModes,
)
from sim2arm_ros.supported import check_supported, least_speed

from .swinging import swinging_contract
from .test_gate_machine import DT, FR3, Bench, assert_no_entry

S = 1_000_000_000
WELL: dict[str, dict[str, dict[str, Any]]] = {
    "franka": {
        "robot_state": {"robot_mode": 2, "current_errors": [], "last_motion_errors": []},
    },
    "universal_robots": {
        "robot_mode": {"mode": 7},
        "safety_mode": {"mode": 1},
        "program_running": {"data": True},
        "speed_scaling": {"data": 100.0},
    },
    "status": {"status": {"level": 0, "message": "OK"}},
}
REFLEX = {"robot_mode": 4, "current_errors": ["cartesian_reflex"], "last_motion_errors": []}
BAD: list[tuple[str, str, dict[str, Any] | None, str]] = [
    *(
        ("franka", "robot_state", {"robot_mode": k, "current_errors": []}, f"got {name}")
        for k, name in enumerate(FRANKA_MODES)
        if name != "MOVE"
    ),
    ("franka", "robot_state", {"robot_mode": 77, "current_errors": []}, r"an unknown one \(77\)"),
    ("franka", "robot_state", REFLEX, "robot mode: expected MOVE, got REFLEX"),
    ("franka", "robot_state", {**REFLEX, "robot_mode": 2}, "expected none, got cartesian_reflex"),
    *(
        ("universal_robots", "robot_mode", {"mode": k}, f"expected RUNNING, got {name}")
        for k, name in UR_ROBOT_MODES.items()
        if name != "RUNNING"
    ),
    *(
        ("universal_robots", "safety_mode", {"mode": k}, f"expected NORMAL, got {name}")
        for k, name in UR_SAFETY_MODES.items()
        if name != "NORMAL"
    ),
    ("universal_robots", "safety_mode", {"mode": 99}, r"an unknown one \(99\)"),
    ("universal_robots", "program_running", {"data": False}, "expected running, got stopped"),
    ("universal_robots", "speed_scaling", {"data": 98.9}, "expected >= 100 %, got 98.9 %"),
    ("universal_robots", "speed_scaling", {"data": 0.0}, "got 0 %"),
    ("universal_robots", "speed_scaling", {"data": float("nan")}, "got nan %"),
    ("universal_robots", "robot_mode", None, "nobody publishes /robot_mode any more"),
    ("universal_robots", "safety_mode", None, "nobody publishes /safety_mode any more"),
    ("universal_robots", "program_running", None, "nobody publishes /program_running any more"),
    ("status", "status", {"level": 1, "message": "servo 3 is hot"}, "got servo 3 is hot"),
    ("status", "status", {"level": 3, "message": ""}, "got level 3"),
]
CHANGES = pytest.mark.parametrize(("kind", "topic", "values", "reason"), BAD)


def make_modes(kind: Any, **overrides: Any) -> RobotModes:
    topics = {name: f"/{name}" for name in KINDS[kind].topics}
    return RobotModes(ModesCfg(kind=kind, topics=topics, **overrides))


def make_well(kind: Any, steady_ns: int = S, **overrides: Any) -> RobotModes:
    modes = make_modes(kind, **overrides)
    for topic, values in WELL[kind].items():
        modes.hear(topic, values, steady_ns)
    assert modes.problem(steady_ns) is None
    return modes


# -- by themselves -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_well_before_all_was_heard(kind: Any) -> None:
    modes = make_modes(kind)
    for topic, values in WELL[kind].items():
        assert f"/{topic} has not been heard" in str(modes.problem(S))
        assert not all(item.ok for item in mode_items(modes, S, timed=True))
        modes.hear(topic, values, S)
    assert modes.problem(S) is None
    assert all(item.ok for item in mode_items(modes, S, timed=True))


@CHANGES
def test_each_change_is_a_reason(kind: Any, topic: str, values: Any, reason: str) -> None:
    modes = make_well(kind)
    modes.hear(topic, values, S)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(modes.problem(S))
    assert not all(item.ok for item in mode_items(modes, S, timed=True))


@pytest.mark.parametrize("kind", KINDS)
def test_what_streams_may_not_be_silent_and_what_is_latched_may(kind: Any) -> None:
    modes = make_well(kind, timeout_s=0.1)
    assert modes.problem(S + 100_000_000) is None
    later = S + 100_000_001
    silent = [name for name, topic in KINDS[kind].topics.items() if not topic.latched]
    assert len(silent) == 1
    assert modes.problem(later) == f"/{silent[0]} is silent for more than 0.1 s"
    assert modes.problem(later, timed=False) is None  # an arm that waits is not silent
    assert not all(item.ok for item in mode_items(modes, later, timed=True))


def test_least_speed_is_what_training_allowed() -> None:
    contract = swinging_contract()
    assert least_speed(contract) == 1.0
    slow = replace(contract, ranges=(TrainedRange(name=SPEED, unit="1", low=0.5, high=1.0),))
    check_supported(slow)
    assert least_speed(slow) == 0.5
    modes = make_well("universal_robots", least_speed=0.5)
    modes.hear("speed_scaling", {"data": 50.0}, S)
    assert modes.problem(S) is None
    modes.hear("speed_scaling", {"data": 48.9}, S)
    assert "expected >= 50 %, got 48.9 %" in str(modes.problem(S))
    wrong = replace(contract, ranges=(TrainedRange(name=SPEED, unit="1", low=-1.0, high=1.0),))
    with pytest.raises(ValueError, match=r"speed_scaling': expected a low end up to 1, got -1"):
        least_speed(wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "kuka"}, "modes.kind"),
        ({"topics": {}}, r"modes.topics: expected \['status'\], got \[\]"),
        ({"timeout_s": 0.0}, "modes.timeout_s: expected up to 1, got 0"),
        ({"least_speed": 1.5}, "modes.least_speed"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    values = {"kind": "status", "topics": {"status": "/status"}} | changes
    with pytest.raises(ValueError, match=message):
        plain.from_plain(ModesCfg, values, "modes")


# -- in the gate -------------------------------------------------------------------------------


class Watched(Bench):
    """The bench of the gate machine with a robot that tells its state, and the flight recorder."""

    def __init__(self, kind: Any, **cfg: Any) -> None:
        super().__init__(**cfg)
        self.kind = kind
        modes = make_modes(kind)
        self.real = GateMachine(FR3, DT, GateCfg(), MachineCfg(**cfg), modes)
        self.machine: Any = Flight(self.real, GateCfg())

    @property
    def state(self) -> GateState:
        return self.real.state

    def tell(self, topic: str, values: Any) -> None:
        self.machine.on_mode(topic, values, self.steady)

    def tell_well(self) -> None:
        for topic, values in WELL[self.kind].items():
            self.tell(topic, values)

    def arm(self) -> None:
        self.tell_well()
        super().arm()

    def make_ready(self) -> None:
        for _ in range(self.real.cfg.good_ticks):
            self.pass_time(0.004)
            self.arm()
        assert self.real.ready


def make_watched(kind: Any, ticks: int = 5) -> Watched:
    bench = Watched(kind)
    bench.make_ready()
    for _ in range(ticks):
        bench.pass_time(DT)
        bench.arm()
        bench.machine.watch(bench.ros, bench.steady)
        assert bench.send(bench.request()) is not None, bench.real.reason
    assert bench.state is GateState.ACTIVE
    return bench


@CHANGES
def test_each_change_leaves_active_at_once_and_only_the_operator_goes_on(
    kind: Any, topic: str, values: Any, reason: str
) -> None:
    bench = make_watched(kind)
    bench.tell(topic, values)
    assert bench.state is GateState.FAULT
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(bench.real.reason)
    assert bench.send(bench.request()) is None
    assert bench.real.operator_reset() is not None  # the robot is still not well
    bench.tell_well()
    assert bench.state is GateState.FAULT
    assert_no_entry(bench)
    bench.tick = 0
    assert bench.send(bench.request("b")) is None  # nor is a new session
    assert bench.real.operator_reset() is None
    for _ in range(bench.real.cfg.good_ticks):
        bench.pass_time(0.004)
        Bench.arm(bench)
    assert bench.state is GateState.HOLD and bench.real.ready
    assert bench.send(bench.request()) is None  # the old session is over


@pytest.mark.parametrize("kind", KINDS)
def test_silence_leaves_active_at_the_next_look(kind: Any) -> None:
    bench = make_watched(kind)
    for _ in range(4):  # up to 0.067 s
        bench.pass_time(DT)
        Bench.arm(bench)
        bench.machine.watch(bench.ros, bench.steady)
        assert bench.send(bench.request()) is not None
    bench.pass_time(0.1 - 4 * DT + 1e-4)
    Bench.arm(bench)
    bench.machine.watch(bench.ros, bench.steady)
    assert bench.state is GateState.FAULT
    assert "is silent for more than 0.1 s" in bench.real.reason


def test_a_robot_that_is_not_well_yet_is_held_and_not_at_fault() -> None:
    bench = Watched("universal_robots")
    for topic, values in WELL["universal_robots"].items():
        Bench.arm(bench)
        assert bench.state is GateState.HOLD and not bench.real.ready
        assert "has not been heard" in bench.real.reason
        bench.tell(topic, values if topic != "robot_mode" else {"mode": 3})
    assert bench.state is GateState.HOLD and "got POWER_OFF" in bench.real.reason
    bench.make_ready()  # somebody powered it on: no fault was latched
    bench.tell("robot_mode", {"mode": 3})
    assert bench.state is GateState.FAULT  # but it is from now on


def test_nobody_is_let_in_before_the_robot_was_heard() -> None:
    bench = Watched("franka")
    for _ in range(10):
        bench.pass_time(0.004)
        Bench.arm(bench)
    assert not bench.real.ready  # though nobody has looked at the budgets yet
    assert bench.send(bench.request()) is None and bench.state is GateState.HOLD


def test_in_lock_step_silence_is_none() -> None:
    bench = Watched("franka", lock_step=True)
    bench.make_ready()
    bench.pass_time(10.0)
    bench.machine.watch(bench.ros, bench.steady)
    assert bench.state is GateState.HOLD and bench.real.ready
    bench.tell("robot_state", REFLEX)
    assert bench.state is GateState.FAULT


def _nan(bench: Watched) -> None:
    bench.tell("speed_scaling", {"data": float("nan")})


def _gone(bench: Watched) -> None:
    bench.tell("safety_mode", None)


def _silent(bench: Watched) -> None:
    for _ in range(8):
        bench.pass_time(DT)
        Bench.arm(bench)
        bench.machine.watch(bench.ros, bench.steady)


@pytest.mark.parametrize("happens", [_nan, _gone, _silent])
def test_a_flight_with_modes_comes_to_the_same_decisions(
    tmp_path: Path, happens: Callable[[Watched], None]
) -> None:
    bench = make_watched("universal_robots", ticks=100)
    happens(bench)
    for _ in range(4):
        bench.machine.watch(bench.ros, bench.steady)
    landing = bench.machine.landed()
    assert landing is not None
    keep_flight(tmp_path / "a.flight", landing, swinging_contract())
    head, events = read_flight(tmp_path / "a.flight")
    steps = list(fly(head, events))
    assert all(step.same for step in steps)
    assert sum(event.call == "on_mode" for event in events) > 400
    assert steps[-1].again["state"] == "FAULT" and steps[-1].again["reason"] == bench.real.reason
    # Decided by other bounds, the same events come to another end: they are judged, not copied.
    if happens is _silent:
        head["modes"] |= {"timeout_s": 1.0}
        assert not all(step.same for step in fly(head, events))
