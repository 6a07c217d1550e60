"""When a camera takes its pictures, and which of them a control tick sees, with its age.

A picture is due at `phase + k / rate` and is taken at the first control tick then or later, of the
state at that tick, whose time is its stamp: where the rate divides the control rate that is exact.
It is seen from `stamp + latency` on, by `core.sampling`. Before an episode the camera ran, too, on
a scene that stood still: the first ticks see pictures of the start, as old as they would be.
"""

# pyright: standard

from __future__ import annotations

import math

import torch
from torch import Tensor

from sim2arm.core.sampling import frames, latest

from .tasks.base import put

_NS = 1e9
COUNT = 2
"""Numbers that an episode draws."""
_SLACK_NS = 1000
"""Rounding of instants [ns]; a picture due that soon after a tick is taken at it."""


class CameraFrames:
    """The recent pictures of one camera in N worlds.

    Attributes:
        due: (N,) bool, the worlds in which a picture is to be taken now.
        history: how many of the latest pictures a tick sees.
        in_place: whether `read` returns what is kept here, as of one world on a CPU that sees one
            picture: it stays for another tick, through a start too.
    """

    def __init__(
        self,
        frame: Tensor,
        *,
        rate_hz: float,
        period: float,
        phase: float | None = 0.0,
        latency: tuple[float, float] = (0.0, 0.0),
        history: int = 1,
    ) -> None:
        """Allocate.

        Args:
            frame: pictures (N, ...), for shape, type and device.
            rate_hz: pictures per second.
            period: between control ticks [s].
            phase: from tick 0 to the first picture of an episode [s], in [0, 1 / rate); None: any,
                drawn per episode.
            latency: least and greatest time from a picture to its arrival [s], drawn per episode.
            history: how many of the latest pictures a tick sees.

        Raises:
            ValueError: the rate is above that of the ticks, or a number has no sense.
        """
        if not 0.0 < rate_hz * period <= 1.0 + 1e-9:
            raise ValueError(
                f"rate_hz: expected above 0 and at most the control rate, {1.0 / period:g} Hz, got "
                f"{rate_hz:g}: pictures between ticks would be lost"
            )
        low, high = latency
        if not 0.0 <= low <= high < math.inf or history < 1:
            raise ValueError(
                f"expected 0 <= low <= high s of latency and history >= 1, got {latency}, {history}"
            )
        if phase is not None and not 0.0 <= phase < 1.0 / rate_hz:
            raise ValueError(f"phase: expected 0 to below {1.0 / rate_hz:g} s, got {phase}")
        n, device = len(frame), frame.device
        self._interval, self._period = _NS / rate_hz, _NS * period
        self.history, self._fixed_phase, self._range = history, phase, latency
        # One that has arrived stays until the next arrives; nothing is under way without latency.
        size = history + (1 + math.ceil(high * rate_hz) if high > 0.0 else 0)
        self.in_place = n == 1 and history == 1 and device.type == "cpu"
        size += 2 * self.in_place  # what the tick before saw, and the start that follows this one
        self._ring = frame.new_zeros((n, size, *frame.shape[1:]))
        self._slots = torch.arange(size, device=device).repeat(n, 1)  # oldest first
        self._first = torch.full((n,), size - 1, device=device)  # what is older is the start's too
        self._stamps = torch.zeros((n, size), dtype=torch.int64, device=device)
        self._worlds = torch.arange(n, device=device)
        self._ticks = torch.zeros(n, dtype=torch.int64, device=device)
        self._taken = torch.zeros(n, dtype=torch.int64, device=device)  # number k of the last
        self._phase = torch.zeros(n, dtype=torch.float64, device=device)  # [ns]
        self._latency = torch.zeros(n, dtype=torch.int64, device=device)  # [ns]
        self.due = torch.zeros(n, dtype=torch.bool, device=device)

    @property
    def ages(self) -> tuple[float, float]:
        """Bounds of the age of what a tick sees [s]."""
        low, high = self._range
        return low, high + (self._interval + self._period) / _NS

    def start(self, chosen: Tensor, frame: Tensor, unit: Tensor) -> None:
        """Begin episodes, with pictures of their start.

        Args:
            chosen: (N,) bool.
            frame: pictures (N, ...) of the worlds as they stand.
            unit: (N, COUNT) in [0, 1), for phase and latency.
        """
        low, high = self._range
        drawn = unit[:, 0] * self._interval
        put(self._ticks, chosen, 0)
        put(self._phase, chosen, drawn if self._fixed_phase is None else _NS * self._fixed_phase)
        arrival = _NS * (low + (high - low) * unit[:, 1].to(torch.float64))
        put(self._latency, chosen, arrival.round().to(torch.int64))
        newest = self._number()
        put(self._taken, chosen, newest)
        size = self._ring.shape[1]
        back = torch.arange(size - 1, -1, -1, device=newest.device)
        number = (newest[:, None] - back).to(torch.float64)
        stamps = self._phase[:, None] + number * self._interval
        put(self._stamps, chosen, stamps.round().to(torch.int64).clamp(max=0))
        put(self._first, chosen, size - 1)
        put(self._slots, chosen, torch.roll(self._slots, -1, dims=1))
        self._write(self._slots[:, -1], chosen, frame)
        put(self.due, chosen, False)

    def advance(self) -> Tensor:
        """Let a control period pass; return `due`: draw those worlds, then `push`."""
        self._ticks += 1
        torch.gt(self._number(), self._taken, out=self.due)
        return self.due

    def skip(self, lost: Tensor) -> None:
        """Lose the pictures that are due in chosen worlds (N,) bool: what was seen before ages."""
        put(self._taken, lost & self.due, self._number())
        self.due &= ~lost

    def push(self, frame: Tensor) -> None:
        """Keep the pictures (N, ...) of worlds in which one was due."""
        self._write(self._slots[:, 0], self.due, frame)
        self.expose()

    def expose(self) -> None:
        """Let a picture be of now in worlds in which one is due; `develop` gives it, if not yet."""
        due = self.due
        put(self._slots, due, torch.roll(self._slots, -1, dims=1))
        put(self._first, due, (self._first - 1).clamp(min=0))
        stamps = torch.roll(self._stamps, -1, dims=1)
        stamps[:, -1] = self._now()
        put(self._stamps, due, stamps)
        put(self._taken, due, self._number())
        due.fill_(False)

    def develop(self, frame: Tensor, chosen: Tensor) -> None:
        """Give the pictures (N, ...) that were last exposed, in chosen worlds (N,) bool."""
        self._write(self._slots[:, -1], chosen, frame)

    @property
    def arrived(self) -> Tensor:
        """(N,) bool, whether the newest picture is seen from this tick on."""
        return self._now() - self._stamps[:, -1] >= self._latency

    def read(self, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what this tick sees.

        Args:
            out: (N * history, ...), where the pictures are written unless `in_place`; new memory
                by default.

        Returns:
            The newest picture that has arrived, (N, ...), or the last `history` of them, oldest
            first, (N, history, ...); and the age of the newest, (N,) float32 [s].
        """
        now = self._now()
        newest = latest(self._stamps, now - self._latency)
        stamp = torch.take_along_dim(self._stamps, newest[:, None], dim=1)[:, 0]
        age = ((now - stamp) / _NS).to(torch.float32)
        chosen = frames(self._stamps, newest, self.history)  # (N, history)
        chosen = torch.maximum(chosen, self._first[:, None])
        slots = torch.take_along_dim(self._slots, chosen, dim=1)
        n, size = self._slots.shape
        if self.in_place:
            return self._ring[:, int(slots)], age
        places = (self._worlds[:, None] * size + slots).flatten()
        seen = torch.index_select(self._ring.flatten(0, 1), 0, places, out=out)
        return (seen if self.history == 1 else seen.unflatten(0, (n, -1))), age

    def _write(self, slot: Tensor, chosen: Tensor, frame: Tensor) -> None:
        """Write pictures (N, ...) of chosen worlds (N,) bool into one slot (N,) of each."""
        if frame.device.type == "cpu":  # where asking which costs less than copying all
            rows = chosen.nonzero()[:, 0]
            if len(rows):
                given = frame if len(rows) == len(frame) else frame[rows]
                places = rows * self._ring.shape[1] + slot[rows]
                self._ring.flatten(0, 1).index_copy_(0, places, given)
            return
        mask = chosen.reshape(-1, *[1] * (frame.ndim - 1))
        self._ring[self._worlds, slot] = torch.where(mask, frame, self._ring[self._worlds, slot])

    def _now(self) -> Tensor:
        """Return the time of the present tick (N,) [ns]."""
        return (self._ticks.to(torch.float64) * self._period).round().to(torch.int64)

    def _number(self) -> Tensor:
        """Return which picture is the latest one due (N,)."""
        past = self._ticks.to(torch.float64) * self._period - self._phase + _SLACK_NS
        return torch.floor(past / self._interval).to(torch.int64)
