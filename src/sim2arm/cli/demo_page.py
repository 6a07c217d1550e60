"""The page of a demo: success, film, timing, activation, learning curve, what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from .demo_summary import CASES, Outcome, figures, sentences
from .progress import duration
from .report import (
    Block,
    Section,
    Verdict,
    chart,
    code,
    folded,
    note,
    table,
    text,
    tiles,
    video,
    write_report,
)
from .report_charts import Share, draw_latency, draw_shares
from .table import Cell, format_cell
from .train_page import learning_section


def write_page(outcome: Outcome, summary: Mapping[str, Any], film: Path) -> Path:
    """Write report.html of a demo into its folder."""
    sections = [_success(outcome, summary), _film(outcome, film)]
    if outcome.lock_step is not None or outcome.real_time is not None:
        sections.append(_pairs(outcome, summary))
    if outcome.real_time is not None and outcome.real_time.latency_ms.size:
        sections.append(_timing(outcome, summary))
    through = outcome.real_time or outcome.lock_step
    if through is not None and through.activation:
        sections.append(_activation(through.activation))
    sections += [
        learning_section(outcome.folder, outcome.target),
        _figures(summary),
        _origin(outcome, summary),
    ]
    return write_report(
        outcome.folder,
        sections,
        title=f"sim2arm demo: {outcome.experiment}",
        lead=_lead(summary),
    )


def _lead(summary: Mapping[str, Any]) -> list[Block]:
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    commit = str(summary["commit"])[:12]
    words = (
        "A policy trained in simulation, exported, and run through ROS 2 nodes on a simulated arm."
    )
    shown: list[tuple[str, str, str]] = []
    for key, label in CASES.items():
        if summary[f"success_{key}"] is not None:
            low, high = (100 * summary[f"success_{key}_{end}"] for end in ("low", "high"))
            rate = f"{100 * summary[f'success_{key}']:.1f} %"
            more = f"{low:.1f} to {high:.1f} %, {summary[f'episodes_{key}']} episodes"
            shown.append((label, rate, more))
    if (found := summary["latency_ms"]) is not None:
        more = f"p50 {found['p50']:.2f}, max {found['max']:.2f} ms"
        shown.append(("latency, p99", f"{found['p99']:.2f} ms", more))
    machine = f"{summary['machine_cpu']}, {summary['machine_cores']} cores"
    origin = f"Written {written} at commit {commit} on this machine: {machine}."
    return [text(words), tiles(shown), text(origin, soft=True)]


def _success(outcome: Outcome, summary: Mapping[str, Any]) -> Section:
    shares = [
        Share(
            label=CASES[key],
            successes=int(measured.episodes.success.sum()),
            trials=len(measured.episodes.success),
            low=summary[f"success_{key}_low"],
            high=summary[f"success_{key}_high"],
            baseline=key == "open_loop",
        )
        for key, measured in outcome.measured().items()
        if measured is not None
    ]
    caption = (
        "Points are shares of successful episodes, bars 95 % Clopper-Pearson intervals. All rows "
        "start from the same seeds, as far as they go; in process and ROS run the same bundle."
    )
    blocks = [note(words) for words in sentences(summary)]
    return Section(title="Success", blocks=[chart(draw_shares(shares), caption), *blocks])


def _film(outcome: Outcome, film: Path) -> Section:
    facts = outcome.film
    told = [
        f"seed {seed}: {'success' if success else 'no success'} after {steps} steps"
        for seed, success, steps in zip(
            facts["seeds"], facts["success"], facts["steps"], strict=True
        )
    ]
    caption = (
        f"The first {len(told)} seeds of the evaluation, not chosen ({'; '.join(told)}). The "
        "exported bundle runs in process with controller, gate and trajectory; on the right the "
        f"goal from near. Drawn by {facts['renderer']}."
    )
    width, height = facts["size"]
    block = video(film.read_bytes(), width, height, caption)
    return Section(title="The deployed policy", blocks=[block])


def _pairs(outcome: Outcome, summary: Mapping[str, Any]) -> Section:
    pairings = outcome.pairings()
    rows: list[list[Cell | Verdict]] = [
        [
            CASES[key],
            found.both,
            found.only_a,
            found.only_b,
            found.neither,
            found.same_steps,
            "unknown" if found.largest is None else f"{found.largest:.1e}",
        ]
        for key, found in pairings.items()
    ]
    header = (
        "paired with in process:",
        "both succeed",
        "only in process",
        "only through ROS",
        "neither",
        "same steps too",
        "largest action difference, of range",
    )
    blocks = [table(header, rows)]
    lines = [[CASES[key], line] for key, found in pairings.items() for line in found.discordant]
    if lines:
        blocks.append(table(("run", "pairs with different outcomes"), lines))
    else:
        blocks.append(text("No pair has different outcomes."))
    blocks.append(
        text(
            "The same seed is the same episode; steps are ticks of the policy. In lock step the "
            "actions are expected to be equal; in real time observations have their true ages and "
            "motions start a lead later, so actions and outcomes may differ.",
            soft=True,
        )
    )
    return Section(title="Same episodes through ROS 2", blocks=blocks)


def _timing(outcome: Outcome, summary: Mapping[str, Any]) -> Section:
    assert outcome.real_time is not None
    period = 1e3 * outcome.contract.period
    drawing = draw_latency(
        outcome.real_time.latency_ms, period_ms=period, marks=summary["latency_ms"]
    )
    caption = (
        f"{len(outcome.real_time.latency_ms)} control steps of the run in real time at "
        f"{outcome.contract.control_hz:g} Hz, from the observation through policy and gate to the "
        f"command; {summary['missed_periods']} control periods passed without a new command, and "
        f"{summary['late_commands']} commands were late and joined on the way. Counts are on a "
        "logarithmic axis."
    )
    return Section(title="Timing", blocks=[chart(drawing, caption)])


def _activation(report: Mapping[str, Any]) -> Section:
    items: list[Mapping[str, Any]] = list(report["items"])
    good = sum(bool(item["ok"]) for item in items)
    words = (
        f"{good} of {len(items)} items of the contract lie inside what the policy was trained for."
    )
    verdict = "The robot was activated." if report["ok"] else "The robot refused to activate."
    rows: list[list[Cell | Verdict]] = [
        [
            Verdict(good=bool(item["ok"]), text="✓ ok" if item["ok"] else "✗ refused"),
            str(item["name"]),
            _shown(item["expected"]),
            _shown(item["measured"]),
            _shown(item["unit"]),
            _shown(item["margin"]),
            "" if item["ok"] else _shown(item["note"]),
        ]
        for item in sorted(items, key=lambda item: bool(item["ok"]))
    ]
    header = ("", "item", "expected", "measured", "unit", "margin", "note")
    full = table(header, rows)
    blocks = [text(f"{words} {verdict}")]
    blocks.append(folded("All items", [full]) if len(rows) > 30 else full)
    return Section(title="Activation", blocks=blocks)


def _shown(value: Any) -> str:
    """Return a value of the activation report as text: numbers with four digits."""
    if isinstance(value, list | tuple):  # a trained range
        return " to ".join(_shown(each) for each in cast(Sequence[Any], value))
    return format_cell(value) if isinstance(value, int | float | None) else str(value)


def _figures(summary: Mapping[str, Any]) -> Section:
    return Section(title="Figures", blocks=[table(("figure", "value", "unit"), figures(summary))])


def _named(summary: Mapping[str, Any], start: str) -> list[tuple[str, Any]]:
    """Return the entries whose key has this start, without it."""
    return [(k.removeprefix(start), v) for k, v in summary.items() if k.startswith(start)]


def _origin(outcome: Outcome, summary: Mapping[str, Any]) -> Section:
    folder = outcome.folder
    what = "--pretrained" if outcome.pretrained else f"--experiment {outcome.experiment}"
    commands = (
        f"sim2arm demo {what} --out {folder} --fresh   # all of it\n"
        f"sim2arm eval {folder}   # success in process, again"
    )
    facts: list[list[Cell | Verdict]] = [
        ["commit", str(summary["commit"])],
        ["commit at training", str(summary["commit_train"])],
        *([name, format_cell(value)] for name, value in _named(summary, "machine_")),
        *([name, str(value)] for name, value in _named(summary, "version_")),
    ]
    blocks = [
        text(f"All stages took {duration(summary['wall_s'])}. The numbers are in summary.json."),
        code(commands),
        folded("Machine and versions", [table(("", ""), facts)]),
    ]
    return Section(title="How to repeat", blocks=blocks)
