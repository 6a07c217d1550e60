"""The control ticks of a raw log: what was asked for at each, and what the gate made of it.

A tick is what was published under one tag `<session>/<number>`: the request, the action and the
command. Its time is the stamp of its request, that of the newest joint state which the asker had
seen.
"""

# Messages have other types on each backend.
# pyright: standard, reportMissingModuleSource=false

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.trajectory import Trajectory, sample

from .convert import request_from, status_values, trajectory_from
from .graph import JOINT_STATE
from .log_about import ACTIONS, GATE_STATE, STATUS, TRAJECTORY, About
from .log_era import Era
from .requests import REQUEST_TOPIC, Request, parse_tag

FloatArray = NDArray[np.float64]
Tag = tuple[str, int]
_WIRE_S = 1e-6
"""Times that differ by less are equal but for their rounding in messages [s]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Command:
    """What the gate sent to the controller."""

    trajectory: Trajectory
    """(1, ...); it may begin before or at the end of the period of its tick."""
    period: float
    """Time at which that ends, in the trajectory [s]."""

    def at(self, periods: int = 1) -> FloatArray:
        """Return where the arm is commanded after so many periods, (n,) [rad]."""
        times, wanted = self.trajectory.times[0], periods * self.period
        nearest = 1 + int(np.argmin(np.abs(times[1:] - wanted)))
        if abs(times[nearest] - wanted) < _WIRE_S:  # as it was sent, to the bit
            return self.trajectory.q[0, nearest]
        return sample(self.trajectory, np.array([[wanted]]))[0][0, 0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tick:
    """One control tick."""

    request: Request
    log_ns: int
    """When its request was received [ns]."""
    action: NDArray[np.float32] | None
    """(A,) as it was published, None if it is not in the log."""
    order: int
    """Number of its action in its topic."""
    source: str
    """Who asked."""
    command: Command | None
    """None if the gate let nothing through, or it is not in the log."""

    @property
    def number(self) -> int:
        """Number in the session."""
        return self.request.tick

    @property
    def stamp_ns(self) -> int:
        """Its time [ns]."""
        return self.request.stamp_ns


@dataclass(frozen=True, kw_only=True)
class Silence:
    """What it means that there is no command of a tick."""

    lost: tuple[tuple[int, int], ...]
    """Log times between which commands are missing in the log [ns]."""
    last_ns: int
    """Log time of the last command."""
    held_ns: int
    """Last time at which the gate said that it passes nothing."""

    def problem(self, tick: Tick) -> str:
        """Return why it is not known that the gate passed nothing, empty if it did not."""
        if any(first <= tick.log_ns <= last for first, last in self.lost):
            return "commands are not in the log"
        if tick.log_ns > max(self.last_ns, self.held_ns):
            return "what the gate made of it is not in the log"
        return ""


@dataclass(kw_only=True)
class Session:
    """Ticks between two resets of who asks."""

    name: str
    silence: Silence
    ticks: list[Tick] = field(default_factory=list[Tick])


def sessions(era: Era, contract: Contract, about: About) -> list[Session]:
    """Return the sessions of an era in the order in which they began, their ticks by number."""
    actions, commands = _actions(era, about), _commands(era, contract, about)
    silence = _silence(era, about)
    period_ns, found = round(1e9 / contract.control_hz), dict[str, Session]()
    nothing = _Action(values=None, order=-1, source="")
    seen: set[Tag] = set()
    for message in era.of(about.name(REQUEST_TOPIC)):
        read = era.read(message, TRAJECTORY)
        if read is None:
            continue
        try:
            request = request_from(read, contract.joint_names, period_ns, grips=contract.grips)
        except ValueError as error:
            era.problems[str(error)] += 1
            continue
        tag = (request.session, request.tick)
        if request.release or tag in seen:
            continue
        seen.add(tag)
        session = found.setdefault(request.session, Session(name=request.session, silence=silence))
        action = actions.get(tag, nothing)
        tick = Tick(
            request=request, log_ns=message.log_ns, action=action.values, order=action.order,
            source=action.source, command=commands.get(tag),
        )  # fmt: skip
        session.ticks.append(tick)
    for session in found.values():
        session.ticks.sort(key=lambda tick: tick.number)
    return list(found.values())


def _silence(era: Era, about: About) -> Silence:
    topic = about.name(about.graph.controller.command_topic)
    held = 0
    for message in era.of(about.name(GATE_STATE)):
        read = era.read(message, STATUS)
        if read is not None and status_values(read).get("state") != "ACTIVE":
            held = message.log_ns
    last = max((message.log_ns for message in era.of(topic)), default=0)
    return Silence(lost=era.missing(topic), last_ns=last, held_ns=held)


class _Action(NamedTuple):
    values: NDArray[np.float32] | None
    order: int
    source: str


def _actions(era: Era, about: About) -> dict[Tag, _Action]:
    """Return the actions by tag."""
    found: dict[Tag, _Action] = {}
    for topic, source in ACTIONS.items():
        for message in era.of(about.name(topic)):
            read = era.read(message, JOINT_STATE)
            if read is None:
                continue
            try:
                tag = parse_tag(read.header.frame_id)
            except ValueError as error:
                era.problems[str(error)] += 1
                continue
            values = np.asarray(read.position, dtype=np.float64).astype(np.float32)
            found[tag] = _Action(values=values, order=message.sequence, source=source)
    return found


def action_names(era: Era, about: About) -> set[tuple[str, ...]]:
    """Return the names of the elements of actions, as each asker first had them."""
    found: set[tuple[str, ...]] = set()
    for topic in ACTIONS:
        for message in era.of(about.name(topic))[:1]:
            read = era.read(message, JOINT_STATE)
            found |= set() if read is None else {tuple(read.name)}
    return found


def _commands(era: Era, contract: Contract, about: About) -> dict[Tag, Command]:
    """Return the commands by tag."""
    found: dict[Tag, Command] = {}
    for message in era.of(about.name(about.graph.controller.command_topic)):
        read = era.read(message, TRAJECTORY)
        if read is None:
            continue
        try:
            trajectory = trajectory_from(read, contract.joint_names)
            tag = parse_tag(read.header.frame_id)
        except ValueError as error:
            era.problems[f"command: {error}"] += 1
            continue
        found[tag] = Command(trajectory=trajectory, period=contract.period)
    return found
