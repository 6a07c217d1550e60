"""`sim2arm sweep NAME`: many trainings, one after the other, and one table of their success.

Each cell is trained once per seed in `OUT/CELL-SEED`. What is trained and measured stays as it is,
what was interrupted goes on, so the same command is the way to go on. What success is says
`sweep_cells`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tyro.conf import Positional, arg

from .errors import UserError
from .intervals import clopper_pearson
from .outputs import check_folder
from .parse import parse, unknown
from .sweep_cells import Outcome, impossible, run_cell, settings
from .sweeps import SWEEPS, Cell
from .table import Row, format_results, write_results

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
    episodes: int | None = None
    """Episodes that each training is measured on; None: 1024, of standard tasks 10."""
    num_envs: int | None = None
    """Parallel worlds of every training, instead of those of its experiment."""
    iterations: int | None = None
    """Most iterations of every training."""
    steps: int | None = None
    """Steps of learning of every imitation."""
    frames: int | None = None
    """Frames of every training on a standard task."""
    data: str | None = None
    """Folder of the demonstrations of every imitation."""
    device: str | None = None
    """Where engine and networks run."""
    world: str | None = None
    """Engine of the physics."""
    out: Path | None = None
    """Folder of the runs; runs/sweeps/NAME by default."""

    @property
    def changes(self) -> dict[str, Any]:
        """Settings that every training has instead of its own."""
        names = ("num_envs", "iterations", "steps", "frames", "data", "device", "world")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


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
    if (1 if cfg.episodes is None else cfg.episodes) < 1 or not cfg.seeds:
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
            trained = settings(folder, cell, seed, cfg.changes, folder / f"{name}-{seed}")
            outcomes.append(run_cell(cell.experiment, trained, cfg.episodes))
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


def rows_of(cell: Cell, outcomes: Sequence[Outcome]) -> list[Row]:
    """Return the figures of a cell over its seeds.

    The interval is that of all episodes together; how much seeds differ, least and greatest say.
    """
    if outcomes[0].returns is not None:
        return _returns_of(cell, outcomes)
    successes, episodes = (
        sum(getattr(o, name) for o in outcomes) for name in ("successes", "episodes")
    )
    low, high = clopper_pearson(successes, episodes)
    rates = [(o.successes or 0) / o.episodes for o in outcomes]
    known = cell.published is not None
    figures = {
        "success, 95 % low": low,
        "success, 95 % high": high,
        "success of the worst seed": min(rates),
        "success of the best seed": max(rates),
        "seeds": len(outcomes),
        "steps per seed": sum(o.steps for o in outcomes) / len(outcomes),
    }
    first = Row(
        case=cell.case,
        metric="success",
        value=successes / episodes,
        baseline="published" if known else None,
        baseline_value=cell.published,
    )
    scores = [o.score for o in outcomes if o.score is not None]
    if scores:
        figures["score"] = sum(scores) / len(scores)
    return [first, *(Row(case=cell.case, metric=n, value=v) for n, v in figures.items())]


def _returns_of(cell: Cell, outcomes: Sequence[Outcome]) -> list[Row]:
    values = np.array([o.returns for o in outcomes], dtype=np.float64)
    figures = {
        "return of the worst seed": values.min(),
        "return of the best seed": values.max(),
        "deviation over seeds": values.std(),
        "seeds": len(outcomes),
        "frames per seed": sum(o.steps for o in outcomes) / len(outcomes),
    }
    known = cell.published is not None
    first = Row(
        case=cell.case,
        metric="return",
        value=float(values.mean()),
        baseline="published" if known else None,
        baseline_value=cell.published,
    )
    return [first, *(Row(case=cell.case, metric=n, value=float(v)) for n, v in figures.items())]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
