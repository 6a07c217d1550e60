"""Rows of calibrations: errors over seeds, and what intervals are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from sim2arm.cli.progress import Progress
from sim2arm.cli.table import Row
from sim2arm.core.driver_stage import FloatArray

T = TypeVar("T")


def every(case: str, seeds: int, measure: Callable[[np.random.Generator], T]) -> list[T]:
    """Return what is measured with each seed; what is refused is printed and left out.

    Raises:
        ValueError: more than one in ten is refused: the last reason.
    """
    found: list[T] = []
    refused = 0
    with Progress(case, seeds, "rigs") as progress:
        for seed in range(seeds):
            try:
                found.append(measure(np.random.default_rng(seed)))
            except ValueError as error:
                refused += 1
                print(f"{case}, seed {seed}: refused: {error}")
                if refused > 0.1 * seeds:
                    raise
            progress.update(seed + 1)
    return found


def error_rows(
    case: str, metric: str, unit: str, errors: FloatArray, others: Mapping[str, FloatArray]
) -> list[Row]:
    """Return the median of errors (seeds,), beside those of others on the same data."""
    value = float(np.median(errors))
    if not others:
        return [Row(case=case, metric=metric, value=value, unit=unit)]
    return [
        Row(case=case, metric=metric, value=value, unit=unit, baseline=name,
            baseline_value=float(np.median(other)))
        for name, other in others.items()
    ]  # fmt: skip


def interval_rows(case: str, what: str, errors: FloatArray, sigma: FloatArray) -> list[Row]:
    """Return how often 95 % intervals hold the truth, and how wide they are.

    Args:
        case: of the rows.
        what: the numbers are.
        errors: (seeds, K) found less true.
        sigma: (seeds, K), of which 1.96 are the half of an interval.
    """
    inside = np.abs(errors) <= 1.96 * sigma
    width = 1.96 * np.median(sigma, axis=0) / np.sqrt(np.mean(errors**2, axis=0))
    each = inside.mean(axis=0)
    return [
        Row(case=case, metric=f"95 % intervals of {what} that hold the truth",
            value=100.0 * float(inside.mean()), unit="%"),
        Row(case=case, metric=f"the same, worst of {inside.shape[1]} numbers",
            value=100.0 * float(each[np.abs(each - 0.95).argmax()]), unit="%"),
        Row(case=case, metric=f"half of an interval of {what} over the rms error",
            value=float(width.mean()), unit="1"),
    ]  # fmt: skip


def share_row(case: str, metric: str, holds: list[bool]) -> Row:
    """Return in how many of all cases something holds."""
    return Row(case=case, metric=metric, value=100.0 * float(np.mean(holds)), unit="%")
