"""Faults of the gate by the thousand: stale and wrong inputs, numbers that are none."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest

from sim2arm.cli.table import Row
from sim2arm.core.robots import FR3
from sim2arm_ros.gate import Gate, GateCfg
from tests.deploy_ros.schedules import DT, JOINT_FAULTS, REQUEST_FAULTS, Told, run_schedules
from tests.tables import Table

SCHEDULES, VECTORS = 10_000, 100_000


def assert_no_wrong(told: Told, schedules: int) -> None:
    assert told.wrong == []
    assert told.commands > 8 * schedules
    # Each fault stops the arm somewhere; what comes again is ignored until it is too old.
    kinds = {*JOINT_FAULTS, *REQUEST_FAULTS} - {"again"}
    assert set(told.stops) >= kinds, kinds - set(told.stops)


def test_no_command_comes_of_stale_or_wrong_inputs() -> None:
    assert_no_wrong(run_schedules(60), 60)


@pytest.mark.faults
def test_ten_thousand_stale_schedules(table: Table) -> None:
    told = run_schedules(SCHEDULES, seed=1000)
    case = f"gate, {len(JOINT_FAULTS)} faults of joint states and {len(REQUEST_FAULTS)} of requests"
    table.none_of(case, "schedules with a wrong command", len(told.wrong), SCHEDULES, seed=1000)
    table.add(
        Row(case=case, metric="commands", value=told.commands),
        *(Row(case=case, metric=f"stops: {kind}", value=n) for kind, n in told.stops.items()),
    )
    assert_no_wrong(told, SCHEDULES)


def broken(count: int, arms: int, seed: int = 0) -> tuple[int, int]:
    """Ask for vectors of which some numbers are none; return how many were let in, how many tried.

    An arm that is asked such a thing goes on to the end of what was approved before, and no more.
    """
    random, home = np.random.default_rng(seed), np.asarray(FR3.home)
    q = np.tile(home, (arms, 1))
    gate, wrong, tried = Gate(FR3, DT, GateCfg(), q), 0, 0
    while tried < count:
        for _ in range(2):  # in motion, so that there is something to go wrong
            q, dq, _ = gate.commanded()
            wanted = np.clip(dq + random.uniform(-0.1, 0.1, q.shape), -0.5, 0.5)
            gate.step(q + 0.5 * (dq + wanted) * DT, wanted)
        rest = gate._trajectory
        q, dq, _ = gate.commanded()
        ask = [q + 0.5 * dq * DT, dq.copy()]
        where = random.random((2, *q.shape)) < 0.1
        where[0, :, 0] |= ~where.any(axis=(0, 2))
        for part, bad in zip(ask, where, strict=True):
            part[bad] = random.choice([np.nan, np.inf, -np.inf], int(bad.sum()))
        before = rest.q.copy(), rest.dq.copy(), rest.times.copy()
        decision = gate.step(*ask)
        way = decision.trajectory
        same = [
            (old == new).reshape(arms, -1).all(axis=1)
            for old, new in zip(before, (way.q, way.dq, way.times), strict=True)
        ]
        fine = np.logical_and.reduce([*same, decision.share == 0.0, decision.limit == -2])
        wrong += int((~fine).sum())
        tried += arms
    return wrong, tried


def test_no_number_that_is_none_is_published() -> None:
    assert broken(400, arms=100) == (0, 400)


@pytest.mark.faults
def test_a_hundred_thousand_vectors_with_numbers_that_are_none(table: Table) -> None:
    wrong, tried = broken(VECTORS, arms=1000, seed=1)
    table.none_of("gate, requests with NaN and infinities", "published", wrong, tried, seed=1)
    assert wrong == 0
