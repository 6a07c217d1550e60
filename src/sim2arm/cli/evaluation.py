"""Episodes of a bundle in process: onnxruntime, controller, gate, trajectory, low-level law.

This is the command path of the robot without DDS, so its episodes pair with those through ROS.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sim2arm.core.acting import Acting, Policy
from sim2arm.core.contract import Contract
from sim2arm.core.derive import Derivation
from sim2arm.core.plain import differences, to_plain
from sim2arm.core.robots import Robot
from sim2arm.core.tick_history import TickHistory
from sim2arm.core.transforms import quat_conjugate, quat_mul, quat_to_rotvec
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.actuators import Actuators
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.delay import Arrivals
from sim2arm.sim.sensing import Sensing
from sim2arm.sim.tasks.base import Task

from .drive import Drive
from .errors import UserError
from .randomizations import Randomization

if TYPE_CHECKING:  # who evaluates without pictures imports no camera code, without touch no gels
    from sim2arm.sim.touch import Touch
    from sim2arm.sim.vision import Vision

Array = NDArray[np.float64]
Act = Callable[[dict[str, NDArray[np.float32]]], NDArray[np.floating]]
"""Observations (N, ...) to actions (N, A), as the contract has them."""


@dataclass(frozen=True, kw_only=True)
class OtherArm:
    """An arm that is not as in training: each number of a change at one end of its range."""

    change: Randomization
    seed: int
    """Which ends."""

    def ends(self, count: int) -> NDArray[np.float64]:
        """Return which end each of `count` numbers takes, 0 or 1."""
        return np.random.default_rng(self.seed).integers(0, 2, count).astype(np.float64)

    def sensing(self, arm: SimulatedArm) -> Sensing:
        """Return sensors that begin to see now."""
        truth = {name: torch.from_numpy(value) for name, value in arm.measured().items()}
        generator = torch.Generator().manual_seed(self.seed)
        sensing = Sensing(
            self.change.sensors, truth, arm.robot, period=arm.period, generator=generator
        )
        unit = torch.from_numpy(self.ends(sensing.count)).expand(arm.num_arms, -1)
        sensing.start(torch.ones(arm.num_arms, dtype=torch.bool), unit, truth)
        return sensing

    def arrivals(self, arm: SimulatedArm, seeds: Sequence[int]) -> Arrivals | None:
        """Return how late the commands of episodes come that begin now, None if in time."""
        if self.change.commands is None:
            return None
        return Arrivals(
            self.change.commands,
            float(self.ends(1)[0]),
            [(self.seed, seed) for seed in seeds],
            period=arm.period,
            substeps=arm.substeps,
        )


def read(sensing: Sensing, measured: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return what sensors see of what is measured, (N, ...) each."""
    seen = sensing.read({name: torch.from_numpy(value) for name, value in measured.items()})
    return {name: value.numpy() for name, value in seen.items()}


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """Outcomes of seeded episodes, in the order of the seeds."""

    seeds: tuple[int, ...]
    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    """Ticks of the policy, up to a stop by the gate or the end of the episode."""
    slowed: int
    """Ticks of running episodes in which the gate slowed the motion."""
    refused: int
    """Ticks of running episodes in which the gate refused the motion."""
    ticks: int
    """Ticks of running episodes."""
    diverged: int | None = None
    """Episodes that failed because the physics diverged; None where nobody counts (ROS)."""
    actions: tuple[NDArray[np.float32], ...]
    """Per episode what the policy answered, (steps, A)."""
    endings: tuple[str, ...] = ()
    """Per episode how it ended: a word of `SimulatedArm.endings`, or what stopped it; none where
    nobody says."""
    scores: NDArray[np.float64] | None = None
    """Per episode the best of what its steps score; None where the task has no such measure, or
    nobody takes it (ROS: nodes tell success alone)."""

    @property
    def rate(self) -> float:
        """Share of episodes that succeeded."""
        return float(np.mean(self.success))


def run_episodes(
    task: Task,
    contract: Contract,
    act: Act,
    seeds: Sequence[int],
    *,
    num_arms: int = 50,
    begin: Callable[[], None] = lambda: None,
    record: Callable[[SimulatedArm], None] | None = None,
    other: OtherArm | None = None,
    actuators: Actuators = MappingProxyType({}),
    vision: Vision | None = None,
    touch: Touch | None = None,
) -> Episodes:
    """Run one episode per seed, `num_arms` at a time.

    Args:
        task: the task, on the contract's robot.
        contract: says how actions become motion.
        act: the policy, on `num_arms` rows.
        seeds: of the episodes.
        num_arms: episodes that run together; the outcome of each does not depend on it.
        begin: called before each group of episodes; the policy of a bundle begins by itself.
        record: called with the arm after every step, to take pictures.
        other: an arm that is not as in training.
        actuators: what is between law and joints, by joint; ideal where nothing is said.
        vision: cameras of the arm.
        touch: gels on its pads; they are as soft if the policy does not feel them.

    Raises:
        UserError: the contract asks for what these cameras and gels do not give.

    A motion that the gate refuses ends the motion of its arm, as on the robot: it stands until
    the episode ends.
    """
    arm = SimulatedArm(
        task, contract.robot, num_arms=num_arms, control_hz=contract.control_hz,
        threads=0 if num_arms > 1 else 1, physics=() if other is None else other.change.physics,
        actuators=actuators, vision=vision, touch=touch,
    )  # fmt: skip
    check_robot(contract, arm.robot)
    check_pictures(contract, arm)
    if other is not None:
        arm.change_physics(other.ends(sum(term.count for term in other.change.physics)))
    groups = [list(seeds[i : i + num_arms]) for i in range(0, len(seeds), num_arms)]
    parts = [_run_group(arm, contract, act, group, begin, record, other) for group in groups]
    scores = [part.scores for part in parts if part.scores is not None]
    return Episodes(
        seeds=tuple(seeds),
        success=np.concatenate([part.success for part in parts]),
        steps=np.concatenate([part.steps for part in parts]),
        slowed=sum(part.slowed for part in parts),
        refused=sum(part.refused for part in parts),
        ticks=sum(part.ticks for part in parts),
        diverged=sum(part.diverged or 0 for part in parts),
        actions=tuple(actions for part in parts for actions in part.actions),
        endings=tuple(ending for part in parts for ending in part.endings),
        scores=np.concatenate(scores) if scores else None,
    )


def _run_group(
    arm: SimulatedArm,
    contract: Contract,
    act: Act,
    seeds: list[int],
    begin: Callable[[], None],
    record: Callable[[SimulatedArm], None] | None,
    other: OtherArm | None,
) -> Episodes:
    """Run the episodes of at most as many seeds as there are arms."""
    n = len(seeds)
    everyone = seeds + [seeds[-1]] * (arm.num_arms - n)
    arm.reset(everyone)
    begin()
    if isinstance(act, Chunks):
        act.begin()
    derivation = Derivation(contract)
    history = TickHistory(derivation.sampled)
    sensing = None if other is None else other.sensing(arm)
    drive = Drive(arm, contract, None if other is None else other.arrivals(arm, everyone))
    counted = np.arange(arm.num_arms) < n
    slowed = refused = ticks = 0
    stops: dict[int, tuple[int, str]] = {}  # arm -> ticks until the gate stopped it, and why
    log: list[NDArray[np.float32]] = []
    while not arm.done[counted].all():
        measured = arm.measured() if sensing is None else read(sensing, arm.measured())
        sampled = {s.name: measured[s.name].astype(s.dtype, copy=False) for s in derivation.sampled}
        action = act(derivation.complete(history.add(sampled)))
        log.append(action[:n].astype(np.float32))
        running = counted & ~arm.done & ~drive.held
        drive.command(action, measured["joint_position"])
        for i in np.flatnonzero(running & (drive.share == 0.0)).tolist():
            stops[i] = (len(log), f"gate stop: {drive.reason(i)}")
        slowed += int(np.sum(running & (drive.share < 1.0) & (drive.share > 0.0)))
        refused += int(np.sum(running & (drive.share == 0.0)))
        ticks += int(np.sum(running))
        arm.step()
        if record is not None:
            record(arm)
    actions, endings = np.stack(log), arm.endings()  # (T, n, A)
    taken = [stops[i][0] if i in stops else int(arm.steps[i]) for i in range(n)]
    return Episodes(
        seeds=tuple(seeds),
        success=arm.success[:n].copy(),
        steps=np.array(taken, dtype=np.int64),
        slowed=slowed,
        refused=refused,
        ticks=ticks,
        diverged=int(arm.diverged[:n].sum()),
        actions=tuple(actions[: taken[i], i] for i in range(n)),
        endings=tuple(stops[i][1] if i in stops else endings[i] for i in range(n)),
        scores=None if arm.scores is None else arm.scores[:n].copy(),
    )


def check_robot(contract: Contract, robot: Robot) -> None:
    """See that a robot is the one that a policy was trained on, and not another of its name.

    Raises:
        UserError: it is not; says how they differ.
    """
    law = contract.low_level
    trained = [contract.chain, contract.limits, law.kp, law.kd]
    here = [robot.chain.to_dict(), robot.limits, robot.kp, robot.kd]
    names = ("chain", "limits", "kp", "kd")
    lines = differences(
        *(to_plain(dict(zip(names, found, strict=True))) for found in (trained, here))
    )
    if lines:
        shown = "; ".join(lines[:3]) + ("" if len(lines) < 4 else f" and {len(lines) - 3} more")
        raise UserError(f"the robot {robot.name!r} is not as in training: {shown}")


def check_pictures(contract: Contract, arm: SimulatedArm) -> None:
    """See that cameras and gels of an arm give what a policy was trained with.

    Raises:
        UserError: they do not; says which and how they differ.
    """
    given = arm.organs.specs
    others = set(arm.measured()) - set(given)
    for spec in contract.inputs:
        if spec.kind != "sensor" or spec.name in others:
            continue
        if spec.name not in given:
            raise UserError(
                f"the policy sees {spec.name!r}, which no camera or gel of this arm gives. Given: "
                f"{sorted(given)}"
            )
        lines = differences(to_plain(spec), to_plain(given[spec.name]))
        if lines:
            raise UserError(f"{spec.name!r} is not as in training: {'; '.join(lines)}")


class Chunks:
    """Actions of a policy, from its chunks, one tick of the contract per call: an `Act`."""

    def __init__(self, policy: Policy, contract: Contract, rows: int) -> None:
        """Take a policy on so many rows."""
        self._acting, self._period = Acting(policy, contract, rows=rows), contract.period
        self._ticks = 0

    def begin(self) -> None:
        """Begin new episodes."""
        self._acting.begin()
        self._ticks = 0

    def __call__(self, obs: dict[str, NDArray[np.float32]]) -> NDArray[np.floating]:
        """Return the actions (N, A) of a tick."""
        now = round(self._ticks * self._period * 1e9)
        self._ticks += 1
        return self._acting.act(obs, now)


def of_bundle(policy: OnnxPolicy) -> Chunks:
    """Return what the policy of a bundle does."""
    return Chunks(policy, policy.contract, policy.num_envs)


def blind(contract: Contract) -> Act:
    """Return the open-loop baseline: over the pose it was told, then straight down, no feeling.

    It goes to 9 cm above the believed socket, aligns with its axis, and descends at 9 cm/s.
    """
    scale = np.asarray(contract.action.scale)
    upside_down = np.array([0.0, 1.0, 0.0, 0.0])

    def act(obs: dict[str, NDArray[np.float32]]) -> NDArray[np.floating]:
        tool = obs["ee_pose"].astype(np.float64)
        goal = obs["socket_pose"].astype(np.float64)
        offset = goal[:, :3] - tool[:, :3]
        turn = quat_to_rotvec(quat_mul(np.broadcast_to(upside_down, goal[:, 3:].shape),
                                       quat_conjugate(tool[:, 3:])))  # fmt: skip
        turn[:, 2] = 0.0  # the peg is round
        aligned = np.linalg.norm(offset[:, :2], axis=-1) < 0.0015
        aligned &= np.linalg.norm(turn, axis=-1) < 0.02
        step = 0.06 * np.concatenate([offset, turn], axis=-1)
        low = aligned | (offset[:, 2] > -0.08)  # within 2 cm above the socket: go on down
        step[:, 2] = np.where(low, -0.0015, 0.06 * (offset[:, 2] + 0.09))
        twist = step / scale
        return np.clip(twist, -1.0, 1.0)

    return act
