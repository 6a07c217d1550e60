"""Deadlines on a fake clock, and every fault of a clock that is watched."""

import time

import pytest

from sim2arm.core.clock import ClockGuard, ClockGuardCfg, Tick, Ticker, steady_ns

MS = 1_000_000


class FakeTime:
    """A clock that only sleeping and working move."""

    def __init__(self) -> None:
        self.ns = 5 * MS
        self.oversleep: list[int] = []
        """Error of the next sleeps [ns], then 0."""

    def now(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9) + (self.oversleep.pop(0) if self.oversleep else 0)


def make_ticker(period_s: float = 0.01, grace: float = 0.5) -> tuple[FakeTime, Ticker]:
    clock = FakeTime()
    return clock, Ticker(period_s, clock.now, clock.sleep, grace=grace)


def seen(tick: Tick) -> tuple[int, float, int]:
    return tick.number, round(tick.lateness * 1e3, 6), tick.missed  # lateness [ms]


def test_ticks_lie_on_absolute_deadlines() -> None:
    clock, ticker = make_ticker()
    assert seen(ticker.wait()) == (0, 0.0, 0)  # at once, 5 ms
    clock.ns += 3 * MS  # work takes part of the period and does not move the deadlines
    assert seen(ticker.wait()) == (1, 0.0, 0) and clock.ns == 15 * MS
    clock.ns += 9 * MS
    assert seen(ticker.wait()) == (2, 0.0, 0) and clock.ns == 25 * MS


def test_no_drift_after_an_hour_at_60_hz() -> None:
    clock, ticker = make_ticker(1 / 60)
    ticker.wait()
    # 216000 periods of 1/60 s are 3600 s; a period rounded to whole ns would be 72 us off.
    assert ticker.deadline_ns(216_000) == 5 * MS + 3600 * 1000 * MS
    assert [ticker.wait().number for _ in range(60)][-1] == 60
    assert clock.ns == 5 * MS + 1000 * MS


def test_a_little_late_starts_at_once_and_the_next_deadline_stays() -> None:
    clock, ticker = make_ticker()
    ticker.wait()
    clock.ns += 12 * MS  # the deadline was 2 ms ago
    assert seen(ticker.wait()) == (1, 2.0, 0)
    assert seen(ticker.wait()) == (2, 0.0, 0) and clock.ns == 25 * MS


def test_missed_deadlines_are_skipped_and_counted_never_made_up_for() -> None:
    clock, ticker = make_ticker()
    ticker.wait()
    clock.ns += 47 * MS  # deadlines 10 20 30 40 passed; 40 is 7 ms late, above the grace: 50
    assert seen(ticker.wait()) == (5, 0.0, 4) and clock.ns == 55 * MS
    clock.ns += 34 * MS  # 60 70 80 passed; 80 is 4 ms late, within the grace
    assert seen(ticker.wait()) == (8, 4.0, 2)
    assert seen(ticker.wait()) == (9, 0.0, 0)
    assert ticker.missed == 6


def test_grace_at_its_edge() -> None:
    for late, expected in ((5 * MS, (1, 5.0, 0)), (5 * MS + 1, (2, 0.0, 1))):
        clock, ticker = make_ticker()
        ticker.wait()
        clock.ns += 10 * MS + late
        assert seen(ticker.wait()) == expected


def test_without_grace_only_the_future_counts() -> None:
    clock, ticker = make_ticker(grace=0.0)
    ticker.wait()
    clock.ns += 12 * MS
    assert seen(ticker.wait()) == (2, 0.0, 1)


def test_sleeps_that_return_early_or_late() -> None:
    clock, ticker = make_ticker()
    ticker.wait()
    clock.oversleep = [-1 * MS, -1, 2 * MS]  # early twice, then the last 1 ns takes 2 ms
    assert seen(ticker.wait()) == (1, 2.0, 0)
    clock.oversleep = [26 * MS]  # until 46 ms: tick 4 is 6 ms late, skipped as well
    assert seen(ticker.wait()) == (5, 0.0, 3)


def test_restart_begins_again() -> None:
    clock, ticker = make_ticker()
    ticker.wait()
    clock.ns += 100 * MS
    ticker.restart()
    assert seen(ticker.wait()) == (0, 0.0, 0)
    assert seen(ticker.wait()) == (1, 0.0, 0) and clock.ns == 115 * MS


def test_on_the_real_clock_no_tick_is_early() -> None:
    ticker = Ticker(0.002)
    ticker.wait()
    for _ in range(20):
        tick = ticker.wait()
        assert tick.lateness >= 0 and steady_ns() >= ticker.deadline_ns(tick.number)


def test_wrong_arguments() -> None:
    for period in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="period_s: expected more than 0"):
            Ticker(period)
    with pytest.raises(ValueError, match="grace"):
        Ticker(0.01, grace=1.0)
    with pytest.raises(RuntimeError, match="first wait"):
        Ticker(0.01).deadline_ns(1)
    with pytest.raises(ValueError, match="freeze and jump"):
        ClockGuardCfg(freeze=0.0)


def test_steady_time_is_the_monotonic_clock() -> None:
    before = time.monotonic_ns()
    assert before <= steady_ns() <= time.monotonic_ns()


def kinds(guard: ClockGuard, pairs: list[tuple[int, int]]) -> list[str | None]:
    """Return the kinds of faults at (clock, steady) times [ms]."""
    faults = [guard.check(clock * MS, steady * MS) for clock, steady in pairs]
    return [None if fault is None else fault.kind for fault in faults]


def test_a_good_clock_may_run_at_another_speed_and_start_anywhere() -> None:
    guard = ClockGuard()
    pairs = [(10**9 + 3 * t, 16 * t) for t in range(1, 200)]  # a slow simulation
    pairs += [(pairs[-1][0] + 40 * t, pairs[-1][1] + 16 * t) for t in range(1, 200)]  # a fast one
    assert set(kinds(guard, pairs)) == {None}


def test_a_frozen_clock_is_reported_until_it_moves() -> None:
    # Stands at 20 from steady time 20 on; 100 ms are allowed, so 121 is the first fault.
    pairs = [(10, 10), (20, 20), (20, 70), (20, 120), (20, 121), (20, 200), (30, 210)]
    assert kinds(ClockGuard(), pairs) == [None] * 4 + ["frozen"] * 2 + [None]


def test_a_lock_step_may_stop_its_clock() -> None:
    guard = ClockGuard(ClockGuardCfg(freeze=None))
    assert kinds(guard, [(10, 10), (10, 10_000), (20, 20_000)]) == [None] * 3


def test_jumps_are_reported_once() -> None:
    # 16 ms pass, the clock advances by 516 ms: 500 too much is allowed, 501 is not.
    pairs = [(100, 0), (616, 16), (1133, 32), (1149, 48), (1148, 64), (1164, 80)]
    assert kinds(ClockGuard(), pairs) == [None, None, "forward", None, "backward", None]


def test_a_process_that_was_stopped_is_not_a_jump() -> None:
    assert kinds(ClockGuard(), [(100, 0), (5_100, 5_000)]) == [None, None]


def test_a_clock_that_has_not_started_is_no_base_for_a_jump() -> None:
    assert kinds(ClockGuard(), [(0, 0), (0, 16), (10**6, 32), (10**6 + 16, 48)]) == [
        "not started",
        "not started",
        None,
        None,
    ]


def test_messages_say_how_much_and_what_is_allowed() -> None:
    guard = ClockGuard(name="/clock")
    guard.check(1000 * MS, 0)
    faults = [guard.check(3000 * MS, 20 * MS), guard.check(2500 * MS, 40 * MS)]
    faults.append(guard.check(2500 * MS, 190 * MS))
    assert [fault.message for fault in faults if fault] == [
        "/clock jumped ahead by 1.980 s, allowed 0.5 s",
        "/clock went back by 0.500 s",
        "/clock stands still for 0.150 s, allowed 0.1 s",
    ]


def test_restart_forgets_the_time() -> None:
    guard = ClockGuard()
    assert kinds(guard, [(5000, 0)]) == [None]
    guard.restart()
    assert kinds(guard, [(10, 16)]) == [None]
