"""The flight recorder of the gate: what it heard and decided in the last seconds before a stop.

`Flight` stands between a node and its `GateMachine`: every call goes through it. The machine is
pure, so a file that holds how it stood and what it was told since is enough to come to the same
decisions again, bit for bit (`fly`). No ROS; numbers are text that gives the same bits back.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import numpy as np

from sim2arm.core import plain
from sim2arm.core.contract import Contract
from sim2arm.core.durable import write_durably
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Robot
from sim2arm.core.trajectory import FloatArray, Trajectory

from .gate import GateCfg, trajectory_dict
from .gate_machine import RELEASED, GateMachine
from .gate_state import Command, GateState, MachineCfg
from .requests import Request, request_dict, request_of
from .robot_modes import ModesCfg, RobotModes, Values

FLIGHT_VERSION = 7
SECONDS = 10.0
"""What a flight holds at least, if there was as much [s]."""
SUFFIX = ".flight"
KEPT = 100
"""Flights that are kept in a folder, the newest ones."""
_AT_ONCE = 20
"""Events that become text before others may go on."""
_PART_NS = 1_000_000_000
_AFTER = 3
"""Calls after a stop that are still in its file: what the gate makes of what comes next."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One call of the machine, and what came of it."""

    call: str
    """Name of the method."""
    arguments: tuple[Any, ...]
    """Plain data."""
    steady_ns: int
    """When, by the steady clock [ns]."""
    decision: dict[str, Any]
    """State and reason after it, what was commanded, plain data."""


@dataclass(kw_only=True)
class _Part:
    """About a second of a flight, and how the machine stood at its start."""

    state: dict[str, Any]
    begun_ns: int
    events: list[Event] = field(default_factory=list[Event])


class Flight:
    """Hands calls on to a gate machine and remembers the last seconds of them.

    Attributes:
        machine: the gate; what it says may be read, calls that change it go through here.
    """

    def __init__(self, machine: GateMachine, limits: GateCfg) -> None:
        """Remember nothing yet.

        Args:
            machine: the gate.
            limits: that it judges by.
        """
        self.machine, self._limits = machine, limits
        self._parts: deque[_Part] = deque()
        self._now_ns = 0
        self._stopped: str | None = None
        self._left = 0

    # -- calls of the machine ------------------------------------------------------------------

    def on_joints(self, q: FloatArray, stamp_ns: int, ros_ns: int, steady_ns: int) -> None:
        """See `GateMachine`."""
        self._call("on_joints", (q, stamp_ns, ros_ns, steady_ns), steady_ns)

    def on_reference(self, q: FloatArray, dq: FloatArray, stamp_ns: int, steady_ns: int) -> None:
        """See `GateMachine`."""
        self._call("on_reference", (q, dq, stamp_ns, steady_ns), steady_ns)

    def on_mode(self, topic: str, values: Values | None, steady_ns: int) -> None:
        """See `GateMachine`."""
        self._call("on_mode", (topic, values, steady_ns), steady_ns)

    def on_request(self, request: Request, ros_ns: int, steady_ns: int) -> Command | None:
        """See `GateMachine`."""
        return self._call("on_request", (request, ros_ns, steady_ns), steady_ns)

    def pending(self, ros_ns: int, steady_ns: int) -> Command | None:
        """See `GateMachine`."""
        return self._call("pending", (ros_ns, steady_ns), steady_ns)

    def withhold(self, waited: float, steady_ns: int) -> None:
        """See `GateMachine`."""
        self._call("withhold", (waited,), steady_ns)

    def watch(self, ros_ns: int, steady_ns: int) -> None:
        """See `GateMachine`."""
        self._call("watch", (ros_ns, steady_ns), steady_ns)

    def set_problem(self, name: str, reason: str | None, *, fatal: bool = False) -> None:
        """See `GateMachine`; there is nothing to remember where no problem stands."""
        if reason is not None or name in self.machine.problems:
            self._call("set_problem", (name, reason, fatal), self._now_ns)

    def fault(self, reason: str) -> None:
        """See `GateMachine`."""
        self._call("fault", (reason,), self._now_ns)

    def operator_stop(self, reason: str) -> None:
        """See `GateMachine`."""
        self._call("operator_stop", (reason,), self._now_ns)

    def activate(self) -> str | None:
        """See `GateMachine`."""
        return self._call("activate", (), self._now_ns)

    def operator_hold(self) -> None:
        """See `GateMachine`."""
        self._call("operator_hold", (), self._now_ns)

    def operator_reset(self) -> str | None:
        """See `GateMachine`."""
        return self._call("operator_reset", (), self._now_ns)

    def answer(self) -> tuple[str, int, Trajectory, FloatArray] | None:
        """See `GateMachine`."""
        return self._call("answer", (), self._now_ns) if self.machine.changed else None

    def _call(self, name: str, arguments: tuple[Any, ...], steady_ns: int) -> Any:
        machine = self.machine
        self._now_ns = max(self._now_ns, steady_ns)
        before = machine.state
        if not self._parts or self._now_ns - self._parts[-1].begun_ns > _PART_NS:
            self._parts.append(_Part(state=machine.state_dict(), begun_ns=self._now_ns))
            while self._now_ns - self._parts[0].begun_ns > SECONDS * 1e9 + 2 * _PART_NS:
                self._parts.popleft()
        told = tuple(_plain(value) for value in arguments)
        result = _invoke(machine, name, arguments)
        event = Event(call=name, arguments=told, steady_ns=self._now_ns,
                      decision=_decision(machine, result))  # fmt: skip
        self._parts[-1].events.append(event)
        stopped = machine.state is not before and machine.state is not GateState.ACTIVE
        stopped = stopped and (before is GateState.ACTIVE or machine.state is GateState.FAULT)
        if stopped and machine.reason != RELEASED:  # a run that ended as it was meant to
            self._stopped, self._left = f"{machine.state.value}: {machine.reason}", _AFTER
        elif self._left:
            self._left -= 1
        return result

    # -- files ---------------------------------------------------------------------------------

    def landed(self) -> Landing | None:
        """Return the last seconds, once for each stop and a few calls after it; else None."""
        if self._stopped is None or self._left:
            return None
        reason, self._stopped = self._stopped, None
        parts = list(self._parts)
        events = [event for part in parts for event in part.events]
        modes = self.machine.modes
        return Landing(
            reason=reason, state=parts[0].state, events=events, limits=self._limits,
            cfg=self.machine.cfg, modes=None if modes is None else modes.cfg,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Landing:
    """What becomes the file of a flight; nothing changes it any more."""

    reason: str
    state: dict[str, Any]
    """Of the machine before the first event."""
    events: Sequence[Event]
    limits: GateCfg
    cfg: MachineCfg
    modes: ModesCfg | None
    """Of the robot that is watched."""

    def lines(self, contract: Contract) -> Iterator[str]:
        """Yield one line of what the flight stands on, and one for each event."""
        yield json.dumps({
            "version": FLIGHT_VERSION, "reason": self.reason, "robot": contract.robot,
            "contract": contract.to_dict(), "limits": plain.to_plain(self.limits),
            "machine": plain.to_plain(self.cfg), "modes": plain.to_plain(self.modes),
            "state": self.state,
        })  # fmt: skip
        for event in self.events:
            yield json.dumps(vars(event))


def flights_folder(chosen: str, *, lock_step: bool) -> Path | None:
    """Return where flights are kept; None: nowhere, as of arms that wait and can be run again.

    Args:
        chosen: a folder; `sim2arm/flights` in the folder of ROS (`ROS_HOME`, ~/.ros) if empty.
        lock_step: whether the arm waits.
    """
    if chosen:
        return Path(chosen)
    home = Path(os.environ.get("ROS_HOME") or Path.home() / ".ros")
    return None if lock_step else home / "sim2arm" / "flights"


def keep_beside(folder: Path, landing: Landing, contract: Contract) -> Path:
    """Begin to write a flight that ends now, in a thread; return where it will be."""
    path = folder / f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S-%f}{SUFFIX}"
    kept = path, landing, contract
    threading.Thread(target=keep_flight, args=kept, daemon=True).start()
    return path


def keep_flight(path: Path, landing: Landing, contract: Contract) -> None:
    """Write a flight and forget the oldest of its folder; a disk that is full loses it.

    It takes its time, so that a gate in the same process is not held up.
    """
    lines: list[str] = []
    for count, line in enumerate(landing.lines(contract)):
        lines.append(line)
        if count % _AT_ONCE == 0:
            time.sleep(1e-3)
    try:
        write_durably(path, "\n".join([*lines, ""]).encode())
        for old in sorted(path.parent.glob(f"*{SUFFIX}"))[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        print(f"{path}: the flight is not kept: {error}", file=sys.stderr)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One event of a flight, once more."""

    event: Event
    again: dict[str, Any]
    """What comes of it now."""

    @property
    def same(self) -> bool:
        """Whether that is what came of it then, to the bit."""
        return _text(self.event.decision) == _text(self.again)


def read_flight(path: Path) -> tuple[dict[str, Any], list[Event]]:
    """Return what a flight stands on, and its events.

    Raises:
        ValueError: it is no flight of this version; one line.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        head: dict[str, Any] = lines[0]
        if head["version"] != FLIGHT_VERSION:
            raise ValueError(f"version: expected {FLIGHT_VERSION}, got {head['version']}")
        events = [Event(**(line | {"arguments": tuple(line["arguments"])})) for line in lines[1:]]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: it cannot be read: {error}") from error
    except (IndexError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: it is no flight: {type(error).__name__}: {error}") from error
    return head, events


def fly(head: Mapping[str, Any], events: Sequence[Event]) -> Iterator[Step]:
    """Yield each event with what a machine that stands as the recorded one stood makes of it.

    Raises:
        ValueError: the flight stands on something else than it says.
    """
    try:
        contract = Contract.from_dict(head["contract"])
        limits = plain.from_plain(GateCfg, head["limits"], "limits")
        cfg = plain.from_plain(MachineCfg, head["machine"], "machine")
        modes = None
        if head["modes"] is not None:
            modes = RobotModes(plain.from_plain(ModesCfg, head["modes"], "modes"))
        machine = GateMachine(gate_robot(contract), contract.period, limits, cfg, modes)
        machine.load_state_dict(head["state"])
        for event in events:
            result = _invoke(machine, event.call, _live(event))
            yield Step(event=event, again=_decision(machine, result))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"it is no flight: {type(error).__name__}: {error}") from error


def gate_robot(contract: Contract) -> Robot:
    """Return the robot of a contract, with its chain and limits."""
    robot = find_robot(contract.robot)
    return replace(robot, chain=contract.kinematic_chain, limits=contract.limits)


_CALLS = (
    "on_joints", "on_reference", "on_mode", "on_request", "pending", "withhold", "watch",
    "set_problem", "fault", "operator_stop", "operator_hold", "operator_reset", "activate",
    "answer",
)  # fmt: skip


def _invoke(machine: GateMachine, name: str, arguments: tuple[Any, ...]) -> Any:
    if name not in _CALLS:
        raise ValueError(f"flight: expected a call of {list(_CALLS)}, got {name!r}")
    if name == "set_problem":
        problem, reason, fatal = arguments
        return machine.set_problem(problem, reason, fatal=fatal)
    return getattr(machine, name)(*arguments)


def _plain(value: Any) -> Any:
    if isinstance(value, Request):
        return request_dict(value)
    if isinstance(value, Trajectory):
        return trajectory_dict(value)
    return value.tolist() if isinstance(value, np.ndarray) else value


def _live(event: Event) -> tuple[Any, ...]:
    """Return the arguments of an event as the machine takes them."""
    if event.call == "on_request":
        return (request_of(event.arguments[0]), *event.arguments[1:])
    if event.call in ("on_joints", "on_reference"):
        return tuple(np.array(v, dtype=np.float64) if isinstance(v, list) else v
                     for v in event.arguments)  # fmt: skip
    return event.arguments


def _decision(machine: GateMachine, result: Any) -> dict[str, Any]:
    """Return state, reason and what was commanded or answered, as plain data."""
    found: dict[str, Any] = {"state": machine.state.value, "reason": machine.reason}
    if isinstance(result, Command):
        found["command"] = {
            "trajectory": trajectory_dict(result.trajectory), "stamp_ns": result.stamp_ns,
            "elapsed": result.elapsed, "tick": result.request.tick,
        }  # fmt: skip
    elif result is not None:
        parts = cast("tuple[Any, ...]", result if isinstance(result, tuple) else (result,))
        found["answer"] = [_plain(part) for part in parts]
    return found


def _text(data: Any) -> str:
    """Return plain data as text: the same bits, the same text."""
    return json.dumps(data, sort_keys=True)
