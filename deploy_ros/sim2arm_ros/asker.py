"""The side that asks the gate for motion: wait until it is ready, ask once per tick, end.

`policy_node` and `teleop_node` have one each. After a stop it never goes on alone: the node has to
be deactivated and activated again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from . import activation
from .activation import Item
from .convert import (
    change_from,
    joint_field,
    joint_state_message,
    request_message,
    status_message,
    status_values,
    to_ns,
)
from .gate_about import GateAbout
from .node_support import Endpoints, latched, streaming
from .request_session import FloatArray, RequestSession
from .requests import IN_ITS_PLACE, READY, REQUEST_TOPIC, Request, make_tag

_GATE_SILENCE_S = 1.0  # the gate says ten times a second what it does
_LET_IN_S = 0.5
"""Longest time from tick 0 to the gate's word that it passes the run [s]: of two machines that know
each other only since a moment ago the first messages may be lost."""
_LATE_WORD = f"gate: it let a run in more than {_LET_IN_S} s after tick 0: is the link slow?"


class Phase(Enum):
    """What an active node that asks does."""

    IDLE = "IDLE"
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class Asker:
    """Asks the gate of one arm.

    Attributes:
        requests: of the runs; others may take their place between runs.
        phase: what it does.
        reason: why, one line; empty while it runs.
        ready: commanded position (n,) [rad], stamp and steady time [ns] at which the gate would
            let a run in; none if it has not said so.
    """

    def __init__(
        self,
        node: LifecycleNode,
        requests: RequestSession,
        *,
        who: str,
        begin: Callable[[FloatArray], None],
        stamp: Callable[[], int],
        names: Sequence[str],
        about: GateAbout,
        lock_step: bool = False,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            node: for whom.
            requests: of the runs.
            who: asks: policy or teleop.
            begin: begins a run at a commanded position (n,) [rad].
            stamp: returns that of the newest joint state [ns].
            names: of the joints, as the arm has them.
            about: what it knows of the gate.
            lock_step: whether the arm waits for each command.
            on_ready: called when `ready` is news.
        """
        self._node, self.requests, self._who = node, requests, who
        self._begin, self._stamp, self._on_ready = begin, stamp, on_ready
        self._names, self._about, self._lock_step = list(names), about, lock_step
        self._period_ns = round(1e9 / requests.contract.control_hz)
        self.phase, self.reason = Phase.IDLE, ""
        self.ready: tuple[FloatArray, int, int] | None = None
        self._let_in, self._gate_heard_ns = False, 0
        self._given_up: set[str] = set()
        self._started_ns, self._last_tick = 0, 0
        self._red: list[str] = []

    def connect(self, endpoints: Endpoints, gate: str, *, person: bool = False) -> None:
        """Open what it needs.

        Args:
            endpoints: of the node.
            gate: name of the gate's node.
            person: whether a person may take over from a policy.
        """
        self._others: dict[str, Any] = {}
        self._request = endpoints.lifecycle_publisher(JointTrajectory, REQUEST_TOPIC, streaming(10))
        self._action = endpoints.lifecycle_publisher(JointState, "~/action", streaming(100))
        if person:
            self._others = {
                who: endpoints.lifecycle_publisher(JointState, f"~/{topic}", streaming(100))
                for who, topic in IN_ITS_PLACE.items()
            }
        self._activation = endpoints.publisher(String, "~/activation", latched())
        self._state = endpoints.publisher(DiagnosticStatus, "~/state", latched())
        endpoints.subscription(JointState, f"{gate}/commanded", self.on_commanded, streaming(10))
        endpoints.subscription(JointTrajectory, f"{gate}/changed", self.on_changed, streaming(10))
        endpoints.subscription(DiagnosticStatus, f"{gate}/state", self.on_gate_state, latched())

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    # -- what the gate says --------------------------------------------------------------------

    def on_changed(self, message: JointTrajectory) -> None:
        """The gate says what the arm does in place of what was asked for."""
        requests = self.requests
        try:
            session, tick, way, ddq = change_from(message, self._names)
        except ValueError as error:
            self.stop(f"gate: {error}")
            return
        # In lock step the gate judges what comes next wherever it goes on from: only news counts.
        news = not self._lock_step or tick == requests.tick - 1
        if self.phase is Phase.RUNNING and session == requests.session and news:
            requests.resume(tick, way, ddq)

    def on_commanded(self, message: JointState) -> None:
        """The gate would let a run in."""
        if message.header.frame_id != READY:
            return
        try:
            q = joint_field(message, "position", self._names)
        except ValueError as error:
            self.stop(f"gate: {error}")
            return
        if self.phase is Phase.WAITING:
            self.ready = (q, to_ns(message.header.stamp), time.monotonic_ns())
            self._on_ready()

    def on_gate_state(self, message: DiagnosticStatus) -> None:
        """Stop when the gate no longer passes our requests."""
        values, session = status_values(message), self.requests.session
        self._about.hear(values, self._now_ns())
        if values.get("session") in self._given_up and self.phase is not Phase.STOPPED:
            self.stop(_LATE_WORD)
            self._enter(Phase.STOPPED, _LATE_WORD)
            return
        if self.phase is not Phase.RUNNING:
            return
        self._gate_heard_ns = time.monotonic_ns()
        ours, active = values.get("session") == session, values.get("state") == "ACTIVE"
        if ours and active:
            self._let_in = True
        elif ours or self._let_in or values.get("rejected") == session:
            self.stop(f"gate: {message.message or 'another session'}", tell=False)

    # -- phases --------------------------------------------------------------------------------

    def passes(self, items: Sequence[Item]) -> bool:
        """Publish an activation report; return whether nothing is red, and log what is once.

        Args:
            items: of the node; what is known of the gate comes after them.
        """
        items = [*items, *self._about.items()]
        report = activation.to_json(f"{self._who}_node", items)
        self._activation.publish(String(data=report))
        red = activation.problems(items)
        if red != self._red:  # a launcher asks again and again
            self._red = red
            for line in red:
                self._node.get_logger().error(f"not activated: {line}")
        return not red

    def wait(self) -> None:
        """Begin a run as soon as the gate is ready."""
        self._given_up.clear()
        self._wait()

    def _wait(self) -> None:
        self.ready = None
        self._enter(Phase.WAITING, "waiting for the gate")

    def _begin_again(self) -> None:
        """Give up a run that the gate does not seem to have heard of, and begin another.

        Nothing has moved then. If the gate says later that it did let the run in, this ends.
        """
        self._publish(self.requests.release(self._stamp()))
        self._given_up.add(self.requests.session)
        self._wait()

    def begin(self) -> None:
        """Begin a run where the gate is ready."""
        assert self.ready is not None
        self._begin(self.ready[0])
        self.ready = None
        self._let_in, self._gate_heard_ns = False, time.monotonic_ns()
        self._enter(Phase.RUNNING, "")

    def stop(self, reason: str, *, tell: bool = True) -> None:
        """End the run, if one is under way; `tell` the gate."""
        if self.phase is not Phase.RUNNING:
            return
        if tell:
            self._publish(self.requests.release(self._stamp(), reason))
        self._node.get_logger().warning(f"stopped: {reason}")
        self._enter(Phase.STOPPED, reason)

    def rest(self, reason: str) -> None:
        """End the run, as it was meant to end, and wait for nothing."""
        self._given_up.clear()
        if self.phase is Phase.RUNNING:
            self._publish(self.requests.release(self._stamp()))
        self._enter(Phase.IDLE, reason)

    def close(self) -> None:
        """Say nothing more: the endpoints are closed."""
        self.phase = Phase.IDLE

    def _enter(self, phase: Phase, reason: str) -> None:
        self.phase, self.reason = phase, reason
        self.tell(reason, {})

    # -- ticks ---------------------------------------------------------------------------------

    def due(self, steady_ns: int) -> int | None:
        """Return how many ticks were skipped if one is due now, in real time; else none."""
        clock = self._about.problem(self._now_ns(), steady_ns)
        if clock is not None:
            self.stop(clock)
        if self.phase is Phase.WAITING:
            if self.ready is None or steady_ns - self.ready[2] > 3 * self._period_ns:
                return None
            self.begin()
            self._started_ns, self._last_tick = steady_ns, -1
        if self.phase is not Phase.RUNNING:
            return None
        if not self._let_in and (steady_ns - self._started_ns) / 1e9 > _LET_IN_S:
            self._begin_again()
            return None
        silent = (steady_ns - self._gate_heard_ns) / 1e9
        if silent > _GATE_SILENCE_S:
            self.stop(f"gate: silent for {silent:.3f} s, allowed {_GATE_SILENCE_S} s")
            return None
        number = round((steady_ns - self._started_ns) / self._period_ns)
        if number <= self._last_tick:  # two calls in one period, after a late one
            return None
        skipped = number - self._last_tick - 1
        self._last_tick = number
        return skipped

    def send(
        self,
        request: Request,
        action: NDArray[np.floating],
        labels: Sequence[str] | None = None,
        *,
        who: str = "",
    ) -> None:
        """Publish a request, and what it was made of.

        Args:
            request: of this tick.
            action: that was asked for (A,).
            labels: names of its elements; those of the contract by default.
            who: asked in place of the policy, one of `IN_ITS_PLACE`.
        """
        self._publish(request)
        spec = self.requests.contract.action
        labels = labels or spec.element_names or [str(i) for i in range(spec.dim)]
        values, tag = action.astype(np.float64), make_tag(request.session, request.tick)
        message = joint_state_message(labels, values, values * 0.0, request.stamp_ns, tag)
        self._others.get(who, self._action).publish(message)

    def tell(self, reason: str, more: dict[str, object]) -> None:
        """Publish how it stands, why, and what else there is to know."""
        level = DiagnosticStatus.OK if self.phase is Phase.RUNNING else DiagnosticStatus.WARN
        values: dict[str, object] = {
            "phase": self.phase.value,
            "session": self.requests.session,
            "tick": self.requests.tick,
        }
        self._state.publish(status_message(level, self._who, reason, values | more))

    def _publish(self, request: Request) -> None:
        self._request.publish(request_message(request, self._names, self._period_ns))
