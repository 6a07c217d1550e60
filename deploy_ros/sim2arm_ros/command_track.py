"""When the trajectories of a session start, and where the arm should be at a moment. No ROS."""

# pyright: standard

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim2arm.core.trajectory import FloatArray, Trajectory, on_wire_grid, sample

from .gate import trajectory_dict, trajectory_of

_SLEW = 0.002  # of a period per tick: at 1 rad/s and 60 Hz it costs 0.7 rad/s^2
_REMEMBERED = 64  # a second at 60 Hz: longer than a clock may stand still
_APART_NS = 1_000  # nearer to the first point, one changes nothing


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When the trajectory of a tick starts."""

    start_ns: int
    """On the clock of the stamps [ns]."""
    skipped: float
    """Control periods beyond one that lie between this start and the last."""
    tick: int
    anchor_ns: int
    """When tick 0 would have been, on the clock of the stamps now [ns]."""
    moved: bool = False
    """Whether it is not a whole number of periods after the last."""


class CommandTrack:
    """The evenly spaced starts of one session and what was published for them.

    Stamps of requests jitter (they are those of the newest joint state), starts must not: they
    lie whole periods apart. Where the clocks run at different rates, starts follow the stamps by
    at most 0.2 % of a period per tick, and the gate is told, so that it knows to the
    nanosecond where the arm is on its last trajectory when the next one starts.

    Attributes:
        tick: the last one that was planned, -1 if none.
    """

    def __init__(
        self, period: float, q: FloatArray, *, lead: float = 0.0, exact: bool = False
    ) -> None:
        """Begin at rest.

        Args:
            period: control period [s].
            q: (n,) where the arm stands [rad].
            lead: from the stamp of a tick to the start of its trajectory [s].
            exact: starts are the stamps themselves (lock step).
        """
        self._lead_ns = round(lead * 1e9)
        self._period_ns, self._exact, self._q = period * 1e9, exact, q
        self.tick, self._anchor_ns = -1, 0
        self._sent: deque[tuple[int, Trajectory]] = deque(maxlen=_REMEMBERED)

    def drift(self, tick: int, stamp_ns: int) -> float:
        """Return how much the stamp of a tick is ahead of the evenly spaced start [s]."""
        return 0.0 if tick == 0 or self._exact else (stamp_ns - self._planned_ns(tick)) / 1e9

    def _planned_ns(self, tick: int) -> int:
        return self._anchor_ns + round(tick * self._period_ns)

    def plan(self, tick: int, stamp_ns: int) -> Plan:
        """Return the start of a tick's trajectory; ticks must rise, the first is 0."""
        missed = tick - self.tick - 1
        if tick == 0 or self._exact:
            start = stamp_ns + self._lead_ns
            return Plan(start_ns=start, skipped=float(missed), tick=tick, anchor_ns=stamp_ns)
        planned = self._planned_ns(tick)
        drift, slew = stamp_ns - planned, 0
        if abs(drift) > 0.5 * self._period_ns:
            most = round(_SLEW * self._period_ns)
            slew = max(-most, min(most, drift))
        return Plan(
            start_ns=planned + slew + self._lead_ns,
            skipped=missed + slew / self._period_ns,
            tick=tick, anchor_ns=self._anchor_ns + slew, moved=slew != 0,
        )  # fmt: skip

    def go_on(self, plan: Plan) -> None:
        """Start as planned."""
        self.tick, self._anchor_ns = plan.tick, plan.anchor_ns

    def state_dict(self) -> dict[str, Any]:
        """Return what it goes on from, as plain data."""
        sent = [[start, trajectory_dict(way)] for start, way in self._sent]
        return {
            "lead_ns": self._lead_ns, "exact": self._exact, "q": self._q.tolist(),
            "tick": self.tick, "anchor_ns": self._anchor_ns, "sent": sent,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._lead_ns, self._exact = int(state["lead_ns"]), bool(state["exact"])
        self._q = np.array(state["q"], dtype=np.float64)
        self.tick, self._anchor_ns = int(state["tick"]), int(state["anchor_ns"])
        self._sent.clear()
        self._sent.extend((int(start), trajectory_of(way)) for start, way in state["sent"])

    def add(self, start_ns: int, trajectory: Trajectory) -> None:
        """Note what was published (1 row)."""
        self._sent.append((start_ns, trajectory))

    def take_back(self) -> None:
        """Forget what was noted last: it was not published."""
        self._sent.pop()

    def led_to(self, trajectory: Trajectory, start_ns: int, now_ns: int) -> tuple[Trajectory, int]:
        """Return a trajectory with what is under way until it starts, and the stamp of all [ns].

        A controller leaves what it does as soon as it gets a new trajectory and goes straight to
        its first point, however much later that is. So points of the motion under way that lie
        between come first. The first point then is where that motion is at its nanosecond, not
        where the gate reckons in fractions of one: soon after a knot the difference would be a
        jerk.

        Args:
            trajectory: of one arm, not added yet; where it is late, its first point is where it
                leaves the motion under way.
            start_ns: when it starts.
            now_ns: when it is published.
        """
        sent = [*self._sent, (start_ns, trajectory)]
        begins = [start + round(float(way.times[0, 0]) * 1e9) for start, way in sent]
        leaves, ends = begins[-1], begins[1:]
        points = [
            (start + round(float(time) * 1e9), q, dq, min(end, leaves))
            for (start, way), end in zip(self._sent, ends, strict=False)
            for time, q, dq in zip(way.times[0], way.q[0], way.dq[0], strict=True)
        ]
        between = [(at, q, dq) for at, q, dq, end in points if now_ns < at < end - _APART_NS]
        if not between:
            return trajectory, start_ns
        first = between[0][0]
        times = [(at - first) / 1e9 for at, *_ in between]
        all_times: FloatArray = np.append(times, trajectory.times[0] + (start_ns - first) / 1e9)
        q = np.concatenate([[q for _, q, _ in between], trajectory.q[0]])
        dq = np.concatenate([[dq for *_, dq in between], trajectory.dq[0]])
        under_way, way = self._sent[-1]
        if begins[-2] <= leaves:
            there = np.array([[(leaves - under_way) / 1e9]])
            at = len(between)
            q[at], dq[at] = (part[0, 0] for part in sample(way, there)[:2])
        return on_wire_grid(Trajectory(times=all_times[None], q=q[None], dq=dq[None])), first

    def expected(self, stamp_ns: int) -> FloatArray:
        """Return where the arm is commanded to be at a moment, (n,) [rad]."""
        for start, trajectory in reversed(self._sent):
            if start <= stamp_ns:
                elapsed = np.array([[(stamp_ns - start) / 1e9]])
                return sample(trajectory, elapsed)[0][0, 0]
        return self._sent[0][1].q[0, 0] if self._sent else self._q
