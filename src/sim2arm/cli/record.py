"""`sim2arm record TASK`: demonstrations of a scripted expert on a simulated arm, as a dataset.

The expert knows the truth; what is recorded as observation is what a policy would see. Requests go
through controller and gate as on the robot. The same command goes on with an existing dataset.
"""

# pyright: standard

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from tyro.conf import Positional, arg

from sim2arm.core.contract import Contract, Provenance
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.writer import DatasetWriter, Episode
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import make_contract
from sim2arm.sim.experts import EXPERTS, Expert, actions
from sim2arm.sim.specs import arm_specs
from sim2arm.sim.tasks.table import TASKS

from .drive import Drive, Late
from .errors import UserError
from .experiments import EXPERIMENTS, TrainCfg
from .parse import parse, unknown
from .progress import Progress
from .recording import ArmRecorder
from .runs import build_env, build_task, find_cameras, find_touch


@dataclass(frozen=True, kw_only=True)
class RecordCfg:
    """Record demonstrations of a scripted expert."""

    task: Annotated[Positional[str], arg(metavar="TASK")]
    """Name of the task; its settings are those of the experiment TASK-ppo."""
    out: Path
    """Folder of the dataset; an existing one is gone on with."""
    episodes: int = 10
    """Episodes to record."""
    seed: int = 0
    """Of the first episode, each has the next one; a dataset goes on after its last seed."""
    keep: Literal["success", "all"] = "success"
    """Whether episodes that fail are discarded."""
    robot: str = "fr3"
    """Name of the robot."""
    cameras: str = "none"
    """What is seen, a name of `sim2arm list`."""
    touch: str = "none"
    """What the pads are and feel, a name of `sim2arm list`."""
    lead_share: float = 0.5
    """Share of episodes in which motions start a period after their action, as in real time."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, record and print what became of the episodes."""
    cfg = parse(RecordCfg, argv, "sim2arm record")
    kept, tried = record(cfg)
    print(f"{cfg.out}: {kept} of {tried} episodes kept")
    return 0


def record(cfg: RecordCfg) -> tuple[int, int]:
    """Record; return how many episodes were kept, of how many.

    Raises:
        UserError: there is no such task, expert, robot, camera or touch, or the folder holds
            another dataset.
    """
    if cfg.task not in TASKS:
        raise UserError(unknown("task", cfg.task, TASKS))
    if cfg.task not in EXPERTS:
        raise UserError(f"{cfg.task} has no scripted expert. Known: {', '.join(sorted(EXPERTS))}")
    if cfg.episodes < 1:
        raise UserError(f"--episodes: expected 1 or more, got {cfg.episodes}")
    if not 0.0 <= cfg.lead_share <= 1.0:
        raise UserError(f"--lead-share: expected 0 to 1, got {cfg.lead_share}")
    settings = replace(
        EXPERIMENTS[f"{cfg.task}-ppo"][1], robot=cfg.robot, cameras=cfg.cameras, touch=cfg.touch,
        lead_share=cfg.lead_share,
    )  # fmt: skip
    contract, arm = _arm_of(settings)
    setting = {"task": cfg.task, "cameras": cfg.cameras, "touch": cfg.touch}
    recorder = ArmRecorder(arm, contract, round(contract.control_hz), setting)
    words, kept = _in_words(arm), 0
    try:
        with (
            DatasetWriter(cfg.out, recorder.spec) as writer,
            Progress(f"record {cfg.task}", cfg.episodes, "episodes") as progress,
        ):
            used = [int(known["notes"]["seed"]) for known in writer.index.records]
            first = max([cfg.seed, *(seed + 1 for seed in used)])
            for number in range(cfg.episodes):
                seed, episode = first + number, writer.begin()
                leads = bool(np.random.default_rng(seed).random() < cfg.lead_share)
                late = Late(arm.substeps) if leads else None
                _run(arm, contract, recorder, episode, EXPERTS[cfg.task], seed, words, late)
                if arm.success[0] or cfg.keep == "all":
                    notes = {"task": cfg.task, "success": bool(arm.success[0]), "leads": leads}
                    episode.commit({"seed": seed} | notes)
                    kept += 1
                else:
                    episode.discard()
                progress.update(number + 1)
    except (DatasetError, OSError) as error:
        raise UserError(str(error)) from error
    return kept, cfg.episodes


def _arm_of(settings: TrainCfg) -> tuple[Contract, SimulatedArm]:
    env = build_env(settings, 1, threads=1)
    contract = make_contract(env, Provenance(experiment="demonstrations"))
    given = arm_specs(env.robot) | {spec.name: spec for spec in env.task.goals} | env.organs.specs
    contract = replace(contract, inputs=tuple(given.values()))
    cameras, touch = find_cameras(settings.cameras), find_touch(settings.touch)
    arm = SimulatedArm(
        build_task(settings), settings.robot, control_hz=contract.control_hz,
        vision=None if cameras is None else cameras.vision, touch=touch,
    )  # fmt: skip
    return contract, arm


def _in_words(arm: SimulatedArm) -> str:
    """Return what is done: the first line about the task's settings."""
    return (type(arm.task.cfg).__doc__ or "").splitlines()[0]


def _run(
    arm: SimulatedArm,
    contract: Contract,
    recorder: ArmRecorder,
    episode: Episode,
    expert: Expert,
    seed: int,
    words: str,
    late: Late | None,
) -> None:
    """Run an episode and add its rows."""
    arm.reset(seed)
    drive, scale = (
        Drive(arm, contract, late),
        torch.tensor(contract.action.scale, dtype=torch.float64),
    )
    while not arm.done[0]:
        truth = {name: value.to(torch.float64) for name, value in arm.task.observe().items()}
        action = actions(expert(truth), scale, contract.period).numpy()
        measured = arm.measured()
        row = recorder.before(measured)
        decision = drive.command(action, measured["joint_position"])
        arm.step()
        held = bool(drive.held[0])
        row |= recorder.after(
            action[0], drive.wanted()[0], decision, drive.commanded()[0], held, "script"
        )
        while episode.full:  # nothing waits for a simulation: rather late than lost
            time.sleep(1e-3)
        episode.add(row, words)
