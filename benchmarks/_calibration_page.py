"""benchmarks/results/calibration.md: what calibrations find of a truth that is known, by part."""

# pyright: standard

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BARS: tuple[tuple[str, float | None, float | None], ...] = (
    (r"refused, with the reason \[%\]", 100.0, None),
    (r"wrong views named, and no others \[%\]", 90.0, None),
    (r"intervals of .* that hold the truth \[%\]", 90.0, 99.0),
    (r"half of an interval of .* over the rms error", None, 3.0),
    (r"error of the focal length \[%\]", None, 0.2),
    (r"error of the camera's .* \[mm\]", None, 1.0),
    (r"error of the camera's .* \[deg\]", None, 0.1),
    (r"error of (an offset|the worst joint) \[deg\]", None, 0.1),
    (r"error of the delay \[ms\]", None, 2.0),
    (r"(coulomb|viscous|payload.*) within 5 % \[%\]", 90.0, None),
    (r"error of the stiffness \[%\]", None, 10.0),
    (r"error of the friction \[%\]", None, 5.0),
)
"""What is asked for: metric and unit, least and greatest value."""
RATIO = 0.5
"""Error beside that of OpenCV's solvers that is the goal."""


def write_page(folder: Path, path: Path) -> None:
    """Write the page of all parts that were measured.

    Args:
        folder: with a JSON file for each part.
        path: of the page.
    """
    parts = {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}
    lines = [
        "# Calibrations beside a truth that is known",
        "",
        "Made by `sim2arm bench calibration --results benchmarks/results/calibration`: cameras, "
        "arms and gels are made up, calibrated from what they show, and compared with the truth. "
        "Errors are medians over seeds where no other word stands; errors of OpenCV's solvers are "
        "on the same data.",
    ]
    for name, data in parts.items():
        lines += ["", *_part(name, data)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _part(name: str, data: Mapping[str, Any]) -> list[str]:
    machine = data["machine"]
    lines = [
        f"## {name}",
        "",
        f"{data['name'].partition(', ')[2]}, {machine['cpu']}, {machine['cores']} cores, commit "
        f"{data['commit'][:10]}.",
        "",
        "| case | metric | value | asked for | | baseline | error beside it |",
        "|---|---|---|---|---|---|---|",
    ]
    return lines + [_row(row) for row in data["rows"]]


def _row(row: Mapping[str, Any]) -> str:
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    asked, met = judged(f"{row['metric']} [{row['unit']}]", row["value"])
    baseline, ratio = "", ""
    if row["baseline"] is not None:
        baseline = f"{row['baseline']}: {row['baseline_value']:.3g}{unit}"
        share = row["value"] / row["baseline_value"]
        ratio = f"{share:.2f}" + (f" (goal {RATIO} missed)" if share > RATIO else "")
    cells = (row["case"], row["metric"], f"{row['value']:.3g}{unit}", asked, met, baseline, ratio)
    return "| " + " | ".join(cells) + " |"


def judged(metric: str, value: float) -> tuple[str, str]:
    """Return what is asked for of a metric, and whether a value is inside; empty without a bar."""
    for pattern, low, high in BARS:
        if re.search(pattern, metric):
            fine = (low is None or value >= low) and (high is None or value <= high)
            words = [f"{low:g} or more" if low is not None else "",
                     f"{high:g} or less" if high is not None else ""]  # fmt: skip
            return ", ".join(word for word in words if word), "met" if fine else "**missed**"
    return "", ""
