"""The safety gate as pure code: which joint motion may be published.

Every tick the gate gets the joint state that is wanted one control period ahead. It extends it to
a trajectory that ends at rest and judges that whole trajectory, stop included, on a 1 kHz grid:
position, velocity (with its dependence on position), acceleration, jerk; at 200 Hz the workspace,
and at 100 Hz the distances of the links to each other and to the table. What breaks a limit a
little is slowed: the motion is moved towards the stop that is already under way. What breaks it a
lot, or is not finite, is not published: the arm follows the rest of the last approved trajectory,
which ends at rest. A controller that gets a motion only after it has begun joins it on another
path; the gate judges that path too (`take_over`).
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.bodies import Clearances
from sim2arm.core.kinematics import forward
from sim2arm.core.limits import velocity_bounds
from sim2arm.core.robots import Robot
from sim2arm.core.trajectory import (
    FloatArray,
    Trajectory,
    brake_time,
    coast,
    hermite,
    on_wire_grid,
    sample,
    with_stop,
)

LIMITS = ("position", "velocity", "acceleration", "jerk", "workspace", "itself", "table")
"""What a trajectory is judged by, in the order of `Judgement.worst`."""

LIMIT_WORDS = (*LIMITS[:5], "too close to itself", "too low for the table")
"""What a reason says of each."""

_SHORTEST = 1e-3  # less time than this is not worth a way of its own [s]
_BISECTIONS = 7
_FAR = 10.0  # multiples of a limit beyond which a request is not computed with at all
_SOFT = 0.05  # how much less of a distance counts as much as a limit broken twice [m]


@dataclass(frozen=True, kw_only=True)
class GateCfg:
    """How strict the gate is."""

    rate_hz: float = 1000.0
    """Grid on which trajectories are judged."""
    least_share: float = 0.25
    """A request of which less than this share is possible is refused [0, 1]."""
    stop_share: float = 0.9
    """Share of the acceleration limit that a stop plans with."""
    stop_ramp: float = 0.02
    """Time in which a stop builds up and releases its braking [s]."""
    longest_stop: float = 1.0
    """Longest braking [s]; what needs longer is too fast for any limit."""
    workspace_stride: int = 5
    """The workspace is judged at every so many points of the grid."""
    body_stride: int = 10
    """The distances of links are judged at every so many points of the grid: an arm whose tool
    moves at 1 m/s comes 5 mm closer than its margin in between, at most."""
    start_tolerance: float = 1e-6
    """Slack on every limit, relative, for rounding."""
    workspace_low: tuple[float, float, float] = (-1.0, -1.0, -0.2)
    """Lowest tool position in the base frame [m]."""
    workspace_high: tuple[float, float, float] = (1.0, 1.0, 1.3)
    """Highest tool position in the base frame [m]."""
    table_height: float = -10.0
    """What tool point, links and hand stay above, in the base frame [m]; fingers may reach lower.
    The default is none."""

    def __post_init__(self) -> None:
        """Refuse numbers by which everything would pass."""
        low, high = np.array(self.workspace_low), np.array(self.workspace_high)
        fine = low.shape == high.shape == (3,) and np.isfinite([low, high]).all()
        if not (fine and np.all(low < high)):
            raise ValueError(
                "workspace: expected x y z of two corners, the least first, got "
                f"{list(self.workspace_low)} and {list(self.workspace_high)}"
            )
        if not np.isfinite(self.table_height):
            raise ValueError(f"table_height: expected a height in m, got {self.table_height}")


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """What may be published for N arms."""

    trajectory: Trajectory
    """The approved trajectory; it ends at rest."""
    elapsed: FloatArray
    """(N,) how much of it lies in the past [s]; 0 for a new one."""
    share: FloatArray
    """(N,) share of the request: 1 as asked, between slowed, 0 refused (stopping)."""
    limit: NDArray[np.int64]
    """(N,) index into LIMITS of what the request broke, -1 if nothing, -2 if not finite."""

    def reason(self, row: int = 0) -> str:
        """Return why the request was changed, or an empty string."""
        code = int(self.limit[row])
        return "" if code == -1 else "not finite" if code == -2 else LIMIT_WORDS[code]


def motion_and_stop(
    start: tuple[FloatArray, FloatArray],
    end: tuple[FloatArray, FloatArray],
    dt: float,
    ddq_max: FloatArray,
    cfg: GateCfg,
    coasting: float | None = None,
) -> Trajectory:
    """Return what the gate publishes for a motion: the motion, a coast, a stop.

    Args:
        start: position and velocity now, (N, n) each [rad], [rad/s].
        end: position and velocity one period later.
        dt: time of the motion, a control period [s].
        ddq_max: (n,) acceleration limit [rad/s^2].
        cfg: how stops are planned.
        coasting: time of the coast [s], that of the motion by default.
    """
    coasting = dt if coasting is None else coasting
    (q0, dq0), (q1, dq1) = start, end
    ddq1 = (6.0 * (q0 - q1) / dt + 2.0 * dq0 + 4.0 * dq1) / dt
    _, dq2 = coast(q1, dq1, ddq1, coasting)
    brake = brake_time(
        dq2, ddq_max=ddq_max * cfg.stop_share, ramp=cfg.stop_ramp, longest=cfg.longest_stop
    )
    way = with_stop(q0, dq0, q1, dq1, dt=dt, coasting=coasting, brake=brake, ramp=cfg.stop_ramp)
    return on_wire_grid(way)


class Gate:
    """Approve joint motions of N equal arms; state is what was approved last."""

    def __init__(self, robot: Robot, period: float, cfg: GateCfg, q: FloatArray) -> None:
        """Start at rest at q (N, n) [rad] with a control period [s].

        Raises:
            ValueError: q is not finite, outside of the position limits or too close to itself.
        """
        self.robot, self.period, self.cfg = robot, period, cfg
        self._q_min, self._q_max = np.array(robot.limits.q_min), np.array(robot.limits.q_max)
        self._ddq_max = np.array(robot.limits.ddq_max)
        self._dddq_max = np.array(robot.limits.dddq_max)
        self._clearances = None if robot.body is None else Clearances(robot.chain, robot.body)
        self._trajectory = _standing(q)
        self._elapsed = np.zeros(len(q))
        self._before = (self._trajectory, self._elapsed)
        self.reset(q, np.arange(len(q)))

    def reset(self, q: FloatArray, rows: NDArray[np.int64]) -> None:
        """Start again at rest at q (len(rows), n) in the given rows.

        Raises:
            ValueError: q is not finite, outside of the position limits or too close to itself.
        """
        if not np.all(np.isfinite(q)) or np.any(q < self._q_min) or np.any(q > self._q_max):
            raise ValueError(
                f"the gate starts from a position inside the limits of {self.robot.name}, "
                f"got {np.round(q, 4).tolist()}; move the arm inside first"
            )
        problem = self._too_close(q)
        if problem:
            raise ValueError(f"{problem}; move the arm first")
        standing = _standing(q)
        for old, new in zip(_arrays(self._trajectory), _arrays(standing), strict=True):
            old[rows] = new
        self._elapsed[rows] = 0.0

    def step(self, q1: FloatArray, dq1: FloatArray) -> GateDecision:
        """Judge a request and advance by one control period.

        Args:
            q1: (N, n) wanted position at the end of this period [rad].
            dq1: (N, n) wanted velocity there [rad/s].
        """
        now = self._state_at(self._elapsed)
        finite = np.all(np.isfinite(q1) & np.isfinite(dq1), axis=-1)
        absurd = finite & ~self.imaginable(q1, dq1)
        brake = self._state_at(self._elapsed + self.period)
        usable = (finite & ~absurd)[:, None]
        q1, dq1 = np.where(usable, q1, brake[0]), np.where(usable, dq1, brake[1])
        best, ok, worst = self._judge(now, q1, dq1)
        share = np.where(ok, 1.0, 0.0)
        bad = np.nonzero(~ok & finite & ~absurd)[0]
        if len(bad):
            self._slow(bad, now, (q1, dq1), brake, best, share)
        approved = (share >= self.cfg.least_share) & finite & ~absurd
        self._before = (_copy(self._trajectory), self._elapsed.copy())
        for old, new in zip(_arrays(self._trajectory), _arrays(best), strict=True):
            old[approved] = new[approved]
        elapsed = np.where(approved, 0.0, self._elapsed)
        self._elapsed = elapsed + self.period
        return GateDecision(
            trajectory=_copy(self._trajectory),
            elapsed=elapsed,
            share=np.where(approved, share, 0.0),
            limit=np.where(finite, np.where(absurd, 0, np.where(ok, -1, worst)), -2),
        )

    def fits(self, periods: float, q1: FloatArray, dq1: FloatArray) -> bool:
        """Return whether requests would all pass as they are; nothing is advanced.

        Args:
            periods: control periods that pass before, as in `skip`.
            q1: (N, n) as in `step`.
            dq1: (N, n) as in `step`.
        """
        now = self._state_at(self._elapsed + periods * self.period)
        return bool(self._judge(now, q1, dq1)[1].all())

    def stop(self) -> GateDecision:
        """Publish the rest of the last approved trajectory: a controlled stop, then standing."""
        nothing = np.full(self._trajectory.q[:, 0].shape, np.nan)
        return self.step(nothing, nothing)

    def take_over(self, late: float) -> Trajectory | None:
        """Say that the controller gets the motion of the last `step` only after it has begun.

        It then leaves from the trajectory before, `late` seconds into the motion. The way from
        there to the end of the motion is judged like any other; where it breaks a limit it is
        moved towards the trajectory before, and the gate goes on from what was chosen. For one arm.

        Args:
            late: from the start of the motion to the take-over [s], more than 0.

        Returns:
            What may be published, its first point `late` seconds after the start of the motion;
            None if it is too late for this motion: the trajectory before stays in force.
        """
        before, elapsed = self._before
        dt = self.period - late
        if dt >= _SHORTEST:
            old = tuple(p[:, 0] for p in sample(before, elapsed[:, None] + late))
            brake = tuple(p[:, 0] for p in sample(before, elapsed[:, None] + self.period))
            wanted = self._trajectory.q[:, 1], self._trajectory.dq[:, 1]
            best: Trajectory | None = None
            lower, upper, share = 0.0, 1.0, 1.0  # the whole motion first, then bisection
            for _ in range(_BISECTIONS):
                q1, dq1 = (b + share * (w - b) for b, w in zip(brake, wanted, strict=False))
                trial, ok = self._late_way(old, q1, dq1, late)
                if ok:
                    best, lower = trial, share
                else:
                    upper = share
                if lower == upper:
                    break
                share = 0.5 * (lower + upper)
            if best is not None:
                self._trajectory = best
                return _copy(best)  # the next `step` writes into its own
        self.take_back()
        return None

    def take_back(self) -> None:
        """Let the last `step` pass without what it approved: the trajectory before goes on."""
        before, elapsed = self._before
        self._trajectory, self._elapsed = _copy(before), elapsed + self.period

    def _late_way(
        self, old: tuple[FloatArray, ...], q1: FloatArray, dq1: FloatArray, late: float
    ) -> tuple[Trajectory, bool]:
        """Return the trajectory from a state to the end of the motion, and whether it is fine."""
        q, dq, ddq, jerk = old
        dt = self.period - late
        way = motion_and_stop((q, dq), (q1, dq1), dt, self._ddq_max, self.cfg, self.period)
        way = on_wire_grid(replace(way, times=way.times + late))
        return way, bool(self._inside(way, ddq, jerk)[0][0])

    def state_dict(self) -> dict[str, Any]:
        """Return what judging goes on from, as plain data."""
        before, elapsed = self._before
        return {
            "trajectory": trajectory_dict(self._trajectory),
            "elapsed": self._elapsed.tolist(),
            "before": [trajectory_dict(before), elapsed.tolist()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        before, elapsed = state["before"]
        self._trajectory = trajectory_of(state["trajectory"])
        self._elapsed = np.array(state["elapsed"])
        self._before = trajectory_of(before), np.array(elapsed)

    def skip(self, periods: float) -> None:
        """Let control periods pass for which nothing was requested: the stop is under way."""
        self._elapsed = self._elapsed + periods * self.period

    def ahead(self, periods: float) -> tuple[Trajectory, FloatArray]:
        """Return what an arm does from the end of the period under way on, with nothing new.

        Args:
            periods: control periods later, 0 for that end itself.

        Returns:
            For the first arm (1, ...), its times from there on; its acceleration there (n,).
        """
        start = float(self._elapsed[0]) + periods * self.period
        way, at = self._trajectory, np.array([[start]])
        later = np.nonzero(way.times[0] > start + 1e-9)[0]
        if not len(later):  # it stands
            return _standing(way.q[:1, -1]), np.zeros(way.q.shape[-1])
        q, dq, ddq, _ = sample(way, np.tile(at, (len(way.q), 1)))
        rest = Trajectory(
            times=np.concatenate([[0.0], way.times[0, later] - start])[None],
            q=np.concatenate([q[:1], way.q[:1, later]], axis=1),
            dq=np.concatenate([dq[:1], way.dq[:1, later]], axis=1),
        )
        return rest, ddq[0, 0]

    def commanded(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return commanded q, dq, ddq at the end of the period under way, (N, n) each."""
        q, dq, ddq, _ = self._state_at(self._elapsed)
        return q, dq, ddq

    @property
    def standing(self) -> NDArray[np.bool_]:
        """(N,) whether the approved motion has come to rest."""
        return self._elapsed >= self._trajectory.times[:, -1]

    def _too_close(self, q: FloatArray) -> str:
        """Return which links of arms at q (N, n) are closer than the gate lets them be, or ""."""
        body = self.robot.body
        if self._clearances is None or body is None:
            return ""
        there = self._clearances(q)
        apart, low = float(there.itself.min()), float(there.table.min())
        if apart < body.margin:
            one, other = there.closest
            return (
                f"{one} and {other} of {self.robot.name} are {apart:.3f} m apart, the gate keeps "
                f"{body.margin} m"
            )
        if low < self.cfg.table_height:
            return (
                f"{self.robot.name} reaches down to {low:.3f} m, the gate keeps it above the table "
                f"at {self.cfg.table_height} m"
            )
        return ""

    def _closeness(self, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return how close arms at q (N, K, n) come to themselves and to the table, (N,) each.

        At most 1 where nothing comes closer than it may.
        """
        body, few = self.robot.body, np.zeros(len(q))
        if self._clearances is None or body is None:
            return few, few
        there = self._clearances(q, near=body.margin + _SOFT)
        itself = body.margin - there.itself.min(axis=-1)
        table = self.cfg.table_height - there.table.min(axis=-1)
        return 1.0 + itself / _SOFT, 1.0 + table / _SOFT

    def imaginable(self, q: FloatArray, dq: FloatArray) -> NDArray[np.bool_]:
        """Return (N,) whether q, dq (N, n) are near enough to the limits to be computed with."""
        near = np.abs(q - 0.5 * (self._q_max + self._q_min)) <= _FAR * (self._q_max - self._q_min)
        slow = np.abs(dq) <= _FAR * np.array(self.robot.limits.dq_max)
        return np.all(near & slow, axis=-1)

    def _state_at(self, t: FloatArray) -> tuple[FloatArray, ...]:
        """Return position, velocity, acceleration and jerk, each (N, n)."""
        return tuple(part[:, 0] for part in sample(self._trajectory, t[:, None]))

    def _judge(
        self, now: tuple[FloatArray, ...], q1: FloatArray, dq1: FloatArray
    ) -> tuple[Trajectory, NDArray[np.bool_], NDArray[np.int64]]:
        """Return the trajectory to (q1, dq1) with its stop, whether it is fine, what is worst."""
        q0, dq0, ddq0, jerk0 = now
        trajectory = motion_and_stop((q0, dq0), (q1, dq1), self.period, self._ddq_max, self.cfg)
        return trajectory, *self._inside(trajectory, ddq0, jerk0)

    def _inside(
        self, trajectory: Trajectory, ddq0: FloatArray, jerk0: FloatArray
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Judge a trajectory that follows a motion with ddq0 and jerk0 (N, n)."""
        cfg = self.cfg
        step = 1.0 / cfg.rate_hz
        begin = trajectory.times[:, :1]
        length = float(np.max(trajectory.times[:, -1:] - begin))
        ticks = np.arange(1, int(np.ceil(length * cfg.rate_hz)) + 1)
        # The points as well: acceleration is linear between them, so it is greatest at one.
        times: FloatArray = np.concatenate([trajectory.times, begin + ticks * step], axis=-1)
        q, dq, ddq, jerk = sample(trajectory, times)
        low, high = velocity_bounds(self.robot.limits, q)
        # Acceleration jumps only where the new motion leaves the old one. Over any millisecond
        # around that point it changes by at most the jump and the larger of both jerks.
        first = (trajectory.q[:, 0], trajectory.dq[:, 0], trajectory.q[:, 1], trajectory.dq[:, 1])
        start, jerk1 = hermite(*first, trajectory.times[:, 1:2] - begin)
        jump = np.abs(start - ddq0) / step + np.maximum(np.abs(jerk0), np.abs(jerk1))
        # Positions of the tool at the points and on a coarser grid: it moves smoothly.
        points = trajectory.times.shape[1]
        seen = np.concatenate([q[:, :points], q[:, points :: cfg.workspace_stride]], axis=1)
        tool = forward(self.robot.chain, seen)[..., :3, 3]  # (N, K, 3)
        near = np.concatenate([q[:, :points], q[:, points :: cfg.body_stride]], axis=1)
        low_p, high_p = np.array(cfg.workspace_low), np.array(cfg.workspace_high)
        # Each term is <= 1 inside its limit; the middle of the range is 0.
        middle, half = 0.5 * (self._q_max + self._q_min), 0.5 * (self._q_max - self._q_min)
        excess = np.stack(
            [
                np.max(np.abs(q - middle) / half, axis=(1, 2)),
                np.max(np.maximum(_ratio(dq, high), _ratio(dq, low)), axis=(1, 2)),
                np.max(np.abs(ddq) / self._ddq_max, axis=(1, 2)),
                np.maximum(
                    np.max(np.abs(jerk) / self._dddq_max, axis=(1, 2)),
                    np.max(jump / self._dddq_max, axis=-1),
                ),
                np.max(np.abs(2.0 * tool - low_p - high_p) / (high_p - low_p), axis=(1, 2)),
                *self._closeness(near),
            ],
            axis=-1,
        )
        ok = np.all(excess <= 1.0 + cfg.start_tolerance, axis=-1)
        return ok, np.argmax(excess, axis=-1)

    def _slow(
        self,
        rows: NDArray[np.int64],
        now: tuple[FloatArray, ...],
        wanted: tuple[FloatArray, ...],
        brake: tuple[FloatArray, ...],
        best: Trajectory,
        share: FloatArray,
    ) -> None:
        """Bisect the largest possible share between stop and request; write best and share."""
        here = tuple(part[rows] for part in now)
        q, dq = brake[0][rows], brake[1][rows]
        wanted_q, wanted_dq = wanted[0][rows] - q, wanted[1][rows] - dq
        lower, upper = np.zeros(len(rows)), np.ones(len(rows))
        for _ in range(6):
            middle = 0.5 * (lower + upper)
            blend = middle[:, None]
            trial, fine, _ = self._judge(here, q + blend * wanted_q, dq + blend * wanted_dq)
            for old, new in zip(_arrays(best), _arrays(trial), strict=True):
                old[rows[fine]] = new[fine]
            share[rows[fine]] = middle[fine]
            lower, upper = np.where(fine, middle, lower), np.where(fine, upper, middle)


def _ratio(dq: FloatArray, bound: FloatArray) -> FloatArray:
    """Return dq / bound where both have the same sign; standing on a bound of 0 is fine."""
    toward = dq * np.sign(bound) > 0
    same = np.where(np.abs(bound) > 1e-9, dq / np.where(bound == 0, 1.0, bound), 0.0)
    blocked = (np.abs(bound) <= 1e-9) & (np.abs(dq) > 1e-9)
    return np.where(blocked, np.inf, np.where(toward, same, 0.0))


def _standing(q: FloatArray) -> Trajectory:
    """Return a trajectory of as many points as `with_stop` has that stands at q (N, n)."""
    times: FloatArray = np.tile(np.arange(6, dtype=np.float64) * 1e-3, (len(q), 1))
    points = np.repeat(q[:, None].astype(np.float64), 6, axis=1)
    return Trajectory(times=times, q=points, dq=np.zeros_like(points))


def trajectory_dict(trajectory: Trajectory) -> dict[str, Any]:
    """Return a trajectory as plain data."""
    return {name: values.tolist() for name, values in vars(trajectory).items()}


def trajectory_of(data: Mapping[str, Any]) -> Trajectory:
    """Return the trajectory of `trajectory_dict`."""
    return Trajectory(**{name: np.array(values, dtype=np.float64) for name, values in data.items()})


def _copy(trajectory: Trajectory) -> Trajectory:
    times, q, dq = (part.copy() for part in _arrays(trajectory))
    return Trajectory(times=times, q=q, dq=dq)


def _arrays(trajectory: Trajectory) -> tuple[FloatArray, FloatArray, FloatArray]:
    return trajectory.times, trajectory.q, trajectory.dq
