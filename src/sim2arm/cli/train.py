"""`sim2arm train EXPERIMENT`: learn a policy; Ctrl-C leaves a run that `--resume` continues."""

import shlex
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from sim2arm.policies.ppo import Ppo

from .errors import UserError, user_input
from .experiments import EXPERIMENTS, TrainCfg
from .metrics import Metrics
from .outputs import check_folder
from .parse import parse_named
from .progress import Progress
from .runs import (
    CHECKPOINT,
    CONFIG,
    METRICS,
    build_env,
    build_learner,
    check_metrics,
    load_learner,
    other_run,
    save_learner,
    write_config,
)
from .train_page import write_train_page
from .trial import Trial

SAVE_EVERY = 10
"""Iterations between checkpoints."""
WINDOW = 1000
"""Training episodes over which success is measured."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    name, cfg = parse_named(EXPERIMENTS, argv, "sim2arm train", "experiment")
    try:
        folder = train(name, cfg)
    except KeyboardInterrupt:
        again = [*argv, *([] if cfg.resume else ["--resume"])]
        words = shlex.join(["sim2arm", "train", *again])
        raise KeyboardInterrupt(f"resume with: {words}") from None
    print(f"{folder}: metrics, checkpoint and report.html; next: sim2arm export {folder}")
    return 0


def run_folder(name: str, cfg: TrainCfg) -> Path:
    """Return the folder of a run."""
    return cfg.out or Path("runs") / name


def train(name: str, cfg: TrainCfg) -> Path:
    """Train until the target or the last iteration; return the run folder.

    A resumed run that has reached either already is left as it is.

    Raises:
        UserError: settings that nothing can be trained with, a folder that holds a run while
            `resume` is off or the other way round, or numbers that are no longer finite.
        KeyboardInterrupt: Ctrl-C, after the checkpoint was written.
    """
    folder = run_folder(name, cfg)
    _check_run(folder, name, cfg)
    torch.set_num_threads(cfg.threads)
    learner = build_learner(cfg)  # refuses what cannot be trained, before anything is written
    if not cfg.resume:
        write_config(folder, name, cfg)
    elif (folder / CHECKPOINT).is_file():
        load_learner(learner, folder, resume=True)
    with user_input("metrics", folder / METRICS):
        metrics = Metrics(folder / METRICS, learner.iteration)
    try:
        if not _reached(metrics.last, cfg):
            _learn(learner, cfg, metrics)
            save_learner(learner, folder)
    except KeyboardInterrupt:
        save_learner(learner, folder)
        raise
    finally:
        metrics.close()
    write_train_page(folder)
    return folder


def _check_run(folder: Path, name: str, cfg: TrainCfg) -> None:
    """Check the folder against `resume` and the settings of the run in it."""
    check_folder("--out", folder)
    exists = (folder / CONFIG).is_file()
    if exists and not cfg.resume:
        raise UserError(
            f"{folder} holds a run already: go on with --resume, or choose another --out"
        )
    if cfg.resume:
        if not exists:
            raise UserError(f"nothing to resume in {folder}: leave out --resume")
        other = other_run(folder, name, cfg)
        if other:
            raise UserError(f"{folder} holds a run {other}: choose another --out")


def _reached(row: Mapping[str, str | float], cfg: TrainCfg) -> bool:
    """Return whether a row of the metrics says that the policy is good enough."""
    measured = row.get("measured", "")
    return measured != "" and float(measured) >= cfg.target_success


def _learn(learner: Ppo, cfg: TrainCfg, metrics: Metrics) -> None:
    per_iteration = cfg.algo.rollout * cfg.num_envs
    trial = Trial(build_env(cfg, cfg.trial_episodes))
    window = _Window()
    started = time.monotonic() - float(metrics.last.get("wall_s", 0.0))
    total, done = cfg.iterations * per_iteration, learner.iteration * per_iteration
    with Progress("train", total, "steps", done=done) as progress:
        for values in learner.train(cfg.iterations - learner.iteration):
            row = {key: round(float(value), 6) for key, value in values.items()}
            check_metrics(row, learner, metrics.path.parent)
            success = window.add(row["episodes"], row["successes"])
            last = learner.iteration == cfg.iterations
            due = learner.iteration % cfg.trial_every == 0 and success >= cfg.trial_from
            measured = round(trial.success(learner.model), 4) if due or last else ""
            steps = learner.iteration * per_iteration
            wall = round(time.monotonic() - started, 2)
            head = {"iteration": learner.iteration, "steps": steps, "wall_s": wall}
            metrics.write(head | {"success": round(success, 4), "measured": measured} | row)
            figures = {"success": f"{success:.3f}", "reward": f"{row['reward']:.4f}"}
            progress.update(steps, **figures | ({"measured": f"{measured}"} if measured else {}))
            if learner.iteration % SAVE_EVERY == 0:
                save_learner(learner, metrics.path.parent)
            if _reached(metrics.last, cfg):
                break


class _Window:
    """Success over the last `WINDOW` training episodes, random actions included."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque()

    def add(self, episodes: float, successes: float) -> float:
        """Take the counts of an iteration; return the share."""
        self._recent.append((episodes, successes))
        while sum(pair[0] for pair in self._recent) - self._recent[0][0] >= WINDOW:
            self._recent.popleft()
        total = sum(pair[0] for pair in self._recent)
        return sum(pair[1] for pair in self._recent) / max(total, 1.0)
