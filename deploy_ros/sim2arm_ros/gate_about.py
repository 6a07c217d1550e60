"""What the gate tells who asks it for motion: the time by its clock, and its contract.

Policy and gate may run on two machines, each with its clock and its copy of the bundle. Ages of
inputs are counted by the clock of the policy's machine, so its offset from the gate's is measured
(Cristian: half way between question and answer, of the answers with the shortest way) and refused
beyond a limit, at the activation and later. The stamps of requests are those of joint states: the
gate itself needs no clock but its own.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from std_srvs.srv import Trigger

from sim2arm.core.clock import ClockGuard, ClockGuardCfg
from sim2arm.core.contract import Contract

from . import activation
from .activation import Item
from .node_support import Endpoints
from .question import Question

PERIOD_S = 0.5
"""Time between questions [s]."""
_ANSWERS = 8
"""Answers of which the one with the shortest way counts: 4 s."""
_TEXT = re.compile(r"now_ns=([0-9]{1,20}) contract=([0-9a-f]{12})")


def contract_mark(contract: Contract) -> str:
    """Return twelve letters that tell two contracts apart."""
    return hashlib.sha256(contract.canonical_json().encode()).hexdigest()[:12]


def about_text(now_ns: int, contract: Contract) -> str:
    """Return the gate's answer: ROS time now [ns] and the mark of its contract."""
    return f"now_ns={now_ns} contract={contract_mark(contract)}"


class ClockOffset:
    """How far a clock is ahead of another one, by questions and answers."""

    def __init__(self) -> None:
        """Know nothing."""
        self._heard: deque[tuple[float, float]] = deque(maxlen=_ANSWERS)

    def take(self, ours_ns: int, theirs_ns: int, way_ns: int) -> None:
        """Take an answer.

        Args:
            ours_ns: our clock when it came [ns].
            theirs_ns: their clock when it was given [ns].
            way_ns: from question to answer, by the steady clock [ns].
        """
        half = way_ns / 2e9
        self._heard.append((half, (ours_ns - theirs_ns) / 1e9 - half))

    @property
    def best(self) -> tuple[float, float] | None:
        """The offset (ours - theirs) and how far it may be wrong, both in [s]; none at first."""
        if not self._heard:
            return None
        half, offset = min(self._heard)
        return offset, half

    def problem(self, limit_s: float) -> str | None:
        """Return why the clocks certainly differ by more than a limit [s], or None."""
        best = self.best
        if best is None or abs(best[0]) - best[1] <= limit_s:
            return None
        where = "ahead of" if best[0] > 0 else "behind"
        return (
            f"the clock here is {abs(best[0]):.3f} s {where} the gate's (measured to "
            f"{best[1]:.3f} s), allowed {limit_s:g} s: synchronise the clocks of both machines"
        )


class GateAbout:
    """Asks the gate about itself, for a node that asks it for motion."""

    def __init__(
        self, contract: Contract, now_ns: Callable[[], int], limit_s: float, *, lock_step: bool
    ) -> None:
        """Ask nothing yet.

        Args:
            contract: of this node.
            now_ns: returns the ROS time here [ns].
            limit_s: largest offset of the two clocks [s].
            lock_step: time is what observations say: clocks are not compared.

        Raises:
            ValueError: the limit is not above 0.
        """
        if not limit_s > 0.0:
            raise ValueError(f"clock_offset_s: expected more than 0, got {limit_s}")
        self._mark, self._now_ns = contract_mark(contract), now_ns
        self._limit, self._compares = limit_s, not lock_step
        self._guard = ClockGuard(ClockGuardCfg(freeze=None), "the clock here")
        self._offset = ClockOffset()
        self._question: Question | None = None

    def connect(self, endpoints: Endpoints, gate: str) -> None:
        """Open the client; `gate` is the name of the gate's node."""
        client = endpoints.client(Trigger, f"{gate}/about")
        self._question = Question(client, Trigger.Request(), self._read)
        endpoints.timer(PERIOD_S, self._question.ask)
        self._question.ask()

    def _read(self, answer: Any) -> str:
        steady, ours = time.monotonic_ns(), self._now_ns()
        found = _TEXT.fullmatch(answer.message)
        if found is None:
            return f"answers {str(answer.message)[:60]!r}"
        assert self._question is not None
        if ours > 0 and int(found[1]) > 0:  # a simulated clock may not have come yet
            self._offset.take(ours, int(found[1]), steady - self._question.asked_ns)
        return found[2]

    def problem(self, steady_ns: int) -> str | None:
        """Return what is wrong with the clock here now, or None; call it at every tick."""
        if not self._compares:
            return None
        jump = self._guard.check(self._now_ns(), steady_ns)
        if jump is not None and jump.kind != "not started":
            self._offset = ClockOffset()
            return jump.message
        return self._offset.problem(self._limit)

    def items(self) -> list[Item]:
        """Return the items of the activation report."""
        mark = None if self._question is None else self._question.value
        items = [
            activation.equal(
                "contract of the gate", self._mark, mark,
                "give gate and policy the same bundle",
            )
        ]  # fmt: skip
        if not self._compares:
            return items
        best = None if mark is None else self._offset.best
        offset = None if best is None else abs(best[0])
        note = self._offset.problem(self._limit) or "is the gate there, and its clock running?"
        items.append(activation.at_most("clock against the gate's", offset, self._limit, "s", note))
        return items
