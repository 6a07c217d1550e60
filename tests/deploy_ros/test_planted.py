"""Defects planted into the gate: the fault table must see each of them, or it proves nothing."""

# pyright: standard, reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.limits import velocity_bounds
from sim2arm.core.robots import FR3, ROBOTS, JointLimits, Robot
from sim2arm.core.trajectory import Trajectory, hermite
from sim2arm_ros import gate
from sim2arm_ros.gate import Gate, GateCfg
from sim2arm_ros.gate_machine import GateMachine
from sim2arm_ros.gate_state import GateState
from tests.deploy_ros.apart import distances
from tests.deploy_ros.schedules import run_schedules
from tests.deploy_ros.test_fault_table import broken
from tests.deploy_ros.test_gate import FOLDED, goes_on
from tests.deploy_ros.test_gate_fuzz import DT, fuzz
from tests.tables import Table

Array = Any
Plant = Callable[[pytest.MonkeyPatch], None]


# -- parts of the table, short -----------------------------------------------------------------


def by_fuzz() -> set[str]:
    """Return the limits that requests of all kinds break."""
    seen = fuzz(FR3, 200, seed=0, arms=16)
    return {limit for limit, count in seen.violations.items() if count}


def by_fuzz_of_so101() -> set[str]:
    """Return what they break of an arm that its velocity limits do not keep from the ends."""
    seen = fuzz(ROBOTS["so101"], 200, seed=0, arms=16)
    return {limit for limit, count in seen.violations.items() if count}


def by_schedules() -> set[str]:
    """Return what is wrong after stale and wrong inputs."""
    return set(run_schedules(60).wrong)


def by_vectors() -> set[str]:
    """Return whether numbers that are none are published."""
    return {"published"} if broken(300, arms=100)[0] else set()


def by_folding() -> set[str]:
    """Return whether an arm that folds hits itself."""
    assert FR3.body is not None
    q, _ = goes_on(Gate(FR3, DT, GateCfg(), FOLDED[None]), 5, -0.5, 150)
    return {"itself"} if distances(FR3, q)[0][0] < FR3.body.margin - 1e-3 else set()


# -- defects -----------------------------------------------------------------------------------


def fast_joint(patch: pytest.MonkeyPatch) -> None:
    """One joint may be a fifth faster than it may."""

    def wrong(limits: JointLimits, q: Array) -> tuple[Array, Array]:
        low, high = velocity_bounds(limits, q)
        factor = np.where(np.arange(q.shape[-1]) == 3, 1.2, 1.0)
        return low * factor, high * factor

    patch.setattr(gate, "velocity_bounds", wrong)


def flat_velocity(patch: pytest.MonkeyPatch) -> None:
    """Limits of velocity do not depend on the position."""
    patch.setattr(
        gate, "velocity_bounds",
        lambda limits, q: velocity_bounds(replace(limits, velocity_profile=None), q),
    )  # fmt: skip


def around_init(patch: pytest.MonkeyPatch, change: Callable[[Gate], None]) -> None:
    init = Gate.__init__

    def wrong(self: Gate, robot: Robot, period: float, cfg: GateCfg, q: Array) -> None:
        init(self, robot, period, cfg, q)
        change(self)

    patch.setattr(Gate, "__init__", wrong)


def far_joint(patch: pytest.MonkeyPatch) -> None:
    """One joint may go 0.05 rad too far."""

    def change(made: Gate) -> None:
        made._q_max = made._q_max + 0.05 * (np.arange(len(made._q_max)) == 3)

    around_init(patch, change)


def strong_joint(patch: pytest.MonkeyPatch) -> None:
    """One joint may accelerate by a quarter more."""

    def change(made: Gate) -> None:
        made._ddq_max = made._ddq_max * np.where(np.arange(len(made._ddq_max)) == 1, 1.25, 1.0)

    around_init(patch, change)


def wide_workspace(patch: pytest.MonkeyPatch) -> None:
    """The workspace is 3 cm too wide."""

    def change(made: Gate) -> None:
        low, high = (np.array(v) for v in (made.cfg.workspace_low, made.cfg.workspace_high))
        made.cfg = replace(
            made.cfg, workspace_low=tuple(low - 0.03), workspace_high=tuple(high + 0.03)
        )

    around_init(patch, change)


def around_inside(patch: pytest.MonkeyPatch, change: Callable[..., tuple[Any, ...]]) -> None:
    inside = Gate._inside
    patch.setattr(Gate, "_inside", lambda self, *judged: inside(self, *change(*judged)))


def no_seam(patch: pytest.MonkeyPatch) -> None:
    """Jumps of the acceleration where a motion leaves the one before are not judged."""

    def change(way: Trajectory, ddq: Array, jerk: Array) -> tuple[Any, ...]:
        first = (way.q[:, 0], way.dq[:, 0], way.q[:, 1], way.dq[:, 1])
        start, _ = hermite(*first, way.times[:, 1:2] - way.times[:, :1])
        return way, start, jerk

    around_inside(patch, change)


def no_stop(patch: pytest.MonkeyPatch) -> None:
    """The stop after a motion is not judged."""

    def change(way: Trajectory, ddq: Array, jerk: Array) -> tuple[Any, ...]:
        first = slice(None, 2)
        short = Trajectory(times=way.times[:, first], q=way.q[:, first], dq=way.dq[:, first])
        return short, ddq, jerk

    around_inside(patch, change)


def not_apart(patch: pytest.MonkeyPatch) -> None:
    """Links are not kept apart."""
    patch.setattr(Gate, "_closeness", lambda self, q: (np.zeros(len(q)), np.zeros(len(q))))


def none_is_zero(patch: pytest.MonkeyPatch) -> None:
    """Numbers that are none are taken for zero."""
    step = Gate.step

    def wrong(self: Gate, q1: Array, dq1: Array) -> Any:
        q, dq, _ = self.commanded()
        return step(self, np.where(np.isfinite(q1), q1, q), np.where(np.isfinite(dq1), dq1, dq))

    patch.setattr(Gate, "step", wrong)


def any_joints(patch: pytest.MonkeyPatch) -> None:
    """Ages of joint states are not looked at."""
    patch.setattr(
        GateMachine, "_health",
        lambda self, ros, steady: next(iter(self._problems.values()), None)
        or ("no joint state yet" if self._joints is None else None),
    )  # fmt: skip


def any_request(patch: pytest.MonkeyPatch) -> None:
    """Stamps of requests are not looked at."""
    patch.setattr(GateMachine, "_late", lambda self, request, ros: None)


def broken_joints(patch: pytest.MonkeyPatch) -> None:
    """Joint states that are not finite are taken."""
    take = GateMachine.on_joints

    def wrong(self: GateMachine, q: Array, stamp: int, ros: int, steady: int) -> None:
        take(self, np.where(np.isfinite(q), q, np.asarray(FR3.home)), stamp, ros, steady)

    patch.setattr(GateMachine, "on_joints", wrong)
    refer = GateMachine.on_reference

    def wrong_too(self: GateMachine, q: Array, dq: Array, stamp: int, steady: int) -> None:
        if np.isfinite(q).all():
            refer(self, q, dq, stamp, steady)

    patch.setattr(GateMachine, "on_reference", wrong_too)


def no_latch(patch: pytest.MonkeyPatch) -> None:
    """A fault is over as soon as joint states are well again."""
    take = GateMachine.on_joints

    def wrong(self: GateMachine, q: Array, stamp: int, ros: int, steady: int) -> None:
        take(self, q, stamp, ros, steady)
        if self.state is GateState.FAULT and self.good_ticks >= self.cfg.good_ticks:
            self.state = GateState.HOLD

    patch.setattr(GateMachine, "on_joints", wrong)


def any_policy(patch: pytest.MonkeyPatch) -> None:
    """Requests of another policy are taken for those of the active one."""
    judge = GateMachine.on_request

    def wrong(self: GateMachine, request: Any, ros: int, steady: int) -> Any:
        if self.state is GateState.ACTIVE:
            tick = self._session.tick + 1
            return judge(self, replace(request, session=self.session, tick=tick), ros, steady)
        return judge(self, request, ros, steady)

    patch.setattr(GateMachine, "on_request", wrong)


@dataclass(frozen=True)
class Defect:
    """What is planted, what looks, and what it must see at least."""

    plant: Plant
    look: Callable[[], set[str]]
    sees: str


DEFECTS = (
    Defect(fast_joint, by_fuzz, "velocity"),
    Defect(flat_velocity, by_fuzz, "velocity"),
    Defect(far_joint, by_fuzz_of_so101, "position"),
    Defect(strong_joint, by_fuzz, "acceleration"),
    Defect(wide_workspace, by_fuzz, "workspace"),
    Defect(no_seam, by_fuzz, "step of acceleration"),
    Defect(no_stop, by_fuzz, "velocity"),
    Defect(not_apart, by_folding, "itself"),
    Defect(none_is_zero, by_vectors, "published"),
    Defect(any_joints, by_schedules, "a command from joint states with an old stamp"),
    Defect(any_request, by_schedules, "a command of an old request"),
    Defect(broken_joints, by_schedules, "a command while joint states were not finite"),
    Defect(no_latch, by_schedules, "left FAULT without the operator"),
    Defect(any_policy, by_schedules, "a command of another policy"),
)
QUICK = (not_apart, none_is_zero)


@pytest.mark.parametrize(
    "defect",
    [
        pytest.param(d, id=d.plant.__name__,
                     marks=() if d.plant in QUICK else (pytest.mark.faults,))
        for d in DEFECTS
    ],
)  # fmt: skip
def test_a_planted_defect_is_seen(
    defect: Defect, monkeypatch: pytest.MonkeyPatch, table: Table
) -> None:
    assert defect.look() == set()
    with monkeypatch.context() as patch:
        defect.plant(patch)
        seen = defect.look()
    what = str(defect.plant.__doc__).rstrip(".")
    table.none_of(f"planted: {what}", "not seen", int(defect.sees not in seen), 1, seed=None)
    assert defect.sees in seen, seen
