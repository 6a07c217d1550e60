"""Training by imitation: steps of learning, trials in simulation, the files of a run."""

# pyright: standard

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from sim2arm.core.plain import to_plain
from sim2arm.policies.checkpoint import load_checkpoint, save_checkpoint
from sim2arm.policies.distributed import ALONE
from sim2arm.policies.imitation import Imitation
from sim2arm.policies.networks import PictureError, RelativePoseError

from .errors import UserError, user_input
from .imitation_runs import (
    joints_of,
    keep_best,
    open_demonstrations,
    other_imitation,
    write_contract,
)
from .imitation_trial import HeldOut, Trial, trial_of
from .imitations import ImitateCfg
from .metrics import Metrics
from .progress import Progress
from .run_record import check_run, write_record
from .runs import CHECKPOINT, METRICS
from .train_page import write_imitation_page

ROW_EVERY = 100
"""Steps between rows of the metrics."""


def imitate(name: str, cfg: ImitateCfg) -> Path:
    """Learn until the target or the last step; return the run folder.

    Raises:
        UserError: settings that nothing can be learnt with, no demonstrations, or a folder that
            holds a run while `resume` is off or the other way round.
        KeyboardInterrupt: Ctrl-C, after the checkpoint was written.
    """
    folder = cfg.out or Path("runs") / name
    check_run(folder, resume=cfg.resume, other=lambda: other_imitation(folder, name, cfg))
    torch.set_num_threads(cfg.threads)
    demonstrations, contract = open_demonstrations(cfg)
    bounds = contract.action.low, contract.action.high
    try:
        learner = Imitation(
            cfg.algo, cfg.learn, demonstrations, bounds, joints_of(contract),
            total=cfg.steps, seed=cfg.seed,
        )  # fmt: skip
    except RelativePoseError as error:
        raise UserError(f"--learn.relative: {error}") from error
    except PictureError as error:
        raise UserError(f"--learn.sees: {error}") from error
    trial = trial_of(cfg, contract)
    if not cfg.resume:
        write_record(folder, name, to_plain(replace(cfg, out=None, resume=False)))
        write_contract(folder, contract)
    elif (folder / CHECKPOINT).is_file():
        with user_input("checkpoint", folder / CHECKPOINT):
            try:
                learner.load_state_dict(load_checkpoint(folder / CHECKPOINT))
            except (RuntimeError, KeyError) as error:
                raise ValueError(f"not of this version ({error}); train again") from error
    with user_input("metrics", folder / METRICS):
        metrics = Metrics(folder / METRICS, -(-learner.steps // ROW_EVERY))
    try:
        with ALONE.interrupts(alone=True) as interrupted:
            _learn(learner, trial, cfg, metrics, interrupted)
    finally:
        metrics.close()
    write_imitation_page(folder)
    return folder


def _learn(
    learner: Imitation,
    trial: Trial | HeldOut,
    cfg: ImitateCfg,
    metrics: Metrics,
    interrupted: Callable[[], bool],
) -> None:
    folder = metrics.path.parent
    started = time.monotonic() - float(metrics.last.get("wall_s", 0.0))
    measured = metrics.last.get("measured", "")
    if measured != "" and float(measured) >= cfg.target_success:
        return
    sums: dict[str, Tensor] = {}
    with Progress("train", cfg.steps, "steps", done=learner.steps) as progress:
        while learner.steps < cfg.steps:
            for name, value in learner.step().items():
                sums[name] = sums[name] + value if name in sums else value
            last, due = learner.steps == cfg.steps, learner.steps % ROW_EVERY == 0
            if not (last or due or interrupted()):
                continue
            count = learner.steps - int(metrics.last.get("steps", 0))
            parts = {name: float(value) / count for name, value in sums.items()}
            sums = {}
            _check(parts, learner.steps, folder)
            tried = last or learner.steps % cfg.trial_every == 0
            found = trial.measure(learner.deployed if tried else None)
            measured = found["measured"]
            row = {"iteration": -(-learner.steps // ROW_EVERY), "steps": learner.steps}
            row |= {"wall_s": round(time.monotonic() - started, 2), "lr": learner.lr}
            metrics.write(row | found | parts)
            shown = {"loss": f"{parts['loss']:.4f}"}
            shown |= {name: f"{value}" for name, value in found.items() if value != ""}
            progress.update(learner.steps, **shown)
            if tried or interrupted():
                save_checkpoint(folder / CHECKPOINT, learner.state_dict())
            if tried:
                keep_best(folder, learner.state_dict(), trial.score(found))
            if interrupted():
                raise KeyboardInterrupt
            if measured != "" and float(measured) >= cfg.target_success:
                break


def _check(parts: dict[str, float], steps: int, folder: Path) -> None:
    bad = [name for name, value in parts.items() if not abs(value) < float("inf")]
    if bad:
        there = (folder / CHECKPOINT).is_file()
        left = f"{folder / CHECKPOINT} is from before" if there else "there is no checkpoint yet"
        raise UserError(
            f"training failed: {', '.join(bad)} is not finite at step {steps}; {left}; try a lower "
            "--learn.lr in another --out"
        )
