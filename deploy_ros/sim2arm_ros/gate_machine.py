"""HOLD, ACTIVE, FAULT: when requests of a policy may reach the arm. Pure code, no ROS.

HOLD publishes nothing; the arm stands at the end of the last approved trajectory, which ends at
rest. ACTIVE passes requests through the limits of `Gate`. FAULT is HOLD that only the operator
leaves. From HOLD to ACTIVE it takes `good_ticks` healthy joint states in a row and the first
request after a reset of the policy (tick 0 of a new session); a policy that merely goes on
asking is not let in again.

Times are nanoseconds: `ros_ns` on the clock of the stamps, `steady_ns` on the steady clock, so
that a frozen clock cannot freeze a watchdog.
"""

# pyright: standard

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from sim2arm.core.robots import Robot
from sim2arm.core.trajectory import FloatArray

from .gate import Gate, GateCfg, GateDecision
from .requests import Request


class GateState(Enum):
    """What the gate lets through."""

    HOLD = "HOLD"
    ACTIVE = "ACTIVE"
    FAULT = "FAULT"


@dataclass(frozen=True, kw_only=True)
class MachineCfg:
    """Budgets of the watchdogs."""

    good_ticks: int = 5
    """Healthy joint states in a row before a policy is let in."""
    request_timeout_s: float = 0.1
    """Longest silence of an active policy, and oldest request that is used [s]."""
    joint_timeout_s: float = 0.05
    """Longest silence of the joint states by the steady clock [s]."""
    joint_age_s: float = 0.05
    """Oldest stamp of the joint states by the ROS clock [s]."""
    latch_after_s: float = 0.15
    """Joint states that are silent for this long are a fault [s] (three times the budget)."""
    following_error: float = 0.2
    """Largest distance of a measured from its commanded joint position [rad]."""
    lock_step: bool = False
    """Simulation waits for commands: time budgets do not apply."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A trajectory to publish."""

    decision: GateDecision
    stamp_ns: int
    """ROS time at which the trajectory starts [ns]."""
    request: Request


@dataclass(kw_only=True)
class Counters:
    """What happened since the start."""

    approved: int = 0
    slowed: int = 0
    refused: int = 0
    missed: int = 0
    """Control periods of active sessions without a request."""
    ignored: int = 0
    """Requests that came in HOLD or FAULT or out of order."""
    holds: int = 0
    faults: int = 0


@dataclass(kw_only=True)
class _Joints:
    q: FloatArray
    stamp_ns: int
    receipt_ns: int


@dataclass(kw_only=True)
class _Session:
    name: str = ""
    tick: int = -1
    start_ns: int = 0
    """Stamp of the trajectory of tick 0, moved when the clocks drift [ns]."""
    receipt_ns: int = 0
    ended: set[str] = field(default_factory=set[str])


class GateMachine:
    """The state machine of one arm.

    Attributes:
        state: HOLD, ACTIVE or FAULT.
        reason: why it is in HOLD or FAULT, one line.
        rejected: the last session that was not let in.
    """

    def __init__(self, robot: Robot, period: float, limits: GateCfg, cfg: MachineCfg) -> None:
        """Start in HOLD; nothing is known of the arm yet."""
        self.robot, self.period, self.cfg = robot, period, cfg
        self.state, self.reason = GateState.HOLD, "started"
        self.counters = Counters()
        self.rejected = ""
        self.good_ticks = 0
        self._limits = limits
        self._gate: Gate | None = None
        self._joints: _Joints | None = None
        self._reference: FloatArray | None = None
        self._session = _Session()
        self._pending: Request | None = None
        self._problems: dict[str, str] = {}
        self._starved = False  # held because the joint states fell silent

    # -- what is known of the arm --------------------------------------------------------------

    def on_joints(self, q: FloatArray, stamp_ns: int, ros_ns: int, steady_ns: int) -> None:
        """Take a joint state (n,) [rad], in the order of the robot."""
        if not np.all(np.isfinite(q)):
            self.good_ticks = 0
            self._hold("joint states are not finite")
            return
        old = self._joints
        if old is not None and stamp_ns < old.stamp_ns:
            self.fault(f"joint states went back by {(old.stamp_ns - stamp_ns) / 1e9:.3f} s")
            return
        self._joints = _Joints(q=q, stamp_ns=stamp_ns, receipt_ns=steady_ns)
        if self._health(ros_ns, steady_ns):
            self.good_ticks = 0
        else:
            self.good_ticks += 1
        if self.state is GateState.ACTIVE:
            error = float(np.max(np.abs(q - self._require_gate().commanded()[0][0])))
            if error > self.cfg.following_error:
                self.fault(
                    f"the arm is {error:.3f} rad from its command, "
                    f"allowed {self.cfg.following_error} rad"
                )

    def on_reference(self, q: FloatArray) -> None:
        """Take the position (n,) [rad] that the controller commands now."""
        self._reference = q if np.all(np.isfinite(q)) else None

    def set_problem(self, name: str, reason: str | None, *, fatal: bool = False) -> None:
        """State or withdraw (None) a standing problem that keeps policies out."""
        if reason is None:
            self._problems.pop(name, None)
            return
        self._problems[name] = reason
        self.good_ticks = 0
        if fatal:
            self.fault(reason)
        else:
            self._hold(reason)

    # -- requests ------------------------------------------------------------------------------

    def on_request(self, request: Request, ros_ns: int, steady_ns: int) -> Command | None:
        """Judge a request; return what to publish, or None."""
        if request.release:
            if self.state is GateState.ACTIVE and request.session == self._session.name:
                self._hold("released by the policy")
            return None
        joints = self._joints
        if self.cfg.lock_step and (joints is None or joints.stamp_ns != request.stamp_ns):
            self._pending = request  # its joint state is on the way
            return None
        self._pending = None
        if self.state is not GateState.ACTIVE:
            return self._engage(request, ros_ns, steady_ns)
        session = self._session
        if request.session != session.name:
            self.fault(
                f"requests of two policies at once: {request.session!r} while {session.name!r} "
                "is active; stop one of them"
            )
            return None
        if request.tick <= session.tick:
            self.counters.ignored += 1
            return None
        problem = self._health(ros_ns, steady_ns) or self._late(request, ros_ns)
        if problem:
            self._hold(problem)
            return None
        missed = request.tick - session.tick - 1
        if missed:
            self.counters.missed += missed
            self._require_gate().skip(missed)
        return self._judge(request, steady_ns)

    def pending(self, ros_ns: int, steady_ns: int) -> Command | None:
        """Judge the request that waited for its joint state, if it has come (lock step)."""
        waiting = self._pending
        return None if waiting is None else self.on_request(waiting, ros_ns, steady_ns)

    def watch(self, ros_ns: int, steady_ns: int) -> None:
        """Look at the budgets; call at least once per control period."""
        if self.cfg.lock_step:
            return
        joints = self._joints
        if joints is not None and self.state is not GateState.FAULT:
            silent = (steady_ns - joints.receipt_ns) / 1e9
            if silent > self.cfg.latch_after_s:
                self.good_ticks = 0
                if self.state is GateState.ACTIVE or self._starved:
                    self.fault(f"joint states have been silent for {silent:.3f} s")
                return
        problem = self._health(ros_ns, steady_ns)
        if problem:
            self.good_ticks = 0
        if self.state is GateState.ACTIVE:
            silent = (steady_ns - self._session.receipt_ns) / 1e9
            if silent > self.cfg.request_timeout_s:
                problem = problem or (
                    f"no request for {silent:.3f} s, allowed {self.cfg.request_timeout_s} s"
                )
            if problem:
                self._starved = problem.startswith("joint states")
                self._hold(problem)

    # -- operator ------------------------------------------------------------------------------

    def fault(self, reason: str) -> None:
        """Stop and stay stopped until `operator_reset`."""
        if self.state is not GateState.FAULT:
            self.counters.faults += 1
            self._end_session()
            self.state, self.reason = GateState.FAULT, reason
        self.good_ticks = 0

    def operator_reset(self) -> str | None:
        """Leave FAULT for HOLD; return what forbids it, or None."""
        if self._problems:
            return "; ".join(self._problems.values())
        self._end_session()
        self._session.name, self._starved = "", False
        self.state, self.reason = GateState.HOLD, "reset by the operator"
        self.good_ticks = 0
        return None

    @property
    def ready(self) -> bool:
        """Whether a new session would be let in now."""
        return (
            self.state is GateState.HOLD
            and not self._problems
            and self.good_ticks >= self.cfg.good_ticks
            and self._reference is not None
            and self._joints is not None
            and float(np.max(np.abs(self._reference - self._joints.q))) <= self.cfg.following_error
        )

    @property
    def session(self) -> str:
        """Name of the last session that was let in, empty if none."""
        return self._session.name

    def commanded(self) -> tuple[FloatArray, FloatArray, int] | None:
        """Return commanded q (n,), dq (n,) and the stamp of the joint state, None if unknown."""
        if self._joints is None:
            return None
        if self.state is GateState.ACTIVE:
            q, dq = self._require_gate().commanded()
            return q[0], dq[0], self._joints.stamp_ns
        if self._reference is None:
            return None
        return self._reference, np.zeros_like(self._reference), self._joints.stamp_ns

    # -- private -------------------------------------------------------------------------------

    def _require_gate(self) -> Gate:
        assert self._gate is not None  # made on the way to ACTIVE
        return self._gate

    def _health(self, ros_ns: int, steady_ns: int) -> str | None:
        """Return the first problem of the inputs, or None."""
        if self._problems:
            return next(iter(self._problems.values()))
        joints = self._joints
        if joints is None:
            return "no joint state yet"
        if self.cfg.lock_step:
            return None
        silent, age = (steady_ns - joints.receipt_ns) / 1e9, (ros_ns - joints.stamp_ns) / 1e9
        if silent > self.cfg.joint_timeout_s:
            return f"joint states are silent for {silent:.3f} s, allowed {self.cfg.joint_timeout_s}"
        if age > self.cfg.joint_age_s:
            return f"joint states are {age:.3f} s old, allowed {self.cfg.joint_age_s} s"
        return None

    def _late(self, request: Request, ros_ns: int) -> str | None:
        age = (ros_ns - request.stamp_ns) / 1e9
        if not self.cfg.lock_step and age > self.cfg.request_timeout_s:
            return f"the request is {age:.3f} s old, allowed {self.cfg.request_timeout_s} s"
        return None

    def _engage(self, request: Request, ros_ns: int, steady_ns: int) -> Command | None:
        """Let a new session in if everything is as it must be."""
        self.counters.ignored += 1
        session = self._session
        if request.tick != 0 or request.session in session.ended:
            return None
        problem = self._health(ros_ns, steady_ns) or self._late(request, ros_ns)
        if self.state is GateState.FAULT or not self.ready or problem:
            session.ended.add(request.session)
            self.rejected = request.session
            if self.state is GateState.HOLD:
                self.reason = f"not ready for {request.session}: {problem or self._unready()}"
            return None
        assert self._reference is not None
        try:
            self._gate = Gate(self.robot, self.period, self._limits, self._reference[None])
        except ValueError as error:
            session.ended.add(request.session)
            self.rejected = request.session
            self._hold(str(error))
            return None
        self.counters.ignored -= 1
        session.name, session.start_ns = request.session, request.stamp_ns
        self.state, self.reason, self._starved = GateState.ACTIVE, "", False
        return self._judge(request, steady_ns)

    def _unready(self) -> str:
        if self._reference is None:
            return "the controller has not said what it commands"
        return f"{self.good_ticks} of {self.cfg.good_ticks} healthy joint states"

    def _judge(self, request: Request, steady_ns: int) -> Command | None:
        session, gate = self._session, self._require_gate()
        session.tick, session.receipt_ns = request.tick, steady_ns
        decision = gate.step(request.q[None], request.dq[None])
        if decision.share[0] == 0.0:
            self.counters.refused += 1
            self._hold(f"request refused: {decision.reason()}")
            return None
        self.counters.approved += 1
        self.counters.slowed += int(decision.share[0] < 1.0)
        return Command(decision=decision, stamp_ns=self._schedule(request), request=request)

    def _schedule(self, request: Request) -> int:
        """Return the start of a tick's trajectory: evenly spaced, near the request's stamp."""
        session = self._session
        if self.cfg.lock_step:
            return request.stamp_ns
        period_ns = self.period * 1e9
        planned = session.start_ns + round(request.tick * period_ns)
        drift = request.stamp_ns - planned
        if abs(drift) > 0.5 * period_ns:
            session.start_ns += drift
            planned = request.stamp_ns
        return planned

    def _hold(self, reason: str) -> None:
        if self.state is GateState.ACTIVE:
            self.counters.holds += 1
            self._end_session()
            self.state = GateState.HOLD
            self.reason = reason
            self.good_ticks = 0
        elif self.state is GateState.HOLD:
            self.reason = reason

    def _end_session(self) -> None:
        if self._session.name:
            self._session.ended.add(self._session.name)
        self._session.tick = -1
        self._pending = None
