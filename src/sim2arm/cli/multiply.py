"""`sim2arm multiply DATASET --out NEW`: demonstrations for moved objects out of demonstrated ones.

Paths of a dataset of `sim2arm record` are carried along with the objects that they are about
(`sim/multiply.py`), tried in simulation, and kept where the task is done.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional, arg

from sim2arm.core.arms import rows_of, worlds_of
from sim2arm.core.contract import Contract
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.plain import from_plain
from sim2arm.core.transforms import quat_conjugate, quat_mul, quat_to_rotvec
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.multiply import PARTS, Part, carry, together
from sim2arm.sim.tasks.base import arms_of

from .errors import UserError
from .parse import parse
from .progress import Progress
from .recording import ArmRecorder
from .see_again import STATE
from .take import Take, contract_of, first_seed, stand_of

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MultiplyCfg:
    """Make demonstrations for moved objects out of demonstrated ones."""

    path: Annotated[Positional[Path], arg(metavar="DATASET")]
    """Dataset of sim2arm record."""
    out: Path
    """Folder of the new dataset, which is gone on with if it is there."""
    episodes: int = 100
    """Episodes to try."""
    seed: int = 10_000
    """Of the first one, each has the next; a dataset goes on after its last seed."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, try, and print how many were kept."""
    cfg = parse(MultiplyCfg, argv, "sim2arm multiply")
    if cfg.episodes < 1:
        raise UserError(f"--episodes: expected 1 or more, got {cfg.episodes}")
    try:
        kept = multiply(cfg)
    except (DatasetError, OSError) as error:
        raise UserError(str(error)) from error
    print(f"{cfg.out}: {kept} of {cfg.episodes} episodes kept")
    return 0


def multiply(cfg: MultiplyCfg) -> int:
    """Try as many episodes; return how many were kept.

    Raises:
        UserError: it is no dataset of simulated arms, or of a task whose paths nobody can carry.
    """
    dataset = Dataset(cfg.path)
    stand = stand_of(dataset)
    if stand.task not in PARTS:
        raise UserError(f"{stand.task}: paths of it cannot be carried along with its objects")
    arm = stand.arm()
    contract = contract_of(arm, stand, leads=False)
    recorder = ArmRecorder(arm, contract, round(contract.control_hz), stand.written(arm))
    demos = [Demo(dataset, number, arm, stand.task) for number in range(dataset.index.episodes)]
    kept = 0
    with (
        DatasetWriter(cfg.out, recorder.spec) as writer,
        Progress("multiply", cfg.episodes, "episodes") as progress,
    ):
        first = first_seed(writer, cfg.seed)
        for number in range(cfg.episodes):
            seed, source = first + number, number % len(demos)
            arm.reset(seed)
            take = Take(arm, contract, recorder, writer.begin(), lead=False)
            _follow(take, arm, contract, demos[source], PARTS[stand.task])
            if arm.success[0]:
                notes = {"seed": seed, "task": stand.task, "success": True, "leads": False}
                take.episode.commit(notes | {"source": source})
                kept += 1
            else:
                take.episode.discard()
            progress.update(number + 1, kept=f"{kept}")
    return kept


class Demo:
    """What a demonstration asked for, and where the objects were.

    Attributes:
        paths: of each tool in the world (T, 7).
        grips: (T, arms, 0 or 1) what grippers were asked for.
        objects: poses of what parts are about (T, 7).
    """

    def __init__(self, dataset: Dataset, number: int, arm: SimulatedArm, task: str) -> None:
        """Read it; the arm serves to tell the objects' poses from the states."""
        rows, contract = dataset.episode(number), dataset.index.spec.documents["contract"]
        targets = from_plain(Contract, contract)
        n, arms = len(targets.joint_names), targets.num_arms
        asked = rows["action"].astype(np.float64)
        asked = asked.reshape(len(asked), arms, -1)
        poses = forward_pose(targets.kinematic_chain, asked[..., :n])
        for k, place in enumerate(arms_of(arm.task)):
            poses[:, k, :3] += place.position
        self.paths = [poses[:, k] for k in range(arms)]
        self.grips = asked[..., n:]
        names = {part.about for parts in PARTS[task] for part in parts if part.about}
        self.objects = {name: np.empty((len(asked), 7)) for name in names}
        arm.reset(int(dataset.notes(number)["seed"]))
        for k in range(len(asked)):
            state = {c.removeprefix(STATE): rows[c][k][None] for c in rows if c.startswith(STATE)}
            arm.put_state(state)
            seen = arm.task.observe()
            for name, places in self.objects.items():
                places[k] = seen[name][0].numpy()


def _follow(
    take: Take,
    arm: SimulatedArm,
    contract: Contract,
    demo: Demo,
    tools: Sequence[Sequence[Part]],
) -> None:
    """Drive the arm along a demonstration for where its objects are, until its episode ends."""
    seen = arm.task.observe()
    now = {name: seen[name][0].numpy().astype(np.float64) for name in demo.objects}
    places = np.array([(*a.position, *[0.0] * 4) for a in arms_of(arm.task)] or [[0.0] * 7])
    starts = rows_of(arm.tool_pose(), arm.arms) + places
    path, ticks = together(
        [
            carry(own, parts, demo.objects, now, start, contract.period)
            for own, parts, start in zip(demo.paths, tools, starts, strict=True)
        ]
    )
    scale = np.array(contract.action.scale).reshape(arm.arms, -1)
    step = 0
    while not arm.done[0]:
        k = min(step, len(path) - 1)
        asked = take.tools() + places
        off = path[k, :, :3] - asked[:, :3]
        turn = quat_to_rotvec(quat_mul(path[k, :, 3:], quat_conjugate(asked[:, 3:])))
        steps = np.concatenate([off, turn], axis=-1) / scale[:, :6]
        action = np.concatenate([steps.clip(-1.0, 1.0), demo.grips[ticks[k]]], axis=-1)
        take.step(worlds_of(action, arm.arms)[0], "script")
        step += 1
