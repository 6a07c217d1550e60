"""From actions to the motion of simulated arms, in process: controller, gate, trajectory, gripper.

This is the command path of the robot without DDS; evaluation and recording share it.
"""

# pyright: standard

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.arms import rows_of, worlds_of
from sim2arm.core.contract import Contract
from sim2arm.core.controllers import EeDelta, from_contract
from sim2arm.core.gripper import GripperAdapter
from sim2arm.core.kinematics import forward_pose
from sim2arm_ros.gate import Gate, GateCfg, GateDecision

if TYPE_CHECKING:
    from sim2arm.sim.arm import SimulatedArm


class Commands(Protocol):
    """How late commands come."""

    def next(self) -> tuple[NDArray[np.int64] | int, NDArray[np.float64] | float]:
        """Return the substeps until a command arrives (N,), and how late it is by then (N,) [s]."""
        ...


class Late:
    """Motions that start one period after their action, as in real time: a `Commands`."""

    def __init__(self, substeps: int) -> None:
        """Take the substeps of a period."""
        self._substeps = substeps

    def next(self) -> tuple[int, float]:
        """Return a whole period, and that the motion begins then."""
        return self._substeps, 0.0


class Drive:
    """What stands between a policy and N arms from the start of their episodes on.

    Of several arms in one world all stop where the gate stops one.

    Attributes:
        held: (N,) bool, worlds that the gate stopped: arms stand until their episode ends.
        share: (N,) of the wanted motion that the gate passed last; of several arms the least.
    """

    def __init__(
        self,
        arm: SimulatedArm,
        contract: Contract,
        arrivals: Commands | None = None,
        *,
        q: NDArray[np.float64] | None = None,
    ) -> None:
        """Begin where the arms stand.

        Args:
            arm: the arms, whose episodes begin.
            contract: says how actions become motion.
            arrivals: how late commands come; in time if None.
            q: (rows, n) where they were told to stand [rad], as grippers are where they were told;
                where they are measured if None.
        """
        self._arms = arm.arms
        stand = rows_of(arm.joint_state()[0], arm.arms) if q is None else q
        self._arm, self._chain, self._arrivals = arm, contract.kinematic_chain, arrivals
        self._controller = from_contract(arm.robot, contract, stand)
        # Pairs begin with the hand folded to the forearm, within the margin of one arm alone.
        robot = arm.robot if arm.arms == 1 else replace(arm.robot, body=None)
        self._gate = Gate(robot, contract.period, GateCfg(), stand)
        self._gripper = None
        if contract.gripper is not None:
            width = arm.gripper_width() if q is None else None
            self._gripper = GripperAdapter(contract.gripper, arm.gripper, width)
        self.held: NDArray[np.bool_] = np.zeros(arm.num_arms, dtype=bool)
        self.share: NDArray[np.float64] = np.ones(arm.num_arms)

    def command(self, action: NDArray[np.floating], q: NDArray[np.floating]) -> GateDecision:
        """Command what actions (N, A) ask of arms that measure q (N, arms n) [rad].

        Returns:
            What the gate made of it, a row for each arm.
        """
        asked, held = rows_of(action.astype(np.float64), self._arms), self._held_rows()
        tool = forward_pose(self._chain, rows_of(q, self._arms))
        wanted, velocity = self._controller.step(asked, tool)
        decision = self._gate.step(np.where(held[:, None], np.nan, wanted), velocity)
        self._last, self.share = (
            decision,
            worlds_of(decision.share[:, None], self._arms).min(axis=1),
        )
        self.held = self.held | (self.share == 0.0)
        changed = np.flatnonzero((decision.share < 1.0) & ~self._held_rows())
        if len(changed):  # as the gate tells the policy
            position, velocity, acceleration = (part[changed] for part in self._gate.commanded())
            self._controller.motion.resume(position, velocity, acceleration, changed)
        if self._arrivals is None:
            self._arm.command(decision.trajectory, decision.elapsed)
        else:
            after, late = self._arrivals.next()
            self._arm.command(decision.trajectory, decision.elapsed + late, after=after)
        if self._gripper is not None:
            self._gripper.command(asked, ~self._held_rows())
        return decision

    def would(self, action: NDArray[np.floating], q: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return what `wanted` would be if these actions were commanded now; nothing is."""
        twin = copy.copy(self._controller)  # steps of both make new arrays
        twin.motion = copy.copy(self._controller.motion)
        tool = forward_pose(self._chain, rows_of(q, self._arms))
        twin.step(rows_of(action.astype(np.float64), self._arms), tool)
        return worlds_of(twin.motion.goal, self._arms)

    @property
    def grips(self) -> NDArray[np.bool_]:
        """Which grippers (rows,) have done what was asked of them last; all without any."""
        if self._gripper is None:
            return np.ones(self._arm.rows, dtype=bool)
        model = self._gripper.model
        return np.asarray((model.goal == self._gripper.wanted) & ~model.busy)

    def reason(self, world: int) -> str:
        """Return why the gate changed the motion of a world last."""
        rows = range(world * self._arms, (world + 1) * self._arms)
        return self._last.reason(min(rows, key=lambda row: float(self._last.share[row])))

    def _held_rows(self) -> NDArray[np.bool_]:
        return np.repeat(self.held, self._arms)

    def wanted(self) -> NDArray[np.float64]:
        """Return the joint positions that the controller makes for (N, arms n) [rad]."""
        return worlds_of(self._controller.motion.goal, self._arms)

    def tools(self) -> NDArray[np.float64]:
        """Return the commanded poses of tools (rows, 7), each in its base.

        Raises:
            TypeError: actions are not steps of tools.
        """
        if not isinstance(self._controller, EeDelta):
            raise TypeError("the actions are joint positions: no pose is commanded")
        return self._controller.pose

    def commanded(self) -> NDArray[np.float64]:
        """Return the joint positions that the gate commanded last (N, arms n) [rad]."""
        return worlds_of(self._gate.commanded()[0], self._arms)
