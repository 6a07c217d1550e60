"""An episode of a simulated arm that is recorded: actions become motion, ticks become rows."""

# pyright: standard

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract, Provenance
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robot_files import find_robot
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter, Episode
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import arm_contract
from sim2arm.sim.tasks.table import PAIRS, build_task, describe_task, make_task

from .drive import Drive, Late
from .errors import UserError, user_input
from .experiments import EXPERIMENTS
from .recording import ArmRecorder
from .runs import find_cameras, find_touch

if TYPE_CHECKING:
    from sim2arm.sim.touch import Touch
    from sim2arm.sim.vision import Vision

PAIR_STEPS = EeDeltaCfg(rotation_scale=0.03)
"""Steps of the tools of two arms."""


@dataclass(frozen=True, kw_only=True)
class Stand:
    """What is recorded: arms at a task, with what they see and feel."""

    task: str
    """Its name."""
    robot: str
    """Of which the arms are."""
    cameras: str = "none"
    """What is seen."""
    touch: str = "none"
    """What the pads are and feel."""
    settings: str = ""
    """Of the task, as YAML; those of the experiment TASK-ppo, or the defaults, if empty."""

    @property
    def pair(self) -> bool:
        """Whether two arms work together."""
        return self.task in PAIRS

    @property
    def steps(self) -> EeDeltaCfg:
        """How steps of tools become motion."""
        return PAIR_STEPS if self.pair else EXPERIMENTS[f"{self.task}-ppo"][1].controller

    def arm(self, longest: float | None = None, *, beside: bool = False) -> SimulatedArm:
        """Return the arms.

        Args:
            longest: time after which an episode ends [s]; that of the task if None.
            beside: whether cameras are drawn beside the ticks, which then keep real time.

        Raises:
            UserError: there is no such task, robot, camera or touch.
        """
        cameras, touch = find_cameras(self.cameras), find_touch(self.touch)
        vision = None if cameras is None else cameras.vision
        return self.arms_with(vision, touch, longest=longest, beside=beside)

    def arms_with(
        self,
        vision: Vision | None,
        touch: Touch | None,
        *,
        worlds: int = 1,
        longest: float | None = None,
        beside: bool = False,
    ) -> SimulatedArm:
        """Return the arms, in one world or several, with other sensors than those named here.

        Args:
            vision: their cameras.
            touch: what their pads are.
            worlds: how many.
            longest: as in `arm`.
            beside: as in `arm`.

        Raises:
            UserError: there is no such task or robot, or it cannot have these sensors.
        """
        hz = 50.0 if self.pair else 60.0
        with user_input("task"):
            task = make_task(self.task, self.robot, self.settings)
            if not self.settings and not self.pair:
                task = build_task(EXPERIMENTS[f"{self.task}-ppo"][1].task, find_robot(self.robot))
            if longest is not None:
                cfg = replace(task.cfg, max_steps=math.ceil(longest * hz))
                task = build_task(cfg, find_robot(self.robot))
            return SimulatedArm(
                task, self.robot, num_arms=worlds, control_hz=hz, vision=vision, touch=touch,
                beside=beside,
            )  # fmt: skip

    def written(self, arm: SimulatedArm) -> dict[str, str]:
        """Return what a dataset says of it."""
        names = {"task": self.task, "cameras": self.cameras, "touch": self.touch}
        return names | {"settings": describe_task(arm.task)[1]}


def contract_of(arm: SimulatedArm, stand: Stand, *, leads: bool) -> Contract:
    """Return the contract of steps of the tools of arms that start late in some episodes or not."""
    lead = arm.period if leads else 0.0
    return arm_contract(arm, stand.steps, Provenance(experiment="demonstrations"), lead=lead)


def stand_of(dataset: Dataset) -> Stand:
    """Return what a dataset was recorded of.

    Raises:
        UserError: it is not of simulated arms.
    """
    documents = dataset.index.spec.documents
    if "setting" not in documents or "contract" not in documents:
        raise UserError(f"{dataset.root}: expected a dataset of sim2arm record, which keeps states")
    return Stand(robot=documents["contract"]["robot"], **documents["setting"])


def in_words(arm: SimulatedArm) -> str:
    """Return what is done: the first line about the task's settings."""
    return (type(arm.task.cfg).__doc__ or "").splitlines()[0]


def first_seed(writer: DatasetWriter, seed: int) -> int:
    """Return a seed after those of the dataset, not before another."""
    used = (int(known["notes"]["seed"]) for known in writer.index.records)
    return max([seed, *(found + 1 for found in used)])


def has_lead(seed: int, share: float) -> bool:
    """Return whether motions of an episode start a period late, as in a share of all."""
    return bool(np.random.default_rng(seed).random() < share)


class Take:
    """An episode under way, from where the arm stands after its reset.

    Attributes:
        episode: that the rows are added to.
        gate: what the gate made of the last action: passes, slows or holds, with the limit.
        holds: whether the gate holds the arm, until the episode ends.
    """

    def __init__(
        self,
        arm: SimulatedArm,
        contract: Contract,
        recorder: ArmRecorder,
        episode: Episode,
        *,
        lead: bool,
        waits: bool = True,
    ) -> None:
        """Begin.

        Args:
            arm: one arm, just reset.
            contract: of the actions.
            recorder: makes the rows.
            episode: takes them.
            lead: whether motions start a period after their action.
            waits: whether the simulation waits for pictures to be encoded; else, in real time,
                rows for which there is no room are dropped and counted.
        """
        self._arm, self._recorder, self.episode = arm, recorder, episode
        recorder.begin()
        self._drive = Drive(arm, contract, Late(arm.substeps) if lead else None)
        self._words, self._waits = in_words(arm), waits
        self.gate, self.holds = "passes", False

    def step(
        self,
        action: NDArray[np.floating],
        source: str,
        hand: str = "",
        pushed: NDArray[np.floating] | None = None,
    ) -> None:
        """Command an action, let a control period pass, add the row.

        Args:
            action: that is asked for (A,).
            source: who asks.
            hand: of a person: engaged, held or silent.
            pushed: what is done instead (A,); rows keep what was asked for, to be learnt.
        """
        arm, drive = self._arm, self._drive
        measured = arm.measured()
        row, q = self._recorder.before(measured), measured["joint_position"]
        wanted = None if pushed is None else drive.would(action[None], q)[0]
        drive.command((action if pushed is None else pushed)[None], q)
        arm.step()
        held, share = bool(drive.held[0]), float(drive.share[0])
        row |= self._recorder.after(
            action, drive.wanted()[0] if wanted is None else wanted,
            share, drive.commanded()[0], held, source, hand,
        )  # fmt: skip
        if held and not self.holds:
            self.gate, self.holds = f"holds ({drive.reason(0)})", True
        elif not held:
            self.gate = "passes" if share == 1.0 else f"slows ({drive.reason(0)})"
        while self._waits and self.episode.full:
            time.sleep(1e-3)
        self.episode.add(row, self._words)

    def tools(self) -> NDArray[np.float64]:
        """Return the poses that the tools were asked to be at last (arms, 7), in their bases."""
        return self._drive.tools()
