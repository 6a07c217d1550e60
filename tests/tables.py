"""Tables of the long tests (`make learn`, `make faults`): rows that are kept in a JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sim2arm.cli.intervals import clopper_pearson
from sim2arm.cli.machine import describe_commit
from sim2arm.cli.table import Row, write_results


@dataclass(frozen=True)
class Tried:
    """A fault that was never to be seen, and how often it was looked for."""

    case: str
    """What was tried."""
    count: int
    """How often the fault was seen."""
    trials: int
    seed: int | None
    """Of the random numbers."""


def bound(count: int, trials: int) -> float:
    """Return the rate below which a fault lies with 95 % confidence, one-sided.

    Trials are taken as independent. Where none was seen it is nearly 3 / n (the rule of three).
    """
    return clopper_pearson(count, trials, 0.9)[1]


class Table:
    """Rows of this run of the tests; written each time, so that hours are not lost at the end.

    Tests may run in several processes: each gives what it took with its report (`take`, `give`).

    Attributes:
        path: of the results, None where they are not kept.
        tried: what was looked for.
        outcomes: of the tests, by name and whether they passed.
    """

    def __init__(self, path: Path | None, *, more: bool = False) -> None:
        """Keep rows in a file, whose name is that of the results, or nowhere.

        Args:
            path: of the file.
            more: add to what the last run has left there.
        """
        self.path, self._rows = path, list[Row]()
        self.tried: list[Tried] = []
        self.outcomes: Counter[tuple[str, bool]] = Counter()
        if more and self._rest is not None and self._rest.is_file():
            before = json.loads(self._rest.read_text(encoding="utf-8"))
            if before["commit"] != describe_commit():
                raise ValueError(
                    f"{self._rest}: of commit {before['commit']}: run the first part again"
                )
            self.give(before)

    @property
    def _rest(self) -> Path | None:
        """What a next run adds to."""
        return None if self.path is None else self.path.with_name(f".{self.path.stem}.rest.json")

    def take(self) -> dict[str, Any]:
        """Return everything as plain data, and begin anew."""
        data = {
            "commit": describe_commit(),
            "rows": [asdict(row) for row in self._rows],
            "tried": [asdict(one) for one in self.tried],
            "outcomes": [[name, fine, count] for (name, fine), count in self.outcomes.items()],
        }
        self._rows, self.tried, self.outcomes = [], [], Counter()
        return data

    def give(self, data: Mapping[str, Any]) -> None:
        """Add what another table has taken, and write."""
        self.tried += [Tried(**one) for one in data["tried"]]
        self.outcomes.update({(name, fine): count for name, fine, count in data["outcomes"]})
        if data["rows"]:
            self.add(*(Row(**row) for row in data["rows"]))

    def keep(self) -> None:
        """Write what a next run adds to."""
        if self._rest is not None:
            self._rest.parent.mkdir(parents=True, exist_ok=True)
            data = self.take()
            self.give(data)
            self._rest.write_text(json.dumps(data), encoding="utf-8")

    def add(self, *rows: Row) -> None:
        """Take the rows of a test, before it judges them."""
        self._rows += rows
        if self.path is not None:
            write_results(self.path, self.path.stem, self._rows)

    def none_of(self, case: str, what: str, count: int, trials: int, seed: int | None) -> None:
        """Take a fault that was never to be seen.

        Args:
            case: what was tried.
            what: the fault.
            count: how often it was seen.
            trials: how often it was looked for.
            seed: of the random numbers, None where there are none.
        """
        self.tried.append(Tried(case, count, trials, seed))
        self.add(
            Row(case=case, metric="trials", value=trials),
            Row(case=case, metric=what, value=count),
            Row(case=case, metric=f"{what}, 95 % high", value=bound(count, trials), unit="1/trial"),
            *([] if seed is None else [Row(case=case, metric="seed", value=seed)]),
        )
