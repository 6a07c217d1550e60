"""Policies that act: beside the ticks or within them, late, failing, told of what is committed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim2arm.core.acting import Acting
from sim2arm.core.contract import Contract, ExecutorSpec
from sim2arm.core.executor import ChunkExhausted
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.spec import ArraySpec
from tests.builders import make_contract

HORIZON, PERIOD = 8, round(1e9 / 60.0)
AHEAD = ExecutorSpec(kind="ahead", execute=4, delay=2)
PREFIX = (
    ArraySpec(name="prefix", kind="prefix", shape=(HORIZON, 7)),
    ArraySpec(name="prefix_known", kind="prefix", shape=(HORIZON,)),
)


def contract_of(executor: ExecutorSpec, *, told: bool = False) -> Contract:
    base = as_joint_targets(make_contract())
    return replace(
        base, action=replace(base.action, horizon=HORIZON), executor=executor,
        inputs=(*base.inputs, *(PREFIX if told else ())),
    )  # fmt: skip


class Counting:
    """A policy whose n-th chunk is n + 0.01 k at entry k; it may wait for a word."""

    def __init__(self) -> None:
        self.seen: list[dict[str, NDArray[Any]]] = []
        self.go = threading.Event()
        self.go.set()
        self.fails = False

    def reset(self) -> None:
        self.seen.clear()

    def act(self, obs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        assert self.go.wait(5.0)
        if self.fails:
            raise ValueError("no answer")
        self.seen.append(dict(obs))
        values = len(self.seen) + 0.01 * np.arange(HORIZON)
        return np.broadcast_to(values[None, :, None], (1, HORIZON, 7)).astype(np.float32)


def run(acting: Acting, ticks: range) -> list[float]:
    return [
        round(float(acting.act({"tick": np.full((1, 1), k)}, k * PERIOD)[0, 0]), 2) for k in ticks
    ]


def test_within_the_ticks() -> None:
    policy = Counting()
    acting = Acting(policy, contract_of(AHEAD))
    acting.begin()
    first = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05]
    assert run(acting, range(10)) == [*first, 2.02, 2.03, 2.04, 2.05]
    assert [int(seen["tick"][0, 0]) for seen in policy.seen] == [0, 4, 8]
    acting.begin()
    assert run(acting, range(2)) == [1.0, 1.01]


def test_beside_the_ticks_a_slow_policy_stops_nothing() -> None:
    policy = Counting()
    acting = Acting(policy, contract_of(AHEAD), beside=True)
    acting.begin()
    assert run(acting, range(4)) == [1.0, 1.01, 1.02, 1.03]
    policy.go.clear()  # the second chunk, of tick 4, takes until tick 7
    assert run(acting, range(4, 7)) == [1.04, 1.05, 1.06]
    assert acting.late == 1
    policy.go.set()
    while acting.asked and not policy.seen[1:]:
        pass
    acting_values = run(acting, range(7, 8))
    assert acting_values in ([2.03], [1.07])  # the answer may be a moment on its way
    acting.close()


def test_beside_the_ticks_a_policy_that_never_answers_ends_in_a_hold() -> None:
    policy = Counting()
    acting = Acting(policy, contract_of(AHEAD), beside=True)
    acting.begin()
    run(acting, range(4))
    policy.go.clear()
    run(acting, range(4, 8))
    with pytest.raises(ChunkExhausted):
        run(acting, range(8, 9))
    policy.go.set()
    acting.begin()  # waits for it and forgets what it answered
    assert run(acting, range(1)) == [1.0]
    acting.close()


def test_beside_the_ticks_a_failure_is_told() -> None:
    policy = Counting()
    acting = Acting(policy, contract_of(AHEAD), beside=True)
    acting.begin()
    run(acting, range(4))
    policy.fails = True
    with pytest.raises(ValueError, match="no answer"):
        for k in range(4, 8):
            run(acting, range(k, k + 1))
            threading.Event().wait(0.05)
    acting.close()


def test_the_policy_is_told_what_is_committed() -> None:
    policy = Counting()
    acting = Acting(policy, contract_of(AHEAD, told=True))
    acting.begin()
    run(acting, range(5))
    assert not policy.seen[0]["prefix_known"].any()
    assert policy.seen[1]["prefix_known"][0].tolist() == [1.0, 1.0, *[0.0] * 6]
    assert policy.seen[1]["prefix"][0, :3, 6] == pytest.approx([1.04, 1.05, 0.0])


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        (replace(AHEAD, delay=0), "delay: kind ahead needs 1 to 4"),
        (replace(AHEAD, delay=5), "delay: kind ahead needs 1 to 4"),
        (replace(AHEAD, execute=7), "need a horizon of 9, got 8"),
        (ExecutorSpec(kind="receding", execute=2, delay=1), "expected 0, or 1 and more of kind"),
    ],
)
def test_executors_that_do_not_fit(executor: ExecutorSpec, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        contract_of(executor)


def test_prefixes_that_do_not_fit() -> None:
    contract = contract_of(AHEAD, told=True)
    for inputs, said in (
        (contract.inputs[:-1], "inputs of kind prefix: expected"),
        ((*contract.inputs[:-1], replace(PREFIX[1], shape=(3,))), "expected shape"),
    ):
        with pytest.raises(ValueError, match=said):
            replace(contract, inputs=inputs)
    with pytest.raises(ValueError, match="only an executor of kind ahead"):
        replace(contract, executor=ExecutorSpec(kind="receding", execute=2))
