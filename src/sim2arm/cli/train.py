"""`sim2arm train EXPERIMENT`: learn a policy; Ctrl-C leaves a run that `--resume` continues."""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import torch

from sim2arm.policies.checkpoint import load_checkpoint, save_checkpoint
from sim2arm.policies.ppo import Ppo

from .errors import UserError
from .experiments import EXPERIMENTS, TrainCfg
from .parse import parse_named
from .progress import Progress
from .runs import CHECKPOINT, CONFIG, METRICS, MetricsFile, build_learner, read_config, write_config

SAVE_EVERY = 10
"""Iterations between checkpoints."""
WINDOW = 1000
"""Training episodes over which success is measured."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    name, cfg = parse_named(EXPERIMENTS, argv, "sim2arm train", "experiment")
    train(name, cfg)
    return 0


def run_folder(name: str, cfg: TrainCfg) -> Path:
    """Return the folder of a run."""
    return cfg.out or Path("runs") / name


def train(name: str, cfg: TrainCfg) -> Path:
    """Train until the target or the last iteration; return the run folder.

    Raises:
        UserError: the folder holds a run and `resume` is off, or the other way round.
        KeyboardInterrupt: Ctrl-C, after the checkpoint was written.
    """
    folder = run_folder(name, cfg)
    torch.set_num_threads(cfg.threads)
    keep = _prepare(folder, name, cfg)
    learner = build_learner(cfg)
    if keep:
        learner.load_state_dict(load_checkpoint(folder / CHECKPOINT))
    metrics = MetricsFile(folder / METRICS, learner.iteration)
    try:
        _learn(learner, cfg, metrics)
    except KeyboardInterrupt:
        hint = f"sim2arm train {name} --resume" + (f" --out {folder}" if cfg.out else "")
        raise KeyboardInterrupt(f"resume with: {hint}") from None
    finally:
        metrics.close()
        save_checkpoint(folder / CHECKPOINT, learner.state_dict())
    return folder


def _prepare(folder: Path, name: str, cfg: TrainCfg) -> bool:
    """Check the folder against `resume`; return whether there is a checkpoint to go on from."""
    exists = (folder / CONFIG).is_file()
    if exists and not cfg.resume:
        raise UserError(
            f"{folder} holds a run already: go on with --resume, or choose another --out"
        )
    if cfg.resume:
        if not exists:
            raise UserError(f"nothing to resume in {folder}: leave out --resume")
        before, old, _ = read_config(folder)
        if before != name or old.task != cfg.task or old.algo != cfg.algo:
            raise UserError(f"{folder} holds {before} with other settings: choose another --out")
        return (folder / CHECKPOINT).is_file()
    write_config(folder, name, cfg)
    return False


def _learn(learner: Ppo, cfg: TrainCfg, metrics: MetricsFile) -> None:
    per_iteration = cfg.algo.rollout * cfg.num_envs
    left = cfg.iterations - learner.iteration
    recent: deque[tuple[float, float]] = deque()
    started = time.monotonic()
    done = learner.iteration * per_iteration
    with Progress("train", cfg.iterations * per_iteration, "steps", done=done) as progress:
        for values in learner.train(left):
            row = {key: round(float(value), 6) for key, value in values.items()}
            recent.append((row["episodes"], row["successes"]))
            while sum(episodes for episodes, _ in recent) - recent[0][0] >= WINDOW:
                recent.popleft()
            episodes = sum(pair[0] for pair in recent)
            success = sum(pair[1] for pair in recent) / max(episodes, 1.0)
            steps = learner.iteration * per_iteration
            wall = round(time.monotonic() - started, 2)
            head = {"iteration": learner.iteration, "steps": steps, "wall_s": wall}
            metrics.write(head | {"success": round(success, 4)} | row)
            progress.update(steps, success=f"{success:.3f}", reward=f"{row['reward']:.3f}")
            if learner.iteration % SAVE_EVERY == 0:
                save_checkpoint(metrics.path.parent / CHECKPOINT, learner.state_dict())
            if success >= cfg.target_success and episodes >= WINDOW:
                break
