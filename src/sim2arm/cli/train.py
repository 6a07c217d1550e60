"""`sim2arm train EXPERIMENT`: learn a policy; Ctrl-C leaves a run that `--resume` continues.

On several GPUs or cores: `torchrun --nproc-per-node 2 -m sim2arm.cli.main train EXPERIMENT ...`;
`num_envs` is the number of worlds of all ranks.
"""

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch

from sim2arm.policies.distributed import ALONE, FirstRankError, Ranks, ranks_of_torchrun
from sim2arm.sim.curriculum import Curriculum
from sim2arm.sim.env import Env

from .errors import UserError, user_input
from .experiments import EXPERIMENTS, TrainCfg
from .imitations import IMITATIONS, ImitateCfg
from .metrics import Metrics, Window
from .parse import parse_named
from .physics import keep_incidents, physics_of
from .progress import Progress
from .run_record import CONFIG, check_run
from .runs import (
    CHECKPOINT,
    METRICS,
    Learner,
    build_env,
    build_learner,
    check_metrics,
    load_learner,
    other_run,
    rounded,
    save_learner,
    write_config,
)
from .standards import STANDARDS, StandardCfg
from .teachers import take_demonstrations, take_start, take_teacher
from .train_page import write_train_page
from .trial import Trial

SAVE_EVERY = 10
"""Iterations between checkpoints."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run; under `torchrun`, every rank does, and the first one speaks."""
    known: dict[str, tuple[str, TrainCfg | ImitateCfg | StandardCfg]] = {
        **EXPERIMENTS,
        **IMITATIONS,
        **STANDARDS,
    }
    name, cfg = parse_named(known, argv, "sim2arm train", "experiment")
    if not isinstance(cfg, TrainCfg) or cfg.online.on:
        return _alone(name, cfg, argv)
    with user_input("torchrun"):
        ranks = ranks_of_torchrun(cfg.device)
    with ranks.group(cfg.device):
        try:
            folder = train(name, cfg, ranks)
        except KeyboardInterrupt:
            if not ranks.first:
                return 0  # the first one tells
            words = _again(argv, cfg, ranks)
            raise KeyboardInterrupt(f"resume with: {words}") from None
        except FirstRankError:
            return 0  # the first one tells why, before torchrun ends all for the exit code
        except UserError as error:
            if ranks.first:
                raise
            raise UserError(f"rank {ranks.rank}: {error}") from error
    if ranks.first:
        print(f"{folder}: metrics, checkpoint and report.html; next: sim2arm export {folder}")
    return 0


def _alone(name: str, cfg: TrainCfg | ImitateCfg | StandardCfg, argv: Sequence[str]) -> int:
    """Run what knows no ranks.

    Raises:
        UserError: `torchrun` started several.
    """
    if not ranks_of_torchrun("cpu").alone:
        raise UserError(f"{name} learns in one process: start it without torchrun")
    if isinstance(cfg, ImitateCfg):
        from .imitate import imitate as work

        after = "next: sim2arm export {}"
    elif isinstance(cfg, TrainCfg):
        from .online import train_online as work

        after = "next: sim2arm export {}"
    else:
        from .standard_train import train_standard as work

        after = "what drives no arm is not exported"
    try:
        folder = work(name, cfg)  # pyright: ignore[reportArgumentType]
    except KeyboardInterrupt:
        if not ((cfg.out or Path("runs") / name) / CONFIG).is_file():
            raise KeyboardInterrupt("nothing was written yet") from None
        raise KeyboardInterrupt(f"resume with: {_again(argv, cfg, ALONE)}") from None
    print(f"{folder}: metrics, checkpoint and report.html; {after.format(folder)}")
    return 0


def _again(argv: Sequence[str], cfg: TrainCfg | ImitateCfg | StandardCfg, ranks: Ranks) -> str:
    """Return the command that goes on with the run."""
    words = ["train", *argv, *([] if cfg.resume else ["--resume"])]
    if ranks.alone:
        return shlex.join(["sim2arm", *words])
    start = ["torchrun", "--nproc-per-node", str(ranks.local_size), "-m", "sim2arm.cli.main"]
    return shlex.join([*start, *words])


def run_folder(name: str, cfg: TrainCfg) -> Path:
    """Return the folder of a run."""
    return cfg.out or Path("runs") / name


def train(name: str, cfg: TrainCfg, ranks: Ranks = ALONE) -> Path:
    """Train until the target or the last iteration; return the run folder.

    A resumed run that has reached either already is left as it is. With several ranks all of them
    call it: each trains on its share of the worlds, the first one writes files and runs trials.
    The others read the checkpoint of a resumed run, so the folder must be seen from every machine.

    Raises:
        UserError: settings that nothing can be trained with, a folder that holds a run while
            `resume` is off or the other way round, numbers that are no longer finite, or physics
            that lost contacts or its worker.
        FirstRankError: on the other ranks, what the first one does failed.
        KeyboardInterrupt: Ctrl-C, after the checkpoint was written.
    """
    folder = run_folder(name, cfg)
    ranks.first_does(
        lambda: check_run(folder, resume=cfg.resume, other=lambda: other_run(folder, name, cfg))
    )
    torch.set_num_threads(cfg.threads)
    with physics_of(folder):
        # Refuses what cannot be trained, before anything is written.
        learner = build_learner(cfg, ranks=ranks, folder=folder)
        curriculum = Curriculum(cfg.curriculum)
        if cfg.start and not cfg.resume:
            take_start(learner, cfg)
        if cfg.teacher:
            take_teacher(learner, cfg)
        if cfg.demos:
            take_demonstrations(learner, cfg)
        if not cfg.resume:
            ranks.first_does(lambda: write_config(folder, name, cfg))
        elif ranks.any((folder / CHECKPOINT).is_file())[0]:
            load_learner(learner, folder, curriculum, resume=True)
        with ranks.interrupts() as interrupted:
            work = _lead if ranks.first else _follow
            work(learner, curriculum, cfg, folder, interrupted)
    return folder


def _lead(
    learner: Learner,
    curriculum: Curriculum,
    cfg: TrainCfg,
    folder: Path,
    interrupted: Callable[[], bool],
) -> None:
    """Train and write the run."""
    with user_input("metrics", folder / METRICS):
        metrics = Metrics(folder / METRICS, learner.iteration)
    try:
        (reached,) = learner.ranks.any(_reached(metrics.last, cfg, curriculum))
        if not reached:
            _learn(learner, curriculum, cfg, metrics, interrupted)
            save_learner(learner, folder, curriculum)
    except KeyboardInterrupt:
        save_learner(learner, folder, curriculum)
        raise
    finally:
        metrics.close()
    write_train_page(folder)


def _follow(
    learner: Learner,
    curriculum: Curriculum,
    cfg: TrainCfg,
    folder: Path,
    interrupted: Callable[[], bool],
) -> None:
    """Train along, until the first rank has reached its end."""
    (reached,) = learner.ranks.any(False)
    if reached:
        return
    for values in learner.train(cfg.iterations - learner.iteration):
        check_metrics(rounded(values), learner, folder)
        cast(Env, learner.env).world.check_capacity()
        _widen(learner, curriculum)
        if _ends(learner, False, interrupted):
            break


def _widen(learner: Learner, curriculum: Curriculum) -> None:
    """Let the ranges follow the success of the last roll-outs of all ranks."""
    env = cast(Env, learner.env)
    if env.block is None:
        return
    counts = env.block.take()
    curriculum.add(**{k: int(v) for k, v in learner.ranks.total(counts, counts=counts).items()})
    env.level, env.block.open = curriculum.level, curriculum.open


def _reached(row: Mapping[str, str | float], cfg: TrainCfg, curriculum: Curriculum) -> bool:
    """Return whether a row of the metrics says that the policy is good enough.

    A trial is at the whole ranges. One that a policy passes before it was trained there is none
    to stop at: the contract would speak of smaller ranges.
    """
    measured = row.get("measured", "")
    return curriculum.complete and measured != "" and float(measured) >= cfg.target_success


def _ends(learner: Learner, reached: bool, interrupted: Callable[[], bool]) -> bool:
    """Return whether the target is reached, of which only the first rank knows.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed on some rank.
    """
    reached, stop = learner.ranks.any(reached, interrupted())
    if stop:
        raise KeyboardInterrupt
    return reached


def _learn(
    learner: Learner,
    curriculum: Curriculum,
    cfg: TrainCfg,
    metrics: Metrics,
    interrupted: Callable[[], bool] = lambda: False,
) -> None:
    per_iteration = cfg.algo.rollout * cfg.num_envs
    world, folder, diverged = cast(Env, learner.env).world, metrics.path.parent, 0.0
    trial = Trial(build_env(cfg, cfg.trial_episodes))
    window = Window()
    started = time.monotonic() - float(metrics.last.get("wall_s", 0.0))
    total, done = cfg.iterations * per_iteration, learner.iteration * per_iteration
    with Progress("train", total, "steps", done=done) as progress:
        for values in learner.train(cfg.iterations - learner.iteration):
            row = rounded(values)
            check_metrics(row, learner, folder)
            world.check_capacity()
            if row["diverged"]:
                diverged += row["diverged"]
                told = keep_incidents(folder, world, learner.iteration)
                if told:
                    progress.say(told)
            success = window.add(row["episodes"], row["successes"])
            last = learner.iteration == cfg.iterations
            levels = {"level": round(curriculum.level, 6)} if cfg.curriculum.moves else {}
            _widen(learner, curriculum)
            due = learner.iteration % cfg.trial_every == 0 and success >= cfg.trial_from
            due = due and curriculum.complete
            measured = round(trial.success(learner.actor), 4) if due or last else ""
            steps = learner.iteration * per_iteration
            wall = round(time.monotonic() - started, 2)
            head = {"iteration": learner.iteration, "steps": steps, "wall_s": wall}
            head |= {"success": round(success, 4), "measured": measured}
            metrics.write(head | levels | row)
            figures = {"success": f"{success:.3f}", "reward": f"{row['reward']:.4f}"}
            figures |= {name: f"{value:.2g}" for name, value in levels.items()}
            figures |= {"diverged": f"{diverged:.0f}"} if diverged else {}
            progress.update(steps, **figures | ({"measured": f"{measured}"} if measured else {}))
            if learner.iteration % SAVE_EVERY == 0:
                save_learner(learner, folder, curriculum)
            if _ends(learner, _reached(metrics.last, cfg, curriculum), interrupted):
                break
