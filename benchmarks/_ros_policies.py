"""Untrained policies for `bench ros`: of joints alone, with two cameras, with a hand's gels."""

# pyright: standard

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from sim2arm.cli.cameras import CAMERAS
from sim2arm.cli.experiments import PLACE, REACH, TrainCfg
from sim2arm.cli.ros_evaluation import write_record
from sim2arm.cli.touches import TOUCHES
from sim2arm.core.contract import Provenance
from sim2arm.core.robots import ROBOTS
from sim2arm.policies.actor import ExportedActor
from sim2arm.policies.export import export_bundle
from sim2arm.policies.ppo import Ppo, PpoCfg
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.table import build_task, describe_task

Sees = Literal["state", "camera", "touch"]
SEES: dict[Sees, str] = {
    "state": "joints and a goal",
    "camera": "the same and two cameras of 84x84 at 30 Hz",
    "touch": "joints and the forces of two gels of 14x10 taxels at 60 Hz",
}
"""What the policies see."""
_RECORDED = 32


@dataclass(frozen=True, kw_only=True)
class Files:
    """What the nodes are started with."""

    bundle: Path
    task: str
    """Name of the task of the simulated arm."""
    settings: Path
    """Of the task."""
    vision: Path | None
    touch: Path | None


def make_bundle(sees: Sees, rate_hz: float, seconds: float, folder: Path) -> Files:
    """Export an untrained policy that acts in one long episode.

    Args:
        sees: what it sees.
        rate_hz: of control [Hz].
        seconds: how long an episode lasts at least [s].
        folder: for the files.
    """
    # Never close enough to a goal, and longer than the measurement.
    steps = round(rate_hz * seconds)
    cfg: TrainCfg = REACH
    task_cfg: Any = replace(REACH.task, position_tolerance=0.0, max_steps=steps)
    if sees == "touch":
        cfg, task_cfg = PLACE, replace(PLACE.task, max_steps=steps, tilt_tolerance=1e-6)
    vision = CAMERAS["scene-wrist"].vision if sees == "camera" else None
    touch = TOUCHES["field"] if sees == "touch" else None
    robot = ROBOTS[cfg.robot]
    task = build_task(task_cfg, robot)
    env = Env(
        task, robot, num_envs=2, control_hz=rate_hz, controller=cfg.controller, vision=vision,
        touch=touch,
    )  # fmt: skip
    module = ExportedActor(Ppo(cast(PpoCfg, cfg.algo), cast(Any, env)).model.actor)
    contract = make_contract(env, Provenance(experiment="bench-ros", steps=0))
    env.reset()
    recorded: dict[str, list[NDArray[Any]]] = {spec.name: [] for spec in contract.observations}
    for _ in range(_RECORDED):
        obs = env.step(torch.zeros(2, contract.action.dim))[0]
        for name, frames in recorded.items():
            frames.append(obs[name][0].numpy().copy())
    sequence = {name: np.stack(frames) for name, frames in recorded.items()}
    bundle = export_bundle(module, contract, [sequence], folder / "bundle").path
    settings, (name, text) = folder / "task.yaml", describe_task(task)
    settings.write_text(text, encoding="utf-8")
    return Files(
        bundle=bundle, task=name, settings=settings,
        vision=write_record(folder / "vision.yaml", vision),
        touch=write_record(folder / "touch.yaml", touch),
    )  # fmt: skip
