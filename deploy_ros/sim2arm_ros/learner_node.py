"""A policy node that is answered by a learner in the same process, tick by tick.

Callbacks run only where its executor is spun: between two spins whoever learns has the tick. One
who is slow is like a policy that is slow: ticks are missed, and after its budget the gate holds.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from sim2arm.core.tool_box import ToolBox

from .asker import Phase
from .intervention import Intervention
from .node_support import forget_garbage
from .policy_node import PolicyNode, Tick
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


class LearnerNode(PolicyNode):
    """What `policy_node` is, with the answers of somebody else than its bundle.

    Attributes:
        tick: that waits for an answer, None if none does.
        asked: the last request of this run, None before.
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
        self.tick = self.asked = None
        self._missed, self._over = 0, False
        return super().on_activate(state)

    # -- ticks ---------------------------------------------------------------------------------

    def decide(self, tick: Tick) -> None:
        """Let the tick wait for its answer; it is missed where the one before still waits.

        Raises:
            RuntimeError: the person's device failed for good.
        """
        if self._over:
            return
        if self.tick is not None:
            self._missed += 1 + tick.skipped
            return
        tick, self._missed = tick._replace(skipped=tick.skipped + self._missed), 0
        self.session.look(tick.sampled, tick.time_ns, tick.skipped)
        self.tick = tick

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
        self.tick, self._over = None, True

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
