"""From the gripper's element of actions to the widths its fingers are driven to, for N worlds."""

# pyright: standard

from __future__ import annotations

import torch
from torch import Tensor

from sim2arm.core.contract import GripperSpec
from sim2arm.core.gripper import GripperAdapter, GripperModel
from sim2arm.core.robots import Robot

from .worlds.base import World


class GripperPath:
    """N grippers with the delay, speed and busy state of the robot's, as `SimulatedArm` has them.

    Attributes:
        adapter: what actions ask for, and the model of the grippers.
    """

    def __init__(
        self,
        robot: Robot,
        spec: GripperSpec,
        world: World,
        *,
        width: float,
        period: float,
        substeps: int,
        looks: bool,
    ) -> None:
        """Stand at a width.

        Args:
            robot: the arm with its gripper.
            spec: which element of an action asks for what.
            world: the worlds.
            width: distance between the pads at the start of episodes [m].
            period: of control [s].
            substeps: physics steps of a period.
            looks: see `GripperModel`.
        """
        self._gripper = robot.gripper
        like = {"dtype": world.dtype, "device": world.device}
        stand = torch.full((world.num_worlds,), width, **like)
        self.adapter = GripperAdapter(spec, GripperModel(robot.gripper, stand, looks=looks))
        self._fingers, self._width, self._period = (
            world.joints(robot.gripper.joint_names),
            width,
            period,
        )
        self._ahead = torch.arange(1, substeps + 1, **like) * (period / substeps)

    def start(self, chosen: Tensor) -> None:
        """Begin episodes in chosen worlds (N,) bool."""
        self.adapter.restart(chosen, self._width)

    def plan(self, action: Tensor) -> Tensor:
        """Return the widths (N, S) [m] of the substeps that actions (N, A) lead to."""
        self.adapter.command(action)
        return self.adapter.model.targets(self._ahead)

    def advance(self) -> None:
        """Take what the fingers measure after the control period."""
        self.adapter.model.advance(self._period, self._gripper.width(self._fingers.q))
