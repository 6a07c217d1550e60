"""How sensors see the truth in training: old, late, lost, biased and noisy readings, on the device.

Terms name observations of sensors and goals; what is derived from them (`ee_pose`) is derived from
what was read, as on the robot. Episodes draw delay and bias from their own stream; jitter, losses
and white noise come from the environment's, in every control step. Actor and critic see the same
readings; the critic's further observations stay true.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import Robot

from .delay import Spread, check_delay, drawn_delay
from .tasks.base import put

Observations: TypeAlias = dict[str, Tensor]
SENSORS = "sensors"
"""Among start states: the numbers that delays and biases are drawn with."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Bias and white noise of one observation, in its unit; of a pose, of its position [m]."""

    name: str
    bias: float = 0.0
    """Largest bias of each element, uniform, the same during an episode."""
    deviation: float = 0.0
    """Standard deviation of each reading, normal."""

    def __post_init__(self) -> None:
        """Refuse what is no noise."""
        for name in ("bias", "deviation"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Delay:
    """Age of the readings of one sensor, which may be several observations.

    Between the instants of control, readings are interpolated; a quaternion is normalised again.
    No reading is followed by an older one: as on a robot, the newest that has come is seen.
    """

    names: tuple[str, ...]
    low: float = 0.0
    """Least delay, drawn per episode, uniform [s]."""
    high: float = 0.0
    """Greatest delay [s]."""
    share: float = 1.0
    """Share of episodes that differ from the least delay; in the others it is the least."""
    jitter: float = 0.0
    """Greatest further delay of each reading, uniform [s]."""
    samples: tuple[float, ...] = ()
    """Measured delays [s], in place of jitter; each reading draws one of them: what is measured on
    one robot is how its readings differ, not how robots do. low and high, which are added, say
    how well the least is known."""
    lost: float = 0.0
    """Share of readings that do not arrive; the last one is then seen again."""

    def __post_init__(self) -> None:
        """Refuse what is no delay."""
        check_delay(self)
        if not 0.0 <= self.lost < 1.0:
            raise ValueError(f"lost: expected 0 to below 1, got {self.lost}")


SensorTerm: TypeAlias = Noise | Delay


class Sensing:
    """The sensors of N worlds.

    Attributes:
        terms: how they see.
        level: share of each range that is drawn from, 0 to 1, as in `Randomizer`: biases,
            deviations, jitter and losses are that share of theirs, a delay is drawn in towards
            its least. Biases and delays of running episodes stay.
    """

    def __init__(
        self,
        terms: Sequence[SensorTerm],
        truth: Observations,
        robot: Robot,
        *,
        period: float,
        generator: torch.Generator,
    ) -> None:
        """Take what there is to see.

        Args:
            terms: how it is seen.
            truth: observations (N, ...) as they are, for names, shapes, type and device.
            robot: the arm, for what is derived.
            period: of control [s].
            generator: of jitter, losses and white noise, on the device.

        Raises:
            KeyError: a term names an observation that there is not.
            ValueError: a term names one that is derived, or two delay the same.
        """
        self._robot, self._generator, self.level = robot, generator, 1.0
        delays = [term for term in terms if isinstance(term, Delay)]
        self.terms, self._noises = tuple(terms), [t for t in terms if isinstance(t, Noise)]
        seen = [name for term in delays for name in term.names]
        if len(set(seen)) != len(seen):
            raise ValueError(f"two delays of the same observation: {seen}")
        for name in (*seen, *(term.name for term in self._noises)):
            if name not in truth:
                raise KeyError(f"no observation {name!r}. Known: {sorted(truth)}")
            if name == "ee_pose":
                raise ValueError("ee_pose follows from joint_position: name that in its place")
        self._lines = [_Line(term, truth, period, generator) for term in delays]
        self._biases = {
            term.name: torch.zeros_like(_noisy_part(term.name, truth[term.name]))
            for term in self._noises
        }
        touched = {*seen, *(term.name for term in self._noises)}
        self._derives = "joint_position" in touched and "ee_pose" in truth

    @property
    def count(self) -> int:
        """How many numbers an episode draws."""
        return len(self._lines) + sum(b.shape[1] for b in self._biases.values())

    @property
    def noises(self) -> tuple[Noise, ...]:
        """Those terms that are noise, as they are at the level."""
        return tuple(
            replace(t, bias=self.level * t.bias, deviation=self.level * t.deviation)
            for t in self._noises
        )

    def ages(self) -> Mapping[str, tuple[float, float]]:
        """Return least and greatest age [s] that each delayed observation has, but for losses."""
        return {name: line.ages(self.level) for line in self._lines for name in line.names}

    def start(self, chosen: Tensor, unit: Tensor, truth: Observations) -> None:
        """Begin episodes: the past is the present, delays and biases are drawn anew.

        Args:
            chosen: (N,) bool.
            unit: (N, count) in [0, 1).
            truth: observations now.
        """
        for i, line in enumerate(self._lines):
            line.start(chosen, unit[:, i], truth, self.level)
        first = len(self._lines)
        for term in self._noises:
            bias = self._biases[term.name]
            size = bias.shape[1]
            drawn = self.level * term.bias * (2.0 * unit[:, first : first + size] - 1.0)
            put(bias, chosen, drawn.to(bias.dtype))
            first += size

    def read(self, truth: Observations) -> Observations:
        """Return the readings of the next instant of control."""
        for line in self._lines:
            line.push(truth)
        return self._look(truth)

    def first(self, chosen: Tensor, truth: Observations) -> Observations:
        """Return the readings with which episodes begin in chosen worlds (N,) bool.

        Those of other worlds mean nothing; what these have seen last stays.
        """
        return self._look(truth, chosen)

    def _look(self, truth: Observations, chosen: Tensor | None = None) -> Observations:
        seen = dict(truth)
        for line in self._lines:
            seen |= line.read(self.level, chosen)
        for term in self._noises:
            values, bias = seen[term.name], self._biases[term.name]
            white = torch.randn(
                bias.shape, generator=self._generator, dtype=bias.dtype, device=bias.device
            )
            noise = bias + self.level * term.deviation * white
            if bias.shape[1] != values.shape[1]:  # a pose: its position
                noise = torch.cat([noise, torch.zeros_like(values[:, bias.shape[1] :])], dim=-1)
            seen[term.name] = values + noise
        if self._derives:
            seen["ee_pose"] = forward_pose(self._robot.chain, seen["joint_position"])
        return seen


class _Line:
    """What one sensor has seen in the last control periods, for N worlds."""

    def __init__(
        self, term: Delay, truth: Observations, period: float, generator: torch.Generator
    ) -> None:
        self._term, self._period, self._generator = term, period, generator
        self.names = term.names
        self._spread = Spread(term.jitter, term.samples, truth[term.names[0]])
        length = 2 + math.ceil(self.ages(1.0)[1] / period - 1e-9)
        self._past = {
            name: torch.zeros((length, *truth[name].shape), dtype=truth[name].dtype,
                              device=truth[name].device)
            for name in term.names
        }  # fmt: skip
        self._last = {name: truth[name].clone() for name in term.names}
        some = truth[term.names[0]]
        self._delay = torch.zeros(len(some), dtype=some.dtype, device=some.device)
        self._seen = torch.full_like(self._delay, math.inf)  # age of what was seen last
        self._worlds = torch.arange(len(some), device=some.device)
        self._length, self._head = length, 0

    def ages(self, level: float) -> tuple[float, float]:
        """Return least and greatest age [s] at a level, but for losses."""
        low, high = self._term.low, self._term.high
        least, most = self._spread.bounds(level)
        return low + least, (1.0 - level) * low + level * high + most

    def start(self, chosen: Tensor, unit: Tensor, truth: Observations, level: float) -> None:
        put(self._seen, chosen, math.inf)
        drawn = drawn_delay(self._term, unit, level)
        put(self._delay, chosen, drawn.to(self._delay.dtype))
        for name, past in self._past.items():
            put(self._last[name], chosen, truth[name])
            mask = chosen.reshape(-1, *[1] * (past.ndim - 2))
            past.copy_(torch.where(mask, truth[name], past))

    def push(self, truth: Observations) -> None:
        self._head = (self._head + 1) % self._length
        self._seen += self._period
        for name, past in self._past.items():
            past[self._head].copy_(truth[name])

    def read(self, level: float, chosen: Tensor | None) -> Observations:
        age = self._delay
        if self._spread.varies:
            age = torch.minimum(age + self._spread.draw(self._rand(), level), self._seen)
        periods = age / self._period
        whole = periods.floor()
        share = periods - whole
        newer = (self._head - whole.to(torch.int64)) % self._length
        older = (newer - 1) % self._length
        arrived = self._rand() >= level * self._term.lost if self._term.lost else None
        if chosen is not None:
            arrived = chosen if arrived is None else chosen & arrived
        for name, past in self._past.items():
            tail = [1] * (past.ndim - 2)
            a, b = past[newer, self._worlds], past[older, self._worlds]
            seen = a + share.reshape(-1, *tail) * (b - a)
            if _is_pose(name):
                turn = seen[:, 3:]
                length = torch.linalg.vector_norm(turn, dim=-1, keepdim=True)
                seen = torch.cat([seen[:, :3], turn / length], dim=-1)
            if arrived is None:
                self._last[name].copy_(seen)
            else:
                put(self._last[name], arrived, seen)
        if arrived is None:
            self._seen.copy_(age)
        else:
            put(self._seen, arrived, age)
        return {name: values.clone() for name, values in self._last.items()}

    def _rand(self) -> Tensor:
        like = self._delay
        return torch.rand(
            like.shape, generator=self._generator, dtype=like.dtype, device=like.device
        )


def merge(chosen: Tensor, there: Observations, elsewhere: Observations) -> Observations:
    """Return observations (N, ...): those of chosen worlds (N,) bool, and the others'."""
    return {
        name: torch.where(chosen.reshape(-1, *[1] * (values.ndim - 1)), values, elsewhere[name])
        for name, values in there.items()
    }


def _is_pose(name: str) -> bool:
    return name.endswith("_pose")


def _noisy_part(name: str, values: Tensor) -> Tensor:
    """Return the elements that noise acts on: all, or the position of a pose."""
    return values[:, :3] if _is_pose(name) else values
