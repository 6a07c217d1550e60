"""How an arm comes back to the start between episodes by itself, as on a robot: a file of steps.

    - {gripper: open}
    - {lift: 0.1}
    - {home: true, speed: 0.3}

Each step begins and ends at rest and goes through controller and gate like any motion. Things stay
where they are.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sim2arm.core import plain
from sim2arm.core.contract import Contract
from sim2arm.core.inverse import solve_pose
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import Robot
from sim2arm.sim.arm import SimulatedArm

from .drive import Drive

NEAR, CLOSE = 2e-3, 0.05
"""How close to its goal what was commanded and what is measured are when a step is over [rad]."""
LONGEST = 30.0
"""Time that a step may take, waiting apart [s]."""


class ResetError(RuntimeError):
    """An arm did not come back; one line."""


@dataclass(frozen=True, kw_only=True)
class ResetStep:
    """A motion, or what the gripper does; or time that passes."""

    home: bool = False
    """To the posture of the robot."""
    joints: tuple[float, ...] = ()
    """To joint positions [rad]."""
    lift: float = 0.0
    """The tool, along the base frame's z, as far as the arm reaches [m]."""
    gripper: Literal["", "open", "closed"] = ""
    """Until it has done so, or holds something."""
    seconds: float = 0.0
    """Shortest time [s]; a person may put things back meanwhile."""
    speed: float = 0.2
    """Share of the limits of velocity and acceleration that is used."""

    def __post_init__(self) -> None:
        """Refuse steps that say nothing, or several things."""
        deeds = [self.home, bool(self.joints), self.lift != 0.0, bool(self.gripper)]
        if sum(deeds) > 1 or not (any(deeds) or self.seconds > 0.0):
            raise ValueError("expected one of home, joints, lift and gripper, or seconds")
        if not 0.0 <= self.seconds < 1e4:
            raise ValueError(f"seconds: expected 0 or more, got {self.seconds}")
        if not 0.0 < self.speed <= 1.0:
            raise ValueError(f"speed: expected more than 0, at most 1, got {self.speed}")


def load_routine(path: Path, contract: Contract) -> tuple[ResetStep, ...]:
    """Return the steps of a file.

    Args:
        path: YAML.
        contract: of the arm that will do them.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no list of steps that this arm can do; one line with the place.
    """
    text = path.read_text(encoding="utf-8")
    steps = plain.load_steps(text, str(path), ResetStep, "such as - {home: true}")
    for number, step in enumerate(steps):
        try:
            _check(step, contract)
        except ValueError as error:
            raise ValueError(f"{path}: step {number}: {error}") from error
    if contract.grips and not steps[0].gripper:
        raise ValueError(f"{path}: step 0: expected what the gripper does, - {{gripper: open}}")
    return steps


def _check(step: ResetStep, contract: Contract) -> None:
    """See that an arm can do a step.

    Raises:
        ValueError: it cannot.
    """
    names = contract.joint_names
    if step.joints and len(step.joints) != len(names):
        raise ValueError(f"joints: expected {len(names)} numbers, got {len(step.joints)}")
    ranges = zip(names, step.joints, *_range(contract), strict=False)  # there may be no joints
    for name, q, low, high in ranges:
        if not low < q < high:
            raise ValueError(f"joints: {name}: expected {low:.4f} to {high:.4f} rad, got {q}")
    if step.gripper and not contract.grips:
        raise ValueError("gripper: the policy does not work it")


def _range(contract: Contract) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the greatest joint positions (n,) that may be goals [rad]."""
    margin = contract.action.parameters["joint_margin"]
    return np.array(contract.limits.q_min) + margin, np.array(contract.limits.q_max) - margin


class Moved(NamedTuple):
    """Where an arm is after a control period of a step."""

    told: NDArray[np.float64]
    """(1, n) where it was told to be [rad]."""
    there: NDArray[np.float64]
    """(1, n) where it is measured [rad]."""
    gripped: bool
    """Whether the gripper has done what it was told; true without one."""


class Mover(Protocol):
    """What does steps: an arm behind controller and gate."""

    period: float
    """Of control [s]."""

    @property
    def start(self) -> NDArray[np.float64]:
        """Where the arm is told to stand before a step (1, n) [rad]."""
        ...

    def step(self, contract: Contract) -> AbstractContextManager[None]:
        """Begin a step from rest, whose actions are those of a contract, and end it."""
        ...

    def move(self, action: NDArray[np.float64]) -> Moved:
        """Do an action (1, A) for a control period.

        Raises:
            ResetError: the arm was held.
        """
        ...


class InProcess:
    """A simulated arm of this process: a `Mover`."""

    def __init__(self, arm: SimulatedArm, wait: Callable[[], None]) -> None:
        """Take an arm, and what is called once per control period."""
        self._arm, self._wait, self.period = arm, wait, arm.period

    @property
    def start(self) -> NDArray[np.float64]:
        """Where it is told to stand (1, n) [rad]."""
        return self._arm.desired()[0]

    @contextmanager
    def step(self, contract: Contract) -> Generator[None]:
        """Begin a step from rest, and end it."""
        self._drive = Drive(self._arm, contract, q=self.start)
        yield

    def move(self, action: NDArray[np.float64]) -> Moved:
        """Do an action (1, A) for a control period.

        Raises:
            ResetError: the gate held the arm.
        """
        arm, drive = self._arm, self._drive
        drive.command(action, arm.joint_state()[0])
        arm.step()
        self._wait()
        if drive.held[0]:
            raise ResetError(f"the gate held the arm: {drive.reason(0)}")
        return Moved(arm.desired()[0], arm.joint_state()[0], bool(drive.grips[0]))


class ResetRoutine:
    """Steps that one arm does."""

    def __init__(self, steps: tuple[ResetStep, ...], contract: Contract, robot: Robot) -> None:
        """Prepare.

        Args:
            steps: of `load_routine`.
            contract: of the policy; its actions are steps of the tool.
            robot: the arm, with the contract's chain and limits.
        """
        self._steps, self._robot = steps, robot
        self._contract = as_joint_targets(contract)

    def run(self, arm: Mover, stop: Callable[[], str] = lambda: "") -> None:
        """Do all steps with an arm at rest.

        Args:
            arm: one.
            stop: called once per control period; returns why it must not go on, or an empty string.

        Raises:
            ResetError: the gate held it, a step did not arrive, or it must not go on: the arm does
                the stop that the gate approved last.
        """
        grip: str = ""
        for number, step in enumerate(self._steps):
            grip = step.gripper or grip
            try:
                self._do(step, grip, arm, stop)
            except ResetError as error:
                raise ResetError(f"reset routine, step {number}: {error}") from error

    def _do(self, step: ResetStep, grip: str, arm: Mover, stop: Callable[[], str]) -> None:
        contract = self._contract
        parameters = dict(contract.action.parameters) | {"limit_share": step.speed}
        with arm.step(replace(contract, action=replace(contract.action, parameters=parameters))):
            target = self._target(step, arm.start)
            action = target
            if contract.gripper is not None and contract.grips:
                bound = contract.action.high if grip == "open" else contract.action.low
                action = np.append(target, bound[target.shape[-1]])[None]
            least, ticks = round(step.seconds / arm.period), 0
            while True:
                told, there, gripped = arm.move(action)
                ticks += 1
                if why := stop():
                    raise ResetError(why)
                apart = float(np.abs(there - target).max())
                arrived = np.abs(told - target).max() < NEAR and apart < CLOSE
                if ticks >= max(least, 2) and arrived and gripped:
                    return
                if ticks * arm.period > LONGEST + step.seconds:
                    what = f"the arm is {apart:.3f} rad from its goal"
                    if arrived:
                        what = "the gripper has not done what it was told"
                    raise ResetError(f"after {LONGEST:.0f} s {what}")

    def _target(self, step: ResetStep, start: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the joint positions (1, n) at the end of a step from others [rad]."""
        if step.home:
            return np.array([self._robot.home])
        if step.joints:
            return np.array([step.joints])
        if step.lift == 0.0:
            return start
        there = forward_pose(self._robot.chain, start)
        there[:, 2] += step.lift
        return np.clip(solve_pose(self._robot, there, start), *_range(self._contract))
