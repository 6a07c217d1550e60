"""A cell of a sweep: its settings, its training, and what it came to.

Success of a policy that learnt in the environment is that of the deterministic one there, at its
whole ranges (for the figure behind controller and gate there is `sim2arm eval`); of one that learnt
from demonstrations it is that of episodes behind controller and gate. All have seeds of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from sim2arm.core.durable import write_durably

from . import imitation_trial
from .errors import UserError, user_input
from .experiments import EXPERIMENTS, TrainCfg
from .imitate import imitate
from .imitation_runs import other_imitation, restore_imitation
from .imitations import IMITATIONS, ImitateCfg
from .run_record import CONFIG
from .runs import build_env, build_learner, load_learner, other_run
from .standard_train import Trial, build_standard, other_standard, train_standard
from .standards import STANDARDS, StandardCfg
from .sweeps import Cell
from .train import train
from .trial import solve

FIRST_SEED = 2_000_000
"""Seeds of the episodes that cells are measured on; trials and evaluations have others."""
EPISODES = (1024, 10)
"""Episodes that a training is measured on; those of a standard task, as its papers do."""
MEASURED = "measured.json"
"""In a run folder: what was measured."""
AnyCfg = TrainCfg | ImitateCfg | StandardCfg


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one training came to."""

    successes: int | None
    """Nothing on a standard task."""
    episodes: int
    steps: int
    """Steps of training: of environments, or of learning from demonstrations."""
    iterations: int
    """Most iterations that it was allowed, or steps of learning from demonstrations."""
    score: float | None = None
    """Mean score, where the task has one and episodes ran behind controller and gate."""
    returns: float | None = None
    """Mean sum of rewards, on a standard task."""


def base_of(cell: Cell) -> AnyCfg:
    """Return the settings of the experiment of a cell."""
    known: dict[str, tuple[str, AnyCfg]] = {**EXPERIMENTS, **IMITATIONS, **STANDARDS}
    return known[cell.experiment][1]


def impossible(cell: Cell) -> str:
    """Return why a cell cannot be trained with this version, or ""."""
    known = {field.name for field in fields(base_of(cell))}
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


def settings(folder: Path, cell: Cell, seed: int, changes: Mapping[str, Any], out: Path) -> AnyCfg:
    """Return the settings of one training.

    Args:
        folder: of the sweep.
        cell: what is trained.
        seed: of it.
        changes: settings that every cell has instead of its own.
        out: folder of the run.

    Raises:
        UserError: they do not go together, or the training has no such setting.
    """
    base = base_of(cell)
    known = {field.name for field in fields(base)}
    for name in changes:
        if name not in known:
            option = name.replace("_", "-")
            raise UserError(f"--{option}: {cell.experiment} has no such setting")
    values: dict[str, Any] = {"seed": seed, "out": out}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in cell.overrides.items():
        part, dot, rest = name.partition(".")
        if dot:
            inner.setdefault(part, {})[rest] = value
        else:
            values[name] = value
    values |= changes
    if cell.teacher:
        values["teacher"] = str(folder / f"{cell.teacher}-{seed}")
    with user_input("sweep"):
        values |= {part: replace(getattr(base, part), **own) for part, own in inner.items()}
        return replace(base, **values)


def run_cell(experiment: str, cfg: AnyCfg, episodes: int | None = None) -> Outcome:
    """Train and measure in the folder of the settings, as far as that is not done.

    It is measured on so many episodes, if None on those of `EPISODES`.

    Raises:
        UserError: another run lies there.
    """
    assert cfg.out is not None
    out, done = cfg.out, cfg.out / MEASURED
    if episodes is None:
        episodes = EPISODES[isinstance(cfg, StandardCfg)]
    most = cfg.steps if isinstance(cfg, ImitateCfg) else cfg.iterations
    if done.is_file():
        with user_input("outcome", done):
            found = Outcome(**json.loads(done.read_text()))
        other = _other(out, experiment, cfg)
        if other:
            raise UserError(f"{out} holds a run {other}: choose another --out")
        if (found.episodes, found.iterations) == (episodes, most):
            return found
    again = (out / CONFIG).is_file()
    if isinstance(cfg, ImitateCfg):
        imitate(experiment, replace(cfg, resume=again))
        found = measure_imitation(cfg, out, episodes)
    elif isinstance(cfg, StandardCfg):
        train_standard(experiment, replace(cfg, resume=again))
        found = measure_standard(cfg, out, episodes)
    else:
        train(experiment, replace(cfg, resume=again))
        found = measure(cfg, out, episodes)
    with user_input("outcome", done):
        write_durably(done, f"{json.dumps(asdict(found))}\n".encode())
    return found


def _other(out: Path, experiment: str, cfg: AnyCfg) -> str:
    if isinstance(cfg, ImitateCfg):
        return other_imitation(out, experiment, cfg)
    if isinstance(cfg, StandardCfg):
        return other_standard(out, experiment, cfg)
    return other_run(out, experiment, cfg)


def measure_standard(cfg: StandardCfg, folder: Path, episodes: int) -> Outcome:
    """Return the mean return of some seeded episodes of the policy of a run."""
    learner = build_standard(cfg)
    load_learner(learner, folder)
    found = Trial(cfg).returns(learner.actor, range(FIRST_SEED, FIRST_SEED + episodes))
    return Outcome(
        successes=None,
        episodes=episodes,
        steps=learner.iteration * cfg.per_iteration,
        iterations=cfg.iterations,
        returns=sum(found) / len(found),
    )


def measure(cfg: TrainCfg, folder: Path, episodes: int) -> Outcome:
    """Return how many of some seeded episodes the policy of a run solves."""
    learner = build_learner(cfg, 1)
    load_learner(learner, folder)
    num = min(episodes, cfg.num_envs)
    env = build_env(cfg, num)
    actor, successes = learner.actor, 0
    for first in range(0, episodes, num):
        count = min(num, episodes - first)
        seeds = [FIRST_SEED + first + min(i, count - 1) for i in range(num)]
        # What is not drawn from seeds, the lead of motions, is the same for every policy.
        stream = torch.Generator(env.device).manual_seed(FIRST_SEED + first)
        env.load_state_dict({"generator": stream.get_state()})
        successes += int(solve(env, actor, seeds)[:count].sum())
    steps = learner.iteration * cfg.algo.rollout * cfg.num_envs
    return Outcome(successes=successes, episodes=episodes, steps=steps, iterations=cfg.iterations)


def measure_imitation(cfg: ImitateCfg, folder: Path, episodes: int) -> Outcome:
    """Return how many of some seeded episodes a policy of demonstrations solves, and its score."""
    policy, contract, _ = restore_imitation(folder)
    seeds = range(FIRST_SEED, FIRST_SEED + episodes)
    found = imitation_trial.Trial(cfg, contract).run(policy, seeds)
    return Outcome(
        successes=int(found.success.sum()),
        episodes=episodes,
        steps=contract.provenance.steps,
        iterations=cfg.steps,
        score=None if found.scores is None else float(found.scores.mean()),
    )
