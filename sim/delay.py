"""How late commands come to the joints of N arms: by episode, by command, or not at all.

A motion begins at its action, or one period later in worlds that lead, and the arm ends each motion
by a stop if no other follows, as the gate sends it (`core.trajectory.with_stop`). Two things differ
from that here, and a robot has both:

- Everything comes later by a delay, the same for all commands of an episode: of the drives, or of
  a gate that leads by more than a period. The motion is as it was, later. What moves the joints is
  then the law of `sim/arm.py` with targets of the past and joints of the present, known as delayed
  PD: `torque = kp (q_des(t - d) - q(t)) + kd (dq_des(t - d) - dq(t))`. The loop inside the
  drives, from measured joint to torque, is not delayed: on a robot it runs at 1 kHz.
- Single commands reach the joint trajectory controller late or never. It goes on along the
  trajectory that it has, into the coast and the stop, and joins what comes next on a cubic from
  its own desired state to the end of the motion (`core.trajectory.join`). Neither policy nor gate
  know of it: what is late before the gate, the gate judges and tells (`Gate.take_over`).

Both count in whole physics substeps. Between the grid and the truth lies half a substep at most.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .arm import NEVER


@dataclass(frozen=True, kw_only=True)
class CommandDelay:
    """How late the commands of the arm's joints come; the gripper has a delay of its own.

    A command that is not there when its motion should begin is joined under way. With a lead of one
    period all that comes within it is in time. What comes a whole period late is left out.
    """

    low: float = 0.0
    """Least delay of all motion of an episode, uniform [s]."""
    high: float = 0.0
    """Greatest such delay [s]."""
    share: float = 1.0
    """Share of episodes that differ from the least delay; in the others it is the least."""
    jitter: float = 0.0
    """Greatest time that a command needs from its action to the controller, uniform [s]."""
    samples: tuple[float, ...] = ()
    """Measured times from actions to the controller [s], in place of jitter; each command draws
    one of them: what is measured on one robot is how its commands differ, not how robots do."""
    lost: float = 0.0
    """Share of commands that never arrive."""

    def __post_init__(self) -> None:
        """Refuse what is no delay."""
        check_delay(self)
        if not 0.0 <= self.lost <= 1.0:
            raise ValueError(f"lost: expected 0 to 1, got {self.lost}")


def check_delay(term: Any) -> None:
    """Refuse a term whose low, high, share, jitter and samples are no delay.

    Raises:
        ValueError: so it is.
    """
    if not 0.0 <= term.low <= term.high < 1.0 or not 0.0 <= term.jitter < 1.0:
        raise ValueError(
            "expected 0 <= low <= high < 1 s and 0 <= jitter < 1 s, got "
            f"{term.low}, {term.high} and {term.jitter}"
        )
    if not 0.0 < term.share <= 1.0:
        raise ValueError(f"share: expected above 0 to 1, got {term.share}")
    check_samples(term.samples)
    if term.samples and term.jitter:
        raise ValueError(f"samples are in place of jitter: expected jitter 0, got {term.jitter}")


def drawn_delay(term: Any, unit: Tensor, level: float) -> Tensor:
    """Return the delays [s] of episodes for numbers in [0, 1], drawn in to the least by a level.

    The least delay is an end of the range, and that of commands and of readings at once a corner:
    uniform draws alone come there too seldom to be learnt. Hence `share`.
    """
    beyond = torch.clamp((unit - (1.0 - term.share)) / term.share, min=0.0)
    return term.low + level * (term.high - term.low) * beyond


def check_samples(samples: Sequence[float]) -> None:
    """Refuse measured latencies that are none.

    Raises:
        ValueError: one is not 0 to below 1 s.
    """
    for value in samples:
        if not 0.0 <= value < 1.0:
            raise ValueError(f"samples: expected latencies of 0 to below 1 s, got {value}")


class Spread:
    """What is drawn for each command or reading: uniform from 0, or one of measured values."""

    def __init__(self, jitter: float, samples: Sequence[float], like: Tensor) -> None:
        """Take the greatest [s], or what was measured [s]; numbers are as those of `like`."""
        self._jitter, self._table = jitter, like.new_tensor(sorted(samples))
        self._low, self._high = min(samples, default=0.0), max(samples, default=jitter)

    @property
    def varies(self) -> bool:
        """Whether anything else than 0 is drawn."""
        return self._high > 0.0

    def bounds(self, level: float) -> tuple[float, float]:
        """Return the least and the greatest [s] at a level, which draws them in to the least."""
        return self._low, self._low + level * (self._high - self._low)

    def draw(self, unit: Tensor, level: float) -> Tensor:
        """Return times [s] for numbers in [0, 1): the inverse of their distribution."""
        if not len(self._table):
            return level * self._jitter * unit
        rows = (unit * len(self._table)).to(torch.int64).clamp(max=len(self._table) - 1)
        return self._low + level * (self._table[rows] - self._low)


class Arrivals:
    """When commands reach the controllers of N simulated arms; each draws from a stream of its own.

    So the outcome of an episode does not depend on those that run beside it.
    """

    def __init__(
        self, term: CommandDelay, unit: float, seeds: Sequence[Sequence[int]], *, period: float,
        substeps: int,
    ) -> None:  # fmt: skip
        """Begin an episode of each arm.

        Args:
            term: how late commands come.
            unit: in [0, 1], where in its range the delay of all motion lies.
            seeds: of the stream of each arm, N.
            period: of control [s].
            substeps: physics steps of a period.
        """
        self._term, self._substeps, self._step = term, substeps, period / substeps
        place = torch.tensor(unit, dtype=torch.float64)
        self._shift = int(shift(term, place, self._step, 1.0))
        self._spread = Spread(term.jitter, term.samples, place)
        self._streams = [np.random.Generator(np.random.PCG64(list(seed))) for seed in seeds]

    def next(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return when the commands of this tick arrive.

        Returns:
            Physics substeps until then (N,), `NEVER` for those that are lost; and how much of their
            trajectories has passed by then [s], (N,).
        """
        unit = torch.from_numpy(np.stack([stream.random(2) for stream in self._streams]))
        late = lateness(self._term, self._spread, unit, torch.zeros(len(unit)), self._step,
                        self._substeps, 1.0).numpy()  # fmt: skip
        after = np.where(late < self._substeps, late + self._shift, NEVER).astype(np.int64)
        return after, late * self._step


def shift(term: CommandDelay, unit: Tensor, step: float, level: float) -> Tensor:
    """Return the delay of all motion for numbers in [0, 1), the nearest whole substeps."""
    drawn = torch.round(drawn_delay(term, unit, level) / step)
    return drawn.clamp(max=most_shift(term, step))  # float32 may round up what lies between two


def most_shift(term: CommandDelay, step: float) -> int:
    """Return the greatest delay of all motion in substeps: so much of the past is kept."""
    return round(term.high / step)


def lateness(
    term: CommandDelay,
    spread: Spread,
    unit: Tensor,
    head: Tensor,
    step: float,
    substeps: int,
    level: float,
) -> Tensor:
    """Return how many substeps after the start of their motions commands come.

    Args:
        term: how late they come.
        spread: what their latencies are drawn from.
        unit: (N, 2) in [0, 1): for the latency, and for the loss.
        head: (N,) how long after its action a motion begins [s].
        step: a substep [s].
        substeps: of a control period; what comes after as many does not come at all.
        level: share of the ranges.
    """
    late = torch.round((spread.draw(unit[:, 0], level) - head) / step).clamp(0, substeps)
    return torch.where(unit[:, 1] < level * term.lost, float(substeps), late)
