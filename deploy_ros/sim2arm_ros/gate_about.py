"""What the gate tells of itself with its state: the time by its clock, and its contract.

Policy and gate may run on two machines, each with its clock and its copy of the bundle. Ages of
inputs are counted by the clock of the policy's machine, so what that clock says when a word of the
gate comes is compared with what the gate's said when it went: the difference is the offset of the
clocks and the time of the way, and both would be in the ages. The stamps of requests are those of
joint states: the gate itself needs no clock but its own.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping

from sim2arm.core.clock import ClockGuard, ClockGuardCfg
from sim2arm.core.contract import Contract

from . import activation
from .activation import Item

_WORDS = 10
"""Words of the gate of which the best one counts: a second of them."""
_LEAST = 3
"""Words before anything is known: the first may have waited for whoever comes late."""


def contract_mark(contract: Contract) -> str:
    """Return twelve letters that tell two contracts apart."""
    return hashlib.sha256(contract.canonical_json().encode()).hexdigest()[:12]


class GateAbout:
    """What a node that asks for motion knows of the gate."""

    def __init__(self, contract: Contract, limit_s: float, *, lock_step: bool) -> None:
        """Know nothing yet.

        Args:
            contract: of this node.
            limit_s: largest difference of the two clocks, the way of a word included [s].
            lock_step: time is what observations say: clocks are not compared.

        Raises:
            ValueError: the limit is not above 0.
        """
        if not limit_s > 0.0:
            raise ValueError(f"clock_offset_s: expected more than 0, got {limit_s}")
        self._mark, self._limit, self._compares = contract_mark(contract), limit_s, not lock_step
        self._guard = ClockGuard(ClockGuardCfg(freeze=None), "the clock here")
        self._ages: deque[float] = deque(maxlen=_WORDS)
        self._theirs = ""

    def hear(self, values: Mapping[str, str], now_ns: int) -> None:
        """Take a state of the gate.

        Args:
            values: of the message, `now_ns` and `contract` among them.
            now_ns: ROS time here when it came [ns].
        """
        self._theirs = values.get("contract", "")
        then = values.get("now_ns", "")
        if now_ns > 0 and then.isdecimal() and int(then) > 0:  # a simulated one may not run yet
            self._ages.append((now_ns - int(then)) / 1e9)

    @property
    def offset_s(self) -> float | None:
        """How far the clock here is ahead of the gate's [s], none while it is not known."""
        return min(self._ages, key=abs) if len(self._ages) >= _LEAST else None

    def problem(self, now_ns: int, steady_ns: int) -> str | None:
        """Return what is wrong with the clock here, or None; call it at every tick.

        Args:
            now_ns: ROS time here [ns].
            steady_ns: the same moment by the steady clock [ns].
        """
        if not self._compares:
            return None
        jump = self._guard.check(now_ns, steady_ns)
        if jump is not None and jump.kind != "not started":
            self._ages.clear()
            return jump.message
        return self._apart()

    def _apart(self) -> str | None:
        offset = self.offset_s
        if offset is None or abs(offset) <= self._limit:
            return None
        where = "ahead of" if offset > 0 else "behind"
        return (
            f"the clock here is {abs(offset):.3f} s {where} the gate's, allowed "
            f"{self._limit:g} s: synchronise the clocks of both machines"
        )

    def items(self) -> list[Item]:
        """Return the items of the activation report."""
        items = [
            activation.equal(
                "contract of the gate", self._mark, self._theirs or None,
                "give gate and policy the same bundle",
            )
        ]  # fmt: skip
        if self._compares:
            offset, note = self.offset_s, self._apart() or "is the gate there?"
            known = None if offset is None else abs(offset)
            items.append(
                activation.at_most("clock against the gate's", known, self._limit, "s", note)
            )
        return items
