"""What the policy node knows of each of its inputs, and what it says of them when it activates."""

from __future__ import annotations

from dataclasses import dataclass

from sim2arm.core.spec import ArraySpec

from . import activation
from .activation import Item

AS_IN_THE_CONTRACT = "as in the contract"
_SHARE = 0.05
"""Weight of the newest period in their mean."""
_BREAK_S = 1.0
"""A silence after which the rate is measured anew: a camera that was started again has its rate
back at once, not when the mean has forgotten the pause."""


@dataclass(kw_only=True)
class Source:
    """What is known of one input."""

    spec: ArraySpec
    stamp_ns: int = 0
    receipt_ns: int = 0
    period: float | None = None
    """Mean time between messages [s]."""
    problem: str = "nothing received"

    def take(self, stamp_ns: int, steady_ns: int) -> None:
        """Note a new reading."""
        period = (steady_ns - self.receipt_ns) / 1e9
        if not self.receipt_ns or period > _BREAK_S:
            self.period = None
        else:
            old = self.period
            self.period = period if old is None else old + _SHARE * (period - old)
        self.stamp_ns, self.receipt_ns = stamp_ns, steady_ns

    def fit(self, problem: str = "") -> Item:
        """Return the item that messages came and were as they must be.

        Args:
            problem: what else is wrong with the newest one.
        """
        return activation.equal(
            f"{self.spec.name}: messages",
            AS_IN_THE_CONTRACT,
            self.problem or problem or AS_IN_THE_CONTRACT,
            "is the topic of graph.yaml published?",
        )

    def timing(self, now_ns: int, steady_ns: int, control_hz: float) -> list[Item]:
        """Return the items of both ages and of the rate.

        Args:
            now_ns: now by the clock of the stamps.
            steady_ns: now by the steady clock.
            control_hz: least rate of a sensor for which the contract names none.
        """
        spec, items = self.spec, list[Item]()
        if spec.max_receipt_age_s is not None:
            age = (steady_ns - self.receipt_ns) / 1e9 if self.receipt_ns else None
            name = f"{spec.name}: receipt age"
            items.append(activation.at_most(name, age, spec.max_receipt_age_s, "s"))
        if spec.max_stamp_age_s is not None:
            age = (now_ns - self.stamp_ns) / 1e9 if self.stamp_ns else None
            trained = spec.trained_age_s
            note = "" if trained is None else f"trained with {trained[0]:g} to {trained[1]:g} s"
            name = f"{spec.name}: stamp age"
            items.append(activation.at_most(name, age, spec.max_stamp_age_s, "s", note))
        if spec.kind == "sensor":
            least = spec.rate_hz or control_hz
            items.append(activation.rate_item(f"{spec.name}: rate", self.period, 0.9 * least))
        return items
