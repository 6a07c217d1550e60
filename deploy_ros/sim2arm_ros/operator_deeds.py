"""What the operator's page does when a button is pressed, step by step, through services.

A hold goes out in the thread of the click, at once, and ends whatever else is under way: nothing
of a start is sent after it. Everything else is done in steps by the node's own thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Protocol

from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from .activation import problems
from .gate_machine import HELD
from .operator_state import OperatorState, refusal

ANSWER_S = 5.0
"""Longest wait for the answer of a service; activations look at a whole report [s]."""
HOLD_S = 1.0
"""A hold that is not confirmed in this time is said to be unconfirmed [s]."""
READY_S = 3.0
"""Longest wait for the gate to be ready after a reset [s]."""
Steps = Generator[None, None, str]
"""Runs until it returns what came of it."""


class Client(Protocol):
    """The part of a client of `rclpy` that is used here."""

    def call_async(self, request: Any) -> Any:
        """Send a request; return its future."""


class Refused(Exception):  # noqa: N818 - names what happened
    """A deed is not done; one line."""


class Deeds:
    """The buttons of the page.

    Attributes:
        busy: what is under way, empty if nothing.
    """

    def __init__(
        self,
        state: OperatorState,
        client: Callable[[Any, str], Client],
        *,
        gate: str = "/gate_node",
        asker: str = "/policy_node",
        recorder: str = "/recorder_node",
        arm: str = "/sim_arm",
    ) -> None:
        """Do nothing yet.

        Args:
            state: what is known, kept up to date by the node.
            client: returns the client of a service, by type and name.
            gate: node of the gate.
            asker: node that asks it.
            recorder: node that records.
            arm: node of a simulated arm.
        """
        self._state, self._client = state, client
        self._gate, self._asker, self._recorder, self._arm = gate, asker, recorder, arm
        self._lock = threading.Lock()
        self._running: Steps | None = None
        self._waiting: tuple[str, Steps] | None = None
        self._hold: tuple[Any, float] | None = None
        self._confirming: tuple[Any, float] | None = None
        self.busy = ""

    # -- from any thread -----------------------------------------------------------------------

    def hold(self) -> None:
        """Ask the gate to hold, now; end what is under way."""
        with self._lock:
            self._waiting = None
            try:
                future = self._call(Trigger, f"{self._gate}/hold", Trigger.Request())
            except Exception as error:
                self._say("hold", f"NOT CONFIRMED: {error}. Use the emergency stop!")
                return
            self._hold = (future, time.monotonic())

    def start(self) -> None:
        """Let the policy move the arm, from a gate that is ready."""
        self._ask("start", self._start())

    def reset(self) -> None:
        """Leave a fault or a hold; nothing moves by it."""
        self._ask("reset", self._reset())

    def record(self, event: str) -> None:
        """Start, keep or discard an episode of the recorder."""
        self._ask(f"record {event}", self._record(event))

    def begin_episode(self, seed: int) -> None:
        """Put a simulated arm at the start of an episode."""
        self._ask("new episode", self._begin_episode(seed))

    def _ask(self, name: str, steps: Steps) -> None:
        with self._lock:
            if self._running is not None or self._waiting is not None or self._hold is not None:
                self._say(name, f"not now: {self.busy or 'another button'} is under way")
                return
            self._waiting = (name, steps)

    # -- in the thread of the node -------------------------------------------------------------

    def step(self) -> None:
        """Go on with what is under way; call often."""
        with self._lock:
            if self._hold is not None and self.busy != "hold":
                if self._running is not None:
                    self._running.close()
                    self._say(self.busy, "ended by the hold")
                self._confirming, self.busy = self._hold, "hold"
                self._running = self._after_hold(*self._hold)
            if self._running is None and self._waiting is not None:
                self.busy, self._running = self._waiting
                self._waiting = None
            running = self._running
        if running is None:
            return
        try:
            next(running)
            return
        except StopIteration as end:
            said = str(end.value)
        except Refused as error:
            said = str(error)
        with self._lock:
            self._say(self.busy, said)
            self._running = None
            if self._hold is self._confirming:  # else it was pressed again meanwhile
                self._hold = None
            self.busy = ""

    def _say(self, name: str, text: str) -> None:
        self._state.deeds.append(f"{time.strftime('%H:%M:%S')} {name}: {text}")

    # -- what is sent --------------------------------------------------------------------------

    def _call(self, kind: Any, name: str, request: Any) -> Any:
        return self._client(kind, name).call_async(request)

    def _answer(
        self, kind: Any, name: str, request: Any, *, always: bool = False
    ) -> Generator[None, None, Any]:
        """Call a service and wait; nothing but what `always` is sent goes out after a hold."""
        with self._lock:
            if self._hold is not None and not always:
                raise Refused("ended by the hold")
            try:
                future = self._call(kind, name, request)
            except Exception as error:  # a service that cannot be called is an answer, too
                raise Refused(f"{name}: {error}") from error
        return (yield from self._result(future, name, ANSWER_S))

    def _result(self, future: Any, name: str, within_s: float) -> Generator[None, None, Any]:
        end = time.monotonic() + within_s
        while not future.done():
            if time.monotonic() > end:
                future.cancel()
                raise Refused(f"no answer of {name} within {within_s:g} s")
            yield
        return future.result()

    def _lifecycle(self, node: str) -> Generator[None, None, str]:
        answer = yield from self._answer(GetState, f"{node}/get_state", GetState.Request())
        return str(answer.current_state.label)

    def _transition(
        self, node: str, label: str, *, always: bool = False
    ) -> Generator[None, None, bool]:
        request = ChangeState.Request()
        request.transition.label = label
        name = f"{node}/change_state"
        answer = yield from self._answer(ChangeState, name, request, always=always)
        return bool(answer.success)

    # -- deeds ---------------------------------------------------------------------------------

    def _after_hold(self, future: Any, since: float) -> Steps:
        """See that the gate holds, then that the policy no longer waits for it."""
        name = f"{self._gate}/hold"
        try:
            yield from self._result(future, name, HOLD_S)
            took = time.monotonic() - since
            # Once more: a reset may have been on its way.
            again = yield from self._answer(Trigger, name, Trigger.Request(), always=True)
            held = bool(again.success)
        except Refused as error:
            raise Refused(f"NOT CONFIRMED: {error}. Use the emergency stop!") from error
        if not held:
            raise Refused(f"NOT CONFIRMED: {again.message}. Use the emergency stop!")
        try:
            yield from self._transition(self._asker, "deactivate", always=True)
        except Refused as error:
            return f"the gate holds, confirmed in {1e3 * took:.0f} ms; {error}"
        return f"the gate holds, confirmed in {1e3 * took:.0f} ms"

    def _quiet(self) -> Generator[None, None, None]:
        """Deactivate who asks, if it is active: no reset may let it go on."""
        state = yield from self._lifecycle(self._asker)
        if state == "active":
            yield from self._transition(self._asker, "deactivate")

    def _start(self) -> Steps:
        why = refusal(self._state, time.monotonic())
        if why:
            raise Refused(f"refused: {why}")
        yield from self._configured(self._gate)
        yield from self._configured(self._asker)
        yield from self._quiet()
        yield from self._lift_hold()  # an activation does not
        if (yield from self._lifecycle(self._gate)) != "active":
            yield from self._activated(self._gate)
        end = time.monotonic() + READY_S
        while self._state.gate.get("ready") != "True":
            if time.monotonic() > end or self._state.gate.get("state") == "FAULT":
                why = self._state.gate.get("not_ready") or self._state.gate.reason
                raise Refused(f"refused by the gate: {why}")
            yield
        yield from self._activated(self._asker)
        end, phase = time.monotonic() + READY_S, ""
        while time.monotonic() < end and phase not in ("RUNNING", "STOPPED"):
            phase = self._state.asker.get("phase")
            yield
        if phase == "RUNNING":
            return "it moves"
        why = self._state.asker.reason or "the gate lets nobody in"
        yield from self._quiet()  # it would begin whenever the gate lets it in
        raise Refused(f"it did not begin: {why}")

    def _configured(self, node: str) -> Generator[None, None, None]:
        state = yield from self._lifecycle(node)
        if state == "unconfigured" and not (yield from self._transition(node, "configure")):
            raise Refused(f"refused: {node} could not be configured; its log says why")
        if state == "finalized":
            raise Refused(f"refused: {node} has ended; start it again")

    def _activated(self, node: str) -> Generator[None, None, None]:
        if (yield from self._transition(node, "activate")):
            return
        red = problems(self._state.reports.get(node.lstrip("/"), []))
        why = red[0] if red else f"{node} was not activated; its log says why"
        raise Refused(f"refused: {why}")

    def _lift_hold(self) -> Generator[None, None, None]:
        if HELD not in self._state.gate.get("not_ready"):
            return
        answer = yield from self._answer(Trigger, f"{self._gate}/reset", Trigger.Request())
        if not answer.success:
            raise Refused(f"refused by the gate: {answer.message}")
        end = time.monotonic() + READY_S
        while HELD in self._state.gate.get("not_ready") and time.monotonic() < end:
            yield

    def _reset(self) -> Steps:
        yield from self._quiet()
        answer = yield from self._answer(Trigger, f"{self._gate}/reset", Trigger.Request())
        if not answer.success:
            raise Refused(f"refused by the gate: {answer.message}")
        return "the gate is in HOLD; Start lets it move"

    def _record(self, event: str) -> Steps:
        name = f"{self._recorder}/{event}"
        answer = yield from self._answer(Trigger, name, Trigger.Request())
        return str(answer.message)

    def _begin_episode(self, seed: int) -> Steps:
        yield from self._answer(Trigger, f"{self._gate}/hold", Trigger.Request())
        yield from self._quiet()
        value = Parameter("episode_seed", Parameter.Type.INTEGER, seed).to_parameter_msg()
        request = SetParameters.Request(parameters=[value])
        set_ = yield from self._answer(SetParameters, f"{self._arm}/set_parameters", request)
        if not set_.results[0].successful:
            raise Refused(f"episode_seed: {set_.results[0].reason}")
        yield from self._answer(Trigger, f"{self._arm}/reset", Trigger.Request())
        yield from self._answer(Trigger, f"{self._gate}/reset", Trigger.Request())
        return f"the arm is at the start of seed {seed}; Start lets it move"
