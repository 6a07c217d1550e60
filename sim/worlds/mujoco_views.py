"""Named views of a `MujocoWorld`: joints, frames, free bodies."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import mujoco
import numpy as np
import torch
from torch import Tensor

from sim2arm.core.transforms import cross

if TYPE_CHECKING:
    from .mujoco import MujocoWorld


class MujocoJoints:
    """Hinge and slide joints of a `MujocoWorld`."""

    def __init__(self, world: MujocoWorld, names: tuple[str, ...]) -> None:
        self._world, self.names = world, names
        ids = [world._id("joint", name) for name in names]
        model = world.model
        one_number = {int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)}
        for i, name in zip(ids, names, strict=True):
            if int(model.jnt_type[i]) not in one_number:
                raise ValueError(f"joint {name!r} is neither hinge nor slide: use free_body()")
        self._q = world._qpos[:, _even_slice([int(model.jnt_qposadr[i]) for i in ids], names)]
        self._dq = world._qvel[:, _even_slice([int(model.jnt_dofadr[i]) for i in ids], names)]

    @property
    def q(self) -> Tensor:
        """See `JointsView`."""
        return self._q

    @property
    def dq(self) -> Tensor:
        """See `JointsView`."""
        return self._dq

    @property
    def target(self) -> Tensor:
        """See `JointsView`."""
        ids = [self._world._id("actuator", name) for name in self.names]
        return self._world._ctrl[:, _even_slice(ids, self.names)]


class MujocoFrame:
    """A body or site of a `MujocoWorld`: computed when first asked for after a step."""

    def __init__(self, world: MujocoWorld, body: int, pose_now: Callable[[], Tensor]) -> None:
        self._world, self._body, self._pose_now = world, body, pose_now
        self._root = int(world.model.body_rootid[body])
        self._pose: tuple[int, Tensor] | None = None

    @property
    def pose(self) -> Tensor:
        """See `FrameView`."""
        if self._pose is None or self._pose[0] != self._world.version:
            self._pose = (self._world.version, self._pose_now())
        return self._pose[1]

    @property
    def twist(self) -> Tensor:
        """See `FrameView`."""
        # MuJoCo keeps the velocity at the centre of mass of the whole tree, angular part first.
        velocity = self._world.read("cvel")[:, self._body]
        centre = self._world.read("subtree_com")[:, self._root]
        angular, linear = velocity[:, :3], velocity[:, 3:]
        at_origin = linear + cross(angular, self.pose[:, :3] - centre)
        return torch.cat([at_origin, angular], dim=-1)


class MujocoFreeBody:
    """The free joint of a body of a `MujocoWorld`."""

    def __init__(self, q: Tensor, dq: Tensor) -> None:
        self._q, self._dq = q, dq

    @property
    def q(self) -> Tensor:
        """See `FreeBodyView`."""
        return self._q

    @property
    def dq(self) -> Tensor:
        """See `FreeBodyView`."""
        return self._dq


def _even_slice(ids: list[int], names: Sequence[str]) -> slice:
    """Return the slice that takes these places of a row; only a slice gives a live view."""
    steps = set(np.diff(ids).tolist()) or {1}
    if len(steps) != 1 or min(steps) <= 0:
        raise ValueError(
            f"{list(names)} lie at {ids} of the state: a live view needs rising, even places. "
            "Ask for them in the order of the model"
        )
    step = steps.pop()
    return slice(ids[0], ids[-1] + 1, step)
