"""What the gate knows of the controller: its gains, how it joins trajectories, whether it runs.

Asked again and again; an answer that is too old counts as none, so a controller that vanishes or
changes is noticed, not remembered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from controller_manager_msgs.srv import ListControllers
from rcl_interfaces.srv import GetParameters

from sim2arm.core.contract import Contract

from . import activation
from .activation import Item
from .graph import ControllerBinding
from .node_support import Endpoints

PERIOD_S = 0.5
"""Time between questions [s]."""
_ANSWER_TIMEOUT_S = 2.0
_TOO_OLD_S = 3.0
_DOUBLE, _BOOL = 3, 1  # rcl_interfaces/msg/ParameterType
JOIN_PARAMETERS = ("interpolate_from_desired_state", "open_loop_control")
"""Either lets a joint trajectory controller join a trajectory from what it commands; without, it
starts from the measured state, and what it executes is not what the gate judged."""


class _Question:
    """One service call, repeated; the newest answer with its age."""

    def __init__(self, client: Any, request: Any, read: Callable[[Any], Any]) -> None:
        self._client, self._request, self._read = client, request, read
        self._future: Any = None
        self._asked_ns = self._answered_ns = 0
        self._value: Any = None

    def ask(self) -> None:
        """Call the service unless an answer is still on its way."""
        now = time.monotonic_ns()
        if self._future is not None and not self._future.done():
            if now - self._asked_ns < _ANSWER_TIMEOUT_S * 1e9:
                return
            self._client.remove_pending_request(self._future)
        if not self._client.service_is_ready():
            self._future = None
            return
        self._asked_ns = now
        self._future = self._client.call_async(self._request)
        self._future.add_done_callback(self._done)

    def _done(self, future: Any) -> None:
        answer = future.result()
        if answer is not None:
            self._value, self._answered_ns = self._read(answer), time.monotonic_ns()

    @property
    def value(self) -> Any:
        """The newest answer, None if there is none that is new enough."""
        fresh = time.monotonic_ns() - self._answered_ns < _TOO_OLD_S * 1e9
        return self._value if self._answered_ns and fresh else None


class ControllerFacts:
    """Questions to one controller and its manager."""

    def __init__(
        self, endpoints: Endpoints, control: ControllerBinding, contract: Contract
    ) -> None:
        """Open the clients and ask for the first time."""
        self._contract = contract
        self._name = control.name.rpartition("/")[2]
        joints = contract.joint_names
        names = [control.gain_parameters[g].format(joint=j) for g in ("kp", "kd") for j in joints]
        parameters = endpoints.client(GetParameters, f"{control.name}/get_parameters")
        manager = endpoints.client(ListControllers, f"{control.manager}/list_controllers")
        self._gains = _Question(parameters, GetParameters.Request(names=names), self._read_gains)
        # One question each: a name that is not declared leaves the whole answer empty.
        self._join = {
            name: _Question(parameters, GetParameters.Request(names=[name]), _read_flag)
            for name in JOIN_PARAMETERS
        }
        self._state = _Question(manager, ListControllers.Request(), self._read_state)
        self.ask()

    def ask(self) -> None:
        """Ask everything again; answers come later."""
        for question in (self._gains, *self._join.values(), self._state):
            question.ask()

    def items(self) -> list[Item]:
        """Return the items of the activation report."""
        answers = [question.value for question in self._join.values()]
        joins = None if all(answer is None for answer in answers) else any(answers)
        return [
            *activation.gain_items(self._contract, self._gains.value),
            activation.equal(
                "controller", "active", self._state.value, "start or switch the controller"
            ),
            activation.equal(
                "controller joins from its command", True, joins,
                f"set {JOIN_PARAMETERS[0]} to true in the controller's parameters",
            ),
        ]  # fmt: skip

    def problem(self) -> tuple[str, bool] | None:
        """Return the first thing that is not as it must be, and whether it is known to be so.

        A controller that answers wrongly is a fault; one that does not answer is a reason to hold
        until it does.
        """
        red = [item for item in self.items() if not item.ok]
        known = [item for item in red if item.measured]
        worst = (known or red)[:1]
        return (activation.problems(worst)[0], bool(known)) if worst else None

    def _read_gains(self, answer: Any) -> dict[str, list[float]] | None:
        n = len(self._contract.joint_names)
        values: Sequence[float] = [v.double_value for v in answer.values if v.type == _DOUBLE]
        if len(values) != 2 * n:
            return None
        return {"kp": list(values[:n]), "kd": list(values[n:])}

    def _read_state(self, answer: Any) -> str:
        states = {controller.name: str(controller.state) for controller in answer.controller}
        return states.get(self._name, "not loaded")


def _read_flag(answer: Any) -> bool | None:
    values = [bool(v.bool_value) for v in answer.values if v.type == _BOOL]
    return values[0] if values else False
