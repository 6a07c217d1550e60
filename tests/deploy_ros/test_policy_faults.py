"""What a policy sees and says goes wrong by the thousand: of another time, no numbers, absurd."""

# pyright: standard

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.table import Row
from sim2arm.core.contract import Contract
from sim2arm.core.executor import ChunkExhausted
from sim2arm.core.robots import FR3
from sim2arm.core.spec import ArraySpec, StaleReading
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm_ros.gate import Gate, GateCfg
from sim2arm_ros.policy_session import PolicySession
from tests.tables import Table

from .swinging import swinging_contract, write_swinging

DT_NS = round(1e9 / 60.0)
HOME = np.asarray(FR3.home)
POSE = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
START = 10**10
SCHEDULES, VECTORS, ANSWERS = 10_000, 100_000, 20_000
ABSURD = (1e5, -1e5, 3e38)
NONE = (np.nan, np.inf, -np.inf)


class Answering:
    """Stands for OnnxPolicy: answers with what it is told."""

    def __init__(self, contract: Contract) -> None:
        self.contract, self.answer = contract, np.zeros(contract.action.dim, dtype=np.float32)

    def reset(self, seeds: Any = None) -> None:
        pass

    def act(self, obs: dict[str, Any]) -> np.ndarray:
        return np.tile(self.answer, (1, self.contract.action.horizon, 1))


# -- of another time ---------------------------------------------------------------------------


def seeing_contract() -> Contract:
    """Return a contract with a picture, depth and the forces on gels beside joints and goal."""

    def sensor(name: str, shape: tuple[int, ...], dtype: Any, unit: str, age: float) -> ArraySpec:
        return ArraySpec(
            name=name, kind="sensor", shape=shape, dtype=dtype, unit=unit,
            max_stamp_age_s=age, max_receipt_age_s=age,
        )  # fmt: skip

    contract = swinging_contract(max_age_s=0.02)
    more = (
        sensor("scene_rgb", (4, 6, 3), "uint8", "1", 0.1),
        sensor("scene_depth", (4, 6), "float32", "m", 0.1),
        sensor("touch_field", (2, 3, 2, 3), "float32", "N", 0.06),
    )
    return replace(contract, inputs=(*contract.inputs, *more))


STAMPS: dict[str, Callable[[np.random.Generator, int], int]] = {
    "lost": lambda random, now: -1,
    "old": lambda random, now: now - int(random.integers(0, 200_000_000)),
    "ahead": lambda random, now: now + int(random.integers(0, 10_000_000)),
    "without": lambda random, now: 0,
    "another clock": lambda random, now: now + int(random.choice([-1, 1])) * 5 * 10**9,
    "late": lambda random, now: now - int(random.integers(0, 30_000_000)),
}


@dataclass
class Ticks:
    """What came of ticks."""

    wrong: list[str] = field(default_factory=list[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    """Ticks that were refused, by the fault that was under way."""
    used: int = 0


def run_schedules(count: int, seed: int) -> Ticks:
    """Let one input of six go wrong for a while, again and again; judge each tick by what came."""
    session = PolicySession(Answering(seeing_contract()), FR3)  # type: ignore[arg-type]
    random, told, now = np.random.default_rng(seed), Ticks(), START
    specs = {spec.name: spec for spec in session.sampled}
    newest: dict[str, tuple[int, int]] = {}
    values = {name: value_of(spec) for name, spec in specs.items()}
    for _ in range(count):
        wrong, fault = str(random.choice([*specs])), str(random.choice([*STAMPS]))
        first, last = sorted(random.integers(0, 16, 2))
        for tick in range(16):
            now += DT_NS + int(random.integers(-2_000_000, 2_000_000))
            broken = first <= tick <= last
            for name, spec in specs.items():
                stamp = now - int(random.integers(0, 3_000_000))
                if broken and name == wrong:
                    stamp = STAMPS[fault](random, now)
                if stamp < 0:
                    continue
                session.push(name, values[name], stamp, now, now)
                known = newest.get(name, (0, 0))[0]
                by = now if spec.clock == "receipt" else stamp
                if 0 < by <= now + 5_000_000 and by > known:
                    newest[name] = by, now
            judge(session, specs, newest, now, fault if broken else "none", told)
    return told


def value_of(spec: ArraySpec) -> np.ndarray:
    """Return a reading of an input that is as it should be."""
    known = {"goal_pose": POSE, "joint_position": HOME}
    value = known.get(spec.name)
    return (np.zeros(spec.shape) if value is None else value).astype(spec.dtype)


def judge(
    session: PolicySession, specs: dict[str, ArraySpec], newest: dict[str, tuple[int, int]],
    now: int, fault: str, told: Ticks,
) -> None:  # fmt: skip
    """Sample, and compare with what may be used by the contract's words."""
    old: list[str] = []
    for name, spec in specs.items():
        stamp, receipt = newest.get(name, (-(10**12), -(10**12)))
        limits = (spec.max_stamp_age_s, now - stamp), (spec.max_receipt_age_s, now - receipt)
        if any(most is not None and age > most * 1e9 for most, age in limits):
            old.append(name)
    try:
        session.sample(now, now)
    except StaleReading as error:
        told.refused[fault] += 1
        if not any(repr(name) in str(error) for name in old):
            told.wrong.append(f"{fault}: refused though fine: {error}")
        return
    told.used += 1
    if old:
        told.wrong.append(f"{fault}: used though {old} too old")


def assert_schedules(told: Ticks) -> None:
    assert told.wrong == []
    assert told.used > told.refused.total() > 0
    assert set(told.refused) >= set(STAMPS) - {"late", "ahead"}


def test_no_tick_uses_an_input_of_another_time_and_none_is_refused_without_cause() -> None:
    assert_schedules(run_schedules(300, seed=0))


@pytest.mark.faults
def test_ten_thousand_schedules_of_all_inputs(table: Table) -> None:
    told, case = run_schedules(SCHEDULES, seed=1), "policy, six inputs of another time"
    ticks = 16 * SCHEDULES
    table.none_of(case, "ticks judged wrongly", len(told.wrong), ticks, seed=1)
    rows = [Row(case=case, metric=f"refused: {kind}", value=n) for kind, n in told.refused.items()]
    table.add(Row(case=case, metric="used", value=told.used), *rows)
    assert_schedules(told)


# -- no numbers, or absurd ones ----------------------------------------------------------------


@dataclass
class Vectors:
    """What came of vectors."""

    harm: int = 0
    """Requests of numbers that are none, or what a gate made of a request broke a limit."""
    refused: int = 0
    asked: int = 0
    held: int = 0
    """Requests that the gate did not let through."""


class Asked:
    """One policy before a gate, both of which go on after each vector, whatever it was."""

    def __init__(self, session: PolicySession, seed: int) -> None:
        self.session, self.told = session, Vectors()
        self.random, self.now = np.random.default_rng(seed), START
        self.gate = Gate(FR3, 1.0 / 60.0, GateCfg(), HOME[None])
        self.good = {spec.name: value_of(spec) for spec in session.sampled}
        self._begin()

    def _begin(self) -> None:
        self.push({})
        self.session.begin(self.gate.commanded()[0][0])
        self.fresh = True

    def push(self, bad: dict[str, np.ndarray]) -> None:
        """Send all inputs of a tick."""
        self.now += DT_NS
        for name, value in (self.good | bad).items():
            self.session.push(name, value, self.now, self.now, self.now)

    def tick(self, bad: dict[str, np.ndarray], none: bool) -> None:
        """Ask for a request, with inputs that are wrong; let the gate judge it.

        Args:
            bad: inputs.
            none: whether numbers that are none are among what is seen or said.
        """
        told = self.told
        try:
            self.push(bad)
            sampled = self.session.sample(self.now, self.now)
            request = self.session.act(sampled, self.now, self.now)
        except (ValueError, StaleReading, ChunkExhausted) as error:
            told.refused += 1
            told.harm += "\n" in str(error)
            self._begin()
            return
        told.asked += 1
        told.harm += none or not np.isfinite([request.q, request.dq]).all()
        decision = self.gate.step(request.q[None], request.dq[None])
        way, limits = decision.trajectory, FR3.limits
        inside = np.all((way.q >= limits.q_min) & (way.q <= limits.q_max))
        told.harm += not (inside and np.all(np.abs(way.dq) <= np.array(limits.dq_max) + 1e-9))
        if decision.share[0] == 0.0:
            told.held += 1
            while not self.gate.standing.all():
                self.gate.stop()
            self._begin()


def broken(random: np.random.Generator, value: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return an array of which some numbers are none or absurd, and whether any is none."""
    found = value.astype(value.dtype, copy=True).ravel()
    where = random.random(found.size) < 0.2
    where[random.integers(found.size)] = True
    chosen = random.choice([*NONE, *ABSURD], int(where.sum()))
    found[where] = chosen
    return found.reshape(value.shape), not np.isfinite(chosen).all()


def wrong_inputs(bundle: Path, count: int, seed: int) -> Vectors:
    """Give an exported policy inputs that are none or absurd."""
    asked = Asked(PolicySession(OnnxPolicy(bundle), FR3), seed)
    names = [*asked.good]
    for _ in range(count):
        name = str(asked.random.choice(names))
        value, none = broken(asked.random, asked.good[name])
        asked.tick({name: value}, none)
    return asked.told


def wrong_answers(count: int, seed: int) -> Vectors:
    """Let a policy answer what is none or absurd."""
    policy = Answering(swinging_contract())
    asked = Asked(PolicySession(policy, FR3), seed)  # type: ignore[arg-type]
    for _ in range(count):
        for _ in range(2):  # in motion, so that there is something to go wrong
            policy.answer = asked.random.uniform(-1.0, 1.0, 6).astype(np.float32)
            asked.tick({}, none=False)
        policy.answer, none = broken(asked.random, policy.answer)
        asked.tick({}, none)
    return asked.told


def assert_vectors(told: Vectors, count: int) -> None:
    assert told.harm == 0
    assert told.refused > 0.4 * count and told.asked > 0


def test_no_request_comes_of_inputs_that_are_no_numbers(tmp_path: Path) -> None:
    assert_vectors(wrong_inputs(write_swinging(tmp_path / "bundle"), 400, seed=0), 400)


def test_no_request_comes_of_answers_that_are_no_numbers() -> None:
    told = wrong_answers(400, seed=0)
    assert_vectors(told, 400)
    assert told.asked > 800


@pytest.mark.faults
def test_a_hundred_thousand_inputs_with_numbers_that_are_none(tmp_path: Path, table: Table) -> None:
    told = wrong_inputs(write_swinging(tmp_path / "bundle"), VECTORS, seed=1)
    write(table, "policy, inputs with NaN, infinities and 1e5", told, VECTORS)
    assert_vectors(told, VECTORS)


@pytest.mark.faults
def test_twenty_thousand_answers_with_numbers_that_are_none(table: Table) -> None:
    told = wrong_answers(ANSWERS, seed=1)
    write(table, "policy, answers with NaN, infinities and 1e5", told, ANSWERS)
    assert_vectors(told, ANSWERS)


def write(table: Table, case: str, told: Vectors, count: int) -> None:
    """Add what came of vectors to the table."""
    table.none_of(case, "requests of them, broken limits", told.harm, count, seed=1)
    for metric in ("refused", "asked", "held"):
        table.add(Row(case=case, metric=metric, value=getattr(told, metric)))
