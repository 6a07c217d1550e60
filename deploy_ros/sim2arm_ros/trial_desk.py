"""Where a comparison and the person who judges it meet: trials, verdicts, starts."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image

from sim2arm.core.contract import Contract

from .activation import problems
from .convert import MESSAGES, status_message, status_values, to_ns
from .convert_pictures import image_message
from .gate_machine import HELD
from .graph import InputBinding
from .graph_file import read_graph
from .launcher import Place
from .node_support import latched, streaming
from .operator_deeds import READY_S
from .page_pictures import Picture
from .seen import picture_from
from .supervisor import OperationError, Supervisor
from .trial_topics import REFERENCE, TRIAL, VERDICT

OLD_S = 1.0
"""A picture that came longer ago does not show the start [s]."""
BEGUN = ("WAITING", "RUNNING")
"""Phases of a policy that was activated: the arm moves, or soon."""


class TrialDesk:
    """Tells the page of trials, hears its verdicts, sees the starts, and lets the policy act.

    Attributes:
        camera: name of the input whose pictures show the start, empty without one.
    """

    def __init__(self, supervisor: Supervisor, contract: Contract, place: Place) -> None:
        """Listen.

        Args:
            supervisor: operates the nodes.
            contract: with the inputs; of several the one that sees the most.
            place: which arm it is.
        """
        self._supervisor, node = supervisor, supervisor.node
        self._state = node.create_publisher(DiagnosticStatus, TRIAL, latched())
        self._reference = node.create_publisher(Image, REFERENCE, latched())
        node.create_subscription(DiagnosticStatus, VERDICT, self._on_verdict, streaming(10))
        self._verdict = ("", "")  # number of the trial, and what was said of it
        self._message: Any = None
        self._stamp_ns = -1
        self._heard = -float("inf")
        self._binding: InputBinding | None = None
        self.camera = ""
        graph = read_graph(place.graph, place.robot, place.prefix)
        for name, binding in graph.bindings(graph.named(contract)).items():
            if binding.is_picture and binding.encoding in ("rgb8", "bgr8", "mono8"):
                self.camera, self._binding = name, binding
                qos = streaming(1, reliable=False)
                node.create_subscription(MESSAGES[binding.type], binding.topic, self._on_image, qos)
                break

    def tell(
        self,
        trial: int,
        title: str,
        text: str,
        *,
        start: bool = False,
        judge: bool = False,
        reference: Picture | None = None,
    ) -> None:
        """Say which trial it is and what has to be done.

        Args:
            trial: its number.
            title: of it.
            text: what to do.
            start: whether the person may start it now.
            judge: whether the person may say now how it ended.
            reference: how the start has to look.
        """
        values: dict[str, object] = {"title": title, "trial": trial}
        values |= {"start": start, "judge": judge}
        if reference is not None:
            values["overlay"] = self.camera
            self._reference.publish(image_message(reference, "rgb8", "", 0))
        self._state.publish(status_message(DiagnosticStatus.OK, "compare", text, values))

    def verdict(self, trial: int) -> str:
        """Return what was said of a trial, empty if nothing; it is said once."""
        number, said = self._verdict
        if number != str(trial):  # pressed for another one
            return ""
        self._verdict = ("", "")
        return said

    def forget(self) -> None:
        """Forget what was said: it was no answer to what is asked now."""
        self._verdict = ("", "")

    def seen(self) -> Picture | None:
        """Return what the camera saw last before a policy began, None without a camera.

        Raises:
            ValueError: it says nothing new, or what cannot be read; one line.
        """
        if self._binding is None:
            return None
        age = time.monotonic() - self._heard
        if self._message is None or age > OLD_S:
            since = "yet" if self._message is None else f"for {age:.1f} s"
            raise ValueError(
                f"{self._binding.topic} shows nothing new {since}: does {self.camera} run?"
            )
        return picture_from(self._message, self._binding)

    # -- the policy ----------------------------------------------------------------------------

    def activate_gate(self) -> str:
        """Activate the gate, if it is not; return why it cannot be. Nothing moves by it."""
        supervisor = self._supervisor
        try:
            if supervisor.state_of("gate_node", READY_S) != "active":
                supervisor.activate("gate_node", READY_S)
        except OperationError as error:
            return str(error)
        return ""

    def make_ready(self) -> str:
        """Bring the gate to where it would let a policy in; return why it would not.

        A hold that stands is lifted by it; one that comes now is not. A gate in FAULT is reset, and
        one that is not active reset and activated: then the start must be asked for once more.
        """
        supervisor = self._supervisor
        gate = supervisor.gate
        try:
            if supervisor.state_of("gate_node", READY_S) != "active":
                supervisor.trigger("gate_node/reset", READY_S)
                return self.activate_gate() or "the gate was not active and is now"
            if gate.get("state") == "FAULT":
                supervisor.trigger("gate_node/reset", READY_S)
                return f"the gate was in FAULT ({gate.get('reason')}) and is reset now"
            if HELD in gate.get("not_ready", ""):
                supervisor.trigger("gate_node/reset", READY_S)
            supervisor.spin_until(
                lambda: supervisor.gate.get("ready") == "True", READY_S, "gate that is ready"
            )
        except OperationError as error:
            why = supervisor.gate.get("not_ready", "")
            return str(error) if not why or why in str(error) else f"{error}: {why}"
        return ""

    def begin(self) -> str:
        """Activate the policy, once; return why it was not.

        Raises:
            OperationError: it does not answer.
        """
        supervisor = self._supervisor
        supervisor.reports.pop(supervisor.asker, None)
        if supervisor.transition(supervisor.asker, "activate", READY_S):
            return ""
        with suppress(OperationError):  # the log says it too
            supervisor.spin_until(lambda: supervisor.asker in supervisor.reports, 1.0, "report")
        red = problems(supervisor.reports.get(supervisor.asker, []))
        return "; ".join(red) or f"{supervisor.asker} was not activated; its log says why"

    def withdraw(self) -> None:
        """Deactivate the policy: it waits for nothing any more.

        Raises:
            OperationError: it does not answer.
        """
        self._supervisor.transition(self._supervisor.asker, "deactivate", READY_S)
        self._supervisor.policy = {}

    # -- callbacks -----------------------------------------------------------------------------

    def _on_verdict(self, message: DiagnosticStatus) -> None:
        values = status_values(message)
        self._verdict = (values.get("trial", ""), values.get("verdict", ""))

    def _on_image(self, message: Any) -> None:
        stamp: int = to_ns(message.header.stamp)
        if stamp == self._stamp_ns or self._supervisor.policy.get("phase") in BEGUN:
            return  # what was seen before, or what may show motion
        self._message, self._stamp_ns = message, stamp
        self._heard = time.monotonic()
