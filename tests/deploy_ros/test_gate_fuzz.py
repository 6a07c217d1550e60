"""Long fuzz of the gate: whatever is asked for, what is published keeps every limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim2arm.cli.table import Row
from sim2arm.core.controllers import EeDelta, EeDeltaCfg
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.limits import velocity_bounds
from sim2arm.core.robots import ROBOTS, Robot
from sim2arm.core.trajectory import Trajectory, sample
from sim2arm_ros.gate import Gate, GateCfg
from tests.deploy_ros.apart import COARSE, distances, links
from tests.tables import Table

Array = NDArray[np.float64]

DT = 1.0 / 60.0
ARMS, TICKS = 64, 1000
PARTS = {"fr3": 16, "panda": 1, "so101": 1, "ur5e": 1}
"""How often so many arms are asked for so many ticks: 1 024 000 requests of the FR3."""
SLACK = 1.001e-6
"""Beyond a position limit, in halves of the range."""
SHARE = 8
"""One trajectory of so many is judged by where links and tool are, densely."""
MOOD = 25
"""Ticks for which an arm is asked for the same kind of thing."""
KINDS = ("policy", "one way", "noise", "reversals", "limits", "absurd", "not finite", "repeat")
BOX = GateCfg(workspace_low=(0.1, -0.6, 0.05), workspace_high=(0.75, 0.6, 0.95), table_height=0.08)


class Asking:
    """Requests of all kinds, each arm in a mood of its own that changes now and then."""

    def __init__(self, robot: Robot, q: Array, seed: int) -> None:
        self._robot, self._random = robot, np.random.default_rng(seed)
        # Faster than the gate allows, so that it has to slow what the policy asks for.
        self._control = EeDelta(robot, DT, EeDeltaCfg(limit_share=1.15), q.copy())
        self._dq_max = np.array(robot.limits.dq_max)
        self._mood = np.zeros(len(q), dtype=np.int64)
        self._sign, self._action = np.ones_like(q), np.zeros((len(q), 6))
        self._last = q, np.zeros_like(q)
        self._tick = 0

    def next(self, q: Array, dq: Array, ddq: Array) -> tuple[Array, Array]:
        """Return what is asked for, from where the arms are commanded to be."""
        random, shape = self._random, q.shape
        rows = np.arange(len(q))
        if self._tick % MOOD == 0:
            self._mood = random.integers(0, len(KINDS), len(q))
            self._sign = np.sign(random.normal(size=shape))
            self._action = random.uniform(-1, 1, (len(q), 6))
        self._tick += 1
        mood = np.array(KINDS)[self._mood]
        self._control.motion.resume(q, dq, ddq, rows)
        other = random.uniform(-1, 1, self._action.shape)
        action = np.where((mood == "policy")[:, None], other, self._action)
        wanted, speed = (x.copy() for x in self._control.step(action, self._tool(q)))

        def put(kind: str, position: Array, velocity: Array) -> None:
            chosen = (mood == kind)[:, None]
            wanted[:], speed[:] = (
                np.where(chosen, position, wanted),
                np.where(chosen, velocity, speed),
            )

        size = 10.0 ** random.uniform(-6, 0, (len(q), 1))
        put(
            "noise",
            q + random.normal(size=shape) * size,
            dq + random.normal(size=shape) * 60 * size,
        )
        swing = self._dq_max * random.uniform(0, 0.2, shape) * (-1) ** self._tick
        put("reversals", q + 0.5 * (dq + swing) * DT, swing)
        # As fast as the robot goes, always the same way: into a joint limit.
        goal = np.clip(
            dq + self._sign * 0.1 * self._dq_max, -1.2 * self._dq_max, 1.2 * self._dq_max
        )
        put("limits", q + 0.5 * (dq + goal) * DT, goal)
        put("absurd", self._sign * 10.0 ** random.uniform(0, 300, shape), self._sign * 1e9)
        broken = random.choice([np.nan, np.inf, -np.inf], shape)
        put("not finite", np.where(random.random(shape) < 0.2, broken, wanted), speed)
        put("repeat", *self._last)
        self._last = wanted.copy(), speed.copy()
        return wanted, speed

    def _tool(self, q: Array) -> Array:
        return forward_pose(self._robot.chain, q)


@dataclass
class Seen:
    """What was found, by limit; counts of (arm, tick)."""

    violations: dict[str, int] = field(default_factory=dict[str, int])
    passed: int = 0
    slowed: int = 0
    refused: int = 0
    dense: int = 0
    """Trajectories that were judged by where links and tool are, too."""

    def count(self, name: str, broken: Any) -> None:
        """Count the arms, (N,) bool, in which a limit was broken."""
        self.violations[name] = self.violations.get(name, 0) + int(broken.sum())


def check_joints(seen: Seen, robot: Robot, q: Array, dq: Array, ddq: Array, jerk: Array) -> None:
    """Count the arms (N, K, n) that break a limit of their joints, with a slack for rounding."""
    limits = robot.limits
    low, high = velocity_bounds(limits, q)
    # The gate allows a millionth of half the range beyond a position limit: 3.0e-6 rad at most.
    slack = SLACK * 0.5 * (np.array(limits.q_max) - np.array(limits.q_min))
    q_min, q_max = np.array(limits.q_min) - slack, np.array(limits.q_max) + slack
    inside = {
        "not finite": np.isfinite(q) & np.isfinite(dq) & np.isfinite(ddq),
        "position": (q >= q_min) & (q <= q_max),
        "velocity": (dq <= high * (1 + 1e-4) + 1e-6) & (dq >= low * (1 + 1e-4) - 1e-6),
        "acceleration": np.abs(ddq) <= np.array(limits.ddq_max) * (1 + 1e-4),
        "jerk": np.abs(jerk) <= np.array(limits.dddq_max) * (1 + 1e-2),
    }
    for name, fine in inside.items():
        seen.count(name, ~fine.all(axis=(1, 2)))


def check_space(seen: Seen, robot: Robot, q: Array) -> None:
    """Count the arms (N, K, n) whose tool or links are where they may not be.

    They stand at every half millisecond: the tool is looked at ten times as often as the gate
    does, and so are, at every second of them, the distances of links; both by matrix products.
    """
    low, high = np.array(BOX.workspace_low) - 1e-4, np.array(BOX.workspace_high) + 1e-4
    tool = links(robot.chain, q.reshape(-1, q.shape[-1]))[:, -1, :3, 3].reshape(*q.shape[:2], 3)
    seen.count("workspace", ~((tool >= low) & (tool <= high)).all(axis=(1, 2)))
    few = q[:, ::2]
    found = distances(robot, few.reshape(-1, q.shape[-1]))
    itself, table = (part.reshape(few.shape[:2]) for part in found)
    assert robot.body is not None
    seen.count("itself", (itself < robot.body.margin - COARSE).any(axis=1))
    seen.count("table", (table < BOX.table_height - COARSE).any(axis=1))
    seen.dense += len(q)


def fuzz(robot: Robot, ticks: int, seed: int, arms: int = ARMS) -> Seen:
    """Ask for everything; judge each published trajectory to its end, as if it were the last."""
    q = np.tile(np.asarray(robot.home), (arms, 1))
    gate, asking, seen = Gate(robot, DT, BOX, q), Asking(robot, q, seed), Seen()
    random = np.random.default_rng(seed + 1)
    before = q, np.zeros_like(q), np.zeros_like(q)
    for tick in range(ticks):
        decision = gate.step(*asking.next(*gate.commanded()))
        way, elapsed = decision.trajectory, decision.elapsed
        rest = float(np.max(way.times[:, -1] - elapsed))
        # A controller looks at any phase of its millisecond.
        grid = np.arange(0.0, max(rest, DT) + 2e-3, 1e-3) + random.uniform(0, 1e-3)
        there = sample(way, elapsed[:, None] + np.concatenate([[0.0], grid]))
        here = tuple(part[:, 0] for part in there)
        on_grid = [part[:, 1:] for part in there[:3]]
        jerk = np.diff(on_grid[2], axis=1) * 1e3
        check_joints(seen, robot, on_grid[0], on_grid[1], on_grid[2], jerk)
        few = np.arange(tick % SHARE, arms, SHARE)
        dense = np.arange(grid[0], grid[-1], 5e-4)
        some = Trajectory(times=way.times[few], q=way.q[few], dq=way.dq[few])
        check_space(seen, robot, sample(some, elapsed[few, None] + dense)[0])
        # Where the new trajectory leaves the old one: no step, a change of acceleration in 1 ms.
        seen.count("step", (np.abs(here[0] - before[0]) > 1e-8).any(axis=-1))
        seen.count("step of velocity", (np.abs(here[1] - before[1]) > 1e-6).any(axis=-1))
        jump = np.abs(here[2] - before[2]) > np.array(robot.limits.dddq_max) * 1e-3 * (1 + 1e-2)
        seen.count("step of acceleration", jump.any(axis=-1))
        seen.count("no rest at the end", (np.abs(there[1][:, -1]) > 1e-9).any(axis=-1))
        before = tuple(part[:, 0] for part in sample(way, elapsed[:, None] + DT)[:3])
        seen.passed += int((decision.share == 1.0).sum())
        seen.refused += int((decision.share == 0.0).sum())
        seen.slowed += int(((decision.share > 0.0) & (decision.share < 1.0)).sum())
    return seen


def test_a_short_fuzz_reaches_every_decision_and_breaks_nothing() -> None:
    seen = fuzz(ROBOTS["fr3"], 60, seed=0, arms=16)
    assert not any(seen.violations.values()), seen
    assert min(seen.passed, seen.slowed, seen.refused) > 50


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "part"), [(n, part) for n in sorted(ROBOTS) for part in range(PARTS[n])]
)
def test_no_request_makes_the_gate_publish_what_breaks_a_limit(
    name: str, part: int, table: Table
) -> None:
    seen, case = fuzz(ROBOTS[name], TICKS, seed=7 + part), f"gate, {name}, asked for anything"
    for limit, count in seen.violations.items():
        table.add(Row(case=case, metric=f"violations: {limit}", value=count))
    table.none_of(case, "violations", sum(seen.violations.values()), ARMS * TICKS, seed=7 + part)
    for word in ("passed", "slowed", "refused", "dense"):
        table.add(Row(case=case, metric=word, value=getattr(seen, word)))
    assert not any(seen.violations.values()), seen
    assert min(seen.passed, seen.slowed, seen.refused) > 0.02 * ARMS * TICKS
    assert seen.passed + seen.slowed + seen.refused == ARMS * TICKS == SHARE * seen.dense
