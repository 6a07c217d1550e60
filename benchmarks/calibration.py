"""Calibrations beside a truth that is known, with the noise of real set-ups, 100 seeds each.

Each part makes cameras, boards and arms (`_calibration_rigs.py`), calibrates them from what they
show, and compares with the truth: errors (medians over seeds), how often 95 % intervals hold the
truth, and how wide they are in root mean square errors (1.96 would be exact). Where OpenCV has a
solver it gets the same corners and joints. A part is a function in `PARTS`; add one there.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from _calibration_arms import drift, hand_eye, joints
from _calibration_delays import delays
from _calibration_dynamics import dynamics
from _calibration_gels import gels
from _calibration_lenses import intrinsics
from _calibration_page import write_page

from sim2arm.cli.errors import UserError
from sim2arm.cli.outputs import check_folder
from sim2arm.cli.parse import parse, unknown
from sim2arm.cli.table import Row, format_results, write_results


@dataclass(frozen=True, kw_only=True)
class CalibrationBenchCfg:
    """Measure calibrations beside the truth and beside OpenCV's solvers."""

    parts: tuple[str, ...] = (
        "intrinsics", "hand-eye", "joints", "drift", "delays", "dynamics", "gels",
    )  # fmt: skip
    """Which parts."""
    seeds: int = 100
    """Rigs of each kind."""
    results: Path | None = None
    """Folder for the rows, a JSON file for each part; the page of all that are there stands beside
    it."""


PARTS: dict[str, Callable[[int], list[Row]]] = {
    "intrinsics": intrinsics,
    "hand-eye": hand_eye,
    "joints": joints,
    "drift": drift,
    "delays": delays,
    "dynamics": dynamics,
    "gels": gels,
}
"""By name: from the number of seeds to rows."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, measure, print and write.

    Raises:
        UserError: a number below 2, or an unknown part.
    """
    cfg = parse(CalibrationBenchCfg, argv, "sim2arm bench calibration")
    if cfg.seeds < 2:
        raise UserError(f"--seeds: expected 2 or more, got {cfg.seeds}")
    for name in cfg.parts:
        if name not in PARTS:
            raise UserError(unknown("part", name, PARTS))
    if cfg.results is not None:
        check_folder("--results", cfg.results)
    for name in cfg.parts:
        rows = PARTS[name](cfg.seeds)
        print(format_results(rows), flush=True)
        if cfg.results is not None:
            title = f"calibration {name}, {cfg.seeds} seeds"
            write_results(cfg.results / f"{name}.json", title, rows)
            write_page(cfg.results, cfg.results.with_suffix(".md"))
    return 0
