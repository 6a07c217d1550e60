"""The gate passes what is fine, slows what is not quite, stops at the rest; limits always hold."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.controllers import EeDelta, EeDeltaCfg
from sim2arm.core.kinematics import forward
from sim2arm.core.limits import velocity_bounds
from sim2arm.core.robots import FR3, ROBOTS
from sim2arm.core.trajectory import Trajectory, sample
from sim2arm.core.transforms import pose_from_matrix
from sim2arm_ros.gate import Gate, GateCfg, GateDecision
from tests.deploy_ros.apart import Array, distances

DT = 1.0 / 60.0


def make_gate(rows: int = 1, robot: str = "fr3", **overrides: Any) -> tuple[Gate, np.ndarray]:
    """Return a gate at home and the home position (rows, 7)."""
    q = np.tile(np.asarray(ROBOTS[robot].home), (rows, 1))
    return Gate(ROBOTS[robot], DT, GateCfg(**overrides), q), q  # pyright: ignore[reportArgumentType]


def published(decisions: list[GateDecision]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return q, dq, ddq (rows, ticks, 7) of what the arm executes, on the 1 kHz grid."""
    parts = []
    ticks = 0
    for k, decision in enumerate(decisions):
        count = int(np.ceil((k + 1) * DT * 1000 - 1e-9)) - ticks
        t = (ticks + np.arange(count)) / 1000 - k * DT
        parts.append(sample(decision.trajectory, decision.elapsed[:, None] + t)[:3])
        ticks += count
    q, dq, ddq = (np.concatenate([p[i] for p in parts], axis=1) for i in range(3))
    return q, dq, ddq


def assert_inside(q: np.ndarray, dq: np.ndarray, ddq: np.ndarray, robot: str) -> None:
    """Assert every limit on the published stream."""
    limits = ROBOTS[robot].limits
    slack = 1e-6
    assert (q >= np.asarray(limits.q_min) - slack).all()
    assert (q <= np.asarray(limits.q_max) + slack).all()
    low, high = velocity_bounds(limits, q)
    assert (dq <= high * (1 + 1e-4) + slack).all()
    assert (dq >= low * (1 + 1e-4) - slack).all()
    assert (np.abs(ddq) <= np.asarray(limits.ddq_max) * (1 + 1e-4)).all()
    jerk = np.diff(ddq, axis=1) * 1000
    assert (np.abs(jerk) <= np.asarray(limits.dddq_max) * (1 + 1e-2)).all()


@pytest.mark.parametrize("robot", sorted(ROBOTS))
def test_controller_motion_passes_unchanged(robot: str) -> None:
    gate, q = make_gate(8, robot)
    control = EeDelta(ROBOTS[robot], DT, EeDeltaCfg(), q.copy())
    rng = np.random.default_rng(0)
    for _ in range(40):
        measured = pose_from_matrix(forward(ROBOTS[robot].chain, control.motion.q))
        wanted = control.step(rng.uniform(-1, 1, (8, 6)), measured)
        decision = gate.step(*wanted)
        assert (decision.share == 1.0).all(), decision.reason(int(np.argmin(decision.share)))
        end, _, _, _ = sample(decision.trajectory, np.full((8, 1), DT))
        # Times are whole nanoseconds: half of one at 2.6 rad/s is 1.3e-9 rad.
        np.testing.assert_allclose(end[:, 0], control.motion.q, atol=1.5e-9)


def test_first_command_leaves_from_where_the_arm_stands() -> None:
    gate, q = make_gate()
    decision = gate.step(q + 0.3, np.zeros_like(q))
    first, dq, _, _ = sample(decision.trajectory, decision.elapsed[:, None])
    np.testing.assert_allclose(first[:, 0], q, atol=1e-6)
    assert np.abs(dq).max() < 1e-9


def test_a_little_too_fast_is_slowed_along_the_same_way() -> None:
    gate, q = make_gate()
    # From rest 10 rad/s^2 allow 10 * DT^2 / 2 = 1.39 mrad in a period; ask for twice as much.
    ask = np.zeros_like(q)
    ask[0, 3] = 1.0
    # Constant acceleration 15 rad/s^2: dq = 0.25 rad/s, q = 2.08 mrad; jerk needs a ramp.
    decision = gate.step(q + ask * 15 * DT**2 / 6, ask * 15 * DT / 2)
    assert 0.25 <= float(decision.share[0]) < 1.0
    assert decision.reason() == "acceleration"
    end, dq, _, _ = sample(decision.trajectory, np.array([[DT]]))
    assert dq[0, 0, 3] > 0.0
    np.testing.assert_allclose(np.delete(end[0, 0] - q[0], 3), 0.0, atol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["q", "dq"])
def test_not_finite_is_never_published_and_the_arm_stops(value: float, where: str) -> None:
    gate, q = make_gate()
    control = EeDelta(FR3, DT, EeDeltaCfg(), q.copy())
    decisions = []
    for _ in range(30):
        wanted = control.step(np.array([[1.0, 0, 0, 0, 0, 0]]), control.pose)
        decisions.append(gate.step(*wanted))
    for _ in range(40):
        q1, dq1 = (x.copy() for x in control.step(np.zeros((1, 6)), control.pose))
        (q1 if where == "q" else dq1)[0, 2] = value
        decision = gate.step(q1, dq1)
        assert decision.reason() == "not finite"
        assert decision.share[0] == 0.0
        decisions.append(decision)
    stream = published(decisions)
    assert all(np.isfinite(part).all() for part in stream)
    assert gate.standing.all()
    assert np.abs(stream[1][:, -1]).max() < 1e-9
    assert_inside(*stream, "fr3")


def test_a_step_is_refused_and_the_arm_stands_where_it_was() -> None:
    gate, q = make_gate()
    decisions = [gate.step(q + 0.5, np.zeros_like(q)) for _ in range(10)]
    assert all(decision.share[0] == 0.0 for decision in decisions)
    np.testing.assert_allclose(published(decisions)[0], np.repeat(q[:, None], 167, axis=1))


def test_workspace_is_a_wall() -> None:
    start = forward(FR3.chain, np.asarray(FR3.home))[:3, 3]
    box: dict[str, Any] = {
        "workspace_low": (-1, -1, float(start[2]) - 0.02),
        "workspace_high": (1, 1, 1.3),
    }
    gate, q = make_gate(**box)
    control = EeDelta(FR3, DT, EeDeltaCfg(), q.copy())
    decisions = []
    for _ in range(90):
        measured = pose_from_matrix(forward(FR3.chain, control.motion.q))
        wanted = control.step(np.array([[0.0, 0, -0.5, 0, 0, 0]]), measured)
        decisions.append(gate.step(*wanted))
    stream = published(decisions)
    lowest = forward(FR3.chain, stream[0][0])[:, 2, 3].min()
    assert lowest >= start[2] - 0.02 - 1e-4
    assert next(d.reason() for d in decisions if d.reason()) == "workspace"


@pytest.mark.parametrize("robot", sorted(ROBOTS))
def test_adversarial_requests_never_break_a_limit(robot: str) -> None:
    rows, ticks = 16, 60
    gate, q = make_gate(rows, robot)
    rng = np.random.default_rng(1)
    decisions = []
    state = q
    for _ in range(ticks):
        size = 10.0 ** rng.uniform(-5, -1, (rows, 1))
        ask = state + rng.normal(size=q.shape) * size
        decisions.append(gate.step(ask, rng.normal(size=q.shape) * size * 60))
        state = sample(decisions[-1].trajectory, decisions[-1].elapsed[:, None] + DT)[0][:, 0]
    assert_inside(*published(decisions), robot)
    shares = np.stack([decision.share for decision in decisions])
    assert (shares == 1.0).any()
    assert (shares == 0.0).any()
    assert ((shares > 0.0) & (shares < 1.0)).any()


def test_bang_bang_stays_inside_with_stops() -> None:
    """Full reversals every tick, then silence: the arm stops inside the limits."""
    gate, q = make_gate(2)
    control = EeDelta(FR3, DT, EeDeltaCfg(limit_share=1.3), q.copy())
    decisions = []
    for k in range(80):
        action = np.full((2, 6), 1.0 if k % 2 else -1.0)
        action[1] = 1.0
        decisions.append(gate.step(*control.step(action, control.pose)))
    decisions += [gate.stop() for _ in range(80)]
    assert_inside(*published(decisions), "fr3")
    assert gate.standing.all()


def test_start_outside_the_limits_is_refused() -> None:
    q = np.asarray(FR3.home)[None].copy()
    q[0, 3] = 0.5
    with pytest.raises(ValueError, match="inside the limits of fr3"):
        Gate(FR3, DT, GateCfg(), q)


@pytest.mark.parametrize("late", [0.002, 0.005, 0.008, 0.011, 0.014, 0.03])
def test_a_late_take_over_keeps_the_limits_and_is_made_good(late: float) -> None:
    """At full actions: the path from the old trajectory, and the next requests."""
    limits, joined = FR3.limits, 0
    for seed in range(8):
        gate, q = make_gate()
        control = EeDelta(FR3, DT, EeDeltaCfg(), q.copy())
        rng = np.random.default_rng(seed)
        for k in range(30):
            measured = pose_from_matrix(forward(FR3.chain, control.motion.q))
            old, begin = gate._trajectory, gate._elapsed.copy()
            old = Trajectory(times=old.times.copy(), q=old.q.copy(), dq=old.dq.copy())
            decision = gate.step(*control.step(rng.uniform(-1, 1, (1, 6)), measured))
            assert decision.share[0] == 1.0
            if k % 7 != 6:
                continue
            way = gate.take_over(late)
            control.motion.resume(*gate.commanded(), np.arange(1))
            if way is None:
                continue
            joined += 1
            assert way.times[0, 0] == pytest.approx(late, abs=1e-9)
            there = [part[:, 0] for part in sample(old, begin[:, None] + late)]
            np.testing.assert_allclose(way.q[:, 0], there[0], atol=1e-12)
            np.testing.assert_allclose(way.dq[:, 0], there[1], atol=1e-12)
            t = late + np.arange(0.0, 0.4, 1e-3)[None]
            _, dq, ddq, jerk = sample(way, t)
            assert (np.abs(dq) <= np.array(limits.dq_max)).all()
            assert (np.abs(ddq) <= np.array(limits.ddq_max) * (1 + 1e-5)).all()
            assert (np.abs(jerk) <= np.array(limits.dddq_max) * (1 + 1e-5)).all()
            jump = np.abs(ddq[:, 0] - there[2])
            assert (jump <= np.array(limits.dddq_max) * 1e-3 * (1 + 1e-5)).all()
    assert joined == 32 if late < 0.012 else joined < 32


FOLDED = np.array((0.0, -0.3, 0.0, -2.9, 0.0, 2.2, 0.785))
"""The hand of an FR3 beside its foot, 0.14 m from it."""


def goes_on(gate: Gate, joint: int, speed: float, ticks: int) -> tuple[Array, list[str]]:
    """Turn a joint until the gate lets it no more; return where it stands and every reason."""
    reasons: list[str] = []
    for _ in range(ticks):
        q, dq, _ = gate.commanded()
        wanted = np.zeros_like(dq)
        wanted[:, joint] = np.clip(speed, dq[:, joint] - 0.1, dq[:, joint] + 0.1)
        reasons.append(gate.step(q + 0.5 * (dq + wanted) * DT, wanted).reason())
    for _ in range(30):
        gate.stop()
    return gate.commanded()[0], reasons


def test_an_arm_does_not_fold_into_itself() -> None:
    assert FR3.body is not None
    gate = Gate(FR3, DT, GateCfg(), FOLDED[None])
    q, reasons = goes_on(gate, 5, -0.5, 200)
    assert "too close to itself" in reasons
    apart = distances(FR3, q)[0]
    assert FR3.body.margin - 1e-3 < apart < FR3.body.margin + 0.01
    # Without the rule it would have gone on.
    free = Gate(replace(FR3, body=None), DT, GateCfg(), FOLDED[None])
    q, reasons = goes_on(free, 5, -0.5, 200)
    assert "too close to itself" not in reasons
    assert distances(FR3, q)[0] < FR3.body.margin - 0.02


def test_an_arm_stays_above_its_table() -> None:
    gate, _ = make_gate(table_height=0.2)
    q, reasons = goes_on(gate, 1, 0.4, 200)
    assert "too low for the table" in reasons
    assert 0.2 - 1e-3 < float(distances(FR3, q)[1][0]) < 0.21


def test_a_start_too_close_to_itself_is_refused_with_the_links() -> None:
    q = FOLDED.copy()
    q[5] = 1.6
    with pytest.raises(
        ValueError,
        match=r"^link\d and the hand of fr3 are -?\d.\d+ m apart, the "
        r"gate keeps 0.06 m; move the arm first$",
    ):
        Gate(FR3, DT, GateCfg(), q[None])
    with pytest.raises(ValueError, match=r"^fr3 reaches down to \d.\d+ m, the gate keeps it above"):
        make_gate(table_height=0.6)
