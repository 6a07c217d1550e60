"""Updates of what learns from replay beside plain eager torch, in one run.

`eager` (`_eager_learners.py`, `_eager_cqn.py`) is the same algorithm with as many parameters,
written down from the papers. An update is a batch out of the replay, losses, slopes, optimisers and
targets; both draw their batches from the same replay, those of small observations for several
updates at once, as in training; its share of our update is a row of its own. Both take turns, so
that what else the machine does falls on both. Peak memory is that of updates in a process of its
own, above networks and replay.
"""

# pyright: standard

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from _learner_cases import PUBLISHED, eager, ours, small, step_of
from _turns import take_turns
from torch import nn

from sim2arm.cli.errors import UserError
from sim2arm.cli.outputs import check_file
from sim2arm.cli.parse import parse, unknown
from sim2arm.cli.table import Row, format_results, write_results

LIKE = 0.01
"""Largest share by which numbers of parameters may differ."""
MEMORY = Path(__file__).parent / "_learner_memory.py"


@dataclass(frozen=True, kw_only=True)
class LearnerBenchCfg:
    """Measure updates of what learns from replay beside eager torch."""

    cases: tuple[str, ...] = tuple(PUBLISHED)
    """Which algorithms."""
    small: bool = False
    """Networks and batches of a moment: for tests."""
    repeats: int = 15
    """Turns; medians are reported."""
    threads: int = 1
    """Threads of torch."""
    device: str = "cpu"
    """Where networks and replay are: cpu or cuda:0."""
    json: Path | None = None
    """Write the rows there."""


def main(argv: list[str]) -> int:
    """Parse the arguments, measure, print and write.

    Raises:
        UserError: an unknown case, or a number below 1.
    """
    cfg = parse(LearnerBenchCfg, argv, "sim2arm bench learner")
    for name in cfg.cases:
        if name not in PUBLISHED:
            raise UserError(unknown("case", name, PUBLISHED))
    if min(cfg.repeats, cfg.threads) < 1:
        raise UserError("--repeats and --threads must be 1 or more")
    check_file("--json", cfg.json)
    torch.set_num_threads(cfg.threads)
    rows = [row for name in cfg.cases for row in measure(cfg, name)]
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "learner", rows)
    return 0


def measure(cfg: LearnerBenchCfg, name: str) -> list[Row]:
    """Return the rows of a case."""
    torch.manual_seed(0)
    case = small(PUBLISHED[name]) if cfg.small else PUBLISHED[name]
    learner, other = ours(case, cfg.device), eager(case, cfg.device)
    count, theirs = parameters(learner.model), parameters(other)
    assert abs(theirs - count) <= LIKE * count, f"{name}: {theirs} parameters, ours {count}"

    def plain() -> None:
        for batch in learner.batches(case.burst):
            other.update(step_of(case, batch))  # pyright: ignore[reportCallIssue]

    def load() -> None:
        for _ in learner.batches(case.burst):
            pass

    def update() -> None:
        for batch in learner.batches(case.burst):
            learner.agent.update(batch, learner.generator)

    work: dict[str, Callable[[], object]] = {"ours": update, "eager": plain, "load": load}
    wait = torch.cuda.synchronize if cfg.device.startswith("cuda") else lambda: None
    times = take_turns(work, cfg.repeats, f"{case.text}", wait=wait)
    found = {key: statistics.median(each) / case.burst for key, each in times.items()}
    memory = {who: peak(cfg, name, who) for who in ("ours", "eager")}
    return [
        Row(case=case.text, metric="parameters", value=count),
        Row(case=case.text, metric="updates", value=1.0 / found["ours"], unit="1/s",
            baseline="eager", baseline_value=1.0 / found["eager"]),
        Row(case=case.text, metric="share of the replay", value=100 * found["load"] / found["ours"],
            unit="%"),
        Row(case=case.text, metric="peak memory", value=memory["ours"], unit="MiB",
            baseline="eager", baseline_value=memory["eager"]),
    ]  # fmt: skip


def peak(cfg: LearnerBenchCfg, name: str, who: str) -> float:
    """Return the peak memory of updates in a process of its own [MiB]."""
    words = [sys.executable, str(MEMORY), name, who, cfg.device, "small" if cfg.small else "full"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{name}, {who}: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout)


def parameters(module: nn.Module) -> int:
    """Return how many numbers learn."""
    return sum(value.numel() for value in module.parameters() if value.requires_grad)
