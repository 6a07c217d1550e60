"""Which ticks of a raw log are an episode.

Where the operator marked episodes, they are what was kept. Else every session of who asks is one,
up to the end that a simulated arm told.
"""

# Messages have other types on each backend.
# pyright: standard

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sim2arm.core.contract import Contract

from .convert import status_values
from .log_about import MARKS, SIM_EPISODE, STATUS, About
from .log_era import Era
from .log_ticks import Session, Tick, sessions


@dataclass(frozen=True, kw_only=True)
class Run:
    """Ticks of one session that belong to an episode, by number; some may be missing."""

    session: Session
    ticks: Sequence[Tick]
    ended: bool
    """Whether the episode ended with its last tick, as the operator or the arm said."""
    success: bool
    task: str = ""
    """In words, as the operator had set it."""
    notes: Mapping[str, Any]
    """What else is known: seed, or number of the operator's episode."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What becomes of an era."""

    runs: list[Run]
    left_out: list[str]
    """A line per episode or session that is none."""


def choose(era: Era, contract: Contract, about: About, *, marked: bool) -> Chosen:
    """Return the episodes of an era.

    Args:
        era: of the log.
        contract: of the actions.
        about: what the log says of itself.
        marked: whether the operator marked episodes anywhere in the log.
    """
    lines, ticks = list[str](), list[tuple[Session, list[Tick]]]()
    for session in sessions(era, contract, about):
        let_in = _let_in(session)
        if let_in:
            ticks.append((session, let_in))
        else:
            lines.append(f"session {session.name}: the gate let none of its requests through")
    if not marked:
        told = _sim_episodes(era, about)
        runs = [_whole(session, own, told) for session, own in ticks]
        return Chosen(runs=[run for run in runs if run.ticks], left_out=lines)
    kept, others = _kept(era, about)
    runs = list[Run]()
    for mark in kept:
        own = _marked(mark, ticks)
        runs += own
        if not own:
            others.append(f"episode {mark.number}: nothing was asked for in it")
    return Chosen(runs=runs, left_out=lines + others)


def has_marks(era: Era, about: About) -> bool:
    """Return whether the operator began an episode."""
    return bool(era.of(about.name(MARKS)))


def _let_in(session: Session) -> list[Tick]:
    """Return the ticks from the first on that the gate commanded."""
    commanded = [k for k, tick in enumerate(session.ticks) if tick.command is not None]
    return session.ticks[commanded[0] :] if commanded else []


# -- marks of the operator ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Mark:
    number: int
    start_ns: int
    end_ns: int
    task: str


def _kept(era: Era, about: About) -> tuple[list[_Mark], list[str]]:
    """Return the episodes that the operator kept, and a line for each of the others."""
    kept, lines = list[_Mark](), list[str]()
    begun: tuple[int, int] | None = None
    for log_ns, said in _said(era, about.name(MARKS)):
        number, event = int(said.get("number", "0")), said.get("event", "")
        if begun is not None and (event == "start" or number != begun[0]):
            lines.append(f"episode {begun[0]}: its end is not in the log")
            begun = None
        if event == "start":
            begun = (number, log_ns)
        elif begun is None:
            lines.append(f"episode {number}: its start is not in the log")
        else:
            if event == "keep":
                task = said.get("task", "")
                kept.append(
                    _Mark(number=number, start_ns=begun[1], end_ns=log_ns, task=task)
                )  # fmt: skip
            else:
                lines.append(f"episode {number}: discarded by the operator")
            begun = None
    if begun is not None:
        lines.append(f"episode {begun[0]}: its end is not in the log")
    return kept, lines


def _marked(mark: _Mark, ticks: Sequence[tuple[Session, list[Tick]]]) -> list[Run]:
    """Return an episode of the operator, in a part per session; the last one ends it."""
    found: list[Run] = []
    for session, own in ticks:
        inside = [tick for tick in own if mark.start_ns <= tick.log_ns <= mark.end_ns]
        if inside:
            found.append(
                Run(
                    session=session, ticks=inside, ended=False,
                    success=False, task=mark.task, notes={"episode": mark.number},
                )
            )  # fmt: skip
    return [*found[:-1], *(replace(run, ended=True, success=True) for run in found[-1:])]


# -- episodes of a simulated arm ---------------------------------------------------------------


def _sim_episodes(era: Era, about: About) -> list[Mapping[str, str]]:
    """Return what a simulated arm said of its episodes, in order."""
    return [said for _, said in _said(era, about.name(SIM_EPISODE)) if "stamp_ns" in said]


def _whole(session: Session, ticks: Sequence[Tick], told: Sequence[Mapping[str, str]]) -> Run:
    """Return a session as an episode, up to the end that the arm told."""
    run = Run(
        session=session, ticks=ticks, ended=False, success=False,
        notes={},
    )  # fmt: skip
    first = ticks[0].stamp_ns
    before = [said for said in told if int(said["stamp_ns"]) <= first]
    if not before:
        return run
    seed = before[-1].get("seed", "")
    run = replace(run, notes={"seed": int(seed)} if seed.lstrip("-").isdigit() else {})
    for said in told:
        end = int(said["stamp_ns"])
        if end > first and said.get("done") == "True" and said.get("seed") == seed:
            inside = [tick for tick in ticks if tick.stamp_ns < end]
            success = said.get("success") == "True"
            return replace(run, ticks=inside, ended=True, success=success)
    return run


def _said(era: Era, topic: str) -> Iterator[tuple[int, dict[str, str]]]:
    for message in era.of(topic):
        read = era.read(message, STATUS)
        if read is not None:
            yield message.log_ns, status_values(read)
