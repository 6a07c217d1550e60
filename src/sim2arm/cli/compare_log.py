"""The plan of a comparison and its log: what was drawn, and one line on disk per outcome.

The order of the policies is drawn from a seed in the plan, and no line of the log names a policy:
whoever does not compute the order does not know it before the report.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, TypeVar

from sim2arm.core.durable import sync_folder, write_durably
from sim2arm.core.plain import from_plain

from .errors import UserError, user_input

PLAN, LOG, REPEATS = "plan.json", "trials.jsonl", "repeats.jsonl"
VERSION = 1
_Line = TypeVar("_Line", bound="Outcome | Repeat")


def utc_now() -> str:
    """Return the time, UTC."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared."""

    version: int = VERSION
    bundles: tuple[str, ...]
    """Paths of the bundles."""
    hashes: tuple[str, ...]
    """SHA-256 of their manifests."""
    pairs: int
    """Starts; each is run once by every bundle."""
    first_seed: int
    """Of the simulated starts."""
    order_seed: int
    """Of the order in which the bundles act."""
    setting: str
    """Where and how, in one line; outcomes of two settings are not mixed."""

    @property
    def trials(self) -> int:
        """How many there are."""
        return self.pairs * len(self.bundles)

    def order(self) -> list[tuple[int, int]]:
        """Return pair and bundle of each trial: in every pair the bundles in random order."""
        drawn = random.Random(self.order_seed)
        found: list[tuple[int, int]] = []
        for pair in range(self.pairs):
            bundles = list(range(len(self.bundles)))
            drawn.shuffle(bundles)
            found += [(pair, bundle) for bundle in bundles]
        return found


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one trial ended."""

    trial: int
    success: bool
    ended: str = ""
    """How, in words."""
    steps: int = 0
    """Control periods of the policy."""
    judge: str = "task"
    """Who says so: the task, or a person."""
    at: str = ""
    """When, UTC."""


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """A run of a trial that a person did not let count."""

    trial: int
    ended: str
    """How, in words."""
    at: str
    """When, UTC."""


class TrialLog:
    """Outcomes on disk, each there before the next trial begins, and what did not count.

    Attributes:
        outcomes: by number of the trial.
        repeats: as they happened.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Begin, or go on with what is there.

        Args:
            folder: of the comparison.
            plan: as it is asked for now.

        Raises:
            UserError: the folder holds another comparison, or a log that is damaged.
        """
        self.folder, self.plan = folder, plan
        self.outcomes: dict[int, Outcome] = {}
        self.repeats: list[Repeat] = []
        path = folder / PLAN
        if path.is_file():
            self.plan = _same(path, plan)
            self._read(folder)
        else:
            with user_input("--out", folder):
                write_durably(path, f"{json.dumps(asdict(plan), indent=2)}\n".encode())
        with user_input("--out", folder):
            self._file = (folder / LOG).open("ab")
            self._repeated = (folder / REPEATS).open("ab")
            sync_folder(folder)

    def add(self, outcome: Outcome) -> None:
        """Write an outcome; when this returns it is on the disk.

        Raises:
            ValueError: the trial has one already.
        """
        if outcome.trial in self.outcomes:
            raise ValueError(f"trial {outcome.trial} has an outcome already")
        _append(self._file, outcome)
        self.outcomes[outcome.trial] = outcome

    def repeat(self, repeat: Repeat) -> None:
        """Write that a trial is run again; when this returns it is on the disk."""
        _append(self._repeated, repeat)
        self.repeats.append(repeat)

    def missing(self) -> list[tuple[int, int, int]]:
        """Return trial, pair and bundle of what has not been run."""
        every = enumerate(self.plan.order())
        return [(trial, *place) for trial, place in every if trial not in self.outcomes]

    def close(self) -> None:
        """Write nothing more."""
        self._file.close()
        self._repeated.close()

    def _read(self, folder: Path) -> None:
        """Take what is there; a last line that a crash cut says nothing."""
        for number, outcome in enumerate(_lines(folder / LOG, Outcome), start=1):
            if outcome.trial in self.outcomes or not 0 <= outcome.trial < self.plan.trials:
                raise UserError(
                    f"{folder / LOG} line {number}: trial {outcome.trial} is there twice, or not "
                    "of the plan"
                )
            self.outcomes[outcome.trial] = outcome
        for number, repeat in enumerate(_lines(folder / REPEATS, Repeat), start=1):
            if not 0 <= repeat.trial < self.plan.trials:
                raise UserError(
                    f"{folder / REPEATS} line {number}: trial {repeat.trial} is not of the plan"
                )
            self.repeats.append(repeat)


def _append(file: BinaryIO, line: Outcome | Repeat) -> None:
    file.write(f"{json.dumps(asdict(line))}\n".encode())
    file.flush()
    os.fsync(file.fileno())


def _lines(path: Path, kind: type[_Line]) -> list[_Line]:
    """Return the lines of a log; what a crash cut is removed."""
    if not path.is_file():
        return []
    data, found = path.read_bytes(), list[_Line]()
    whole = data[: data.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), start=1):
        with user_input(f"{path} line {number}"):
            found.append(from_plain(kind, json.loads(line)))
    if whole != data:
        with user_input("--out", path):
            write_durably(path, whole)
    return found


def _same(path: Path, plan: Plan) -> Plan:
    """Return the plan of a file; the one that is asked for now differs in the drawn order alone."""
    with user_input("plan", path):
        old = from_plain(Plan, json.loads(path.read_text(encoding="utf-8")))
    then, now = asdict(old), asdict(plan)
    changed = [name for name in now if name != "order_seed" and then[name] != now[name]]
    if changed:
        told = "; ".join(f"{name} was {then[name]!r}, is {now[name]!r}" for name in changed)
        raise UserError(f"--out: {path.parent} holds another comparison ({told}): choose another")
    return old


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """How two bundles did on the same starts."""

    first: int
    second: int
    both: int
    only_first: int
    only_second: int
    neither: int
    differing: tuple[int, ...]
    """Pairs with different outcomes."""


def table_of(plan: Plan, outcomes: Mapping[int, Outcome]) -> dict[int, dict[int, Outcome]]:
    """Return the outcomes by pair and bundle."""
    found: dict[int, dict[int, Outcome]] = {}
    for trial, (pair, bundle) in enumerate(plan.order()):
        if trial in outcomes:
            found.setdefault(pair, {})[bundle] = outcomes[trial]
    return found


def repeats_of(plan: Plan, repeats: Sequence[Repeat]) -> list[int]:
    """Return how often each bundle was run again."""
    order = plan.order()
    again = [order[repeat.trial][1] for repeat in repeats]
    return [again.count(bundle) for bundle in range(len(plan.bundles))]


def pairings(plan: Plan, outcomes: Mapping[int, Outcome]) -> list[Pairing]:
    """Return every two bundles, on the pairs that both have run."""
    rows, count = table_of(plan, outcomes), len(plan.bundles)
    return [
        _pairing(rows, first, second)
        for first in range(count)
        for second in range(first + 1, count)
    ]


def _pairing(rows: Mapping[int, Mapping[int, Outcome]], first: int, second: int) -> Pairing:
    shared = {
        pair: (row[first].success, row[second].success)
        for pair, row in rows.items()
        if first in row and second in row
    }
    counts: Sequence[tuple[bool, bool]] = list(shared.values())
    return Pairing(
        first=first, second=second, both=counts.count((True, True)),
        only_first=counts.count((True, False)), only_second=counts.count((False, True)),
        neither=counts.count((False, False)),
        differing=tuple(pair for pair, (a, b) in sorted(shared.items()) if a != b),
    )  # fmt: skip
