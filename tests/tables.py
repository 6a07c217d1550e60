"""Tables of the long tests (`make learn`, `make faults`): rows that are kept in a JSON file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sim2arm.cli.intervals import clopper_pearson
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

    Attributes:
        tried: what was looked for.
        outcomes: of the tests, by name and whether they passed.
    """

    def __init__(self, path: Path | None) -> None:
        """Keep rows in a file, whose name is that of the results, or nowhere."""
        self.path, self._rows = path, list[Row]()
        self.tried: list[Tried] = []
        self.outcomes: Counter[tuple[str, bool]] = Counter()

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
