"""Metrics of a training run: metrics.csv for people and programs, events for TensorBoard."""

# pyright: standard

from __future__ import annotations

import csv
import math
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WINDOW = 1000
"""Training episodes over which success is measured."""
EVENTS = "tensorboard"
"""Folder of the event files beside metrics.csv."""


class Metrics:
    """One row per iteration; a resumed run drops rows past its checkpoint.

    `last` is the newest row, empty before the first.
    """

    def __init__(self, path: Path, keep: int) -> None:
        """Open the files, keeping the rows of the first `keep` iterations."""
        from torch.utils.tensorboard import SummaryWriter  # a second to import

        self.path = path
        rows = [r for r in _rows(path) if int(r["iteration"]) <= keep] if keep else []
        self.last: Mapping[str, Any] = {}
        self._columns = list(rows[0]) if rows else []
        self._file = path.open("w", newline="")
        for row in rows:
            self._write_csv(row)
        first = int(rows[-1]["steps"]) + 1 if rows else None
        self._events = SummaryWriter(str(path.parent / EVENTS), purge_step=first)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row; what is empty in it was not measured."""
        self._write_csv(row)
        for name, value in row.items():
            if value != "" and name not in ("iteration", "steps"):
                self._events.add_scalar(name, float(value), int(row["steps"]))

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._events.close()

    def _write_csv(self, row: Mapping[str, Any]) -> None:
        writer = csv.DictWriter(self._file, self._columns or list(row))
        if not self._columns:
            self._columns = list(row)
        if self._file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)
        self.last = row
        self._file.flush()


class Window:
    """Success over the last `WINDOW` training episodes, random actions included."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque()

    def add(self, episodes: float, successes: float) -> float:
        """Take the counts of an iteration; return the share."""
        self._recent.append((episodes, successes))
        while sum(pair[0] for pair in self._recent) - self._recent[0][0] >= WINDOW:
            self._recent.popleft()
        total = sum(pair[0] for pair in self._recent)
        return sum(pair[1] for pair in self._recent) / max(total, 1.0)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


NEEDED = ("steps", "wall_s", "reward", "success", "measured")
"""Columns that a learning curve is drawn from; the first two have a number in every row."""
IMITATION = ("steps", "wall_s", "loss", "measured")
"""Those of imitation."""
STANDARD = ("steps", "wall_s", "return", "measured")
"""Those of standard tasks."""


def read_metrics(path: Path, needed: Sequence[str] = NEEDED) -> list[dict[str, float]]:
    """Return the rows of a run's metrics.csv; what was not measured in a row is NaN.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        rows = _rows(path)
    except csv.Error as error:
        raise ValueError(f"not a table: {error}") from error
    return [_numbers(row, i, needed) for i, row in enumerate(rows, 1)]


def _numbers(row: Mapping[str, Any], number: int, needed: Sequence[str]) -> dict[str, float]:
    missing = [name for name in needed if name not in row]
    if missing:
        raise ValueError(f"expected the columns {', '.join(needed)}; {', '.join(missing)} missing")
    if None in row or None in row.values():
        raise ValueError(f"row {number}: expected as many columns as the first line has")
    try:
        found = {key: float(value or "nan") for key, value in row.items()}
    except ValueError as error:
        raise ValueError(f"row {number}: {error}") from error
    for name in needed[:2]:
        if not 0.0 < found[name] < math.inf:
            raise ValueError(
                f"row {number}: expected a number above 0 in {name}, got {row[name]!r}"
            )
    return found
