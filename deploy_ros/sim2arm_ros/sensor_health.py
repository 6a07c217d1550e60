"""How a sensor does, for `/diagnostics`: rate, ages, losses; levels as diagnostic_updater has them.

STALE: nothing ever came. ERROR: what there is, is too old or ahead of the clock, so that a policy
does not use it. WARN: another rate than the sensor has, or pictures were lost since the last look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sim2arm.core.sampling import FUTURE_TOLERANCE_NS
from sim2arm.core.spec import ArraySpec

from .sources import Source

Level = Literal["OK", "WARN", "ERROR", "STALE"]
SLACK = 0.1
"""Of the rate: as `tolerance` of diagnostic_updater."""
_SILENT_NS = 1_000_000_000
"""A silence after which a sensor has no rate."""
_LOSSES = ("drops", "broken", "reconnects")


@dataclass(frozen=True, kw_only=True)
class Health:
    """What is said of one sensor."""

    level: Level
    message: str
    """One line."""
    values: Mapping[str, object]


class SensorHealth:
    """What is known of one array of a sensor."""

    def __init__(self, spec: ArraySpec) -> None:
        """Know nothing yet."""
        self._source = Source(spec=spec)
        self._lost: dict[str, int] = {}

    def take(self, stamp_ns: int, receipt_ns: int) -> None:
        """Note a new reading: its stamp in ROS time and its receipt in steady time [ns]."""
        self._source.take(stamp_ns, receipt_ns)

    def look(self, now_ns: int, steady_ns: int, *, why: str, counters: Mapping[str, int]) -> Health:
        """Return how it does, now and since the last look.

        Args:
            now_ns: ROS time.
            steady_ns: the same moment on the steady clock.
            why: what the driver says of a device that does not deliver.
            counters: of the driver, see `sensors.base.Counters`; may be empty.
        """
        source, spec = self._source, self._source.spec
        new = {name: counters[name] - self._lost.get(name, 0) for name in counters}
        self._lost = dict(counters)
        if not source.receipt_ns:
            return Health(level="STALE", message=_because("nothing received yet", why),
                          values=dict(counters))  # fmt: skip
        receipt, age = steady_ns - source.receipt_ns, now_ns - source.stamp_ns
        rate = 1.0 / source.period if source.period and receipt < _SILENT_NS else 0.0
        values = {"rate [Hz]": f"{rate:.1f}", "age [s]": f"{1e-9 * age:.3f}",
                  "age of receipt [s]": f"{1e-9 * receipt:.3f}", **counters}  # fmt: skip
        level, message = self._judge(1e-9 * receipt, 1e-9 * age, rate)
        lost = ", ".join(f"{new[n]} {n}" for n in _LOSSES if new.get(n, 0) > 0)
        if level == "OK" and lost:
            level, message = "WARN", f"{message}, {lost} since the last second"
        if level == "ERROR":
            message = _because(message, why)
        if spec.rate_hz is not None:
            values |= {"expected rate [Hz]": f"{spec.rate_hz:g}"}
        return Health(level=level, message=message, values=values)

    def _judge(self, receipt: float, age: float, rate: float) -> tuple[Level, str]:
        spec = self._source.spec
        for what, value, most in (
            ("received", receipt, spec.max_receipt_age_s), ("measured", age, spec.max_stamp_age_s)
        ):  # fmt: skip
            if most is not None and value > most:
                return "ERROR", f"the newest was {what} {value:.3f} s ago, allowed {most:g} s"
        if -age > 1e-9 * FUTURE_TOLERANCE_NS:
            return "ERROR", f"its stamp is {-age:.3f} s ahead of the clock"
        wanted = spec.rate_hz
        if wanted is not None and abs(rate - wanted) > SLACK * wanted:
            return "WARN", f"{rate:.1f} Hz, expected {wanted:g} Hz"
        return "OK", f"{rate:.1f} Hz"


def _because(message: str, why: str) -> str:
    return f"{message}: {why}" if why else message
