"""The way of commands to the joints of N arms in training, on the device: late and lost."""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import warp as wp
from torch import Tensor

from sim2arm.core.contract import TrainedRange
from sim2arm.core.robots import Robot

from .delay import CommandDelay, Spread, lateness, most_shift, shift
from .delay_kernels import make_kernel
from .tasks.base import put
from .warp_device import recorded

if TYPE_CHECKING:
    from .command_path import CommandPath

STOP_SHARE, STOP_RAMP, LONGEST_STOP = 0.9, 0.02, 1.0
"""How the gate plans stops: share of the acceleration limit, ramp [s], longest braking [s].

They are those of `sim2arm_ros.gate.GateCfg`, which the simulation cannot import; a test holds them.
"""
COMMANDS = "commands"
"""Among start states: the number that the delay of commands is drawn with."""


class CommandLine:
    """What is late on its way to the joints of N arms; `delay` says how it is simulated.

    Attributes:
        term: how late they come.
        level: share of each range that is drawn from, 0 to 1, as in `Sensing`: a delay is drawn in
            towards its least, jitter and losses are that share of theirs.
        delay: (N,) int32, delay of all motion of the episodes under way [substeps].
        late: (N,) int32, how long after the start of its motion the command of the last control
            period came [substeps]; as many as a period has: not at all.
    """

    def __init__(
        self,
        term: CommandDelay,
        robot: Robot,
        path: CommandPath,
        asked: Tensor,
        *,
        column: int,
        period: float,
        generator: torch.Generator,
    ) -> None:
        """Wait for a start.

        Args:
            term: how late commands come.
            robot: the arm.
            path: whose controls (N, S, nu) are changed.
            asked: (N, 4, n) what it asks for, position to jerk at the start of the period.
            column: of the first joint among the controls.
            period: of control [s].
            generator: of jitter and losses, on the device.
        """
        n, substeps, _ = path.controls.shape
        joints = asked.shape[-1]
        self.term, self.level, self._generator = term, 1.0, generator
        self._leading, self._period, self._step = path.leading, period, period / substeps
        self._substeps = substeps
        self._spread = Spread(term.jitter, term.samples, asked)
        most = most_shift(term, self._step)
        like: dict[str, Any] = {"dtype": asked.dtype, "device": asked.device}
        whole: dict[str, Any] = {"dtype": torch.int32, "device": asked.device}
        self.delay, self.late, self._count = (torch.zeros(n, **whole) for _ in range(3))
        shapes = ((n, 4, joints), (n, 3, joints), (n,), (n, joints), (n, substeps + most, joints))
        self._kept = [torch.zeros(shape, **like) for shape in shapes]
        braking = torch.tensor(robot.limits.ddq_max, **like) * STOP_SHARE
        self._numbers = (braking, torch.tensor([period, STOP_RAMP, LONGEST_STOP], **like))
        self._device = asked.device
        self._deliver = recorded(
            make_kernel(wp.dtype_from_torch(asked.dtype), joints),
            n,
            [asked, path.leading, path.lead, self.late, self.delay, *self._numbers, column],
            [self._count, *self._kept, path.controls],
            asked.device,
        )

    def start(self, chosen: Tensor, unit: Tensor | None = None) -> None:
        """Begin at rest in chosen worlds (N,) bool, nothing under way; unit (N, 1) in [0, 1)."""
        put(self._count, chosen, 0)
        if unit is not None:
            put(self.delay, chosen, shift(self.term, unit[:, 0], self._step, self.level))

    def deliver(self) -> None:
        """Change the controls of the next control period to those that come."""
        if self._spread.varies or self.term.lost:
            unit = torch.rand(
                (len(self.late), 2),
                generator=self._generator,
                dtype=self._kept[0].dtype,
                device=self._device,
            )
            head = self._period * self._leading.to(unit.dtype)
            self.late.copy_(lateness(self.term, self._spread, unit, head, self._step,
                                     self._substeps, self.level))  # fmt: skip
        self._deliver()

    def shifts(self) -> tuple[float, float]:
        """Return least and greatest delay of all motion [s] at the level, as it is drawn."""
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
        low, high = shift(self.term, ends, self._step, self.level).tolist()
        return low * self._step, high * self._step

    def ranges(self) -> tuple[TrainedRange, ...]:
        """Return what single commands had to bear at the level, for the contract."""
        found: list[TrainedRange] = []
        if self._spread.varies:
            low, high = self._spread.bounds(self.level)
            found.append(TrainedRange(name="latency/command", unit="s", low=low, high=high))
        if self.term.lost:
            share = self.level * self.term.lost
            found.append(TrainedRange(name="lost/command", unit="1", low=0.0, high=share))
        return tuple(found)
