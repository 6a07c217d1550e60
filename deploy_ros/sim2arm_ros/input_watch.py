"""What comes on the topics of the inputs for some seconds: clock, rates, ages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from sim2arm.core.contract import Contract
from sim2arm.core.spec import ArraySpec

from .activation import Item, at_most, rate_item
from .convert import MESSAGES, to_ns
from .graph import Graph, InputBinding, measured
from .node_support import streaming
from .peers import by_topic

JOINTS = "joint_position"
_MOST = 0.9  # share of the messages that must keep a bound: the rest waits for a busy machine


@dataclass(kw_only=True)
class _Came:
    """What came on one topic."""

    ages: list[float] = field(default_factory=list[float])
    """From stamps to receipt [s]."""
    receipts: list[int] = field(default_factory=list[int])
    """Steady times [ns]."""


class InputWatch(Node):
    """Listens to every input of a contract."""

    def __init__(
        self, graph: Graph, contract: Contract, context: Context, *, sim_time: bool = False
    ) -> None:
        """Open the subscriptions.

        Args:
            graph: of the arm.
            contract: with the names of the arm.
            context: of the domain.
            sim_time: a simulated arm gives the time.

        Raises:
            ValueError: an input has no binding.
        """
        clock = Parameter("use_sim_time", Parameter.Type.BOOL, sim_time)
        super().__init__("input_watch", context=context, parameter_overrides=[clock])
        self._hz = contract.control_hz
        self._bindings = graph.bindings(contract)
        self._specs = {spec.name: spec for spec in measured(contract)}
        self._joint_names = set(contract.joint_names)
        self._came: dict[str, _Came] = {}
        for topic, group in by_topic(self._bindings).items():
            first = next(iter(group.values()))
            self._came[topic] = came = _Came()
            qos = streaming(first.depth, reliable=first.reliability == "reliable")
            take = partial(self._on_message, came, group)
            self.create_subscription(MESSAGES[first.type], topic, take, qos)

    @property
    def silent(self) -> list[str]:
        """The topics on which nothing came."""
        return [topic for topic, came in self._came.items() if not came.ages]

    def forget(self) -> None:
        """Begin anew: what came while peers were found says little."""
        for came in self._came.values():
            came.ages.clear()
            came.receipts.clear()

    def _on_message(self, came: _Came, group: dict[str, InputBinding], message: Any) -> None:
        of_arm = JOINTS in group
        if of_arm and not set(message.name) & self._joint_names:
            return  # of a gripper, for example
        now = self.get_clock().now().nanoseconds
        if now > 0:  # a simulated clock may not run yet
            came.ages.append((now - to_ns(message.header.stamp)) / 1e9)
            came.receipts.append(time.monotonic_ns())

    def items(self, limit_s: float) -> list[Item]:
        """Return the items of what came.

        Args:
            limit_s: how far the clock of the arm's machine may be from the one here [s].
        """
        found = [self._clock_item(limit_s)]
        for name, binding in self._bindings.items():
            found += _input_items(self._specs[name], self._came[binding.topic], self._hz)
        return found

    def _clock_item(self, limit_s: float) -> Item:
        """Compare the stamps of the joint states with the time here; the best of them counts."""
        ages = self._came[self._bindings[JOINTS].topic].ages
        offset = min(ages, key=abs) if ages else None
        where = "ahead of" if (offset or 0.0) > 0 else "behind"
        note = "are joint states published?"
        if offset is not None:
            note = (
                f"the clock here is {abs(offset):.3f} s {where} the stamps of the arm: synchronise "
                "both machines (chrony)"
            )
        known = None if offset is None else abs(offset)
        return at_most("clock against the arm's", known, limit_s, "s", note)


def _input_items(spec: ArraySpec, came: _Came, control_hz: float) -> list[Item]:
    items: list[Item] = []
    gaps = np.diff(np.array(came.receipts, dtype=np.float64)) / 1e9
    if spec.kind == "sensor":
        period = float(gaps.mean()) if len(gaps) else None
        items.append(rate_item(f"{spec.name}: rate", period, 0.9 * (spec.rate_hz or control_hz)))
    bounds: Sequence[tuple[str, Any, float | None, str]] = (
        ("age", came.ages, spec.max_stamp_age_s, "is the network or this computer too slow?"),
        ("time between messages", gaps, spec.max_receipt_age_s, "publish it more often"),
    )
    for what, values, most, note in bounds:
        if most is not None:
            value = float(np.quantile(values, _MOST)) if len(values) else None
            items.append(at_most(f"{spec.name}: {what}", value, most, "s", note))
    return items
