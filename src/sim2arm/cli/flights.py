"""`sim2arm replay FLIGHT`: what the gate heard before a stop, and the same decisions once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sim2arm_ros.flight import Step, fly, read_flight

from .errors import UserError, user_input

LAST = 12
"""Events that are shown, the last ones that changed something."""


def replay_flight(path: Path) -> Iterator[str]:
    """Yield lines: what stopped the gate, what came before it, whether it decides so again.

    Raises:
        UserError: it is no flight, or this version of the gate decides otherwise.
    """
    with user_input("flight"):
        head, events = read_flight(path)
        steps = list(fly(head, events))
    if not steps:
        raise UserError(f"{path}: the flight is empty")
    first, last = steps[0].event.steady_ns, steps[-1].event.steady_ns
    calls = Counter(step.event.call for step in steps)
    yield f"{path.name}: {head['robot']}, {(last - first) / 1e9:.1f} s, stopped by {head['reason']}"
    yield "  ".join(f"{name} {count}" for name, count in calls.most_common())
    yield f"{'time [s]':>9}  {'call':<15} {'state':<7} reason, command"
    pairs = zip([None, *steps[:-1]], steps, strict=True)
    for step in [step for before, step in pairs if _matters(before, step)][-LAST:]:
        yield _line(step, last)
    other = [step for step in steps if not step.same]
    if other:
        raise UserError(
            f"{path}: {len(other)} of {len(steps)} decisions are others now, the first one at "
            f"{(other[0].event.steady_ns - last) / 1e9:.3f} s ({other[0].event.call}): "
            f"{_short(other[0].event.decision)}, now {_short(other[0].again)}"
        )
    yield f"All {len(steps)} decisions are the same, to the bit."


def _matters(before: Step | None, step: Step) -> bool:
    """Return whether an event commanded something, or changed state or reason."""
    if before is None or "command" in step.event.decision or step.event.call == "set_problem":
        return True
    keys = ("state", "reason")
    return any(before.event.decision[key] != step.event.decision[key] for key in keys)


def _line(step: Step, last_ns: int) -> str:
    event = step.event
    return f"{(event.steady_ns - last_ns) / 1e9:>9.3f}  {event.call:<15} {_short(event.decision)}"


def _short(decision: dict[str, object]) -> str:
    command, words = decision.get("command"), str(decision["reason"])
    if isinstance(command, dict):
        words = f"command of tick {command['tick']}, starts at {command['stamp_ns']} ns"
    return f"{decision['state']!s:<7} {words}"
