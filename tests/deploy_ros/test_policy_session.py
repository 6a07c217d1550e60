# pyright: standard
"""From readings to requests, with a policy that the test writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.table import Row
from sim2arm.core.contract import Contract, ExecutorSpec
from sim2arm.core.executor import ChunkExhausted
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import FR3
from sim2arm.core.spec import History, StaleReading
from sim2arm.sim.specs import gripper_spec
from sim2arm_ros.gate import Gate, GateCfg
from sim2arm_ros.policy_session import PolicySession
from tests.tables import Table

from .swinging import swinging_contract

DT_NS = round(1e9 / 60.0)
HOME = np.asarray(FR3.home)
POSE = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
START = 10**10
SKEWS = 10_000


class Scripted:
    """Stands for OnnxPolicy: answers with a function of the call's number."""

    def __init__(self, contract: Contract, answer: Callable[[int], Any]) -> None:
        self.contract, self.answer = contract, answer
        self.calls, self.resets = 0, 0
        self.seen: list[dict[str, Any]] = []

    def reset(self, seeds: Any = None) -> None:
        self.resets += 1
        self.calls = 0

    def act(self, obs: dict[str, Any]) -> np.ndarray:
        self.seen.append(obs)
        self.calls += 1
        action = self.contract.action
        chunk = np.zeros((1, action.horizon, action.dim), dtype=np.float32)
        chunk[:] = self.answer(self.calls - 1)
        return chunk


def push_all(session: PolicySession, stamp: int, q: np.ndarray = HOME) -> None:
    values = {"joint_position": q, "joint_velocity": np.zeros(7), "goal_pose": POSE}
    for spec in session.sampled:
        value = np.asarray(values[spec.name], dtype=spec.dtype)
        session.push(spec.name, value, stamp, stamp, stamp)


def make_session(
    answer: Callable[[int], Any] = lambda k: 0.3,
    contract: Contract | None = None,
    max_skew_s: float | None = None,
) -> tuple[PolicySession, Scripted]:
    """Return a session at home that has one reading of each input."""
    policy = Scripted(contract or swinging_contract(), answer)
    session = PolicySession(policy, FR3, max_skew_s=max_skew_s)  # type: ignore[arg-type]
    push_all(session, START)
    session.begin(HOME)
    return session, policy


def act(session: PolicySession, tick: int, skipped: int = 0) -> Any:
    now = START + tick * DT_NS
    push_all(session, now)
    return session.act(session.sample(now, now), now, now, skipped)


def gripping_contract() -> Contract:
    """Steps of the tool, and a share of the opening; the policy does not see the width."""
    contract = swinging_contract()
    action, element = contract.action, (*contract.action.element_names, "gripper")
    wider = {
        name: (*getattr(action, name), value)
        for name, value in (("scale", 0.04), ("low", -1.0), ("high", 1.0))
        if getattr(action, name)
    }
    gripper = gripper_spec(FR3, acts=True)
    action = replace(action, dim=7, element_names=element, **wider)
    return replace(contract, action=action, gripper=gripper)


def test_a_wanted_width_begins_where_the_gripper_stands() -> None:
    contract = gripping_contract()
    answers = [0.0, 0.04, 1.0, 0.97]  # 40, 41.6 (less than 2 mm more), 80, 78.8 mm
    policy = Scripted(contract, lambda k: [*[0.0] * 6, answers[k]])
    session = PolicySession(policy, FR3)  # type: ignore[arg-type]
    push_all(session, START)
    with pytest.raises(ValueError, match="input 'gripper_width': nothing received yet"):
        session.begin(HOME)
    assert session.push("gripper_width", np.array([0.041]), START, START, START)
    session.begin(HOME)
    widths = [act(session, k + 1).width for k in range(4)]
    assert widths == pytest.approx([0.041, 0.041, 0.08, 0.08])
    session.requests.width = 0.0813  # fingers lean on a soft stop
    session.begin(HOME)
    assert act(session, 6).width == 0.04


def test_observations_are_the_contract_s_with_the_derived_ones() -> None:
    session, policy = make_session()
    request = act(session, 1)
    obs = policy.seen[-1]
    assert set(obs) == {"joint_position", "joint_velocity", "ee_pose", "goal_pose"}
    assert all(value.shape == (1, 7) and value.dtype == np.float32 for value in obs.values())
    expected = forward_pose(FR3.chain, HOME[None]).astype(np.float32)
    np.testing.assert_array_equal(obs["ee_pose"], expected)
    assert (request.tick, request.stamp_ns) == (0, START + DT_NS)
    np.testing.assert_array_equal(session.action, np.full(6, 0.3, np.float32))


def test_the_controller_sees_joints_as_measured_whatever_the_policy_sees() -> None:
    """Without a derived input, too: rounded to float32, the leash would be another."""
    contract = swinging_contract()
    inputs = tuple(spec for spec in contract.inputs if spec.kind != "derived")
    session, policy = make_session(contract=replace(contract, inputs=inputs))
    q = HOME + 1e-9
    push_all(session, START + DT_NS, q)
    sampled = session.sample(START + DT_NS, START + DT_NS)
    np.testing.assert_array_equal(sampled["joint_position"], q)
    session.act(sampled, START + DT_NS, START + DT_NS)
    assert policy.seen[-1]["joint_position"].dtype == np.float32


def test_warm_up_leaves_no_trace() -> None:
    session, policy = make_session()
    session.warm_up()
    assert len(policy.seen) == 10 and policy.calls == 0  # asked, then reset
    session.begin(HOME)
    assert policy.calls == 0 and session.requests.tick == 0


def test_every_session_has_its_own_name() -> None:
    session, _ = make_session()
    names = set()
    for _ in range(20):
        session.begin(HOME)
        names.add(session.requests.session)
    assert len(names) == 20
    assert all(name.isalnum() and len(name) <= 64 for name in names)


@pytest.mark.parametrize("skipped", [1, 2, 3])
def test_the_gate_passes_unslowed_what_follows_on_skipped_ticks(
    skipped: int,
) -> None:
    """One tick coasts: exact. More follow the stop: what is asked next fits where the arm is."""
    session, _ = make_session(lambda k: np.array([0.0, 0.5, 0.0, 0.0, 0.0, 0.0]))
    gate = Gate(FR3, 1.0 / 60.0, GateCfg(), HOME[None])
    tick = 0
    for _ in range(30):
        tick += 1
        request = act(session, tick)
        assert gate.step(request.q[None], request.dq[None]).share[0] == 1.0
    tick += 1 + skipped
    request = act(session, tick, skipped)
    assert request.tick == 30 + skipped
    gate.skip(skipped)
    assert gate.step(request.q[None], request.dq[None]).share[0] == 1.0


def test_input_that_is_too_old_or_missing_is_an_error() -> None:
    session, _ = make_session()
    with pytest.raises(StaleReading, match=r"joint_position.* age"):
        session.sample(START + 10**9, START + 10**9)
    session.forget()
    with pytest.raises(StaleReading, match="nothing received"):
        session.sample(START, START)


def test_sensors_that_are_too_far_apart_are_an_error() -> None:
    session, _ = make_session(max_skew_s=0.05)
    far = START + 60_000_000  # positions go on, velocities stay behind, both young enough
    values = {spec.name: HOME.astype(spec.dtype) for spec in session.sampled}
    session.push("joint_position", values["joint_position"], far, far, far)
    with pytest.raises(
        StaleReading, match=r"'joint_velocity' and 'joint_position' are 0\.060 s apart"
    ):
        session.sample(far, far)
    session.push("joint_velocity", values["joint_velocity"], far - 50_000_000, far, far)
    assert "joint_position" in session.sample(far, far)


def wrong_skews(count: int, seed: int) -> tuple[int, int]:
    """Send readings that are up to 80 ms apart; return how many were refused, and how many wrongly.

    50 ms are allowed. Each is young enough by itself.
    """
    session, _ = make_session(max_skew_s=0.05)
    random, refused, wrong, stamps = np.random.default_rng(seed), 0, 0, dict[str, int]()
    now = START
    sensors = [spec for spec in session.sampled if spec.kind == "sensor"]
    for _ in range(count):
        now += 100_000_000
        for spec in session.sampled:
            stamps[spec.name] = now - int(random.integers(0, 80_000_001))
            value = np.asarray(POSE if spec.name == "goal_pose" else HOME, dtype=spec.dtype)
            assert session.push(spec.name, value, stamps[spec.name], now, now)
        seen = [stamps[spec.name] for spec in sensors]
        try:
            session.sample(now, now)
            wrong += max(seen) - min(seen) > 50_000_000
        except StaleReading as error:
            refused += 1
            wrong += max(seen) - min(seen) <= 50_000_000 or "apart" not in str(error)
    return refused, wrong


def test_readings_are_refused_where_they_are_too_far_apart_and_only_there() -> None:
    refused, wrong = wrong_skews(200, seed=0)
    assert wrong == 0 and 10 < refused < 100


@pytest.mark.faults
def test_ten_thousand_readings_that_are_apart(table: Table) -> None:
    refused, wrong = wrong_skews(SKEWS, seed=1)
    case = "policy, readings up to 80 ms apart"
    table.none_of(case, "used or refused wrongly", wrong, SKEWS, seed=1)
    table.add(Row(case=case, metric="refused", value=refused))
    assert wrong == 0 and 0.05 * SKEWS < refused < 0.5 * SKEWS


def test_a_stamp_that_is_older_than_the_last_is_not_taken_until_all_is_forgotten() -> None:
    session, _ = make_session()
    value = HOME.astype(session.sampled[0].dtype)
    assert not session.push("joint_position", value, START - 1, START, START)
    session.forget()
    assert session.push("joint_position", value, START - 1, START, START)


def test_a_reset_starts_the_histories_with_the_newest_reading() -> None:
    contract = swinging_contract()
    inputs = tuple(
        replace(spec, history=History(of="frames", n=3)) if spec.name == "joint_position" else spec
        for spec in contract.inputs
        if spec.kind != "derived"
    )
    session, _ = make_session(contract=replace(contract, inputs=inputs))

    def history() -> list[float]:
        now = START + 5 * DT_NS
        return session.sample(now, now)["joint_position"][:, 0].tolist()

    for k in range(1, 6):
        push_all(session, START + k * DT_NS, HOME * 0.0 + k)
    assert history() == [3.0, 4.0, 5.0]
    session.begin(HOME)
    assert history() == [5.0, 5.0, 5.0]


def test_of_a_history_of_joints_the_controller_takes_the_newest() -> None:
    contract = swinging_contract()
    longer = tuple(
        replace(spec, history=History(of="frames", n=2)) if spec.name == "joint_position" else spec
        for spec in contract.inputs
    )
    plain, _ = make_session()
    session, policy = make_session(contract=replace(contract, inputs=longer))
    moved = HOME + np.linspace(0.0, 0.01, 7)
    for each in (plain, session):
        push_all(each, START + DT_NS, moved)
    now = START + DT_NS
    requests = [each.act(each.sample(now, now), now, now) for each in (plain, session)]
    assert policy.seen[-1]["joint_position"].shape == (1, 2, 7)
    np.testing.assert_array_equal(requests[0].q, requests[1].q)


def test_an_answer_that_is_not_finite_is_an_error() -> None:
    session, _ = make_session(lambda k: np.nan)
    with pytest.raises(ValueError, match="not finite"):
        act(session, 1)


def chunk_contract(kind: str, **executor: Any) -> Contract:
    spec = replace(swinging_contract().action, horizon=4)
    return swinging_contract(action=spec, executor=ExecutorSpec(kind=kind, **executor))  # type: ignore[arg-type]


def test_receding_chunks_are_asked_for_when_they_are_used_up() -> None:
    session, policy = make_session(
        lambda k: np.arange(4)[:, None] * 0.1 + k, chunk_contract("receding", execute=3)
    )
    seen = []
    for tick in range(1, 8):
        act(session, tick)
        seen.append(float(session.action[0]))
    assert policy.calls == 3
    np.testing.assert_allclose(seen, [0.0, 0.1, 0.2, 1.0, 1.1, 1.2, 2.0], atol=1e-6)


def test_skipped_ticks_drop_entries_of_a_chunk() -> None:
    session, policy = make_session(
        lambda k: np.arange(4)[:, None] * 0.1, chunk_contract("receding", execute=4)
    )
    act(session, 1)
    act(session, 3, skipped=1)
    assert policy.calls == 1
    assert float(session.action[0]) == pytest.approx(0.2)


def test_a_chunk_that_begins_later_has_nothing_for_now() -> None:
    contract = chunk_contract("receding", execute=4)
    late = replace(contract, action=replace(contract.action, t0_s=0.1))
    session, _ = make_session(contract=late)
    with pytest.raises(ChunkExhausted, match="next chunk begins"):
        act(session, 1)


def test_the_robot_s_own_chain_replaces_the_contract_s() -> None:
    session, policy = make_session()
    data = FR3.chain.to_dict()
    data["T_last_tool"][2][3] += 0.001
    session.use_chain(type(FR3.chain).from_dict(data))
    push_all(session, START + DT_NS)
    session.begin(HOME)
    act(session, 2)
    expected = forward_pose(session.requests.robot.chain, HOME[None]).astype(np.float32)
    np.testing.assert_array_equal(policy.seen[-1]["ee_pose"], expected)
    assert (expected != forward_pose(FR3.chain, HOME[None]).astype(np.float32)).any()


def test_release_names_the_session() -> None:
    session, _ = make_session()
    act(session, 1)
    request = session.requests.release(START)
    assert request.release and request.session == session.requests.session and request.tick == 1
