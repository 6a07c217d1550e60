"""What randomised training is worth on arms it never saw: success lost under `eval --shift`.

Policies are trained with and without randomisation, some seeds each, exported, and run in process
(`sim2arm.cli.evaluation`) on the arm of training and on arms outside all ranges of training: by
level and by seed, each number of an arm at one end of its shift. All run the same episodes.

Runs that lie in the folder already are taken as they are; one that was interrupted goes on.
"""

# pyright: standard

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sim2arm.cli.errors import UserError
from sim2arm.cli.eval import FIRST_SEED
from sim2arm.cli.evaluation import OtherArm, of_bundle, run_episodes
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.export import ExportCfg, export
from sim2arm.cli.outputs import check_file, check_folder
from sim2arm.cli.parse import parse, unknown
from sim2arm.cli.progress import Progress
from sim2arm.cli.randomizations import RANDOMIZATIONS
from sim2arm.cli.runs import CHECKPOINT, build_task
from sim2arm.cli.shifts import LEVELS, SHIFTS
from sim2arm.cli.table import Row, format_results, write_results
from sim2arm.cli.train import train
from sim2arm.core.robot_files import find_robot
from sim2arm.policies.bundle import CONTRACT
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.tasks.table import describe_task


@dataclass(frozen=True, kw_only=True)
class ShiftBenchCfg:
    """Measure what randomised training is worth on arms it never saw."""

    experiment: str = "peg-insertion-ppo"
    """What is trained."""
    randomization: str = "peg"
    """Of the randomised training, a name of cli/randomizations.py; the other has none."""
    iterations: int = 450
    """Most iterations of a training."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the trainings, with and without randomisation."""
    arms: int = 3
    """Other arms per level, those of `--eval-seed` 0 and on."""
    episodes: int = 100
    """Episodes on each arm."""
    out: Path = Path("runs/shift")
    """Folder of the runs."""
    json: Path | None = None
    """Write the rows there."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, train, measure, print and write.

    Raises:
        UserError: a number below 1, or an unknown experiment, randomization or task.
    """
    cfg = parse(ShiftBenchCfg, argv, "sim2arm bench shift")
    if not cfg.seeds or min(cfg.iterations, cfg.arms, cfg.episodes) < 1 or min(cfg.seeds) < 0:
        raise UserError("--iterations, --arms, --episodes must be 1 or more, --seeds 0 or more")
    if cfg.experiment not in EXPERIMENTS:
        raise UserError(unknown("experiment", cfg.experiment, EXPERIMENTS))
    if cfg.randomization not in RANDOMIZATIONS:
        raise UserError(unknown("randomization", cfg.randomization, RANDOMIZATIONS))
    task = describe_task(build_task(EXPERIMENTS[cfg.experiment][1]))[0]
    if task not in SHIFTS:
        raise UserError(f"--experiment: no shift for the task {task}, expected {', '.join(SHIFTS)}")
    check_file("--json", cfg.json)
    check_folder("--out", cfg.out)
    rows: list[Row] = []
    for randomization in ("none", cfg.randomization):
        found = [measure(cfg, trained(cfg, randomization, seed)) for seed in cfg.seeds]
        rows += table(cfg, randomization, found)
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "shift", rows)
    return 0


def trained(cfg: ShiftBenchCfg, randomization: str, seed: int) -> Path:
    """Return the bundle of a training, which is made if it is not there."""
    run = cfg.out / f"{randomization}-{seed}"
    bundle = run / "bundle"
    if not (bundle / CONTRACT).is_file():
        settings = replace(
            EXPERIMENTS[cfg.experiment][1],
            randomization=randomization,
            iterations=cfg.iterations,
            seed=seed,
            out=run,
            resume=(run / CHECKPOINT).is_file(),
        )
        train(cfg.experiment, settings)
        export(ExportCfg(run=run))
    return bundle


def measure(cfg: ShiftBenchCfg, bundle: Path) -> list[float]:
    """Return the success of a policy at level 0 and at each further level, over all arms."""
    together = min(50, cfg.episodes)
    policy = OnnxPolicy(bundle, num_envs=together)
    task = build_task(EXPERIMENTS[cfg.experiment][1])
    seeds = range(FIRST_SEED, FIRST_SEED + cfg.episodes)
    shift, robot = SHIFTS[describe_task(task)[0]], find_robot(policy.contract.robot)
    changes = [shift(robot, level) for level in LEVELS]
    others = [[OtherArm(change=change, seed=k) for k in range(cfg.arms)] for change in changes]
    rates: list[float] = []
    count = 1 + len(LEVELS) * cfg.arms
    with Progress(f"{bundle.parent.name}", count, "arms") as progress:
        done = 0
        for arms in ([None], *others):
            found: list[float] = []
            for other in arms:
                result = run_episodes(
                    task, policy.contract, of_bundle(policy), seeds, num_arms=together,
                    other=other,
                )  # fmt: skip
                found.append(result.rate)
                done += 1
                progress.update(done)
            rates.append(statistics.mean(found))
    return rates


def table(cfg: ShiftBenchCfg, randomization: str, found: list[list[float]]) -> list[Row]:
    """Return the rows of one kind of training, from the success by seed and level."""
    rows: list[Row] = []
    for seed, rates in zip(cfg.seeds, found, strict=True):
        for level, rate in enumerate(rates):
            row = Row(case=f"randomization {randomization}, seed {seed}, shift {level}",
                      metric="success", value=rate)  # fmt: skip
            if level:
                row = replace(row, baseline="shift 0", baseline_value=rates[0])
            rows.append(row)
    for level in LEVELS:
        lost = [100.0 * (rates[0] - rates[level]) for rates in found]
        rows.append(
            Row(case=f"randomization {randomization}, all seeds, shift {level}",
                metric="success lost", value=statistics.mean(lost), unit="points")
        )  # fmt: skip
    return rows
