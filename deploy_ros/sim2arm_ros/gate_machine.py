"""HOLD, ACTIVE, FAULT: when requests of a policy may reach the arm. Pure code, no ROS.

HOLD publishes nothing; the arm stands at the end of the last approved trajectory, which ends at
rest. ACTIVE passes requests through the limits of `Gate`. FAULT is HOLD that only the operator
leaves. From HOLD to ACTIVE it takes `good_ticks` healthy joint states in a row and the first
request after a reset of the policy (tick 0 of a new session); a policy that merely goes on
asking is not let in again. What the robot says of its own state comes in here too: while it is not
well no policy is let in, and once it was, any change of that is a fault.

Times are nanoseconds: `ros_ns` on the clock of the stamps, `steady_ns` on the steady clock, so
that a frozen clock cannot freeze a watchdog.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sim2arm.core.robots import Robot
from sim2arm.core.trajectory import FloatArray, Trajectory

from .command_track import CommandTrack, Plan
from .gate import Gate, GateCfg
from .gate_state import (
    Command,
    Counters,
    GateState,
    Joints,
    MachineCfg,
    Session,
    joints_dict,
    joints_of,
    session_dict,
    session_of,
)
from .requests import Request, request_dict, request_of
from .robot_modes import MODES, RobotModes, Values

RELEASED = "released by the policy"
"""Reason of a stop that was asked for."""
HELD = "held by the operator"
"""Reason of a hold that the operator asked for; it stands until the operator's reset."""
STOPPED = "stopped by the e-stop"
"""Reason of a fault that an e-stop asked for; it stands as long."""
_SAME = 1e-7  # what times in whole nanoseconds make of states [rad], [rad/s]
_AT_REST = 1e-3  # a controller that stands commands no velocity [rad/s]


class GateMachine:
    """The state machine of one arm.

    Attributes:
        state: HOLD, ACTIVE or FAULT.
        reason: why it is in HOLD or FAULT, one line.
        rejected: the last session that was not let in.
        changed: the last request was not commanded as it was asked: the policy must be told.
        modes: what the robot says of its own state, None for one that says nothing.
    """

    def __init__(
        self,
        robot: Robot,
        period: float,
        limits: GateCfg,
        cfg: MachineCfg,
        modes: RobotModes | None = None,
    ) -> None:
        """Start in HOLD; nothing is known of the arm yet."""
        self.robot, self.period, self.cfg, self.modes = robot, period, cfg, modes
        self.state, self.reason = GateState.HOLD, "started"
        self.counters = Counters()
        self.rejected = ""
        self.changed = False
        self.good_ticks = 0
        self._limits, self._widest = limits, robot.gripper.open_width
        self._gate: Gate | None = None
        self._track = CommandTrack(period, np.zeros(len(robot.limits.q_min)))
        self._joints: Joints | None = None
        self._reference: FloatArray | None = None
        self._reference_rests, self._reference_ns = False, 0
        self._session = Session()
        self._pending: Request | None = None
        self._problems: dict[str, str] = {}
        self._active_ns = 0  # steady time at which a session was last seen to run

    def state_dict(self) -> dict[str, Any]:
        """Return what it goes on from, as plain data."""
        pending, reference, gate = self._pending, self._reference, self._gate
        return {
            "state": self.state.value, "reason": self.reason, "rejected": self.rejected,
            "changed": self.changed, "good_ticks": self.good_ticks,
            "counters": dict(vars(self.counters)),
            "gate": None if gate is None else gate.state_dict(),
            "track": self._track.state_dict(),
            "joints": None if self._joints is None else joints_dict(self._joints),
            "reference": None if reference is None else reference.tolist(),
            "reference_rests": self._reference_rests, "reference_ns": self._reference_ns,
            "session": session_dict(self._session),
            "pending": None if pending is None else request_dict(pending),
            "problems": dict(self._problems), "active_ns": self._active_ns,
            "modes": None if self.modes is None else self.modes.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.state, self.reason = GateState(state["state"]), str(state["reason"])
        self.rejected, self.changed = str(state["rejected"]), bool(state["changed"])
        self.good_ticks, self.counters = int(state["good_ticks"]), Counters(**state["counters"])
        self._gate = None
        if state["gate"] is not None:
            q = np.array(state["gate"]["trajectory"]["q"])[:, 0]
            self._gate = Gate(self.robot, self.period, self._limits, q)
            self._gate.load_state_dict(state["gate"])
        self._track.load_state_dict(state["track"])
        self._joints = None if state["joints"] is None else joints_of(state["joints"])
        reference = state["reference"]
        self._reference = None if reference is None else np.array(reference, dtype=np.float64)
        self._reference_rests = bool(state["reference_rests"])
        self._reference_ns, self._active_ns = int(state["reference_ns"]), int(state["active_ns"])
        self._session = session_of(state["session"])
        self._pending = None if state["pending"] is None else request_of(state["pending"])
        self._problems = {str(name): str(text) for name, text in state["problems"].items()}
        if self.modes is not None:
            self.modes.load_state_dict(state["modes"])

    # -- what is known of the arm --------------------------------------------------------------

    def on_joints(self, q: FloatArray, stamp_ns: int, ros_ns: int, steady_ns: int) -> None:
        """Take a joint state (n,) [rad], in the order of the robot."""
        if not np.all(np.isfinite(q)):
            self.good_ticks = 0
            self._hold("joint states are not finite")
            return
        old = self._joints
        self._joints = Joints(q=q, stamp_ns=stamp_ns, receipt_ns=steady_ns)
        if old is not None and stamp_ns < old.stamp_ns:
            self.fault(f"joint states went back by {(old.stamp_ns - stamp_ns) / 1e9:.3f} s")
            return
        if self._health(ros_ns, steady_ns):
            self.good_ticks = 0
        else:
            self.good_ticks += 1
        if self.state is GateState.ACTIVE:
            error = float(np.max(np.abs(q - self._track.expected(stamp_ns))))
            if error > self.cfg.following_error:
                self.fault(
                    f"the arm is {error:.3f} rad from its command, "
                    f"allowed {self.cfg.following_error} rad"
                )

    def on_reference(self, q: FloatArray, dq: FloatArray, stamp_ns: int, steady_ns: int) -> None:
        """Take position (n,) [rad] and velocity (n,) [rad/s] that the controller commands now."""
        if not (np.all(np.isfinite(q)) and np.all(np.isfinite(dq))):
            self._reference, self._reference_rests = None, False
            self._hold("what the controller commands is not finite")
            return
        self._reference, self._reference_ns = q, steady_ns
        self._reference_rests = bool(np.all(np.abs(dq) < _AT_REST))
        if self.state is GateState.ACTIVE:
            error = float(np.max(np.abs(q - self._track.expected(stamp_ns))))
            if error > self.cfg.following_error:
                self.fault(
                    f"the controller is {error:.3f} rad from what was published, allowed "
                    f"{self.cfg.following_error} rad: does somebody else command it?"
                )

    def on_mode(self, topic: str, values: Values | None, steady_ns: int) -> None:
        """Take what the robot says on a topic of its modes; None: nobody publishes it any more."""
        assert self.modes is not None  # who has none says nothing
        self.modes.hear(topic, values, steady_ns)
        self._watch_modes(steady_ns)

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
            self._release(request)
            return None
        joints = self._joints
        if self.cfg.lock_step and (joints is None or joints.stamp_ns != request.stamp_ns):
            self._pending = request  # its joint state is on the way
            return None
        self._pending = None
        if self.state is not GateState.ACTIVE:
            return self._engage(request, ros_ns, steady_ns)
        session, self._active_ns = self._session, steady_ns
        if request.session != session.name:
            self.fault(
                f"requests of two policies at once: {request.session!r} while {session.name!r} "
                "is active; stop one of them"
            )
            return None
        if request.tick <= session.tick:
            self.counters.ignored += 1
            return None
        problem = (
            self._health(ros_ns, steady_ns)
            or self._late(request, ros_ns)
            or session.silence(steady_ns, self._patience_s)
        )
        if problem:
            self._hold(problem)
            return None
        return self._judge(request, ros_ns, steady_ns)

    def pending(self, ros_ns: int, steady_ns: int) -> Command | None:
        """Judge the request that waited for its joint state, if it has come (lock step)."""
        waiting = self._pending
        return None if waiting is None else self.on_request(waiting, ros_ns, steady_ns)

    def watch(self, ros_ns: int, steady_ns: int) -> None:
        """Look at the budgets; call at least once per control period."""
        self._watch_modes(steady_ns)
        if self.cfg.lock_step:
            return
        joints = self._joints
        if joints is not None and self.state is not GateState.FAULT:
            silent = (steady_ns - joints.receipt_ns) / 1e9
            if silent > self.cfg.latch_after_s:
                self.good_ticks = 0
                if self.state is GateState.ACTIVE or self._active_ns > joints.receipt_ns:
                    self.fault(f"joint states have been silent for {silent:.3f} s")
                return
        problem = self._health(ros_ns, steady_ns)
        if problem:
            self.good_ticks = 0
        if self.state is GateState.ACTIVE:
            self._active_ns = steady_ns
            problem = problem or self._session.silence(steady_ns, self._patience_s)
            unheard = (steady_ns - self._reference_ns) / 1e9
            if unheard > self.cfg.reference_timeout_s:
                problem = problem or (
                    f"the controller has not said for {unheard:.3f} s what it commands, allowed "
                    f"{self.cfg.reference_timeout_s} s"
                )
            if problem:
                self._hold(problem)

    # -- operator ------------------------------------------------------------------------------

    def fault(self, reason: str) -> None:
        """Stop and stay stopped until `operator_reset`."""
        if self.state is not GateState.FAULT:
            self.counters.faults += 1
            self._end_session()
            self.state, self.reason = GateState.FAULT, reason
        self.good_ticks = 0

    def operator_stop(self, reason: str) -> None:
        """Stop as by a fault, and let nobody in until `operator_reset`, whoever activates what."""
        self._problems[STOPPED] = reason
        self.fault(reason)

    def operator_hold(self) -> None:
        """Stop, and let nobody in until `operator_reset`: a request may be on its way."""
        self._problems[HELD] = HELD
        self.good_ticks = 0
        self._hold(HELD)

    def operator_reset(self) -> str | None:
        """Leave FAULT, or a hold of the operator, for HOLD; return what forbids it, or None."""
        others = [self._problems[name] for name in self._problems if name not in (HELD, STOPPED)]
        if others:
            return "; ".join(others)
        self._problems.clear()
        self._begin_anew("reset was asked for")
        return None

    def activate(self) -> str | None:
        """Leave what was wrong before the gate is activated; return what forbids it, or None.

        What an operator stopped stays stopped.
        """
        if self._problems:
            return "; ".join(self._problems.values())
        self._begin_anew("activated")
        return None

    def _begin_anew(self, reason: str) -> None:
        self._end_session()
        self._session.name, self._active_ns = "", 0
        self.state, self.reason = GateState.HOLD, reason
        self.good_ticks = 0

    @property
    def stops(self) -> dict[str, str]:
        """What an operator asked for and has not taken back: HELD, STOPPED and their reasons."""
        return {name: self._problems[name] for name in (HELD, STOPPED) if name in self._problems}

    @property
    def problems(self) -> Mapping[str, str]:
        """Standing problems that keep policies out, by name."""
        return self._problems

    @property
    def ready(self) -> bool:
        """Whether a new session would be let in now."""
        return not self.not_ready

    @property
    def not_ready(self) -> str:
        """Why a new session would not be let in now, one line; empty if it would."""
        if self.state is not GateState.HOLD:
            return self.reason or f"{self._session.name} runs"
        return "; ".join(self._problems.values()) or self._unready() or ""

    @property
    def session(self) -> str:
        """Name of the last session that was let in, empty if none."""
        return self._session.name

    def answer(self) -> tuple[str, int, Trajectory, FloatArray] | None:
        """Return what became of the last tick, if it was changed.

        Returns:
            Session, tick, what the arm does from its end on, and its acceleration there (n,).
        """
        if not self.changed or self.state is not GateState.ACTIVE:
            return None
        self.changed = False
        session = self._session
        way, ddq = self._require_gate().ahead(session.tick - self._track.tick)
        return session.name, session.tick, way, ddq

    def commanded(self) -> tuple[FloatArray, FloatArray, int] | None:
        """Return commanded q (n,), dq (n,) and the stamp of the joint state, None if unknown."""
        if self._joints is None:
            return None
        if self.state is GateState.ACTIVE:
            q, dq, _ = self._require_gate().commanded()
            return q[0], dq[0], self._joints.stamp_ns
        if self._reference is None:
            return None
        return self._reference, np.zeros_like(self._reference), self._joints.stamp_ns

    # -- private -------------------------------------------------------------------------------

    def _require_gate(self) -> Gate:
        assert self._gate is not None  # made on the way to ACTIVE
        return self._gate

    def _health(self, ros_ns: int, steady_ns: int) -> str | None:
        """Return the first problem of the inputs, or None; a robot that is not well may fault."""
        self._watch_modes(steady_ns)
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
        if -age > self.cfg.joint_age_s:
            return f"joint states are {-age:.3f} s ahead of the clock"
        return None

    def _watch_modes(self, steady_ns: int) -> None:
        """State or withdraw what is wrong with the robot; a fault if it was well before."""
        if self.modes is None:
            return
        problem = self.modes.problem(steady_ns, timed=not self.cfg.lock_step)
        if problem is None:
            self.modes.was_well = True
            self._problems.pop(MODES, None)
        else:
            self.set_problem(MODES, problem, fatal=self.modes.was_well)

    @property
    def _patience_s(self) -> float:
        """Longest silence of a policy [s]; in lock step there is none."""
        return math.inf if self.cfg.lock_step else self.cfg.request_timeout_s

    def _late(self, request: Request, ros_ns: int) -> str | None:
        age = (ros_ns - request.stamp_ns) / 1e9
        if not self.cfg.lock_step and abs(age) > self.cfg.request_timeout_s:
            words = f"{age:.3f} s old" if age > 0 else f"{-age:.3f} s ahead of the clock"
            return f"the request is {words}, allowed {self.cfg.request_timeout_s} s"
        return None

    def _release(self, request: Request) -> None:
        """End a session that its policy gives up, running or waiting."""
        session = request.session
        waiting = self._pending is not None and self._pending.session == session
        if waiting:
            self._pending = None
            self._session.end(session)
        if self.state is GateState.ACTIVE and session == self._session.name:
            self._hold(f"{RELEASED}: {request.why}" if request.why else RELEASED)

    def _engage(self, request: Request, ros_ns: int, steady_ns: int) -> Command | None:
        """Let a new session in if everything is as it must be."""
        self.counters.ignored += 1
        session = self._session
        if request.tick != 0 or request.session in session.ended:
            return None
        problem = self._health(ros_ns, steady_ns) or self._late(request, ros_ns)
        if self.state is GateState.FAULT or not self.ready or problem:
            session.end(request.session)
            self.rejected = request.session
            if self.state is GateState.HOLD:
                self.reason = f"not ready for {request.session}: {problem or self._unready()}"
            return None
        assert self._reference is not None
        try:
            self._gate = Gate(self.robot, self.period, self._limits, self._reference[None])
        except ValueError as error:
            session.end(request.session)
            self.rejected = request.session
            self._hold(str(error))
            return None
        lead = 0.0 if self.cfg.lock_step else self.cfg.lead_s
        self._track = CommandTrack(
            self.period, self._reference, lead=lead, exact=self.cfg.lock_step
        )
        self.counters.ignored -= 1
        session.name = request.session
        session.published_ns = session.followed_ns = steady_ns
        session.unlike, session.rough = None, False
        self.state, self.reason = GateState.ACTIVE, ""
        return self._judge(request, ros_ns, steady_ns)

    def _unready(self) -> str | None:
        """Return what a new session has to wait for, problems aside."""
        if self.good_ticks < self.cfg.good_ticks or self._joints is None:
            return f"{self.good_ticks} of {self.cfg.good_ticks} healthy joint states"
        if self._reference is None:
            return "the controller has not said what it commands"
        silent = (self._joints.receipt_ns - self._reference_ns) / 1e9
        if not self.cfg.lock_step and silent > self.cfg.reference_timeout_s:
            return f"the controller has not said for {silent:.3f} s what it commands"
        if not self._reference_rests:
            return "the arm is not at rest"
        error = float(np.max(np.abs(self._reference - self._joints.q)))
        if error > self.cfg.following_error:
            return (
                f"the arm is {error:.3f} rad from what the controller commands, allowed "
                f"{self.cfg.following_error} rad"
            )
        return None

    def _judge(self, request: Request, ros_ns: int, steady_ns: int) -> Command | None:
        session, gate = self._session, self._require_gate()
        drift = self._track.drift(request.tick, request.stamp_ns)
        if abs(drift) > self.cfg.request_timeout_s:
            self._hold(
                f"stamp of tick {request.tick} is {drift:.3f} s from its time, allowed "
                f"{self.cfg.request_timeout_s} s"
            )
            return None
        # An arm in lock step waits for a command: what is asked for there is always judged.
        follows = self.cfg.lock_step or session.followed_by(request, self._track.tick)
        plan = self._plan(request, sure=follows and (request.told or not session.rough))
        if plan is None:
            return self._leave_out(request, steady_ns)
        self._track.go_on(plan)
        self.counters.missed += request.tick - session.tick - 1
        session.tick, session.receipt_ns = request.tick, steady_ns
        self.changed, session.unlike = False, None
        if follows:
            session.followed_ns = steady_ns
        coasts = session.rough and not request.told and plan.skipped > 0.0
        session.rough = not follows or plan.moved or coasts
        gate.skip(plan.skipped)
        decision = gate.step(request.q[None], request.dq[None])
        refused = decision.reason() if decision.share[0] == 0.0 else self._misfit(request.width)
        if refused:
            self.counters.refused += 1
            self._hold(f"request refused: {refused}")
            return None
        trajectory, spare = decision.trajectory, math.inf
        told, stamp_ns = trajectory, plan.start_ns
        if not self.cfg.lock_step:
            deciding, transport = self.cfg.deciding_s, self.cfg.transport_s
            spare = (plan.start_ns - ros_ns) / 1e9 - transport
            if spare < deciding:
                late, spare = deciding - spare, deciding
                joined = gate.take_over(late)
                if joined is None:
                    return self._drop(late)
                self.counters.late += 1
                trajectory, session.rough = joined, True
            told, stamp_ns = self._track.led_to(trajectory, plan.start_ns, ros_ns)
        session.published_before_ns, session.published_ns = session.published_ns, steady_ns
        self.counters.approved += 1
        self.counters.slowed += int(decision.share[0] < 1.0)
        if decision.share[0] < 1.0 or not self._ends_as_asked(request):
            self._tell()
        self._track.add(plan.start_ns, trajectory)
        passed = 0.0 if self.cfg.lock_step else (ros_ns - stamp_ns) / 1e9
        return Command(
            trajectory=told, stamp_ns=stamp_ns, elapsed=passed, request=request, spare_s=spare
        )

    def withhold(self, waited: float) -> None:
        """Take the last command back: it was not published, as it waited too long for that [s].

        The arm goes on as if it had been dropped, and the policy is told.
        """
        if self.state is not GateState.ACTIVE:
            return
        self._require_gate().take_back()
        self._track.take_back()
        self._session.published_ns = self._session.published_before_ns
        self.counters.approved -= 1
        self._drop(waited)

    def _misfit(self, width: float | None) -> str:
        """Return what is wrong with a wanted width of the gripper [m], or an empty string."""
        if width is None or 0.0 <= width <= self._widest:
            return ""
        return f"gripper: expected 0 to {self._widest} m, got {width}"

    def _plan(self, request: Request, *, sure: bool) -> Plan | None:
        """Return when the motion of a request starts; None if it is to be left out.

        What was perhaps made for an arm that is elsewhere is used only if it passes as it is.
        """
        gate, track, q, dq = self._require_gate(), self._track, request.q[None], request.dq[None]
        plan = track.plan(request.tick, request.stamp_ns)
        if self._misfit(request.width) or not gate.imaginable(q, dq)[0]:
            return plan  # it will be refused
        return plan if sure or gate.fits(plan.skipped, q, dq) else None

    def _ends_as_asked(self, request: Request) -> bool:
        """Return whether the arm will be where it was asked for at the end of the period."""
        q, dq, _ = self._require_gate().commanded()
        error = np.maximum(np.abs(q[0] - request.q), np.abs(dq[0] - request.dq))
        return bool(error.max() < _SAME)

    def _leave_out(self, request: Request, steady_ns: int) -> None:
        """Let a tick pass without its request, and tell the policy where the arm goes."""
        session = self._session
        self.counters.outdated += 1
        self.counters.missed += request.tick - session.tick
        session.tick, session.receipt_ns = request.tick, steady_ns
        session.why = "requests do not go on from where the arm is"
        self._tell()

    def _tell(self) -> None:
        """Let the policy hear what became of this tick."""
        self.changed = True
        if self._session.unlike is None:
            self._session.unlike = self._session.tick

    def _drop(self, late: float) -> None:
        """Leave out a command that is too late."""
        self.counters.dropped += 1
        self.counters.missed += 1
        self._session.why = f"commands are too late, the last by {late:.3f} s"
        self._tell()

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
            self._session.end(self._session.name)
        self._session.tick = -1
        self._pending, self.changed = None, False
