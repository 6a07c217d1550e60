"""What the gate says of itself on `~/state`."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus

from .convert import status_message
from .gate_machine import GateMachine
from .gate_state import GateState

_LEVELS = {
    GateState.ACTIVE: DiagnosticStatus.OK,
    GateState.HOLD: DiagnosticStatus.WARN,
    GateState.FAULT: DiagnosticStatus.ERROR,
}


def state_message(machine: GateMachine, more: Mapping[str, object]) -> DiagnosticStatus:
    """Return how a gate stands, why, what it counted, and what else there is to know."""
    values = {
        "state": machine.state.value,
        "ready": machine.ready,
        "not_ready": machine.not_ready,
        "session": machine.session,
        "rejected": machine.rejected,
        "by_hand": ", ".join(machine.stops),
    }
    modes = [] if machine.modes is None else machine.modes.facts()
    said = {fact.name: fact.measured for fact in modes}
    everything = values | vars(machine.counters) | said | dict(more)
    return status_message(_LEVELS[machine.state], "gate", machine.reason, everything)
