"""Named views of worlds on MuJoCo's model, whichever engine steps it: joints, frames, bodies."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import mujoco
import numpy as np
from torch import Tensor, cat

from sim2arm.core.transforms import cross

from .compiled import find, free_start


class Engine(Protocol):
    """What the views need of a world: the model, live state and derived fields by name."""

    model: Any
    """`mujoco.MjModel`."""
    qpos: Tensor
    qvel: Tensor
    ctrl: Tensor
    version: int
    """Rises whenever something derived may have changed."""

    def read(self, name: str) -> Tensor:
        """Return a derived field (N, ...) at the present state; the next step overwrites it."""
        ...


class Joints:
    """Hinge and slide joints; see `JointsView`."""

    def __init__(self, engine: Engine, names: Sequence[str]) -> None:
        """Take the views.

        Raises:
            KeyError: a joint is not in the model.
            ValueError: the joints do not lie evenly in the state, so no view exists.
        """
        self._engine, self.names = engine, tuple(names)
        model = engine.model
        ids = [find(model, "joint", name) for name in names]
        one_number = {int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)}
        for i, name in zip(ids, names, strict=True):
            if int(model.jnt_type[i]) not in one_number:
                raise ValueError(f"joint {name!r} is neither hinge nor slide: use free_body()")
        self._q = engine.qpos[:, even_slice([int(model.jnt_qposadr[i]) for i in ids], names)]
        self._dq = engine.qvel[:, even_slice([int(model.jnt_dofadr[i]) for i in ids], names)]

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
        ids = [find(self._engine.model, "actuator", name) for name in self.names]
        return self._engine.ctrl[:, even_slice(ids, self.names)]


class Frame:
    """A body or site, computed when first asked for after a step; see `FrameView`."""

    def __init__(self, engine: Engine, body: int, pose_now: Callable[[], Tensor]) -> None:
        """Take the number of the body to which the frame belongs, and how its pose is computed."""
        self._engine, self._body, self._pose_now = engine, body, pose_now
        self._root = int(engine.model.body_rootid[body])
        self._pose: tuple[int, Tensor] | None = None

    @property
    def pose(self) -> Tensor:
        """See `FrameView`."""
        if self._pose is None or self._pose[0] != self._engine.version:
            self._pose = (self._engine.version, self._pose_now())
        return self._pose[1]

    @property
    def twist(self) -> Tensor:
        """See `FrameView`."""
        # MuJoCo keeps the velocity at the centre of mass of the whole tree, angular part first.
        velocity = self._engine.read("cvel")[:, self._body]
        centre = self._engine.read("subtree_com")[:, self._root]
        angular, linear = velocity[:, :3], velocity[:, 3:]
        at_origin = linear + cross(angular, self.pose[:, :3] - centre)
        return cat([at_origin, angular], dim=-1)


class FreeBody:
    """The free joint of a body; see `FreeBodyView`."""

    def __init__(self, engine: Engine, name: str) -> None:
        """Take the views.

        Raises:
            KeyError: the body is not in the model.
            ValueError: the body has no free joint.
        """
        body = find(engine.model, "body", name)
        q = free_start(engine.model, body)
        if q < 0:
            raise ValueError(f"body {name!r} has no free joint: add one with add_freejoint()")
        dq = int(engine.model.jnt_dofadr[engine.model.body_jntadr[body]])
        self._q, self._dq = engine.qpos[:, q : q + 7], engine.qvel[:, dq : dq + 6]

    @property
    def q(self) -> Tensor:
        """See `FreeBodyView`."""
        return self._q

    @property
    def dq(self) -> Tensor:
        """See `FreeBodyView`."""
        return self._dq


def even_slice(ids: list[int], names: Sequence[str]) -> slice:
    """Return the slice that takes these places of a row; only a slice gives a live view."""
    steps = set(np.diff(ids).tolist()) or {1}
    if len(steps) != 1 or min(steps) <= 0:
        raise ValueError(
            f"{list(names)} lie at {ids} of the state: a live view needs rising, even places. "
            "Ask for them in the order of the model"
        )
    step = steps.pop()
    return slice(ids[0], ids[-1] + 1, step)
