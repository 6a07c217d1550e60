"""Run folders: the configuration, versions and metrics that stand beside every checkpoint."""

# pyright: standard

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sim2arm.core.contract import Provenance
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.plain import from_plain, to_plain
from sim2arm.core.robots import ROBOTS
from sim2arm.policies.checkpoint import load_checkpoint
from sim2arm.policies.ppo import Ppo, PpoCfg
from sim2arm.sim.env import Env
from sim2arm.sim.tasks import table
from sim2arm.sim.tasks.base import Task

from .errors import UserError, user_input
from .experiments import EXPERIMENTS, TrainCfg
from .machine import describe_commit, describe_versions

CONFIG, METRICS, CHECKPOINT = "config.yaml", "metrics.csv", "checkpoint.safetensors"


def build_task(cfg: TrainCfg) -> Task:
    """Return the task of an experiment.

    Raises:
        UserError: the robot is not known.
    """
    if cfg.robot not in ROBOTS:
        raise UserError(f"robot {cfg.robot!r} is not known. Known: {sorted(ROBOTS)}")
    return table.build_task(cfg.task, ROBOTS[cfg.robot])


def build_env(cfg: TrainCfg, num_envs: int) -> Env:
    """Return the environment of an experiment."""
    return Env(
        build_task(cfg),
        ROBOTS[cfg.robot],
        num_envs=num_envs,
        controller=cfg.controller,
        seed=cfg.seed,
    )


def build_learner(cfg: TrainCfg, num_envs: int | None = None) -> Ppo:
    """Return the algorithm with its environment."""
    return Ppo(cfg.algo, build_env(cfg, num_envs or cfg.num_envs), seed=cfg.seed)


def write_config(folder: Path, experiment: str, cfg: TrainCfg) -> None:
    """Write config.yaml: what was asked for, with which commit and versions."""
    settings = to_plain(replace(cfg, out=None, resume=False))
    data = {
        "experiment": experiment,
        "commit": describe_commit(),
        "versions": describe_versions(),
        "settings": settings,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(yaml.safe_dump(data, sort_keys=False))


def read_config(folder: Path) -> tuple[str, TrainCfg, dict[str, Any]]:
    """Return experiment, configuration and the whole content of a run's config.yaml.

    Raises:
        UserError: there is no run, or its file is not what `train` writes.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder} is not a run: expected {CONFIG} in it; train first")
    try:
        data = yaml.safe_load(path.read_text())
        experiment = str(data["experiment"])
        _, default = EXPERIMENTS[experiment]
        values = dict(data["settings"]) | {"out": None, "resume": False}
        task = from_plain(type(default.task), values.pop("task"), "task")
        algo = from_plain(PpoCfg, values.pop("algo"), "algo")
        controller = from_plain(EeDeltaCfg, values.pop("controller"), "controller")
        settings = TrainCfg(task=task, algo=algo, controller=controller, **values)
    except (yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}; train again") from error
    return experiment, settings, data


def provenance(folder: Path, steps: int) -> Provenance:
    """Return where a run's policy comes from."""
    experiment, cfg, data = read_config(folder)
    return Provenance(
        experiment=experiment,
        commit=str(data["commit"]),
        versions={str(k): str(v) for k, v in data["versions"].items()},
        steps=steps,
        seed=cfg.seed,
    )


def restore(folder: Path, num_envs: int | None = None) -> tuple[Ppo, TrainCfg]:
    """Return the learner of a run as its checkpoint left it."""
    _, cfg, _ = read_config(folder)
    learner = build_learner(cfg, num_envs)
    load_learner(learner, folder)
    return learner, cfg


def load_learner(learner: Ppo, folder: Path) -> None:
    """Continue from the checkpoint of a run.

    Raises:
        UserError: no checkpoint, a damaged one, or one of networks of another size.
    """
    path = folder / CHECKPOINT
    with user_input("checkpoint", path):
        state = load_checkpoint(path)
    try:
        learner.load_state_dict(state)
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(
            f"{path} is not of this version's networks ({reason}); train again"
        ) from error
