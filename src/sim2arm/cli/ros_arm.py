"""One arm behind ROS nodes as an environment: gate and arm are processes, the asking node is here.

Between ticks the learner has the tick: its answer is the request of the policy. A step is over with
the tick that follows, or when the run has stopped: that cuts the episode, as what the gate stops
does in process. `quit` of the person's device ends the training.

The word that a simulated task has ended may come a tick late; then the row after is the last.
"""

# pyright: standard

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim2arm.core.contract import Contract
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.spec import StaleReading
from sim2arm_ros.asker import Phase
from sim2arm_ros.gate_state import MachineCfg
from sim2arm_ros.policy_session import joints_of
from sim2arm_ros.supervisor import START_S, OperationError

from .judging import Judge
from .one_arm import LOST, OneWorld, OnlineCfg, Outcome
from .pace import Pace
from .reset_routine import LONGEST, ResetError, ResetRoutine, load_routine
from .ros_mover import RunEndedError, ThroughRos, begin_run

if TYPE_CHECKING:
    from sim2arm_ros.intervention import Intervention
    from sim2arm_ros.learner_node import LearnerNode
    from sim2arm_ros.supervisor import Supervisor

_FRESH_S = 0.5 * MachineCfg().request_timeout_s
"""Longest wait of the first tick of a run, which the gate would let in all the same [s]."""
_LISTENS_S = 0.005
"""Longest time that what has come is listened to before a tick is taken [s]."""
_TRIES = 3
"""How often the beginning of an episode is tried."""


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
        self._acted = self._fresh = self._human = self._diverged = False
        self._seed = self._begin_ns = self._taken_ns = 0
        self.reason = ""

    def reset(self) -> dict[str, Tensor]:
        """Put the arm at the start of an episode, or let it come back by its routine.

        Nobody who has not acted yet needs the routine: the arm begins where it stands.

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
        """Act for a control period: what the policy says (1, A), or a person who has taken over.

        Raises:
            ResetError: no episode could begin, or the action is none; nothing was done.
            KeyboardInterrupt: the person has pressed `quit`.
        """
        if self._broken is not None:
            raise self._broken
        node, lost = self._node, ""
        asked = np.clip(action[0].numpy(), -1.0, 1.0)
        if not np.isfinite(asked).all():
            self.rest()
            raise ResetError(f"the learner answered with numbers that are not finite: {asked}")
        if self._fresh and self._waits_for() > _FRESH_S:
            self._begin_late()
        self._fresh, self._acted = False, True
        answered_ns = time.monotonic_ns()
        done = node.answer(asked).copy()
        try:
            self._await_tick(0.2 * (answered_ns - self._taken_ns) / 1e9)
        except OperationError as error:
            lost = str(error)  # raised by the next step: this one happened
        if lost or node.over:
            self.reason = lost or node.reason
        last, taken = self._observe(), self._look()
        presses, node.presses = node.presses, ()
        end = self._ended()
        how = end.get("ended", "")
        if "quit" in presses:
            self.rest()
        cut = how == "time up" or bool(lost) or node.over or self._ticks >= self._most
        said = self._judge.say(presses, self._seen, won=how == "success", lost=how in LOST, cut=cut)
        self._diverged = how == "physics diverged"
        at_once = how == "lost" and self._ticks <= 1 and self._routine is not None

        def begin() -> dict[str, Tensor]:
            if lost:
                raise ResetError(lost)
            if "quit" in presses:
                raise KeyboardInterrupt
            if at_once:
                raise ResetError("the task was lost where an episode began: put things back")
            return self.reset()

        return self._outcome(
            done[None], last, said, diverged=self._diverged, taken=taken, begin=begin
        )

    def rest(self) -> None:
        """End the run: the gate brings the arm to rest."""
        self._node.let_go()
        if self._node.phase is not Phase.IDLE:
            self._node.trigger_deactivate()

    # -- runs ----------------------------------------------------------------------------------

    def _begin(self, seed: int) -> None:
        """Begin an episode; return when its first tick waits for an answer.

        Raises:
            ResetError, OperationError: the arm did not come back, or the gate lets nobody in.
        """
        supervisor, self._seed = self._supervisor, seed
        self._end_run()
        if self._simulated:
            supervisor.leave_fault()
        supervisor.check_gate()
        routine = self._routine if self._acted and not self._diverged else None
        if routine is not None:
            self._wait_for_person()
            routine.run(ThroughRos(supervisor, self._node), self._stop)
        self._diverged = False
        self._begin_run(moved=routine is None)

    def _begin_late(self) -> None:
        """Begin the run anew, whose first tick has waited too long; nothing has moved yet.

        Raises:
            ResetError: the gate lets nobody in.
        """
        try:
            self._end_run()
            self._begin_run(moved=self._routine is None)
        except OperationError as error:
            raise ResetError(str(error)) from error

    def _begin_run(self, *, moved: bool) -> None:
        """Begin a run; a simulated arm begins its episode, whose time goes on, just before.

        Args:
            moved: arm and things are put at its start.

        Raises:
            OperationError: the gate lets nobody in.
        """
        for left in reversed(range(_TRIES)):
            if self._simulated:
                self._begin_ns = self._supervisor.place(self._seed, moved=moved)
            try:
                begin_run(self._supervisor, self._node)
            except RunEndedError:
                if not left:
                    raise
                self._end_run()
            else:
                break
        self._judge.reset()
        self._fresh, self._human, self._taken_ns = True, False, time.monotonic_ns()
        self._node.presses = ()  # what was pressed before is not meant for it
        self._look()

    def _end_run(self) -> None:
        self._node.let_go()
        if self._node.phase is not Phase.IDLE:
            self._supervisor.end_run()

    def _await_tick(self, thought: float) -> None:
        """Wait for the tick that follows; or for a stop, or the end if that is of the last one.

        Args:
            thought: a share of the time in which nobody listened [s]; much may have come.

        Raises:
            OperationError: nothing comes.
        """
        node, supervisor, before = self._node, self._supervisor, self._stamp_ns

        def over() -> bool:
            ended = int(self._ended().get("stamp_ns", before + 1)) <= before
            return node.due is not None or node.over or ended

        supervisor.spin_until(over, START_S, "next tick")
        supervisor.hear(min(thought, _LISTENS_S))  # what was sent before it
        node.take()
        self._taken_ns = time.monotonic_ns()
        self.pace.wait()
        if node.tick is not None:
            self.pace.missed += node.tick.skipped

    def _waits_for(self) -> float:
        """Return how long the tick has waited for its answer [s]; in lock step nothing waits."""
        return (time.monotonic_ns() - self._taken_ns) / 1e9 if self._timed else 0.0

    @property
    def _ticks(self) -> int:
        """How many ticks of this run are over."""
        return self._node.session.requests.tick

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
        """Return what the policy sees (1, ...): at the tick that waits, or after the last one.

        Where the sensors say nothing after a stop, that is what was seen before it.
        """
        node = self._node
        if node.tick is not None:
            sampled, self._stamp_ns = node.tick.sampled, node.tick.stamp_ns
        else:
            sampled = node.last()
        if sampled is not None:
            q, chain = joints_of(sampled), node.session.contract.kinematic_chain
            self._seen: dict[str, NDArray[Any]] = {k: v[None] for k, v in sampled.items()}
            self._seen["ee_pose"] = forward_pose(chain, q[None])
            seen = node.session.observe(sampled)
            names = self.groups["actor"]
            self._last = {name: torch.from_numpy(seen[name].copy()) for name in names}
        return self._last

    def _look(self) -> bool:
        """Return whether a person takes over in the tick that waits; note what they press."""
        person, node = self._person, self._node
        if person is None:
            return False
        if node.tick is None:  # after a stop: they may have said how it ended
            with suppress(RuntimeError, StaleReading):
                self._look_at(person)
                node.presses += person.ask.presses
            return False
        before, self._human = self._human, person.acts and person.ask.state == "engaged"
        taken = self._human and not before
        self.interventions += taken
        return taken

    def _look_at(self, person: Intervention) -> None:
        """See what a person asks for between runs, or after one."""
        q = self._node.session.joints()
        tool = forward_pose(self._contract.kinematic_chain, q[None])[0]
        person.look(time.monotonic_ns(), tool[3:], q)

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
        """Return why the arm must not move by itself, or an empty string.

        Raises:
            ResetError: the device failed for good, or nothing is known of the arm.
        """
        person = self._person
        if person is None:
            return ""
        try:
            self._look_at(person)
        except (RuntimeError, StaleReading) as error:
            raise ResetError(str(error)) from error
        if "quit" in person.ask.presses:
            raise ResetError("quit was pressed")
        if not person.acts:
            return ""
        return "a person has the arm" if person.ask.state == "engaged" else person.ask.why
