"""A policy node that is answered by a learner in the same process, tick by tick.

Callbacks run only where its executor is spun: between two spins whoever learns has the tick. One
who is slow is like a policy that is slow: ticks are missed, and after its budget the gate holds.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from sim2arm.core.spec import StaleReading
from sim2arm.core.tool_box import ToolBox

from .asker import Phase
from .intervention import Intervention
from .node_support import forget_garbage
from .policy_node import PolicyNode
from .policy_session import PolicySession
from .request_session import RequestSession
from .requests import Request
from .supervisor import Supervisor


@contextmanager
def joined(
    supervisor: Supervisor,
    parameters: Mapping[str, object],
    *,
    box: ToolBox | None = None,
    namespace: str = "",
) -> Generator[LearnerNode]:
    """Give a node that asks the gate, in a supervisor's context; it rests in the end.

    Args:
        supervisor: spins it.
        parameters: of a policy's node.
        box: see `LearnerNode`.
        namespace: of its names, with a leading slash; simulated time is in it, too.
    """
    remap = ["--ros-args", "-r", f"/clock:={namespace}/clock"] if namespace else None
    node = LearnerNode(
        box=box, context=supervisor.node.context, namespace=namespace or None, cli_args=remap,
        parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()],
    )  # fmt: skip
    supervisor.join(node)
    forget_garbage()
    try:
        yield node
    finally:
        if node.phase is not Phase.IDLE:
            node.trigger_deactivate()
        supervisor.leave(node)


class Tick(NamedTuple):
    """A control tick that waits for an answer."""

    sampled: dict[str, NDArray[Any]]
    """What the policy's sensors say now."""
    stamp_ns: int
    """Of the newest joint state."""
    time_ns: int
    """By the steady clock; in lock step the stamp."""
    skipped: int
    """Ticks before it that were missed."""


class LearnerNode(PolicyNode):
    """What `policy_node` is, with the answers of somebody else than its bundle.

    Attributes:
        due: whether a tick is due; `take` makes of it what waits for an answer.
        tick: that waits for an answer, None if none does.
        asked: the last request of this run, None before.
        presses: of the person, until somebody takes them.
    """

    def __init__(self, *, box: ToolBox | None = None, **options: Any) -> None:
        """Declare the parameters.

        Args:
            box: that the commanded position of the tool stays in.
            options: of a node.
        """
        super().__init__(**options)
        self._box = box
        self._missed, self._over = 0, False
        self.due: tuple[int, int] | None = None  # time of the tick, ticks missed before it
        self.presses: tuple[str, ...] = ()
        self.tick: Tick | None = None
        self.asked: Request | None = None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure it as a policy; nobody leaves the box."""
        result = super().on_configure(state)
        if self._session is not None:
            self._session.box = self._box
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Wait for the gate; what was to be answered before is forgotten."""
        self.tick = self.asked = self.due = None
        self._missed, self._over, self.presses = 0, False, ()
        return super().on_activate(state)

    # -- ticks ---------------------------------------------------------------------------------

    def _act(self, now_ns: int, steady_ns: int, time_ns: int, skipped: int) -> None:
        """Note that a tick is due; it is missed where the one before still waits."""
        if self._over:
            return
        if self.due is not None or self.tick is not None:
            self._missed += 1 + skipped
            return
        self.due, self._missed = (time_ns, skipped + self._missed), 0

    def take(self) -> None:
        """Let the tick that is due wait for its answer, with what the sensors say now."""
        if self.due is None or self.phase is not Phase.RUNNING:
            return
        (time_ns, skipped), self.due = self.due, None
        try:
            sampled = self._sample_now()
            self.session.look(sampled, time_ns, skipped)
        except (StaleReading, ValueError, RuntimeError) as error:
            self._stop(str(error))
            return
        if self.person is not None:
            self.presses += self.person.ask.presses
        self.tick = Tick(sampled, self._stamp(), time_ns, skipped)

    def last(self) -> dict[str, NDArray[Any]] | None:
        """Return what the sensors say after the end of a run, None if they do not."""
        try:
            return self._sample_now()
        except (StaleReading, ValueError):
            return None

    def _sample_now(self) -> dict[str, NDArray[Any]]:
        stamp, steady = self._stamp(), time.monotonic_ns()
        if self._lock_step:
            return self.session.sample(stamp, stamp)
        return self.session.sample(self.get_clock().now().nanoseconds, steady)

    def answer(self, action: NDArray[np.floating]) -> NDArray[np.float32]:
        """Ask for an action (A,) at the tick that waits; after a stop nothing is asked for.

        Returns:
            What was asked for, by the learner or by a person in its place.
        """
        tick, self.tick = self.tick, None
        asked = action.astype(np.float32)
        if tick is None or self.phase is not Phase.RUNNING:
            return asked
        if not np.isfinite(asked).all():
            self._stop("the learner answered with numbers that are not finite")
            return asked
        self.asked = self.session.ask(tick.sampled, tick.stamp_ns, asked)
        self.send(self.asked)
        return self.session.action

    def let_go(self) -> None:
        """Say that ticks need no answer any more; the run is about to be ended."""
        self.tick, self.due, self._over = None, None, True

    # -- how it stands -------------------------------------------------------------------------

    @property
    def session(self) -> PolicySession:
        """What it does each tick."""
        assert self._session is not None  # it is configured
        return self._session

    @property
    def phase(self) -> Phase:
        """What it does; STOPPED after a run that did not end as it was meant to."""
        return Phase.IDLE if self._asker is None else self._asker.phase

    @property
    def over(self) -> bool:
        """Whether no run is under way, and none will be without an activation."""
        return self.phase in (Phase.IDLE, Phase.STOPPED)

    @property
    def reason(self) -> str:
        """Why it stopped, one line."""
        return "" if self._asker is None else self._asker.reason

    @property
    def person(self) -> Intervention | None:
        """Who may take over."""
        return self.session.person

    @contextmanager
    def lent(self, requests: RequestSession) -> Generator[None]:
        """Let runs have other requests than the policy's; nobody takes over, and there is no box.

        Runs begin and end inside.
        """
        session, asker = self.session, self._asker
        assert asker is not None
        own = session.requests, session.person, session.box, self._person
        requests.width = session.requests.width
        session.requests = asker.requests = requests
        session.person = session.box = self._person = None
        try:
            yield
        finally:
            session.requests = asker.requests = own[0]
            _, session.person, session.box, self._person = own
            session.requests.width = requests.width
