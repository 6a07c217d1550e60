"""Which readings a policy sees at a control tick: the rules of the contract as code.

The simulation and the robot use the same functions. `latest`, `nearest`, `bracket` and `frames`
work on arrays of stamps (..., K), sorted, with `NEVER` in front where fewer than K readings have
come, so that N worlds are sampled at once. `Sampler` applies them to the readings of one robot.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device  # pyright: ignore[reportUnknownVariableType]
from numpy.typing import NDArray

from .spec import ArraySpec, Reading, StaleReading
from .transforms import Array

NEVER = -(2**62)
"""Stamp of a reading that never came [ns]."""
FUTURE_TOLERANCE_NS = 5_000_000
"""How far ahead of our clock a stamp may be: the error of synchronised clocks [ns]."""
_NS_PER_S = 1e9


def latest(stamps: Array, t: Array) -> Array:
    """Return the index (...) of the newest reading with a stamp at or before t, -1 if none.

    Args:
        stamps: (..., K) integer stamps, sorted along the last axis [ns].
        t: (...) integer times [ns], or one number.
    """
    xp = array_namespace(stamps)
    times = xp.asarray(t, dtype=stamps.dtype)[..., None]
    count = xp.sum(xp.astype(stamps <= times, xp.int64), axis=-1)
    missing = xp.sum(xp.astype(stamps == NEVER, xp.int64), axis=-1)
    return xp.where(count > missing, count - 1, xp.full_like(count, -1))


def bracket(stamps: Array, t: Array) -> tuple[Array, Array, Array]:
    """Return the readings around t: indices (...) before and after, and the weight of the second.

    Outside of the stamps both are the nearest end. Both are -1 if no reading came.
    """
    xp = array_namespace(stamps)
    times = xp.asarray(t, dtype=stamps.dtype)
    size = stamps.shape[-1]
    missing = xp.sum(xp.astype(stamps == NEVER, xp.int64), axis=-1)
    count = xp.sum(xp.astype(stamps <= times[..., None], xp.int64), axis=-1)
    before = xp.maximum(count - 1, missing)
    after = xp.minimum(xp.maximum(count, missing), xp.full_like(count, size - 1))
    before = xp.minimum(before, after)
    first, second = _take(stamps, before), _take(stamps, after)
    width = xp.astype(xp.maximum(second - first, xp.ones_like(first)), xp.float64)
    weight = xp.clip(xp.astype(times - first, xp.float64) / width, 0.0, 1.0)
    weight = xp.where(after > before, weight, xp.zeros_like(weight))
    none = missing == size
    absent = xp.full_like(before, -1)
    return xp.where(none, absent, before), xp.where(none, absent, after), weight


def nearest(stamps: Array, t: Array) -> Array:
    """Return the index (...) of the reading nearest to t, the older one on a tie; -1 if none."""
    xp = array_namespace(stamps)
    before, after, weight = bracket(stamps, t)
    return xp.where(weight > 0.5, after, before)


def frames(stamps: Array, newest: Array, n: int) -> Array:
    """Return the indices (..., n) of the last n readings, oldest first, ending at `newest`.

    Where fewer came the oldest is repeated, as at the start of an episode.
    """
    xp = array_namespace(stamps)
    missing = xp.sum(xp.astype(stamps == NEVER, xp.int64), axis=-1)
    back = xp.arange(n - 1, -1, -1, dtype=newest.dtype, device=device(newest))
    return xp.maximum(newest[..., None] - back, xp.minimum(missing, newest)[..., None])


def _take(values: Array, index: Array) -> Array:
    """Return values (..., K) at indices (...)."""
    xp = array_namespace(values)
    return xp.take_along_axis(values, index[..., None], axis=-1)[..., 0]


class Later:
    """An array that is made when a tick first uses it, and once: a picture that is not decoded yet.

    Among the arrays of a reading it stands for the array that it makes.
    """

    def __init__(self, make: Callable[[], NDArray[Any]]) -> None:
        """Keep how it is made.

        Args:
            make: returns the array, nobody else's memory; a ValueError of one line if it cannot.
        """
        self._make: Callable[[], NDArray[Any]] | None = make
        self._array: NDArray[Any] | None = None

    @property
    def array(self) -> NDArray[Any]:
        """The array.

        Raises:
            ValueError: of `make`.
        """
        if self._array is None:
            assert self._make is not None  # there is the one or the other
            self._array = self._make()
            self._make = None  # what it is made of is no longer held
        return self._array


class SampleBuffer:
    """The recent readings of one input on one robot.

    Attributes:
        rejected: how many readings were refused, by reason.
    """

    def __init__(self, spec: ArraySpec, capacity: int = 64) -> None:
        """Keep the last `capacity` readings of an input, or as many as its rule may choose.

        Raises:
            ValueError: the history of the input is longer than the capacity.
        """
        if spec.history is not None and spec.history.n > capacity:
            raise ValueError(
                f"input {spec.name!r}: a history of {spec.history.n} does not fit a buffer of "
                f"{capacity} readings: raise the capacity"
            )
        self.spec = spec
        self.rejected: Counter[str] = Counter()
        history = 1 if spec.history is None else spec.history.n
        self._capacity = history if spec.rule == "latest" else capacity
        self.reset()

    def reset(self) -> None:
        """Forget everything, as at the start of an episode or after a clock was set."""
        self._values: deque[NDArray[Any] | Later] = deque(maxlen=self._capacity)
        self._stamps: deque[int] = deque(maxlen=self._capacity)
        self._receipts: deque[int] = deque(maxlen=self._capacity)
        self._sequence: int | None = None
        self._ticks: deque[NDArray[Any]] = deque(maxlen=self._capacity)

    def push(self, reading: Reading, now_ns: int) -> bool:
        """Take a reading; return whether it was new and in order.

        Args:
            reading: arrays by name; this input's must be among them. One that is made `Later` is
                checked when a tick uses it.
            now_ns: the time now on the clock of the stamps.

        Raises:
            ValueError: the array is not what the contract says.
        """
        spec = self.spec
        if spec.name not in reading.arrays:
            raise ValueError(f"input {spec.name!r}: the reading has only {sorted(reading.arrays)}")
        if reading.sequence == self._sequence:
            return False  # the newest reading once more
        stamp = reading.receipt_ns if spec.clock == "receipt" else reading.stamp_ns
        reason = None
        if stamp <= 0:
            reason = "without stamp"
        elif stamp > now_ns + FUTURE_TOLERANCE_NS:
            reason = "from the future"
        elif self._stamps and stamp <= self._stamps[-1]:
            reason = "out of order"
        if reason is not None:
            self.rejected[reason] += 1
            return False
        value = reading.arrays[spec.name]
        if not isinstance(value, Later):
            value = np.array(self._checked(value))  # drivers reuse their buffers
        self._sequence = reading.sequence
        self._values.append(value)
        self._stamps.append(stamp)
        self._receipts.append(reading.receipt_ns)
        return True

    @property
    def stamp_ns(self) -> int | None:
        """Stamp of the newest reading, or none."""
        return self._stamps[-1] if self._stamps else None

    def ages(self, now_ns: int, steady_ns: int) -> tuple[float, float]:
        """Return the ages of the newest reading by stamp and by receipt, ([s], [s]).

        Raises:
            StaleReading: nothing was received.
        """
        if not self._stamps:
            raise StaleReading(f"input {self.spec.name!r}: nothing received yet")
        return (now_ns - self._stamps[-1]) / _NS_PER_S, (steady_ns - self._receipts[-1]) / _NS_PER_S

    def sample(self, now_ns: int, steady_ns: int, anchor_ns: int | None = None) -> NDArray[Any]:
        """Return what the policy sees at this tick, *array_shape.

        Args:
            now_ns: time of the tick on the clock of the stamps.
            steady_ns: the same moment on the steady clock.
            anchor_ns: stamp chosen for the anchor input, where the rule names one.

        Raises:
            StaleReading: nothing received, or an age above the contract's.
        """
        chosen = self.choose(now_ns, steady_ns, anchor_ns)
        return self.values(*chosen)

    def choose(
        self, now_ns: int, steady_ns: int, anchor_ns: int | None = None
    ) -> tuple[int, int, float]:
        """Return the indices of two readings and the weight of the second, ages checked.

        Raises:
            StaleReading: nothing received, or an age above the contract's.
        """
        spec = self.spec
        _, receipt_age = self.ages(now_ns, steady_ns)
        stamps = np.asarray(self._stamps, dtype=np.int64)
        t = now_ns if anchor_ns is None else anchor_ns
        if spec.rule == "interpolate":
            first, second, share = bracket(stamps, np.int64(t))
            before, after, weight = int(first), int(second), float(share)
        else:
            # The newest received: a stamp a little ahead of our clock is still the newest.
            before = len(stamps) - 1 if spec.rule == "latest" else int(nearest(stamps, np.int64(t)))
            after, weight = before, 0.0
        stamp_age = (now_ns - int(stamps[after])) / _NS_PER_S
        for label, age, most in (
            ("stamp", stamp_age, spec.max_stamp_age_s),
            ("receipt", receipt_age, spec.max_receipt_age_s),
        ):
            if most is not None and age > most:
                raise StaleReading(
                    f"input {spec.name!r}: {label} age {age * 1e3:.1f} ms, "
                    f"allowed {most * 1e3:.1f} ms"
                )
        return before, after, weight

    def stamp_at(self, index: int) -> int:
        """Return the stamp of a reading that `choose` named."""
        return self._stamps[index]

    def _checked(self, value: NDArray[Any]) -> NDArray[Any]:
        spec = self.spec
        spec.check_frame(value)
        if value.shape != spec.shape:
            raise ValueError(
                f"input {spec.name!r}: expected one frame of shape {spec.shape}, got {value.shape}"
            )
        return value

    def _at(self, index: int) -> NDArray[Any]:
        value = self._values[index]
        return self._checked(value.array) if isinstance(value, Later) else value

    def _value(self, before: int, after: int, weight: float) -> NDArray[Any]:
        if weight == 0.0:
            return self._at(before)
        first = self._at(before).astype(np.float64)
        mixed = first + weight * (self._at(after).astype(np.float64) - first)
        return mixed.astype(self.spec.dtype)

    def values(self, before: int, after: int, weight: float) -> NDArray[Any]:
        """Return the input, *array_shape, for the readings that `choose` named.

        Raises:
            ValueError: an array that is made `Later` is not what the contract says.
        """
        history = self.spec.history
        value = self._value(before, after, weight)
        if history is None:
            return value.copy()
        if history.of == "ticks":
            self._ticks.append(value)
            seen = list(self._ticks)[-history.n :]
            return np.stack([seen[0]] * (history.n - len(seen)) + seen)
        stamps = np.asarray(self._stamps, dtype=np.int64)
        older = frames(stamps, np.asarray(before), history.n)
        stack = [self._at(int(index)) for index in older]
        stack[-1] = value
        return np.stack(stack)


class Sampler:
    """The inputs of a contract on one robot, sampled together.

    Derived, noise and prefix inputs are made elsewhere; this samples sensors and goals.
    """

    def __init__(self, specs: Iterable[ArraySpec], capacity: int = 64) -> None:
        """Make a buffer for every sensor and goal among the inputs."""
        chosen = [spec for spec in specs if spec.kind in ("sensor", "goal")]
        self.buffers = {spec.name: SampleBuffer(spec, capacity) for spec in chosen}
        self.stamps: dict[str, int] = {}
        """Of the readings that the last tick saw [ns]; of two that were mixed, of the first."""
        self._order = _anchors_first(chosen)

    def reset(self) -> None:
        """Forget all readings."""
        for buffer in self.buffers.values():
            buffer.reset()

    def push(self, reading: Reading, now_ns: int) -> bool:
        """Hand a reading to every input that it has an array for; return whether any was new.

        Raises:
            ValueError: an array is not what the contract says.
        """
        names = [name for name in reading.arrays if name in self.buffers]
        return any([self.buffers[name].push(reading, now_ns) for name in names])

    def sample(self, now_ns: int, steady_ns: int) -> dict[str, NDArray[Any]]:
        """Return every sampled input at this tick, *array_shape each.

        Raises:
            StaleReading: an input is too old or missing; tick histories are then unchanged.
            ValueError: an array that is made `Later` is not what the contract says.
        """
        chosen: dict[str, tuple[int, int, float]] = {}
        stamps: dict[str, int] = {}
        for name in self._order:
            buffer = self.buffers[name]
            anchor = buffer.spec.anchor
            at = stamps[anchor] if anchor is not None else None
            chosen[name] = buffer.choose(now_ns, steady_ns, at)
            stamps[name] = buffer.stamp_at(chosen[name][0])
        self.stamps = stamps
        return {name: self.buffers[name].values(*chosen[name]) for name in self.buffers}

    def ages(self, now_ns: int, steady_ns: int) -> Mapping[str, tuple[float, float]]:
        """Return (stamp age, receipt age) of the newest reading of every input received [s]."""
        received = {n: b for n, b in self.buffers.items() if b.stamp_ns is not None}
        return {name: buffer.ages(now_ns, steady_ns) for name, buffer in received.items()}


def _anchors_first(specs: Sequence[ArraySpec]) -> list[str]:
    """Return the names so that every anchor comes before what it anchors.

    Raises:
        ValueError: an anchor is not sampled, or anchors form a circle.
    """
    order: list[str] = []
    left = {spec.name: spec.anchor for spec in specs}
    while left:
        ready = [name for name, anchor in left.items() if anchor is None or anchor in order]
        if not ready:
            raise ValueError(
                f"sampling: the anchors of {sorted(left)} are not sampled inputs or form a circle"
            )
        order += ready
        left = {name: anchor for name, anchor in left.items() if name not in ready}
    return order
