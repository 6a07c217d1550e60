"""`sim2arm record TASK`: demonstrations of a scripted expert or of a person, as a dataset.

The expert knows the truth; what is recorded as observation is what a policy would see. A person
drives the arm with a device (`record_by_hand.py`). Requests go through controller and gate as on
the robot. The same command goes on with an existing dataset.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import torch
from tyro.conf import Positional, arg

from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm.sensors.teleop.person import TeleopCfg
from sim2arm.sim.experts import EXPERTS, Unsteady, actions
from sim2arm.sim.experts_pair import PAIR_EXPERTS
from sim2arm.sim.tasks.table import PAIRS, TASKS

from .errors import UserError
from .parse import parse, unknown
from .progress import Progress
from .recording import ArmRecorder
from .take import Stand, Take, contract_of, first_seed, has_lead

EXPERT = "expert"
ALL_EXPERTS = EXPERTS | PAIR_EXPERTS


@dataclass(frozen=True, kw_only=True)
class RecordCfg:
    """Record demonstrations of a scripted expert, or of a person with a device."""

    task: Annotated[Positional[str], arg(metavar="TASK")]
    """Name of the task; its settings are those of the experiment TASK-ppo."""
    out: Path
    """Folder of the dataset; an existing one is gone on with."""
    device: str = EXPERT
    """Who drives the arm: expert, or a device of `sim2arm list` as NAME or NAME:WHERE."""
    episodes: int = 10
    """Episodes to record; with a device, to keep."""
    seed: int = 0
    """Of the first episode, each has the next one; a dataset goes on after its last seed."""
    keep: Literal["success", "all"] = "success"
    """Whether episodes that fail are discarded; with a device, if no button says otherwise."""
    robot: str = "fr3"
    """Name of the robot."""
    cameras: str = "none"
    """What is seen, a name of `sim2arm list`."""
    touch: str = "none"
    """What the pads are and feel, a name of `sim2arm list`."""
    disturb: float = 0.0
    """How fast the expert's hand is pushed aside along each axis, for 0.2 s about once a second:
    deviation [m/s], and 5 times that about each [rad/s]. So there are states beside its way; rows
    keep what the expert asked for there (DART), not the push."""
    lead_share: float = 0.5
    """Share of episodes in which motions start a period after their action, as in real time."""
    teleop: TeleopCfg = field(default_factory=TeleopCfg)
    """How the arm follows a device."""
    script: Path | None = None
    """Steps that the device script plays, a YAML file."""
    longest: float = 60.0
    """With a device: time after which an episode ends [s]."""
    real_time: bool = True
    """With a device: tick on steady deadlines. Without, the device script is played at once."""
    page: bool = True
    """With a device: serve a page with the arm, pictures and buttons, where the extra view is
    installed."""
    port: int = 8080
    """Of the page, which only this machine can open; 0 takes any that is free."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, record and print what became of the episodes."""
    cfg = parse(RecordCfg, argv, "sim2arm record")
    check(cfg)
    try:
        if cfg.device == EXPERT:
            print(f"{cfg.out}: {record_expert(cfg)} of {cfg.episodes} episodes kept")
        else:
            from .record_by_hand import record_by_hand

            print(f"{cfg.out}: {record_by_hand(cfg, stand(cfg))}")
    except (DatasetError, OSError) as error:
        raise UserError(str(error)) from error
    return 0


def check(cfg: RecordCfg) -> None:
    """Refuse what cannot be recorded.

    Raises:
        UserError: there is no such task or expert, or an option is wrong.
    """
    if cfg.task not in TASKS | PAIRS:
        raise UserError(unknown("task", cfg.task, TASKS | PAIRS))
    if cfg.device == EXPERT and cfg.task not in ALL_EXPERTS:
        known = ", ".join(sorted(ALL_EXPERTS))
        raise UserError(f"{cfg.task} has no scripted expert. Known: {known}")
    if cfg.device != EXPERT and cfg.task in PAIRS:
        raise UserError(f"{cfg.task}: one device drives one arm: record its expert")
    if cfg.episodes < 1:
        raise UserError(f"--episodes: expected 1 or more, got {cfg.episodes}")
    if not 0.0 <= cfg.lead_share <= 1.0:
        raise UserError(f"--lead-share: expected 0 to 1, got {cfg.lead_share}")
    if not 0.0 <= cfg.disturb <= 1.0:
        raise UserError(f"--disturb: expected 0 to 1 m/s, got {cfg.disturb}")
    if cfg.disturb and cfg.device != EXPERT:
        raise UserError("--disturb: a person is not disturbed, only the scripted expert")
    if not 0.0 < cfg.longest < 1e5:
        raise UserError(f"--longest: expected more than 0 s, got {cfg.longest}")
    if cfg.script is not None and cfg.device != "script":
        raise UserError("--script: only the device script plays one")
    if not cfg.real_time and cfg.device.partition(":")[0] != "script":
        raise UserError("--no-real-time: only the device script can be played at once")


def stand(cfg: RecordCfg) -> Stand:
    """Return what is recorded."""
    return Stand(task=cfg.task, robot=cfg.robot, cameras=cfg.cameras, touch=cfg.touch)


def record_expert(cfg: RecordCfg) -> int:
    """Record a scripted expert; return how many episodes were kept.

    Raises:
        UserError: there is no such robot, camera or touch.
        DatasetError: the folder holds another dataset.
        OSError: it cannot be written.
    """
    arm = stand(cfg).arm()
    contract = contract_of(arm, stand(cfg), leads=cfg.lead_share > 0.0)
    setting = stand(cfg).written(arm)
    recorder = ArmRecorder(arm, contract, round(contract.control_hz), setting)
    scale = torch.tensor(contract.action.scale, dtype=torch.float64)
    expert, kept = ALL_EXPERTS[cfg.task], 0
    with (
        DatasetWriter(cfg.out, recorder.spec) as writer,
        Progress(f"record {cfg.task}", cfg.episodes, "episodes") as progress,
    ):
        first = first_seed(writer, cfg.seed)
        for number in range(cfg.episodes):
            seed = first + number
            leads = has_lead(seed, cfg.lead_share)
            arm.reset(seed)
            take = Take(arm, contract, recorder, writer.begin(), lead=leads)
            hand = Unsteady(seed, cfg.disturb, contract.period)
            while not arm.done[0]:
                truth = {
                    name: value.to(torch.float64) for name, value in arm.task.observe().items()
                }
                motion = expert(truth)
                asked, done = (
                    actions(each, scale, contract.period).numpy()[0]
                    for each in (motion, hand.shaken(motion))
                )
                take.step(asked, "script", pushed=done if cfg.disturb else None)
            success = bool(arm.success[0])
            if success or cfg.keep == "all":
                notes = {"seed": seed, "task": cfg.task, "success": success, "leads": leads}
                notes |= {"disturb": cfg.disturb} if cfg.disturb else {}
                take.episode.commit(notes)
                kept += 1
            else:
                take.episode.discard()
            progress.update(number + 1)
    return kept
