"""The term of randomisation that changes how the gripper holds an object at the start."""

# pyright: standard

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sim2arm.core.contract import TrainedRange
from sim2arm.core.transforms import pose, pose_compose, quat_from_rotvec

from .randomize import Bound, Law, offset_range, uniform_about
from .worlds.base import World


@dataclass(frozen=True, kw_only=True)
class HeldPose:
    """Pose of a free body at the start of an episode, about where the task puts it.

    Shift and turn are along and about the axes of the body's frame, uniform; the turn is one
    rotation vector. A held body may be shifted along the pads and turned about the axis on which
    they close; what moves it into a pad, physics throws out again.
    """

    body: str
    shift: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Largest shift along x y z [m]."""
    turn: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Largest turn about x y z [rad]."""

    def __post_init__(self) -> None:
        """Refuse what is no pose."""
        for name in ("shift", "turn"):
            values = getattr(self, name)
            if len(values) != 3 or not all(0.0 <= v < math.pi for v in values):
                raise ValueError(f"{name}: expected three numbers of 0 or more, got {values}")

    @property
    def count(self) -> int:
        """See `Term`."""
        return 6

    def ranges(self, level: float = 1.0) -> tuple[TrainedRange, ...]:
        """See `Term`."""
        return tuple(
            offset_range(f"physics/held {kind} {axis}/{self.body}", unit, -most, most, level)
            for kind, unit, bounds in (("shift", "m", self.shift), ("turn", "rad", self.turn))
            for axis, most in zip("xyz", bounds, strict=True)
            if most > 0.0
        )

    def bind(self, world: World, law: Law) -> Bound:
        """See `Term`."""
        body = world.free_body(self.body)
        high = torch.tensor([*self.shift, *self.turn], dtype=world.dtype, device=world.device)

        def place(chosen: Tensor, unit: Tensor, level: float) -> None:
            drawn = high * uniform_about(-1.0, 1.0, 0.0, unit, level)
            offset = pose(drawn[:, :3], quat_from_rotvec(drawn[:, 3:]))
            body.q.copy_(torch.where(chosen[:, None], pose_compose(body.q, offset), body.q))

        return Bound(place=place)
