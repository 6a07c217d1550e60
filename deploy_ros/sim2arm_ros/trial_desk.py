"""Where a comparison and the person at the operator's page meet: trials, verdicts, starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from sim2arm.core.contract import Contract

from .convert import MESSAGES, status_message, status_values
from .convert_pictures import image_message
from .graph import InputBinding
from .graph_file import read_graph
from .node_support import latched, streaming
from .page_pictures import Picture
from .seen import picture_from
from .supervisor import Supervisor
from .trial_topics import REFERENCE, TRIAL, VERDICT


class TrialDesk:
    """Tells the page of trials, hears its verdicts, and sees the starts.

    Attributes:
        camera: name of the input whose pictures show the start, empty without one.
    """

    def __init__(self, supervisor: Supervisor, contract: Contract, graph: Path | None) -> None:
        """Listen.

        Args:
            supervisor: operates the nodes.
            contract: with the inputs; of several the one that sees the most.
            graph: graph.yaml, that of the package without one.
        """
        self._supervisor, node = supervisor, supervisor.node
        self._state = node.create_publisher(DiagnosticStatus, TRIAL, latched())
        self._reference = node.create_publisher(Image, REFERENCE, latched())
        node.create_subscription(DiagnosticStatus, VERDICT, self._on_verdict, streaming(10))
        self._verdict = ("", "")  # number of the trial, and what was said of it
        self._message: Any = None
        self._binding: InputBinding | None = None
        self.camera = ""
        for name, binding in read_graph(graph).bindings(contract).items():
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

    def seen(self) -> Picture | None:
        """Return what the camera sees now, None without a camera or a picture.

        Raises:
            ValueError: it cannot be read; one line.
        """
        if self._binding is None or self._message is None:
            return None
        return picture_from(self._message, self._binding)

    def lift(self) -> None:
        """Let the gate leave a hold or a fault."""
        self._supervisor.call(Trigger, "/gate_node/reset", Trigger.Request())

    def _on_verdict(self, message: DiagnosticStatus) -> None:
        values = status_values(message)
        self._verdict = (values.get("trial", ""), values.get("verdict", ""))

    def _on_image(self, message: Any) -> None:
        self._message = message
