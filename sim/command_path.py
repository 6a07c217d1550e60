"""From actions to the controls of every physics substep, for N worlds on their device."""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import warp as wp
from torch import Tensor

from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robots import Robot

from .chain_kernels import link_poses
from .command_kernels import make_kernels
from .command_line import CommandLine
from .delay import CommandDelay
from .warp_device import recorded
from .worlds.base import World


class CommandPath:
    """Controller and low-level law of N arms: `EeDelta` and the spline that the joints follow.

    Attributes:
        cfg: of the controller.
        controls: (N, S, nu) controls of the substeps of the last control period.
        leading: (N,) bool, worlds in which a motion starts one period after its action, as on a
            robot in real time.
        lead: (N, n) kd / kp of the law that the actuators of each world follow [s].
        line: what makes commands late, None where they are in time.
    """

    def __init__(
        self,
        robot: Robot,
        world: World,
        *,
        period: float,
        substeps: int,
        cfg: EeDeltaCfg,
        delay: CommandDelay | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Stand at the home position, no motion under way.

        Args:
            robot: the arm; its actuators have the joints' names and lie side by side.
            world: the worlds.
            period: of control [s].
            substeps: physics steps of a period.
            cfg: of the controller.
            delay: how late commands come.
            generator: what single commands are late by is drawn with, on the device.

        Raises:
            ValueError: the margin of the configuration leaves a joint no range, or commands are
                late without a generator.
        """
        cfg.check(robot)
        self.cfg, self._world = cfg, world
        n, count = world.num_worlds, len(robot.chain.joint_names)
        self._like: dict[str, Any] = {"dtype": world.dtype, "device": world.device}
        self.controls = torch.zeros((n, substeps, len(world.actuators)), **self._like)
        self.leading = torch.zeros(n, dtype=torch.bool, device=world.device)
        ratio = torch.tensor(robot.kd, **self._like) / torch.tensor(robot.kp, **self._like)
        self.lead = ratio.repeat(n, 1)
        self._action = torch.zeros((n, 6), **self._like)
        self._measured = torch.zeros((n, 7), **self._like)
        self._q = torch.zeros((n, count), **self._like)
        self._chosen = torch.zeros(n, dtype=torch.bool, device=world.device)
        zeros = (torch.zeros(shape, **self._like) for shape in ((n, 7), (n, count)))
        self.pose, self.goal = zeros
        self._state, self._asked = (torch.zeros((n, rows, count), **self._like) for rows in (3, 4))
        self._record(robot, period, cfg)
        self.line: CommandLine | None = None
        if delay is not None:
            if generator is None:
                raise ValueError("generator: expected one to draw late commands with, got None")
            column = world.actuators.index(robot.chain.joint_names[0])
            self.line = CommandLine(
                delay, robot, self, self._asked, column=column, period=period, generator=generator
            )
        home = self._q.new_tensor(robot.home).expand(n, -1)
        self.start(torch.ones_like(self.leading), home)

    def _record(self, robot: Robot, period: float, cfg: EeDeltaCfg) -> None:
        """Prepare both launches: what they read and write stays where it is."""
        chain, limits = robot.chain, robot.limits
        # rows and numbers in the order that `command_kernels` names
        rows = np.stack(
            [
                np.asarray(robot.home),
                np.asarray(limits.q_min) + cfg.joint_margin,
                np.asarray(limits.q_max) - cfg.joint_margin,
                np.asarray(limits.ddq_max) * cfg.limit_share,
                np.asarray(limits.dddq_max) * cfg.limit_share * period,
            ]
        )
        profile = limits.velocity_profile
        columns = np.zeros((0, len(limits.q_min))) if profile is None else np.asarray(profile).T
        numbers = [period, cfg.position_scale, cfg.rotation_scale, cfg.position_leash,
                   cfg.rotation_leash, cfg.damping, cfg.posture_rate, cfg.limit_share,
                   cfg.bandwidth]  # fmt: skip
        links, axes, limit_rows, profile_rows, dq_max, numbers = (
            self._constant(values)
            for values in (link_poses(chain), chain.axes, rows, columns, limits.dq_max,
                           numbers)
        )  # fmt: skip
        first = self._world.actuators.index(chain.joint_names[0])
        real = wp.dtype_from_torch(self._world.dtype)
        plan, start = make_kernels(real, len(chain.joint_names))
        kept = [self.pose, self.goal, self._state, self._asked]
        inputs = [self._action, self._measured, links, axes, limit_rows, profile_rows, dq_max,
                  numbers, self.leading, self.lead, first]  # fmt: skip
        n, device = self._world.num_worlds, self._world.device
        self._plan = recorded(plan, n, inputs, [*kept, self.controls], device)
        self._start = recorded(start, n, [self._chosen, self._q, links, axes], kept, device)

    def start(self, chosen: Tensor, q: Tensor, unit: Tensor | None = None) -> None:
        """Begin at rest at q (N, n) [rad] in chosen worlds (N,) bool.

        Args:
            chosen: which.
            q: where.
            unit: (N, 1) in [0, 1), where in its range the delay of commands lies; None: it stays.
        """
        self._chosen.copy_(chosen)
        self._q.copy_(q)
        self._start()
        if self.line is not None:
            self.line.start(chosen, unit)

    def plan(self, action: Tensor, measured: Tensor) -> Tensor:
        """Return the controls (N, S, nu) of the next control period; the next call overwrites it.

        Args:
            action: (N, 6), clipped to [-1, 1].
            measured: (N, 7) measured tool pose in the base frame.
        """
        self._action.copy_(action)
        self._measured.copy_(measured)
        self._plan()
        if self.line is not None:
            self.line.deliver()
        return self.controls

    def _constant(self, values: Any) -> Tensor:
        return torch.as_tensor(np.array(values, dtype=np.float64)).to(**self._like).contiguous()
