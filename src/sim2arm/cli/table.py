"""Measured results as a table on the terminal and as JSON rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sim2arm.core.durable import write_durably

from .errors import user_input
from .machine import describe_commit, describe_machine, describe_versions

Cell = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured value, beside one baseline of the same run if there is one."""

    case: str
    """What was measured, as in `peg-insertion, 256 worlds`."""
    metric: str
    """Which quantity, as in `env steps`."""
    value: float
    """The measured value."""
    unit: str = ""
    """Its unit, as in `1/s`; empty for a pure number."""
    baseline: str | None = None
    """What it is compared with, as in `mujoco.batch`."""
    baseline_value: float | None = None
    """The value of the baseline, in the same unit."""

    @property
    def ratio(self) -> float | None:
        """The value divided by that of the baseline; None without one, or when it is zero."""
        if self.baseline_value is None or self.baseline_value == 0:
            return None
        return self.value / self.baseline_value


def results(name: str, rows: Sequence[Row]) -> dict[str, object]:
    """Return results as they are written to JSON: where and with what they were measured."""
    return {
        "name": name,
        "machine": describe_machine(),
        "versions": describe_versions(),
        "commit": describe_commit(),
        "rows": [
            {
                "case": row.case,
                "metric": row.metric,
                "value": row.value,
                "unit": row.unit,
                "baseline": row.baseline,
                "baseline_value": row.baseline_value,
                "ratio": row.ratio,
            }
            for row in rows
        ],
    }


def write_results(path: Path, name: str, rows: Sequence[Row]) -> None:
    """Write results as JSON; the file is whole or absent.

    Raises:
        UserError: the file cannot be written.
        ValueError: a value is NaN or infinite, which JSON does not have.
    """
    text = json.dumps(results(name, rows), indent=2, allow_nan=False)
    with user_input("results", path):
        write_durably(path, f"{text}\n".encode())


def format_results(rows: Sequence[Row]) -> str:
    """Return results as a table, with baseline and ratio where there is one."""
    header = ("case", "metric", "value", "unit", "baseline", "baseline value", "ratio")
    cells = [
        (
            row.case,
            row.metric,
            row.value,
            row.unit,
            row.baseline,
            row.baseline_value,
            None if row.ratio is None else f"{row.ratio:.2f} x",
        )
        for row in rows
    ]
    if all(row.baseline is None for row in rows):
        return format_table(header[:4], [row[:4] for row in cells])
    return format_table(header, cells)


def format_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table for the terminal: numbers to the right, text to the left.

    Raises:
        ValueError: a row has another number of cells than the header.
    """
    for index, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"row {index}: expected {len(header)} cells, got {len(row)}")
    texts = [[format_cell(cell) for cell in row] for row in rows]
    right = [
        any(isinstance(row[column], int | float) for row in rows) for column in range(len(header))
    ]
    widths = [
        max(len(title), *(len(row[column]) for row in texts), 0)
        for column, title in enumerate(header)
    ]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return "  ".join(aligned).rstrip()

    return "\n".join((line(header), "  ".join("-" * width for width in widths), *map(line, texts)))


def format_cell(value: Cell) -> str:
    """Return a number with four significant digits (integers whole), text as it is."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.4g}"
