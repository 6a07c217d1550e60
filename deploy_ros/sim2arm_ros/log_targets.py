"""What the actions of a raw log asked of the joints: the joint goals that they were made into.

An action that names joint positions says it by itself. Steps of the tool go through the controller
of the contract once more, from the commanded position at which their session began; what comes out
must be the request that was published. A goal depends on all actions before it, so behind one that
is not in the log there are none until the session ends.
"""

# Messages have other types on each backend.
# pyright: standard

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.controllers import Controller, from_contract
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Chain

from . import activation
from .bag.reader import LogMessage
from .convert import joint_field
from .graph import JOINT_STATE
from .log_about import TRAJECTORY, About
from .log_era import Era
from .log_ticks import Session, Tick, action_names
from .recorder_topics import stamp_of
from .requests import READY, make_tag

FloatArray = NDArray[np.float64]
_UNKNOWN = "an action or joint state before it is not in the log"
_SAME = 1e-9
"""Joint positions that differ by less are equal but for rounding on another processor [rad]."""


def target_contract(contract: Contract) -> Contract:
    """Return the contract of what is asked of the joints."""
    return as_joint_targets(contract) if contract.action.kind == "ee_delta" else contract


def asked_contract(parts: Iterable[Era], contract: Contract, about: About) -> Contract:
    """Return the contract whose actions a log has.

    A person with a leader arm asks for joint positions where the contract has steps of the tool.
    """
    targets = target_contract(contract)
    found = {names for era in parts for names in action_names(era, about)}
    n = len(contract.joint_names)
    steps, joints = contract.action.element_names, targets.action.element_names
    if steps not in found and any(names[:n] == joints[:n] for names in found):
        return targets
    return contract


class JointTargetsOfLog:
    """What was asked of the joints in the sessions of an era.

    Attributes:
        chain: of the robot that was recorded: as it described itself, else of the contract.
    """

    def __init__(self, era: Era, contract: Contract, about: About) -> None:
        """Find the joint states, and how the robot describes itself.

        Raises:
            ValueError: nothing is known of the robot.
        """
        self._era, self._contract = era, contract
        self.chain = self._own_chain(about) or contract.kinematic_chain
        robot = find_robot(contract.robot)
        self._robot = replace(robot, chain=self.chain, limits=contract.limits)
        joints = about.graph.inputs["joint_position"].topic
        self._states = {stamp_of(m.data): m for m in reversed(era.of(about.name(joints)))}
        said = ((era.read(m, JOINT_STATE), m) for m in era.of(about.name("gate_node/commanded")))
        self._commanded = [(read, message) for read, message in said if read is not None]
        told = (era.read(m, TRAJECTORY) for m in era.of(about.name("gate_node/changed")))
        self._answered = {read.header.frame_id for read in told if read is not None}

    def _own_chain(self, about: About) -> Chain | None:
        """Return the chain that the robot described, if it is one that the policy accepts."""
        for message in self._era.of(about.name(about.graph.robot_description)):
            read = self._era.read(message, "std_msgs/msg/String")
            description = None if read is None else str(read.data)
            items, chain = activation.chain_items(self._contract, description, about.graph.chain)
            if chain is None or not all(item.ok for item in items):
                continue
            if max(self._contract.kinematic_chain.difference(chain)) > _SAME:
                return chain
        return None

    def _positions(self, message: LogMessage | None) -> FloatArray | None:
        """Return the joint positions (n,) [rad] of a message, None if it has none."""
        read = None if message is None else self._era.read(message, JOINT_STATE)
        try:
            return (
                None if read is None else joint_field(read, "position", self._contract.joint_names)
            )
        except ValueError as error:
            self._era.problems[str(error)] += 1
            return None

    def of(self, session: Session) -> Mapping[int, NDArray[np.float32] | str]:
        """Return what was asked for in each tick (joints, then gripper), or why it is not known."""
        if self._contract.action.kind != "ee_delta":
            return {tick.number: tick.action for tick in session.ticks if tick.action is not None}
        return self._of_steps(session)

    def _of_steps(self, session: Session) -> dict[int, NDArray[np.float32] | str]:
        found: dict[int, NDArray[np.float32] | str] = {}
        controller, why, before = self._begin(session), "", None
        if controller is None:
            why = "the start of its session is not in the log"
        in_step = True  # nothing but its actions has moved what the controller commands
        for tick in session.ticks:
            why = why or self._broken(before, tick)
            q = None if why else self._positions(self._states.get(tick.stamp_ns))
            if controller is None or tick.action is None or q is None:
                why = found[tick.number] = why or _UNKNOWN
                continue
            in_step = in_step and (before is None or self._obeyed(before, tick))
            action = tick.action.astype(np.float64)[None]
            asked, _ = controller.step(action, forward_pose(self.chain, q[None]))
            if in_step and np.abs(asked[0] - tick.request.q).max() > _SAME:
                why = "its request is not what the controller of the contract makes of the actions"
            goal = np.concatenate([controller.motion.goal[0], action[0, 6:]])
            found[tick.number] = why or goal.astype(np.float32)
            before = tick
        return found

    def _broken(self, before: Tick | None, tick: Tick) -> str:
        """Return why what the controller was asked before a tick is not known."""
        if before is None:
            return "" if tick.number == 0 else "the start of its session is not in the log"
        counted = self._era.numbered and tick.source == before.source  # each has its own topic
        one, other = (tick.order, before.order) if counted else (tick.number, before.number)
        heard = one == other + 1
        return "" if heard or tick.action is None else _UNKNOWN

    def _begin(self, session: Session) -> Controller | None:
        """Return the controller where the session began, None if that is not in the log."""
        start = session.ticks[0].log_ns
        for read, message in reversed(self._commanded):
            if message.log_ns <= start and read.header.frame_id == READY:
                q = self._positions(message)
                return None if q is None else from_contract(self._robot, self._contract, q[None])
        return None

    def _obeyed(self, before: Tick, tick: Tick) -> bool:
        """Return whether the tick before was the one before, and commanded as it was asked."""
        command, tag = before.command, make_tag(before.request.session, before.number)
        same = command is not None and np.array_equal(command.at(), before.request.q)
        return same and tag not in self._answered and tick.number == before.number + 1
