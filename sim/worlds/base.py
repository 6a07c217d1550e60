"""What a world is: N parallel simulations of one model, seen through named views.

Tensors have the leading axis N and live on the world's device. State (`q`, `dq`) and model fields
are live: a write is the state of the next `step` or `forward`. Poses, twists and forces are
copies, one per control step, which nobody overwrites.

What is current when: after `step`, poses, twists and Jacobians belong to the new state, and
forces are those that acted during the last physics substep; from `reset` to the next `step` they
are zero. After `reset` or after writing to state or fields, poses, twists and Jacobians are
undefined, old or new, until `forward`.

Frames: the world frame, unless a line says otherwise. A pose is (x y z qw qx qy qz) [m]; a twist
is the velocity of the frame's origin [m/s] and the angular velocity [rad/s].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .incident import Incident
from .pictures import Cameras, Shot


class JointsView(Protocol):
    """Hinge and slide joints, in the order in which they were asked for."""

    @property
    def q(self) -> Tensor:
        """Live positions (N, n) [rad] or [m]."""
        ...

    @property
    def dq(self) -> Tensor:
        """Live velocities (N, n) [rad/s] or [m/s]."""
        ...

    @property
    def target(self) -> Tensor:
        """Live controls (N, n) of the actuators with the joints' names."""
        ...


class FrameView(Protocol):
    """A body or a site."""

    @property
    def pose(self) -> Tensor:
        """Pose (N, 7)."""
        ...

    @property
    def twist(self) -> Tensor:
        """Twist (N, 6)."""
        ...


class FreeBodyView(Protocol):
    """The state of a body with a free joint."""

    @property
    def q(self) -> Tensor:
        """Live pose (N, 7)."""
        ...

    @property
    def dq(self) -> Tensor:
        """Live velocity (N, 6): linear in the world [m/s], angular in the body frame [rad/s]."""
        ...


class CapacityError(RuntimeError):
    """Contacts or constraint rows were lost because there was no room for them.

    Attributes:
        needed: what to raise to which number, by the names of `make_world`; may be empty.
    """

    def __init__(self, message: str, needed: Mapping[str, int] = MappingProxyType({})) -> None:
        """Take the message and the numbers."""
        super().__init__(message)
        self.needed = dict(needed)


class World(Protocol):
    """N parallel simulations of one model."""

    @property
    def num_worlds(self) -> int:
        """The number of simulations N."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Type of the tensors: that in which the engine computes."""
        ...

    @property
    def timestep(self) -> float:
        """Length of one physics substep [s]."""
        ...

    @property
    def time(self) -> Tensor:
        """Simulated time since the last reset (N,) [s]."""
        ...

    @property
    def diverged(self) -> Tensor:
        """Worlds (N,) bool whose state became invalid since their reset, a copy; reset them."""
        ...

    def step(self, targets: Tensor | None = None) -> None:
        """Advance every world by one control step.

        Args:
            targets: controls of each physics substep (N, S, nu), in the order of `actuators`;
                None keeps the controls for the world's own number of substeps.
        """
        ...

    def reset(self, ids: Tensor | None = None) -> None:
        """Put worlds (indices or a mask (N,), None: all) to their start; then write, `forward`."""
        ...

    def forward(self, ids: Tensor | None = None) -> None:
        """Make poses, twists and Jacobians current after writes to state or fields."""
        ...

    @property
    def actuators(self) -> tuple[str, ...]:
        """Names of the controls, the last axis of `targets`."""
        ...

    def joints(self, names: Sequence[str]) -> JointsView:
        """Return a view of joints."""
        ...

    def body(self, name: str) -> FrameView:
        """Return a view of a body frame."""
        ...

    def site(self, name: str) -> FrameView:
        """Return a view of a site."""
        ...

    def free_body(self, name: str) -> FreeBodyView:
        """Return the state of a body with a free joint."""
        ...

    def mocap(self, name: str) -> Tensor:
        """Return the pose (N, 7) of a mocap body; writes move it at the next step or forward."""
        ...

    def equality(self, name: str) -> Tensor:
        """Return whether an equality constraint acts (N,), live: 0 or 1, or bool.

        A write changes it from the next step on; `reset` puts it to what the scene says.
        """
        ...

    def pair_force(self, body_a: str, body_b: str) -> Tensor:
        """Return the contact force (N, 3) that body a exerts on body b [N]."""
        ...

    def jacobian(self, site: str, joints: Sequence[str]) -> Tensor:
        """Return J (N, 6, n) of a site: `twist = J @ dq`."""
        ...

    def field(self, name: str) -> Tensor:
        """Return the live per-world values (N, ...) of a model parameter."""
        ...

    def commit_fields(self, ids: Tensor | None = None) -> None:
        """Recompute what the engine derives from the model parameters after writes to them."""
        ...

    def check_capacity(self) -> None:
        """See that no contact was lost for want of room; a GPU is waited for.

        Raises:
            CapacityError: some were; says what to raise.
        """
        ...

    def incidents(self) -> list[Incident]:
        """Return what led to each divergence since the last call; a GPU is waited for.

        Empty where the engine keeps no state from before.
        """
        ...

    def cameras(self, shots: Sequence[Shot]) -> Cameras:
        """Return cameras of the model that are drawn together, into tensors on the device.

        Raises:
            KeyError: the model has no such camera.
            ValueError: there is no shot, or two of one camera.
        """
        ...

    def render(
        self, camera: str, ids: Sequence[int], width: int, height: int
    ) -> npt.NDArray[np.uint8]:
        """Return pictures (n, height, width, 3) of some worlds by a camera of the model."""
        ...
