"""benchmarks/results/faults.md: what goes wrong, how often it was tried, how often it did harm."""

from __future__ import annotations

from collections.abc import Sequence

from sim2arm.cli.machine import describe_commit, describe_machine

from .fault_list import ELSEWHERE, FAULTS, Fault
from .tables import Table, Tried, bound

FEWEST = 100
"""Tries of chance from which a bound says something."""


def report(table: Table) -> str:
    """Return the page of a run of `make faults`."""
    machine = describe_machine()
    lines = [
        "# Faults",
        "",
        f"Made by `make faults` on {machine['cpu']}, {machine['cores']} cores, commit "
        f"{describe_commit()}. A failure is harm: a wrong command, a frame that is none, a "
        "traceback, a hang. Bounds are one-sided, exact, for independent tries. Tests are of `make "
        "test`, counted by case; tries are of the long tests.",
    ]
    for kind, faults in FAULTS.items():
        lines += ["", f"## {kind}", "", "| fault, and what comes of it | tests passed | tries | "
                  "failures | below, 95 % | seed |", "|---|---|---|---|---|---|"]  # fmt: skip
        lines += [_row(table, fault) for fault in faults]
    lines += ["", "## Measured elsewhere", "", "| what | where |", "|---|---|"]
    lines += [f"| {what} | {where} |" for what, where in ELSEWHERE]
    return "\n".join(lines) + "\n"


def _row(table: Table, fault: Fault) -> str:
    names = [f"{file}::{name}" for file, name in fault.names()]
    passed, failed = (sum(table.outcomes[name, fine] for name in names) for fine in (True, False))
    left = sum(not (table.outcomes[n, True] or table.outcomes[n, False]) for n in names)
    tests = f"{passed} of {passed + failed}" if names else ""
    tests += f", {left} not run" if left else ""
    tried = [t for t in table.tried if t.case.startswith(fault.cases)] if fault.cases else []
    never = [c for c in fault.cases if not any(t.case.startswith(c) for t in tried)]
    trials, count, below, seeds = _tries(tried)
    trials += f" (not run: {'; '.join(never)})" if never else ""
    return f"| {fault.what} | {tests} | {trials} | {count} | {below} | {seeds} |"


def _tries(tried: Sequence[Tried]) -> tuple[str, str, str, str]:
    if not tried:
        return "", "", "", ""
    trials, count = sum(t.trials for t in tried), sum(t.count for t in tried)
    seeds = sorted({t.seed for t in tried if t.seed is not None})
    below = f"{bound(count, trials):.1e}" if seeds and trials >= FEWEST else ""
    return f"{trials:,}".replace(",", " "), str(count), below, ", ".join(map(str, seeds))
