"""Measured latencies as a calibration record: what the simulation draws its delays from.

The record keeps every latency, not their mean: what comes late now and then decides whether a
policy bears it. `read_latency` gives them to `Delay` and `CommandDelay` of the simulation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim2arm.core.calibration_file import read_record
from sim2arm.core.calibration_record import (
    CalibrationRecord,
    InputFile,
    Quantity,
    make_quantity,
    utc_now,
)

KIND, SAMPLES, DELAY = "latency", "samples", "delay"
"""`what` of the record, and the names of its values."""
SHARE = (0.01, 0.99)
"""Between which quantiles of its samples the latency of a device lies."""


@dataclass(frozen=True, kw_only=True)
class MeasuredLatency:
    """How old what a device says is when it arrives."""

    device: str
    low: float
    """Least [s], less what is not known of it."""
    middle: float
    """[s]."""
    high: float
    """Greatest [s], and what is not known of it."""
    id: str
    """Of the record."""


def latency_record(
    samples: npt.ArrayLike,
    *,
    device: str,
    method: str,
    settings: Mapping[str, float] | None = None,
    inputs: Sequence[InputFile] = (),
    notes: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
    delay: tuple[float, float] | None = None,
) -> CalibrationRecord:
    """Return the record of measured latencies.

    Args:
        samples: (M,) each one that was measured [s], M >= 1.
        device: what was measured.
        method: how, from which event to which.
        settings: of the method.
        inputs: files that the latencies were computed from.
        notes: what a reader has to know.
        versions: of the software.
        delay: what is the same in all of them, and one standard deviation of it [s]; None where
            that was not told apart.

    Raises:
        ValueError: no latency, or one that is not 0 to below 1 s.
    """
    seconds = np.asarray(samples, dtype=np.float64)
    _check(seconds)
    p50, p99, longest = (float(x) for x in np.quantile(seconds, (0.5, 0.99, 1.0)))
    shape = f"p50 {1e3 * p50:.3g} ms, p99 {1e3 * p99:.3g} ms, greatest {1e3 * longest:.3g} ms"
    return CalibrationRecord(
        what=KIND,
        device=device,
        date=utc_now(),
        method=method,
        settings=dict(settings or {}),
        inputs=tuple(inputs),
        values={SAMPLES: make_quantity(seconds, "s", note=shape), **_delay(delay)},
        residuals={},
        notes=tuple(notes),
        versions=dict(versions or {}),
    )


def read_device_latency(path: str | Path) -> MeasuredLatency:
    """Return between which latencies a device lies, of the record in a file.

    Raises:
        ValueError: the file is no calibration record of latencies, or was not accepted; one line.
    """
    record = _record(path)
    seconds = np.asarray(record.values[SAMPLES].numbers)
    sigma = (0.0,)
    if DELAY in record.values:
        sigma = record.values[DELAY].uncertainty or sigma
    low, middle, high = (float(v) for v in np.quantile(seconds, (SHARE[0], 0.5, SHARE[1])))
    half = 1.96 * sigma[0]
    return MeasuredLatency(
        device=record.device, low=max(0.0, low - half), middle=middle, high=high + half,
        id=record.id,
    )  # fmt: skip


def _delay(delay: tuple[float, float] | None) -> dict[str, Quantity]:
    if delay is None:
        return {}
    return {DELAY: make_quantity(delay[0], "s", uncertainty=[delay[1]], note="of the stamps")}


def read_latency(path: str | Path) -> tuple[float, ...]:
    """Return the latencies (M,) [s] of the record in a file.

    Raises:
        ValueError: the file is no calibration record of latencies of commands; one line.
    """
    record = _record(path)
    if DELAY in record.values:
        raise ValueError(
            f"{path}: of {record.device!r}, by its motion: expected latencies of commands, from "
            "action to controller (`sim2arm bench ros --latency`)"
        )
    return record.values[SAMPLES].numbers


def _record(path: str | Path) -> CalibrationRecord:
    record = read_record(path)
    if record.what != KIND:
        raise ValueError(f"{path}: what: expected a calibration of {KIND!r}, got {record.what!r}")
    for problem in record.problems:
        raise ValueError(f"{path}: not accepted: {problem}: calibrate again")
    try:
        seconds = record.value(SAMPLES)
        unit = record.values[SAMPLES].unit
        if unit != "s":
            raise ValueError(f"values.{SAMPLES}.unit: expected 's', got {unit!r}")
        _check(seconds)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return record


def _check(seconds: npt.NDArray[np.float64]) -> None:
    """Refuse what are no latencies."""
    if seconds.ndim != 1 or not seconds.size:
        raise ValueError(
            f"{SAMPLES}: expected (M,) latencies, 1 or more, got shape {seconds.shape}"
        )
    wrong = seconds[~((seconds >= 0.0) & (seconds < 1.0))]
    if wrong.size:
        raise ValueError(f"{SAMPLES}: expected latencies of 0 to below 1 s, got {wrong[0]}")
