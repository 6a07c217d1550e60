"""What an array is: shape, unit, frame, source, rate, sampling, ages, trained range.

An `ArraySpec` describes one input of a policy as it enters the network, after the driver stage.
A `Reading` is what a sensor returns. `sampling.py` says which readings a policy sees at a tick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from array_api_compat import array_namespace

Kind = Literal["sensor", "derived", "noise", "prefix", "goal"]
DTypeName = Literal["float32", "float64", "uint8", "int32", "int64", "bool"]


class StaleReading(Exception):  # noqa: N818 - the name in the Sensor protocol
    """An input is older than its contract allows, or was never received."""


@dataclass(frozen=True, kw_only=True)
class History:
    """The last n values of an input, oldest first, as a leading axis."""

    of: Literal["frames", "ticks"]
    """`frames`: the last n distinct readings; `ticks`: what the last n control ticks saw."""
    n: int
    """How many, the newest included; at the start of an episode the oldest is repeated."""

    def __post_init__(self) -> None:
        """Check the length."""
        if self.n < 1:
            raise ValueError(f"history.n: expected 1 or more, got {self.n}")


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """One input of a policy."""

    name: str
    """Name in the observation dictionary and in the ONNX graph."""
    kind: Kind
    """sensor: measured; derived: computed from other inputs; noise: drawn by the seed rule;
    prefix: actions that are already committed; goal: given by the operator or the task."""
    shape: tuple[int, ...]
    """Shape of one frame, without batch and history axes."""
    dtype: DTypeName = "float32"
    unit: str = ""
    """SI unit, `1` for pure numbers; mixed vectors name one per element, separated by spaces."""
    frame: str | None = None
    """Frame in which the numbers are expressed."""
    element_names: tuple[str, ...] = ()
    """Names along the last axis (joint names, x y z qw qx qy qz), or none."""
    source: str | None = None
    """Of a derived input its formula, `fk(joint_position)`; else a free note."""
    rate_hz: float | None = None
    """Rate of the sensor; none means every control tick."""
    phase_s: float = 0.0
    """Offset of its frames from the control ticks in training [s]."""
    sampling: str = "latest"
    """`latest`, `nearest_to:<input>`, `interpolate` (at the tick), or `interpolate:<input>`."""
    history: History | None = None
    max_stamp_age_s: float | None = None
    """Oldest stamp that is still used, by the clock of the stamps [s]."""
    max_receipt_age_s: float | None = None
    """Longest time since the last message, by the steady clock [s]."""
    trained_age_s: tuple[float, float] | None = None
    """Least and greatest stamp age in training [s]."""
    low: tuple[float, ...] | None = None
    """Least values in training, one number or one per element of a frame."""
    high: tuple[float, ...] | None = None
    """Greatest values in training."""
    clock: Literal["ros", "receipt"] = "ros"
    """`receipt`: the stamp is the time of arrival, because no clock offset was measured."""
    driver_stage: str | None = None
    """Named, versioned stage (crop, resize) between the driver and this array."""

    def __post_init__(self) -> None:
        """Check that the fields agree with each other."""
        for problem in self._problems():
            raise ValueError(f"input {self.name!r}: {problem}")

    def _problems(self) -> list[str]:
        found: list[str] = []
        if not self.name or not self.name.replace("_", "a").isalnum():
            found.append("the name must be letters, digits and underscores")
        if any(size < 1 for size in self.shape):
            found.append(f"shape: sizes must be 1 or more, got {list(self.shape)}")
        if self.element_names and (not self.shape or len(self.element_names) != self.shape[-1]):
            found.append(
                f"element_names: expected {self.shape[-1] if self.shape else 0} (the last axis of "
                f"shape), got {len(self.element_names)}"
            )
        for label in ("low", "high"):
            numbers = getattr(self, label)
            if numbers is not None and len(numbers) not in (1, self.size):
                found.append(f"{label}: expected 1 or {self.size} numbers, got {len(numbers)}")
        if not found and self.low is not None and self.high is not None:
            n = max(len(self.low), len(self.high))
            pairs = zip(_repeat(self.low, n), _repeat(self.high, n), strict=True)
            if any(low > high for low, high in pairs):
                found.append("low must not exceed high")
        if self.kind == "derived" and not self.source:
            found.append("source: a derived input names its formula, such as fk(joint_position)")
        for label in ("rate_hz", "max_stamp_age_s", "max_receipt_age_s"):
            number = getattr(self, label)
            if number is not None and number <= 0:
                found.append(f"{label}: expected more than 0, got {number}")
        if self.trained_age_s is not None and self.trained_age_s[0] > self.trained_age_s[1]:
            found.append(f"trained_age_s: expected (least, greatest), got {self.trained_age_s}")
        return found + self._sampling_problems()

    def _sampling_problems(self) -> list[str]:
        rule, _, anchor = self.sampling.partition(":")
        if rule not in ("latest", "nearest_to", "interpolate") or (
            bool(anchor) if rule == "latest" else rule == "nearest_to" and not anchor
        ):
            return [
                "sampling: expected latest, nearest_to:<input>, interpolate or "
                f"interpolate:<input>, got {self.sampling!r}"
            ]
        if rule == "interpolate" and (
            not self.dtype.startswith("float") or "qw" in self.element_names
        ):
            return ["sampling: only floating-point arrays without quaternions are interpolated"]
        return []

    @property
    def size(self) -> int:
        """Number of elements of one frame."""
        return math.prod(self.shape)

    @property
    def array_shape(self) -> tuple[int, ...]:
        """Shape of the input without batch axes: the history axis first, if there is one."""
        return (self.history.n, *self.shape) if self.history else self.shape

    @property
    def rule(self) -> str:
        """The sampling rule without its anchor: latest, nearest_to or interpolate."""
        return self.sampling.partition(":")[0]

    @property
    def anchor(self) -> str | None:
        """The input to whose stamp this one is sampled, or none."""
        return self.sampling.partition(":")[2] or None

    def check(self, array: Any) -> None:
        """Check an array (..., *array_shape): shape, dtype, finite numbers.

        Raises:
            ValueError: one line with what was expected and what came.
        """
        self._check(array, self.array_shape)

    def check_frame(self, array: Any) -> None:
        """Check one frame (..., *shape), before histories are made.

        Raises:
            ValueError: one line with what was expected and what came.
        """
        self._check(array, self.shape)

    def _check(self, array: Any, expected: tuple[int, ...]) -> None:
        if not hasattr(array, "shape") or not hasattr(array, "dtype"):
            raise ValueError(f"input {self.name!r}: expected an array, got {type(array).__name__}")
        shape = tuple(array.shape)
        if shape[len(shape) - len(expected) :] != expected or len(shape) < len(expected):
            raise ValueError(
                f"input {self.name!r}: expected shape (..., {', '.join(map(str, expected))}), "
                f"got {shape}"
            )
        dtype = str(array.dtype).rpartition(".")[2]
        if dtype != self.dtype:
            raise ValueError(f"input {self.name!r}: expected dtype {self.dtype}, got {dtype}")
        if self.dtype.startswith("float"):
            xp = array_namespace(array)
            if not bool(xp.all(xp.isfinite(array))):
                raise ValueError(
                    f"input {self.name!r}: contains numbers that are not finite (NaN or inf)"
                )

    def outside(self, array: Any) -> str | None:
        """Return one line on the element farthest outside of the trained range, or none.

        Args:
            array: (..., *shape) numpy array.
        """
        if self.size == 0:
            return None
        xp = array_namespace(array)
        worst, line = 0.0, None
        flat = xp.reshape(array, (-1, self.size))
        for i in range(self.size):
            least, most = float(xp.min(flat[:, i])), float(xp.max(flat[:, i]))
            low = _repeat(self.low, self.size)[i] if self.low else -math.inf
            high = _repeat(self.high, self.size)[i] if self.high else math.inf
            excess = max(low - least, most - high)
            if excess > worst:
                worst = excess
                value = least if low - least > most - high else most
                label = self.element_names[i] if len(self.element_names) == self.size else str(i)
                line = (
                    f"input {self.name!r}: element {label} is {value:.6g}, trained range "
                    f"{low:.6g} to {high:.6g} {self.unit}".rstrip()
                )
        return line


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What a sensor returned: arrays by name with one stamp."""

    arrays: Mapping[str, Any]
    sequence: int
    """Number of the reading; the same number means the same reading again."""
    stamp_ns: int
    """When it was measured, by the ROS clock (by the steady clock where clock is `receipt`)."""
    receipt_ns: int
    """When it arrived, by the steady clock."""


def _repeat(numbers: tuple[float, ...], n: int) -> tuple[float, ...]:
    return numbers * n if len(numbers) == 1 else numbers
