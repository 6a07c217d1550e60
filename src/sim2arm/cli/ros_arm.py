"""One arm behind ROS nodes as an environment: gate and arm are processes, the asking node is here.

Between ticks the learner has the tick: its answer is the request of the policy. A step is over with
the tick that follows, or when the run has stopped: that ends the episode, as what the gate stops
does in process.

The word that a simulated task has ended may come a tick late; then the row after is the last.
"""

# pyright: standard

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim2arm.core.contract import Contract
from sim2arm.core.kinematics import forward_pose
from sim2arm_ros.asker import Phase
from sim2arm_ros.gate_state import MachineCfg
from sim2arm_ros.request_session import RequestSession
from sim2arm_ros.supervisor import START_S, OperationError

from .judging import Judge
from .one_arm import LOST, OneWorld, OnlineCfg, Outcome
from .pace import Pace
from .reset_routine import LONGEST, Moved, ResetError, ResetRoutine, load_routine

if TYPE_CHECKING:
    from sim2arm_ros.learner_node import LearnerNode
    from sim2arm_ros.policy_node import Tick
    from sim2arm_ros.supervisor import Supervisor

_FRESH_S = 0.5 * MachineCfg().request_timeout_s
"""Longest wait of the first tick of a run, which the gate would let in all the same [s]."""
_TRIES = 3
"""How often the beginning of an episode is tried."""
_SETTLED_S = 0.5
"""A gripper whose width has not changed for so long holds something [s]."""
_WIDTH_NEAR = 2e-3
"""How close a width is to the one that was asked for, or to itself [m]."""


class RunEndedError(OperationError):
    """A run ended before its first tick was answered: nothing has moved."""


class RosArm(OneWorld):
    """An arm behind the nodes of a ROS domain.

    Attributes:
        reason: why the last episode that was broken off was, one line.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        node: LearnerNode,
        contract: Contract,
        names: list[str],
        cfg: OnlineCfg,
        *,
        seed: int,
        most: int,
    ) -> None:
        """Stand ready: gate and node are configured, and the gate is active.

        Args:
            supervisor: of the nodes.
            node: that asks the gate.
            contract: of the policy's actions.
            names: of what the policy sees.
            cfg: how it acts.
            seed: of the episodes.
            most: ticks of an episode that the task does not end.

        Raises:
            OSError, ValueError: the routine or the judge is none; one line.
        """
        super().__init__(contract, names, Pace(contract.period, real_time=False), seed)
        self._supervisor, self._node, self._contract = supervisor, node, contract
        self._most, self._timed = most, cfg.real_time
        self._simulated, self._person = cfg.where == "sim", node.person
        self._routine = None
        if cfg.routine:
            steps = load_routine(Path(cfg.routine), contract)
            self._routine = ResetRoutine(steps, contract, node.session.requests.robot)
        seen = {s.name: np.zeros((1, *s.array_shape), s.dtype) for s in node.session.sampled}
        self._judge = Judge(cfg.judge, seen | {"ee_pose": np.zeros((1, 7))})
        self._begun = self._fresh = self._human = False
        self._seed = self._begin_ns = 0
        self.reason = ""

    def reset(self) -> dict[str, Tensor]:
        """Put the arm at the start of an episode, or let it come back by its routine.

        Raises:
            ResetError: it did not, or the gate lets nobody in.
        """
        try:
            self._begin(self._next_seed())
        except OperationError as error:
            raise ResetError(str(error)) from error
        self.pace.rest()
        return self._observe()

    def step(self, action: Tensor) -> Outcome:
        """Act for a control period: what the policy says (1, A), or a person who has taken over."""
        if self._broken is not None:
            raise self._broken
        node, lost = self._node, ""
        done = np.clip(action[0].numpy(), -1.0, 1.0)
        try:
            if self._fresh and self._waits_for() > _FRESH_S:
                self._begin(self._seed)  # whoever learns was busy; nothing has moved yet
            self._fresh = False
            done = node.answer(done).copy()
            self._await_tick()
        except (OperationError, ResetError) as error:
            lost = str(error)  # raised by the next step: this one happened
        if node.tick is None:
            self.reason = lost or node.reason
        last = self._observe() if node.tick is not None else self._last
        taken, presses = self._look()
        end = self._ended()
        how = end.get("ended", "")
        cut = how == "time up" or node.tick is None or node.session.requests.tick >= self._most
        said = self._judge.say(presses, self._seen, won=how == "success", lost=how in LOST, cut=cut)

        def begin() -> dict[str, Tensor]:
            if lost:
                raise ResetError(lost)
            return self.reset()

        return self._outcome(
            done[None], last, said, diverged=how == "physics diverged", taken=taken, begin=begin
        )

    # -- runs ----------------------------------------------------------------------------------

    def _begin(self, seed: int) -> None:
        """Begin an episode; return when its first tick waits for an answer.

        Raises:
            ResetError, OperationError: the arm did not come back, or the gate lets nobody in.
        """
        for left in reversed(range(_TRIES)):
            try:
                self._begin_once(seed)
            except RunEndedError:
                if not left:
                    raise
            else:
                return

    def _begin_once(self, seed: int) -> None:
        supervisor, self._seed = self._supervisor, seed
        self._end_run()
        routine = self._routine if self._begun else None
        if routine is not None:
            self._wait_for_person()
            routine.run(ThroughRos(supervisor, self._node), self._stop)
        if self._simulated:
            self._begin_ns = supervisor.place(seed, moved=routine is None)
        self._judge.reset()
        begin_run(supervisor, self._node)
        self._begun, self._fresh, self._human = True, True, False
        self._look()

    def _end_run(self) -> None:
        self._node.let_go()
        if self._node.phase is not Phase.IDLE:
            self._supervisor.end_run()

    def _await_tick(self) -> None:
        """Wait for the tick that follows; or for a stop, or the end if that is of the last one.

        Raises:
            OperationError: nothing comes.
        """
        node, before = self._node, self._stamp_ns

        def over() -> bool:
            ended = int(self._ended().get("stamp_ns", before + 1)) <= before
            return node.tick is not None or node.phase is not Phase.RUNNING or ended

        self._supervisor.spin_until(over, START_S, "next tick")
        self._supervisor.hear()  # what was sent before it
        self.pace.wait()
        if node.tick is not None:
            self.pace.missed += node.tick.skipped

    def _waits_for(self) -> float:
        """Return how long the tick has waited for its answer [s]; in lock step nothing waits."""
        tick = self._node.tick
        if tick is None or not self._timed:
            return 0.0
        return (time.monotonic_ns() - tick.time_ns) / 1e9

    def _ended(self) -> Mapping[str, str]:
        """Return how a simulated episode ended by what was seen last, empty before."""
        if not self._simulated:
            return {}
        end = self._supervisor.ended(self._seed, self._begin_ns)
        tick = self._node.tick
        stamp = self._stamp_ns if tick is None else tick.stamp_ns
        return end if int(end.get("stamp_ns", stamp + 1)) <= stamp else {}

    # -- what is seen --------------------------------------------------------------------------

    def _observe(self) -> dict[str, Tensor]:
        """Return what the policy sees (1, ...)."""
        node = self._node
        assert node.tick is not None
        sampled, self._stamp_ns = node.tick.sampled, node.tick.stamp_ns
        chain = node.session.contract.kinematic_chain
        self._seen: dict[str, NDArray[Any]] = {k: v[None] for k, v in sampled.items()}
        self._seen["ee_pose"] = forward_pose(chain, joints_of(node.tick)[None])
        seen = node.session.observe(sampled)
        self._last = {name: torch.from_numpy(seen[name].copy()) for name in self.groups["actor"]}
        return self._last

    def _look(self) -> tuple[bool, tuple[str, ...]]:
        """Return whether a person takes over in the tick that waits, and what they pressed."""
        person = self._node.person
        if person is None or self._node.tick is None:
            return False, ()
        before, self._human = self._human, person.acts and person.ask.state == "engaged"
        taken = self._human and not before
        self.interventions += taken
        return taken, person.ask.presses

    def _wait_for_person(self) -> None:
        """Let a person who has the arm put it down.

        Raises:
            ResetError: they do not.
        """
        begun = time.monotonic()
        while why := self._stop():
            if time.monotonic() - begun > LONGEST:
                raise ResetError(f"for {LONGEST:.0f} s after an episode: {why}")
            self._supervisor.pause(self._contract.period)

    def _stop(self) -> str:
        """Return why the arm must not move by itself, or an empty string."""
        person = self._person
        if person is None:
            return ""
        q = self._node.session.joints()
        tool = forward_pose(self._contract.kinematic_chain, q[None])[0]
        person.look(time.monotonic_ns(), tool[3:], q)
        if not person.acts:
            return ""
        return "a person has the arm" if person.ask.state == "engaged" else person.ask.why


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
        self._supervisor.spin_until(
            lambda: node.tick is not None or node.phase is not Phase.RUNNING, START_S, "next tick"
        )
        if node.tick is None:
            raise ResetError(f"the gate held the arm: {node.reason}")
        there = joints_of(node.tick)[None]
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
        OperationError: the gate lets nobody in.
    """
    supervisor.begin_run()
    over: Callable[[], bool] = lambda: node.tick is not None or node.phase is Phase.STOPPED  # noqa: E731
    try:
        supervisor.spin_until(over, START_S, "gate that lets a run in")
    except OperationError as error:
        raise OperationError(f"{error}: {supervisor.gate.get('not_ready')}") from error
    if node.tick is None:
        raise RunEndedError(f"a run ended before it began: {node.reason}")


def joints_of(tick: Tick) -> NDArray[np.float64]:
    """Return the measured joint positions (n,) of a tick [rad]; of a history the newest."""
    joints = tick.sampled["joint_position"]
    return joints if joints.ndim == 1 else joints[-1]
