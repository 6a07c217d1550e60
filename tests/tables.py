"""Tables of the long tests (`make learn`, `make faults`): rows that are kept in a JSON file."""

from __future__ import annotations

from pathlib import Path

from sim2arm.cli.table import Row, write_results


class Table:
    """Rows of this run of the tests; written each time, so that hours are not lost at the end."""

    def __init__(self, path: Path | None) -> None:
        """Keep rows in a file, whose name is that of the results, or nowhere."""
        self._path, self._rows = path, list[Row]()

    def add(self, *rows: Row) -> None:
        """Take the rows of a test, before it judges them."""
        self._rows += rows
        if self._path is not None:
            write_results(self._path, self._path.stem, self._rows)


def none_of(case: str, what: str, count: int, trials: int) -> list[Row]:
    """Return the rows of a fault that was never to be seen.

    Where it was not seen in n trials, its rate lies below 3 / n with 95 % confidence (the rule of
    three; trials are taken as independent).

    Args:
        case: what was tried.
        what: the fault.
        count: how often it was seen.
        trials: how often it was looked for.
    """
    rows = [
        Row(case=case, metric="trials", value=trials),
        Row(case=case, metric=what, value=count),
    ]
    if count == 0:
        rows.append(Row(case=case, metric=f"{what}, 95 % high", value=3.0 / trials, unit="1/trial"))
    return rows
