"""What a demo measured, as a flat dictionary, as rows and as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim2arm.core.contract import Contract
from sim2arm.core.durable import write_durably

from .errors import user_input
from .evaluation import Episodes
from .intervals import clopper_pearson
from .machine import describe_commit, describe_machine, describe_versions
from .measured import Measured, Pairing, pair
from .metrics import read_metrics
from .progress import duration
from .runs import METRICS
from .table import Cell, Row, format_table

SUMMARY = "summary.json"
CASES = {
    "process": "in process",
    "ros_lockstep": "ROS 2, lock step",
    "ros_realtime": "ROS 2, real time",
    "open_loop": "blind, open loop",
}
"""Key in the summary -> words; the last is the baseline."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that the stages of a demo found out."""

    folder: Path
    experiment: str
    target: float
    """Share of successes at which training stops."""
    contract: Contract
    exported: Mapping[str, Any]
    process: Measured
    blind: Measured | None
    lock_step: Measured | None
    real_time: Measured | None
    film: Mapping[str, Any]
    seconds: float
    pretrained: bool
    """Whether the policy came with the package."""
    commit_train: str

    def measured(self) -> dict[str, Measured | None]:
        """Return the measurements by their key in the summary."""
        found = (self.process, self.lock_step, self.real_time, self.blind)
        return dict(zip(CASES, found, strict=True))

    def pairings(self) -> dict[str, Pairing]:
        """Return the runs through ROS nodes paired with those in process, by key."""
        action = self.contract.action
        through = {key: value for key, value in self.measured().items() if key.startswith("ros")}
        return {
            key: pair(self.process, value, action)
            for key, value in through.items()
            if value is not None
        }


def summarise(outcome: Outcome) -> dict[str, Any]:
    """Return the content of summary.json; what was left out is None.

    It is flat but for `latency_ms`. `wall_s` is the time that all stages took, over all calls of
    the demo, those that a later call found done included; reading and reporting between them is
    not in it. `train_steps_per_s` includes the trials. Steps are ticks of the policy: in real time
    the arm waits up to a few control steps for the first one.

    Raises:
        UserError: metrics.csv of the training is damaged.
    """
    steps, rate = training_rate(outcome.folder / METRICS)
    summary: dict[str, Any] = {
        "experiment": outcome.experiment, "pretrained": outcome.pretrained
    }  # fmt: skip
    for key, measured in outcome.measured().items():
        summary |= _success(key, None if measured is None else measured.episodes)
    summary["parity_max_abs"] = outcome.exported["parity_max_abs"]
    summary["latency_ms"] = latency(outcome.real_time)
    summary["missed_periods"] = None if outcome.real_time is None else outcome.real_time.missed
    summary["late_commands"] = None if outcome.real_time is None else outcome.real_time.late
    for key, found in outcome.pairings().items():
        case = key.removeprefix("ros_")
        summary |= {
            f"paired_{case}_both": found.both,
            f"paired_{case}_only_process": found.only_a,
            f"paired_{case}_only_ros": found.only_b,
            f"paired_{case}_neither": found.neither,
            f"same_steps_{case}": found.same_steps,
            f"actions_max_abs_{case}": found.largest,
            f"discordant_{case}": list(found.discordant),
            f"incomplete_{case}": list(found.incomplete),
        }
    return summary | {
        "train_steps": steps,
        "train_steps_per_s": rate,
        "wall_s": round(outcome.seconds, 1),
        "commit": describe_commit(),
        "commit_train": outcome.commit_train,
        **{f"version_{_key(name)}": value for name, value in describe_versions().items()},
        **{f"machine_{_key(name)}": value for name, value in describe_machine().items()},
    }


def _key(name: str) -> str:
    return name.replace("-", "_")


def _success(key: str, episodes: Episodes | None) -> dict[str, Any]:
    names = (f"success_{key}", f"success_{key}_low", f"success_{key}_high", f"episodes_{key}")
    if episodes is None:
        return dict.fromkeys(names)
    trials, successes = len(episodes.success), int(episodes.success.sum())
    interval = clopper_pearson(successes, trials)
    return dict(zip(names, (successes / trials, *interval, trials), strict=True))


def latency(measured: Measured | None) -> dict[str, float] | None:
    """Return the p50, p99 and largest latency [ms]; None if nothing was measured."""
    if measured is None or not measured.latency_ms.size:
        return None
    values = measured.latency_ms
    return {
        "p50": float(np.percentile(values, 50)),
        "p99": float(np.percentile(values, 99)),
        "max": float(values.max()),
    }


def training_rate(path: Path) -> tuple[int, float]:
    """Return the steps of a run's metrics.csv and its steps per second, trials included.

    Raises:
        UserError: the file is damaged, or there is no row.
    """
    with user_input("metrics", path):
        rows = read_metrics(path)
        if not rows:
            raise ValueError("expected a row per iteration, got none")
        last = rows[-1]
    return int(last["steps"]), round(last["steps"] / last["wall_s"], 1)


def write_summary(folder: Path, summary: Mapping[str, Any]) -> Path:
    """Write summary.json; the file is whole or absent."""
    path = folder / SUMMARY
    write_durably(path, f"{json.dumps(summary, indent=2, allow_nan=False)}\n".encode())
    return path


def rows_of(summary: Mapping[str, Any]) -> list[Row]:
    """Return the rows that `--json` writes; driving blind is the baseline where it was run."""
    rows: list[Row] = []
    blind = summary["success_open_loop"]
    for key, words in CASES.items():
        value = summary[f"success_{key}"]
        if value is None:
            continue
        compared = {} if key == "open_loop" or blind is None else {"baseline": CASES["open_loop"]}
        base = blind if compared else None
        rows.append(Row(case=words, metric="success", value=value, baseline_value=base, **compared))
        for end in ("low", "high"):
            bound = summary[f"success_{key}_{end}"]
            rows.append(Row(case=words, metric=f"success, 95 % {end}", value=bound))
        rows.append(Row(case=words, metric="episodes", value=summary[f"episodes_{key}"]))
    for metric, value, unit in figures(summary):
        if isinstance(value, int | float):
            rows.append(Row(case=str(summary["experiment"]), metric=metric, value=value, unit=unit))
    return rows


def figures(summary: Mapping[str, Any]) -> list[tuple[str, Cell, str]]:
    """Return the measured figures besides success: name, value, unit."""
    found: list[tuple[str, Cell, str]] = [
        ("parity of torch and ONNX", summary["parity_max_abs"], "of action range")
    ]
    for case, words in (("lockstep", "lock step"), ("realtime", "real time")):
        if f"paired_{case}_both" not in summary:
            continue
        same = summary[f"paired_{case}_both"] + summary[f"paired_{case}_neither"]
        found.append((f"{words}: same outcome as in process", same, "episodes"))
        if case == "lockstep":
            largest = summary["actions_max_abs_lockstep"]
            found.append((f"{words}: largest difference of actions", largest, "of action range"))
    if summary["latency_ms"] is not None:
        found += [
            (f"real time: observation to command, {name}", value, "ms")
            for name, value in summary["latency_ms"].items()
        ]
    if summary["missed_periods"] is not None:
        found += [
            ("real time: periods without a new command", summary["missed_periods"], ""),
            ("real time: late commands, joined on the way", summary["late_commands"], ""),
        ]
    return [
        *found,
        ("training", summary["train_steps"], "steps"),
        ("training", summary["train_steps_per_s"], "steps/s"),
    ]


def format_summary(summary: Mapping[str, Any]) -> str:
    """Return what is shown on the terminal at the end."""
    successes = [
        (
            words,
            f"{100 * summary[f'success_{key}']:.1f} %",
            " - ".join(f"{100 * summary[f'success_{key}_{end}']:.1f}" for end in ("low", "high")),
            summary[f"episodes_{key}"],
        )
        for key, words in CASES.items()
        if summary[f"success_{key}"] is not None
    ]
    header = (str(summary["experiment"]), "success", "95 % interval [%]", "episodes")
    parts = [
        format_table(header, successes),
        format_table(("figure", "value", "unit"), figures(summary)),
    ]
    parts += sentences(summary)
    parts.append(f"all stages: {duration(summary['wall_s'])}")
    return "\n\n".join(parts)


def sentences(summary: Mapping[str, Any]) -> Sequence[str]:
    """Return what has to be said beside the numbers."""
    found: list[str] = []
    if summary["pretrained"]:
        found.append("The policy came with the package; it was not trained here.")
    if (blind := summary["success_open_loop"]) is not None:
        found.append(
            f"This is no result about touch: driving blind to the noisy pose succeeds in "
            f"{100 * blind:.1f} % of the same episodes. It shows that the plumbing from training "
            "to ROS 2 works."
        )
    if summary["success_process"] < 0.5:
        found.append(
            "The policy has not learned its task: see the learning curve, and train on with more "
            "--iterations."
        )
    found += [
        f"Not every action of a pair in lock step is known: {line}."
        for line in summary.get("incomplete_lockstep", [])
    ]
    return found
