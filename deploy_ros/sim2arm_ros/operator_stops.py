"""How an operator stops the gate, and lets it go on: a topic and three services.

What was stopped stays stopped until `~/reset`, whoever configures or activates the gate meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rclpy.node import Node
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from .flight import Flight
from .gate_machine import HELD
from .node_support import Endpoints, latched, streaming

_ESTOP = "e-stop"
"""Name of the gate's standing problem while the topic says stop."""


class OperatorStops:
    """The topic `~/estop` and the services `~/estop`, `~/hold` and `~/reset` of a gate."""

    def __init__(
        self,
        node: Node,
        endpoints: Endpoints,
        flight: Flight,
        before: Mapping[str, str],
        tell: Callable[[], None],
    ) -> None:
        """Open them, and stop for what was stopped before.

        Args:
            node: the gate.
            endpoints: of the node.
            flight: what decides.
            before: `GateMachine.stops` of the gate that was configured before.
            tell: called when the gate may stand otherwise.
        """
        self._node, self._flight, self._tell = node, flight, tell
        self._says_stop = False
        for name, reason in before.items():
            if name == HELD:
                flight.operator_hold()
            else:
                flight.operator_stop(reason)
        # Whatever an e-stop sends with, as surely as that goes; a message may come several times.
        for qos in (latched(), streaming(10), streaming(10, reliable=False)):
            self._topic = endpoints.subscription(Bool, "~/estop", self.on_estop, qos).topic_name
        endpoints.service(Trigger, "~/estop", self.on_estop_service)
        endpoints.service(Trigger, "~/hold", self.on_hold_service)
        endpoints.service(Trigger, "~/reset", self.on_reset_service)

    def on_estop(self, message: Bool) -> None:
        """Latch a fault; while the last message says stop it cannot be reset.

        Where several publish, who says that it is over may not be who said stop: then the reset
        alone ends it.
        """
        self._says_stop = bool(message.data)
        if self._says_stop:
            reason = "the e-stop topic says stop"
            self._flight.operator_stop(reason)
            self._flight.set_problem(_ESTOP, reason, fatal=True)
        elif self._node.count_publishers(self._topic) < 2:
            self._flight.set_problem(_ESTOP, None)
        self._tell()

    def on_estop_service(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Latch a fault."""
        self._flight.operator_stop("e-stop service")
        self._tell()
        response.success, response.message = True, "stopped"
        return response

    def on_hold_service(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Stop, and let nobody in until `~/reset`."""
        self._flight.operator_hold()
        self._tell()
        response.success, response.message = True, "held"
        return response

    def on_reset_service(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Leave FAULT, or a hold of the operator, when no other cause stands."""
        if not self._says_stop:
            self._flight.set_problem(_ESTOP, None)
        problem = self._flight.operator_reset()
        self._tell()
        response.success, response.message = problem is None, problem or "in HOLD"
        return response
