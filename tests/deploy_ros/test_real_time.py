# pyright: standard, reportMissingModuleSource=false
"""What an arm really does where requests are late, lost, twice or in another order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sim2arm.cli.table import Row
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from sim2arm_ros.gate import Gate  # noqa: E402
from sim2arm_ros.gate_machine import GateMachine  # noqa: E402
from sim2arm_ros.gate_state import Command, GateState  # noqa: E402
from tests.tables import Table  # noqa: E402

from .real_time import DT, SHARE, SPIKES, RealTime, Told, Wire, run_real_time  # noqa: E402

PARTS, CYCLES = 8, 12_500
"""Parts of the long run, and control periods of each."""
SPIKED, STUCK = 20_000, 10_000
RUNS = 40
"""Tries for each number of requests that are lost in a row."""
MOST_LOST = 25


def write(table: Table, case: str, told: Told, seed: int) -> None:
    """Write what came of a long run."""
    count = sum(told.seen.violations.values()) + len(told.wrong)
    for name, number in told.seen.violations.items():
        table.add(Row(case=case, metric=f"violations: {name}", value=number))
    table.none_of(case, "violations", count, told.cycles, seed=seed)
    table.add(
        *(Row(case=case, metric=name, value=n) for name, n in told.counters.items()),
        Row(case=case, metric="commands", value=told.commands),
        Row(case=case, metric="commands judged by links and tool", value=told.seen.dense),
        Row(case=case, metric="starts that were moved", value=told.moved),
        Row(case=case, metric="commands more than a period early", value=told.early),
        Row(case=case, metric="commands withheld", value=told.withheld),
        *(
            Row(case=case, metric=f"{name} where none is promised", value=n, unit="limit")
            for name, n in zip(
                ("velocity", "acceleration", "jerk"), told.worst.tolist(), strict=True
            )
        ),
    )


def assert_everything_was_there(told: Told, cycles: int) -> None:
    """Assert that a run went through every way to a command."""
    assert told.commands > 0.3 * cycles and told.moved > 0.03 * cycles
    assert all(told.counters[name] for name in ("late", "slowed", "missed", "outdated", "holds"))
    assert told.withheld > 0.005 * cycles


def test_a_bad_link_never_makes_the_arm_break_a_limit() -> None:
    told = run_real_time(400, seed=0)
    assert told.broken() == set()
    assert_everything_was_there(told, 400)


@pytest.mark.parametrize("lead", [2.0, 3.0])
def test_commands_long_before_their_start_do_not_change_the_motion_until_then(lead: float) -> None:
    wires = (Wire(), Wire(latency=0.002), Wire(latency=0.02))
    told = run_real_time(300, seed=1, wires=wires, lead=lead * DT)
    assert told.broken() == set()
    assert told.early > 0.3 * told.commands > 30


@pytest.mark.faults
@pytest.mark.parametrize("part", range(PARTS))
def test_a_hundred_thousand_cycles_on_bad_links(part: int, table: Table) -> None:
    seed = 10_000_000 * (part + 1)
    told = run_real_time(CYCLES, seed=seed)
    write(table, "gate in real time, bad links", told, seed)
    assert told.broken() == set()
    assert told.cycles == CYCLES and told.commands // SHARE == told.seen.dense
    assert_everything_was_there(told, CYCLES)
    assert told.counters["dropped"] > 0 and told.early > 0


@pytest.mark.faults
def test_messages_that_take_up_to_half_a_second_longer(table: Table) -> None:
    told = run_real_time(SPIKED, seed=3, wires=SPIKES)
    write(table, "gate in real time, requests, answers and joint states 1 to 500 ms late", told, 3)
    assert told.broken() == set() and told.counters["holds"] > 0.001 * SPIKED


@pytest.mark.faults
def test_commands_that_take_up_to_half_a_second_longer(table: Table) -> None:
    """On the last wire: the arm stays in its range and comes to rest; nothing else is promised."""
    told = run_real_time(STUCK, seed=4, stuck=0.02)
    write(table, "gate in real time, commands 1 to 500 ms late", told, 4)
    assert told.broken() == set()


def lost_in_a_row(lost: int, seed: int, told: Told) -> bool:
    """Lose so many requests of an arm that moves; return whether its session goes on."""
    one = RealTime(seed, told, wires=(Wire(),), calm=True)
    one.run(20)
    assert one.machine.state is GateState.ACTIVE
    session, one.burst = one.machine.session, lost
    one.run(lost + 5)
    return one.machine.session == session and one.machine.state is GateState.ACTIVE


def wrong_ends(runs: int, seed: int, told: Told, lost: range) -> int:
    """Return how many arms stopped for fewer than 4 lost requests, or went on after more than 6.

    The gate waits for 0.1 s, six periods, for a request that goes on from where the arm is. After
    four that are lost the next may not, and the one after that comes in the sixth period: four to
    six may do either.
    """
    wrong = 0
    for number in lost:
        for run in range(runs):
            goes_on = lost_in_a_row(number, seed + 100 * run + number, told)
            wrong += (number < 4 and not goes_on) or (number > 6 and goes_on)
    return wrong


def test_an_arm_goes_on_after_a_few_lost_requests_and_stops_after_more() -> None:
    told = Told()
    assert wrong_ends(1, 0, told, range(1, MOST_LOST + 1, 3)) == 0 and told.broken() == set()


@pytest.mark.faults
def test_runs_of_one_to_twenty_five_lost_requests(table: Table) -> None:
    told, case = Told(), "gate in real time, 1 to 25 requests lost in a row"
    wrong = wrong_ends(RUNS, 50_000, told, range(1, MOST_LOST + 1))
    table.none_of(case, "wrong ends", wrong + len(told.broken()), RUNS * MOST_LOST, seed=50_000)
    assert wrong == 0 and told.broken() == set()


# -- planted -----------------------------------------------------------------------------------


def published_however_late(patch: pytest.MonkeyPatch) -> None:
    """A command is published however long after its decision."""
    judge = GateMachine._judge

    def any_time(machine: GateMachine, *given: Any) -> Command | None:
        command = judge(machine, *given)
        return None if command is None else replace(command, spare_s=0.1)

    patch.setattr(GateMachine, "_judge", any_time)


def any_late_way(patch: pytest.MonkeyPatch) -> None:
    """The way on which a late command is joined is always fine."""
    late_way = Gate._late_way
    patch.setattr(Gate, "_late_way", lambda self, *given: (late_way(self, *given)[0], True))


def no_take_over(patch: pytest.MonkeyPatch) -> None:
    """Late commands are taken for commands in time."""
    patch.setattr(Gate, "take_over", lambda self, late: self._trajectory)


def whole_periods(patch: pytest.MonkeyPatch) -> None:
    """Starts that were moved by less than a period are taken for whole periods."""
    skip = Gate.skip
    patch.setattr(Gate, "skip", lambda self, periods: skip(self, round(periods)))


@pytest.mark.parametrize(
    "plant",
    [
        any_late_way,
        published_however_late,
        pytest.param(no_take_over, marks=pytest.mark.faults),
        pytest.param(whole_periods, marks=pytest.mark.faults),
    ],
    ids=lambda plant: plant.__name__,
)
def test_a_planted_defect_is_seen(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, table: Table
) -> None:
    """Without it nothing is seen in the same run: that is the first test here."""
    plant(monkeypatch)
    seen = run_real_time(400, seed=0).broken()
    what = str(plant.__doc__).rstrip(".")
    table.none_of(f"planted: {what}", "not seen", int("acceleration" not in seen), 1, seed=None)
    assert {"acceleration", "jerk"} <= seen, seen
