"""States, budgets, counters and commands of the gate: what `gate_machine` works with. No ROS."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from sim2arm.core.trajectory import FloatArray, Trajectory

from .requests import Request

LATENCY = "latency_s"
"""Value of `~/state`: from a joint state at the gate to the command of the policy that had seen it,
the longest since the message before [s]; empty where there was no command."""
_APART = 10  # times the longest silence: what merely fits is no answer for ever
_ENDED = 256  # sessions that are remembered, so that none comes back


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
    """Longest silence of an active policy, longest time without a command, oldest request that is
    used, and how far stamps of requests may be from their ticks [s]. After a change the policy is
    out of step for a round trip and a period: a link that is slower than that needs more."""
    joint_timeout_s: float = 0.05
    """Longest silence of the joint states by the steady clock [s]."""
    joint_age_s: float = 0.05
    """Oldest stamp of the joint states by the ROS clock, and how far it may lie ahead [s]."""
    reference_timeout_s: float = 0.25
    """Oldest news of what the controller commands from which a session may start [s]."""
    latch_after_s: float = 0.15
    """Joint states that are silent for this long are a fault [s] (three times the budget)."""
    following_error: float = 0.2
    """Largest distance of a measured from its commanded joint position, and of what the
    controller follows from what was published [rad]: more means that the arm is blocked or was
    moved, or that the controller obeys somebody else."""
    lead_s: float = 0.0
    """From the stamp of a tick to the start of its motion [s]: time for the policy, the gate and
    the network. A command that comes in time is joined on the path that is under way."""
    deciding_s: float = 0.003
    """From the arrival of a request to the publishing of its command [s], where that is late; what
    takes longer is not published."""
    transport_s: float = 0.003
    """From publishing a command to the update in which the controller takes it over [s]."""
    lock_step: bool = False
    """Simulation waits for commands: time budgets do not apply."""

    def __post_init__(self) -> None:
        """Refuse budgets that nothing ever exceeds."""
        if self.good_ticks < 1:
            raise ValueError(f"good_ticks: expected 1 or more, got {self.good_ticks}")
        for name in ("request_timeout_s", "joint_timeout_s", "joint_age_s", "reference_timeout_s",
                     "latch_after_s", "following_error"):  # fmt: skip
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("lead_s", "deciding_s", "transport_s"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A trajectory to publish."""

    trajectory: Trajectory
    """(1, ...) with its stop."""
    stamp_ns: int
    """ROS time at which the trajectory starts [ns]."""
    elapsed: float
    """Points up to this time of the trajectory are left out [s]: those that are past when it is
    published. Where the motion has begun, its first point is where the gate expects it to be taken
    over; a controller that has it sooner goes on as it does until then."""
    request: Request
    spare_s: float
    """How long after its decision it may be published [s]: if later, the controller would have it
    when it should have left the motion under way already."""


@dataclass(kw_only=True)
class Counters:
    """What happened since the start."""

    approved: int = 0
    slowed: int = 0
    refused: int = 0
    missed: int = 0
    """Control periods of active sessions that passed without a new command: without a request, or
    with one that was dropped or outdated. The silence before a hold is in its reason instead."""
    late: int = 0
    """Commands that came after the start of their motion and were joined on the way."""
    dropped: int = 0
    """Of `missed`, those whose command was too late to be joined, or to be published after its
    decision: the trajectory before coasted on."""
    outdated: int = 0
    """Of `missed`, those whose request did not go on from where the arm was and did not fit as it
    was either: a request before it was lost, or its policy had not heard yet what the gate had
    changed."""
    ignored: int = 0
    """Requests that came in HOLD or FAULT or out of order."""
    holds: int = 0
    faults: int = 0


@dataclass(kw_only=True)
class Joints:
    """The newest joint state."""

    q: FloatArray
    stamp_ns: int
    receipt_ns: int


@dataclass(kw_only=True)
class Session:
    """The session that was let in last, and the ones that may not come back."""

    name: str = ""
    tick: int = -1
    unlike: int | None = None
    """The first tick from the last command on that was heard and not commanded as it was asked;
    None if there is none: a request that goes on from it or a later one must have been told."""
    rough: bool = False
    """Whether the last command ends where it was asked for, but with another acceleration than its
    policy knows of: it was joined on the way, or followed on something else."""
    why: str = ""
    """Why the last request became no command."""
    receipt_ns: int = 0
    published_ns: int = 0
    published_before_ns: int = 0
    """Steady time of the command before the last [ns]."""
    followed_ns: int = 0
    """Steady time of the last request that went on from where the arm was [ns]."""
    ended: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])

    def silence(self, steady_ns: int, allowed: float) -> str | None:
        """Return that nothing was asked, or nothing was commanded, for too long; or None.

        Args:
            steady_ns: the steady clock [ns].
            allowed: longest silence [s].
        """
        silent, idle, apart = (
            (steady_ns - since) / 1e9
            for since in (self.receipt_ns, self.published_ns, self.followed_ns)
        )
        if silent > allowed:
            return f"no request for {silent:.3f} s, allowed {allowed} s"
        if idle > allowed:
            return f"no command for {idle:.3f} s, allowed {allowed} s: {self.why}"
        if apart > _APART * allowed:
            return (
                f"no request for {apart:.3f} s that goes on from where the arm is, allowed "
                f"{_APART * allowed:g} s: does the policy hear the gate?"
            )
        return None

    def followed_by(self, request: Request, commanded: int) -> bool:
        """Return whether a request goes on from where the arm is.

        What is asked for after a change, or after a request that was lost, is made for an arm that
        is elsewhere until the policy has heard of it.

        Args:
            request: of its run.
            commanded: the last tick with a command.
        """
        if request.told:
            return self.unlike is not None and request.goes_on_from >= self.unlike
        return self.unlike is None and request.goes_on_from == commanded

    def end(self, name: str) -> None:
        """Let a session never come back."""
        self.ended[name] = None
        while len(self.ended) > _ENDED:
            self.ended.popitem(last=False)


def joints_dict(joints: Joints) -> dict[str, Any]:
    """Return a joint state as plain data."""
    return dict(vars(joints)) | {"q": joints.q.tolist()}


def joints_of(data: Mapping[str, Any]) -> Joints:
    """Return the joint state of `joints_dict`."""
    values: dict[str, Any] = {"q": np.array(data["q"], dtype=np.float64)}
    return Joints(**(dict(data) | values))


def session_dict(session: Session) -> dict[str, Any]:
    """Return a session as plain data."""
    return dict(vars(session)) | {"ended": list(session.ended)}


def session_of(data: Mapping[str, Any]) -> Session:
    """Return the session of `session_dict`."""
    ended = OrderedDict[str, None]((str(name), None) for name in data["ended"])
    values: dict[str, Any] = {"ended": ended}
    return Session(**(dict(data) | values))
