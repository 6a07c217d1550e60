"""The arm of ROS nodes as a routine moves it, and runs of the node that asks."""

# pyright: standard

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm_ros.asker import Phase
from sim2arm_ros.policy_session import joints_of
from sim2arm_ros.request_session import RequestSession
from sim2arm_ros.supervisor import START_S, OperationError

from .reset_routine import Moved, ResetError

if TYPE_CHECKING:
    from sim2arm_ros.learner_node import LearnerNode
    from sim2arm_ros.supervisor import Supervisor

_SETTLED_S = 0.5
"""A gripper whose width has not changed for so long holds something [s]."""
_WIDTH_NEAR = 2e-3
"""How close a width is to the one that was asked for, or to itself [m]."""


class RunEndedError(OperationError):
    """A run ended before its first tick was answered: nothing has moved."""


class ThroughRos:
    """The arm of the nodes as a routine moves it: a `reset_routine.Mover`."""

    def __init__(self, supervisor: Supervisor, node: LearnerNode) -> None:
        """Take the nodes; no run is under way."""
        self._supervisor, self._node = supervisor, node
        self.period = node.session.contract.period

    @property
    def start(self) -> NDArray[np.float64]:
        """Where the arm stands at the first tick of a step (1, n) [rad]."""
        return self._node.session.requests.goal[None]

    @contextmanager
    def step(self, contract: Contract) -> Generator[None]:
        """Begin a step from rest, a run of its own, and end it."""
        self._widths: list[float] = []
        node, supervisor = self._node, self._supervisor
        with node.lent(RequestSession(contract, node.session.requests.robot)):
            try:
                begin_run(supervisor, node)
                yield
            except BaseException:
                with suppress(OperationError):  # what was wrong first counts
                    supervisor.end_run()
                raise
            node.let_go()
            supervisor.end_run()

    def move(self, action: NDArray[np.float64]) -> Moved:
        """Do an action (1, A) for a control period.

        Raises:
            ResetError: the run was stopped.
            OperationError: a process died.
        """
        node = self._node
        node.answer(action[0])
        self._supervisor.spin_until(lambda: node.due is not None or node.over, START_S, "next tick")
        node.take()
        if node.tick is None:
            raise ResetError(f"the gate held the arm: {node.reason}")
        there = joints_of(node.tick.sampled)[None]
        return Moved(node.session.requests.commanded[None], there, self._gripped())

    def _gripped(self) -> bool:
        """Return whether the pads are as far apart as was asked for, or stand."""
        wanted = None if self._node.asked is None else self._node.asked.width
        width = self._node.session.requests.width
        if wanted is None or width is None:
            return True
        self._widths.append(width)
        recent = self._widths[-round(_SETTLED_S / self.period) :]
        stands = max(recent) - min(recent) < _WIDTH_NEAR and len(recent) < len(self._widths)
        return abs(width - wanted) < _WIDTH_NEAR or stands


def begin_run(supervisor: Supervisor, node: LearnerNode) -> None:
    """Begin a run; return when its first tick waits for an answer.

    Raises:
        RunEndedError: it ended before that.
        OperationError: the gate lets nobody in, or was stopped meanwhile: nobody waits for its
            reset, so that nothing moves by that alone.
    """
    supervisor.check_gate()
    supervisor.begin_run()

    def over() -> bool:
        supervisor.check_gate()
        return node.due is not None or node.phase is Phase.STOPPED

    try:
        supervisor.spin_until(over, START_S, "gate that lets a run in")
    except OperationError as error:
        node.let_go()
        node.trigger_deactivate()
        raise OperationError(f"{error} ({supervisor.gate.get('not_ready')})") from error
    node.take()
    if node.tick is None:
        raise RunEndedError(f"a run ended before it began: {node.reason}")
