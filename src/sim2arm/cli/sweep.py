"""`sim2arm sweep NAME`: many trainings, one after the other, and one table of their success.

Each cell is trained once per seed in `OUT/CELL-SEED`. What is trained and measured stays as it is,
what was interrupted goes on, so the same command is the way to go on. Success is that of the
deterministic policy in the training environment at its whole ranges, on seeds of its own; for the
figure behind controller and gate there is `sim2arm eval`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from tyro.conf import Positional, arg

from .errors import UserError, user_input
from .experiments import EXPERIMENTS, TrainCfg
from .intervals import clopper_pearson
from .outputs import check_folder
from .parse import parse, unknown
from .run_record import CONFIG
from .runs import build_env, build_learner, load_learner, other_run
from .sweeps import SWEEPS, Cell
from .table import Row, format_results, write_results
from .train import train
from .trial import solve

FIRST_SEED = 2_000_000
"""Seeds of the episodes that cells are measured on; trials and evaluations have others."""
MEASURED = "measured.json"
"""In a run folder: what was measured."""
TABLE = "table.json"


@dataclass(frozen=True, kw_only=True)
class SweepCfg:
    """Train the cells of a sweep and measure them."""

    name: Annotated[Positional[str], arg(metavar="NAME")]
    """Which: a name of `cli/sweeps.py`."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each cell is trained once with each."""
    cells: tuple[str, ...] = ()
    """Only cells whose names begin with one of these words, and their teachers; all if empty."""
    episodes: int = 1024
    """Episodes that each training is measured on."""
    num_envs: int | None = None
    """Parallel worlds of every training, instead of those of its experiment."""
    iterations: int | None = None
    """Most iterations of every training."""
    device: str | None = None
    """Where engine and networks run."""
    world: str | None = None
    """Engine of the physics."""
    out: Path | None = None
    """Folder of the runs; runs/sweeps/NAME by default."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one training came to."""

    successes: int
    episodes: int
    steps: int
    """Environment steps of training."""
    iterations: int
    """Most iterations that it was allowed."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    if not argv or argv[0] in ("-h", "--help"):
        print("sweeps:")
        for name, (line, cells) in SWEEPS.items():
            print(f"  {name:<20} {line} {len(cells)} cells.")
    cfg = parse(SweepCfg, argv, "sim2arm sweep")
    print(format_results(sweep(cfg)))
    return 0


def sweep(cfg: SweepCfg) -> list[Row]:
    """Train and measure what is missing; write the table after each cell and return it.

    Raises:
        UserError: there is no such sweep or cell, or a setting that nothing can be trained with.
    """
    if cfg.name not in SWEEPS:
        raise UserError(unknown("sweep", cfg.name, SWEEPS))
    if cfg.episodes < 1 or not cfg.seeds:
        raise UserError("--episodes and --seeds: expected 1 or more")
    folder = cfg.out or Path("runs") / "sweeps" / cfg.name
    check_folder("--out", folder)
    cells = chosen(SWEEPS[cfg.name][1], cfg.cells)
    possible: dict[str, Cell] = {}
    for name, cell in cells.items():
        reason = impossible(cell)
        if reason:
            _say(f"{name}: left out: {reason}")
        else:
            possible[name] = cell
    rows: list[Row] = []
    for number, (name, cell) in enumerate(possible.items(), 1):
        outcomes: list[Outcome] = []
        for seed in cfg.seeds:
            _say(f"[{number}/{len(possible)}] {name}, seed {seed}")
            outcomes.append(run_cell(folder, name, cell, seed, cfg))
        rows += rows_of(cell, outcomes)
        write_results(folder / TABLE, f"sweep {cfg.name}", rows)
    return rows


def chosen(cells: Mapping[str, Cell], starts: Sequence[str]) -> dict[str, Cell]:
    """Return the cells whose names begin with one of some words, and their teachers, in order.

    Raises:
        UserError: a word is the beginning of none.
    """
    if not starts:
        return dict(cells)
    for start in starts:
        if not any(name.startswith(start) for name in cells):
            raise UserError(f"--cells: {unknown('cell', start, cells)}")
    wanted = {name for name in cells if name.startswith(tuple(starts))}
    wanted |= {cells[name].teacher for name in wanted}
    return {name: cell for name, cell in cells.items() if name in wanted}


def impossible(cell: Cell) -> str:
    """Return why a cell cannot be trained with this version, or ""."""
    known = {field.name for field in fields(TrainCfg)}
    absent = [name for name in cell.overrides if name.split(".")[0] not in known]
    if absent:
        return f"training has no setting {', '.join(absent)}"
    cameras = cell.overrides.get("cameras", "none")
    if cameras != "none":
        from .cameras import CAMERAS

        if cameras not in CAMERAS:
            return f"there are no cameras {cameras!r}"
    touch = cell.overrides.get("touch", "none")
    if touch != "none":
        from .touches import TOUCHES

        if touch not in TOUCHES:
            return f"there is no touch {touch!r}"
    return ""


def settings(folder: Path, cell: Cell, seed: int, cfg: SweepCfg, out: Path) -> TrainCfg:
    """Return the settings of one training.

    Raises:
        UserError: they do not go together.
    """
    base = EXPERIMENTS[cell.experiment][1]
    own = {n: v for n, v in cell.overrides.items() if "." not in n}
    inner = {n.split(".")[1]: v for n, v in cell.overrides.items() if n.startswith("algo.")}
    values: dict[str, Any] = {**own, "seed": seed, "out": out}
    for name in ("num_envs", "iterations", "device", "world"):
        if getattr(cfg, name) is not None:
            values[name] = getattr(cfg, name)
    if cell.teacher:
        values["teacher"] = str(folder / f"{cell.teacher}-{seed}")
    if inner:
        values["algo"] = replace(base.algo, **inner)
    with user_input("sweep"):
        return replace(base, **values)


def run_cell(folder: Path, name: str, cell: Cell, seed: int, cfg: SweepCfg) -> Outcome:
    """Train and measure one cell with one seed, as far as that is not done."""
    out = folder / f"{name}-{seed}"
    trained, done = settings(folder, cell, seed, cfg, out), out / MEASURED
    if done.is_file():
        with user_input("outcome", done):
            found = Outcome(**json.loads(done.read_text()))
        other = other_run(out, cell.experiment, trained)
        if other:
            raise UserError(f"{out} holds a run {other}: choose another --out")
        if (found.episodes, found.iterations) == (cfg.episodes, trained.iterations):
            return found
    train(cell.experiment, replace(trained, resume=(out / CONFIG).is_file()))
    found = measure(trained, out, cfg.episodes)
    partial = done.with_name(f"{done.name}.partial")
    with user_input("outcome", done):
        partial.write_text(json.dumps(asdict(found)) + "\n")
        partial.replace(done)
    return found


def measure(cfg: TrainCfg, folder: Path, episodes: int) -> Outcome:
    """Return how many of some seeded episodes the policy of a run solves."""
    learner = build_learner(cfg, 1)
    load_learner(learner, folder)
    num = min(episodes, cfg.num_envs)
    env = build_env(cfg, num)
    actor, successes = learner.model.actor.to(env.device), 0
    for first in range(0, episodes, num):
        count = min(num, episodes - first)
        seeds = [FIRST_SEED + first + min(i, count - 1) for i in range(num)]
        # What is not drawn from seeds, the lead of motions, is the same for every policy.
        stream = torch.Generator(env.device).manual_seed(FIRST_SEED + first)
        env.load_state_dict({"generator": stream.get_state()})
        successes += int(solve(env, actor, seeds)[:count].sum())
    steps = learner.iteration * cfg.algo.rollout * cfg.num_envs
    return Outcome(successes=successes, episodes=episodes, steps=steps, iterations=cfg.iterations)


def rows_of(cell: Cell, outcomes: Sequence[Outcome]) -> list[Row]:
    """Return the figures of a cell over its seeds.

    The interval is that of all episodes together; how much seeds differ, least and greatest say.
    """
    successes, episodes = (
        sum(getattr(o, name) for o in outcomes) for name in ("successes", "episodes")
    )
    low, high = clopper_pearson(successes, episodes)
    rates = [o.successes / o.episodes for o in outcomes]
    known = cell.published is not None
    figures = {
        "success, 95 % low": low,
        "success, 95 % high": high,
        "success of the worst seed": min(rates),
        "success of the best seed": max(rates),
        "seeds": len(outcomes),
        "environment steps per seed": sum(o.steps for o in outcomes) / len(outcomes),
    }
    first = Row(
        case=cell.case,
        metric="success",
        value=successes / episodes,
        baseline="TacSL, table IV" if known else None,
        baseline_value=cell.published,
    )
    return [first, *(Row(case=cell.case, metric=n, value=v) for n, v in figures.items())]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
