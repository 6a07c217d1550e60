"""Flights: what the gate decided before a stop, decided again from a file."""

# pyright: standard

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli import replay
from sim2arm.cli.errors import UserError
from sim2arm_ros import flight
from sim2arm_ros.flight import Flight, fly, keep_flight, read_flight
from sim2arm_ros.gate import GateCfg
from sim2arm_ros.gate_state import GateState

from .swinging import swinging_contract
from .test_gate_machine import DT, Bench

CONTRACT = swinging_contract()


class Flown(Bench):
    """The bench of the gate machine, with a flight in between."""

    def __init__(self, **cfg: Any) -> None:
        super().__init__(**cfg)
        self.flight: Any = Flight(self.machine, GateCfg())
        self.real, self.machine = self.machine, self.flight

    @property
    def state(self) -> GateState:
        return self.real.state

    def make_ready(self) -> None:
        for _ in range(self.real.cfg.good_ticks):
            self.pass_time(0.004)
            self.arm()
        assert self.real.ready

    def save(self, path: Path) -> Path:
        landing = self.flight.landed()
        assert landing is not None
        keep_flight(path, landing, CONTRACT)
        return path


def flown(ticks: int, *, nudge: float = 0.0) -> Flown:
    """Run for some ticks, late every seventh, then let the joint states fall silent."""
    bench = Flown(lead_s=DT)
    bench.make_ready()
    for k in range(ticks):
        bench.pass_time(DT)
        bench.arm()
        bench.watch()
        request = bench.request()
        late = k % 7 == 6
        if late:
            bench.pass_time(DT + 0.002)  # joined on the way, which is judged anew
        if k == ticks // 2 and nudge:
            request.q[0] += nudge  # a little too much: slowed
        assert bench.send(request) is not None, bench.real.reason
        if late:
            bench.pass_time(-DT - 0.002)
    for _ in range(12):
        bench.pass_time(0.01)
        bench.watch()
    assert bench.state is GateState.HOLD
    return bench


def test_the_same_decisions_to_the_bit(tmp_path: Path) -> None:
    bench = flown(200, nudge=4e-4)
    counters = bench.real.counters
    assert counters.late > 20 and counters.slowed > 0
    path = bench.save(tmp_path / "a.flight")
    assert bench.flight.landed() is None  # it is said once
    head, events = read_flight(path)
    assert head["reason"].startswith("HOLD: joint states are silent for 0.06")
    steps = list(fly(head, events))
    assert all(step.same for step in steps)
    assert sum("command" in step.event.decision for step in steps) == 200
    assert f"HOLD: {steps[-1].event.decision['reason']}" == head["reason"]


def test_it_holds_the_last_seconds_alone_and_begins_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight, "SECONDS", 2.0)
    head, events = read_flight(flown(600).save(tmp_path / "a.flight"))
    assert head["state"]["state"] == "ACTIVE"  # it begins in the midst of a session
    assert 2.0 <= (events[-1].steady_ns - events[0].steady_ns) / 1e9 <= 4.5
    assert all(step.same for step in fly(head, events))


def test_commands_that_were_taken_back_come_back(tmp_path: Path) -> None:
    bench = Flown(lead_s=DT)
    bench.make_ready()
    for k in range(60):
        bench.pass_time(DT)
        bench.arm()
        bench.watch()
        kept = bench.trajectory, bench.start
        assert bench.send(bench.request()) is not None, bench.real.reason
        if k % 9 == 8:
            bench.flight.withhold(0.03, bench.steady)
            bench.trajectory, bench.start = kept
            answer = bench.flight.answer()
            assert answer is not None
            bench.told = answer[1:]
    bench.flight.operator_hold()
    for _ in range(9):
        bench.watch()
    assert bench.real.counters.dropped == 6 and bench.real.counters.approved == 54
    steps = list(fly(*read_flight(bench.save(tmp_path / "a.flight"))))
    assert all(step.same for step in steps)
    assert sum(step.event.call == "withhold" for step in steps) == 6


def test_a_request_that_is_not_finite_comes_back(tmp_path: Path) -> None:
    bench = Flown()
    bench.make_ready()
    for _ in range(10):
        bench.pass_time(DT)
        bench.arm()
        assert bench.send(bench.request()) is not None
    bench.pass_time(DT)
    bench.arm()
    assert bench.send(bench.request(q=np.full(7, np.nan))) is None
    for _ in range(4):
        bench.watch()
    steps = list(fly(*read_flight(bench.save(tmp_path / "a.flight"))))
    assert all(step.same for step in steps)
    assert steps[-1].again["reason"] == "request refused: not finite"


def stopped(how: str) -> Flown:
    """Return a gate whose running policy was stopped."""
    bench = Flown()
    bench.make_ready()
    bench.pass_time(DT)
    bench.arm()
    assert bench.send(bench.request()) is not None
    if how == "hold":
        bench.flight.operator_hold()
    elif how == "stop":
        bench.flight.operator_stop("e-stop service")
    else:
        bench.send(bench.request(release=True, why=how))
    for _ in range(9):
        bench.watch()
    return bench


@pytest.mark.parametrize("how", ["hold", "stop", "input 'eye': stamp age 0.3 s"])
def test_every_stop_is_kept(how: str, tmp_path: Path) -> None:
    bench = stopped(how)
    assert bench.state is (GateState.FAULT if how == "stop" else GateState.HOLD)
    reason = bench.flight.machine.reason
    steps = list(fly(*read_flight(bench.save(tmp_path / "a.flight"))))
    assert all(step.same for step in steps)
    assert reason in [step.again["reason"] for step in steps]


def test_a_run_that_ends_as_it_was_meant_to_is_not_kept() -> None:
    bench = stopped("")
    assert bench.state is GateState.HOLD and bench.flight.landed() is None


def test_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "KEPT", 2)
    landing = flown(2).flight.landed()
    for name in ("1", "2", "3"):
        keep_flight(tmp_path / f"{name}.flight", landing, CONTRACT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.flight", "3.flight"]


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = flown(40).save(tmp_path / "a.flight")
    assert replay.main([str(path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("a.flight: fr3, ") and "stopped by HOLD: joint states are" in out[0]
    assert any("command of tick 39" in line for line in out)
    assert out[-1].endswith("decisions are the same, to the bit.")
    lines = path.read_text().splitlines()
    other = json.loads(lines[30]) | {"decision": {"state": "FAULT", "reason": "x"}}
    path.write_text("\n".join([*lines[:30], json.dumps(other)]))
    with pytest.raises(UserError, match="1 of 30 decisions are others now, the first one at"):
        replay.main([str(path)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is no flight: IndexError"),
        ("{}", "it is no flight: KeyError"),
        ('{"version": 9}', "version: expected 7, got 9"),
        ("nothing", "it is no flight: JSONDecodeError"),
        ('{"version": 7}', "it is no flight: KeyError: 'contract'"),
    ],
)
def test_what_is_no_flight(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.flight").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        replay.main([str(tmp_path / "a.flight")])
    assert "\n" not in str(error.value)
