"""Training on a standard task: agents with a replay, trials that sum up rewards, a run's files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from sim2arm.core.plain import to_plain
from sim2arm.policies.actor import Acting, forget
from sim2arm.policies.distributed import ALONE
from sim2arm.policies.learner import COUNTS, Means
from sim2arm.policies.networks import PictureError, RelativePoseError
from sim2arm.policies.offpolicy import OffPolicy
from sim2arm.sim.standard import StandardEnv

from .errors import UserError, user_input
from .metrics import Metrics
from .progress import Progress
from .run_record import check_run, difference, read_run, write_record
from .runs import (
    CHECKPOINT,
    METRICS,
    check_metrics,
    load_learner,
    off_policy,
    rounded,
    save_learner,
)
from .standards import STANDARDS, StandardCfg
from .train_page import write_standard_page

FIRST_SEED = 500_000
"""Seeds of the episodes of trials start here."""
SAVE_EVERY = 1000
"""Frames between checkpoints."""
FREE = {"frames": 1, "threads": 1, "out": None, "resume": False}
"""Settings that may change when a run goes on."""


def train_standard(name: str, cfg: StandardCfg) -> Path:
    """Train until the last frame; return the run folder.

    Raises:
        UserError: settings that nothing can be trained with, a folder that holds a run while
            `resume` is off or the other way round, or numbers that are no longer finite.
        KeyboardInterrupt: Ctrl-C, after the checkpoint was written.
    """
    folder = cfg.out or Path("runs") / name
    check_run(folder, resume=cfg.resume, other=lambda: other_standard(folder, name, cfg))
    torch.set_num_threads(cfg.threads)
    learner, trial = build_standard(cfg, folder), Trial(cfg)
    if not cfg.resume:
        write_record(folder, name, to_plain(replace(cfg, out=None, resume=False)))
    elif (folder / CHECKPOINT).is_file():
        load_learner(learner, folder, resume=True)
    with user_input("metrics", folder / METRICS):
        metrics = Metrics(folder / METRICS, learner.iteration)
    try:
        with ALONE.interrupts(alone=True) as interrupted:
            _learn(learner, trial, cfg, metrics, interrupted)
    finally:
        metrics.close()
    write_standard_page(folder)
    return folder


def build_standard(cfg: StandardCfg, folder: Path | None = None) -> OffPolicy:
    """Return the algorithm with its environment; with a folder, the replay that is kept there.

    Raises:
        UserError: there is no such task, or a setting is not possible.
    """
    if cfg.device != "cpu" and not torch.cuda.is_available():
        raise UserError(f"--device {cfg.device}: expected cpu, as torch finds no GPU here")
    with user_input("--task"):
        env = StandardEnv(
            cfg.task, num_envs=cfg.num_envs, repeat=cfg.steps_per_action, pixels=cfg.pixels,
            seed=cfg.seed, device=cfg.device,
        )  # fmt: skip
    try:
        with user_input("algo"):
            return off_policy(cfg.algo, env, seed=cfg.seed, folder=folder)
    except RelativePoseError as error:
        raise UserError(f"--algo.sight.relative: {error}") from error
    except PictureError as error:
        raise UserError(f"--pixels {cfg.pixels}: {error}") from error


def read_standard(folder: Path) -> tuple[str, StandardCfg]:
    """Return name and configuration of a run on a standard task.

    Raises:
        UserError: there is none.
    """
    return read_run(folder, STANDARDS, {})


def other_standard(folder: Path, name: str, cfg: StandardCfg) -> str:
    """Return in what the run of a folder differs from one that would go on with it, or ""."""
    return difference(read_standard(folder), (name, cfg), FREE)


class Trial:
    """The same seeded episodes each time, in an environment of their own, one after the other."""

    def __init__(self, cfg: StandardCfg) -> None:
        """Load the task."""
        self.env = StandardEnv(
            cfg.task,
            repeat=cfg.steps_per_action,
            pixels=cfg.pixels,
            seed=cfg.seed,
            device=cfg.device,
        )
        self._seeds = range(FIRST_SEED, FIRST_SEED + cfg.trial_episodes)

    @torch.no_grad()
    def returns(self, actor: Acting, seeds: Sequence[int] | None = None) -> list[float]:
        """Return the sums of rewards of the deterministic policy, one for each seed."""
        found: list[float] = []
        env = self.env
        for seed in self._seeds if seeds is None else seeds:
            obs, memory = env.reset([seed]), actor.start(1, env.device)
            ended: list[float] = []
            while not ended:
                action, memory = actor(actor.see(obs), memory)
                obs, _, terminated, truncated, _ = env.step(action)
                memory, ended = forget(memory, terminated | truncated), env.take_returns()
            found += ended
        return found


def _learn(
    learner: OffPolicy,
    trial: Trial,
    cfg: StandardCfg,
    metrics: Metrics,
    interrupted: Callable[[], bool],
) -> None:
    folder, per = metrics.path.parent, cfg.per_iteration
    started = time.monotonic() - float(metrics.last.get("wall_s", 0.0))
    due, save = (max(1, round(frames / per)) for frames in (cfg.trial_every, SAVE_EVERY))
    sums, figures = Means(), dict[str, str]()

    def measure() -> None:
        """Write a row."""
        ended = cast(StandardEnv, learner.env).take_returns()
        trained = mean(ended) if ended else ""
        named = {"return": trained, "measured": mean(trial.returns(learner.actor))}
        wall = round(time.monotonic() - started, 2)
        head = {"iteration": learner.iteration, "steps": learner.iteration * per, "wall_s": wall}
        metrics.write(head | named | rounded(sums.take()))
        figures.update({key: f"{value:.1f}" for key, value in named.items() if value != ""})

    with Progress("train", cfg.iterations * per, "frames", done=learner.iteration * per) as shown:
        for values in learner.train(cfg.iterations - learner.iteration):
            sums.add({name: value for name, value in values.items() if name not in COUNTS})
            stop, row = interrupted(), learner.iteration % due == 0
            if row or stop or learner.iteration % save == 0:
                check_metrics(rounded(sums.means()), learner, folder)
                save_learner(learner, folder)
            if stop:
                raise KeyboardInterrupt
            if row:
                measure()
            shown.update(learner.iteration * per, **figures)
        save_learner(learner, folder)
        if int(metrics.last.get("iteration", 0)) < learner.iteration:
            measure()
            shown.update(learner.iteration * per, **figures)


def mean(values: Sequence[float]) -> float:
    """Return the mean, rounded as it is written."""
    return round(sum(values) / len(values), 4)
