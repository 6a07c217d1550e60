"""Forces between bodies that an engine does not know of, computed anew in every physics substep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


class LawError(ValueError):
    """A scene or an engine on which a law does not act."""


@dataclass(frozen=True, kw_only=True)
class Bodies:
    """What an engine shows a law of the bodies of N worlds; all tensors are its live memory.

    Frames: the world's; quaternions are w x y z.
    """

    model: Any
    """`mujoco.MjModel`: numbers of bodies, and where things are on them."""
    timestep: float
    """Length of a physics substep [s]."""
    position: Tensor
    """(N, nbody, 3) [m]"""
    rotation: Tensor
    """(N, nbody, 4)"""
    centre: Tensor
    """(N, nbody, 3), centres of mass [m]."""
    velocity: Tensor
    """(N, nv), of joints, as the engine has it: `FreeBodyView` for a free one."""
    mass: Tensor
    """(N, nbody) [kg]"""
    inertia: Tensor
    """(N, nbody, 3), about the principal axes [kg m^2]."""
    axes: Tensor
    """(N, nbody, 4), the principal axes in the body's frame."""
    wrench: Tensor
    """(N, nbody, 6), force [N] and torque [N m] about the centre of mass, to be written."""


class ForceLaw(Protocol):
    """Forces between bodies."""

    def bind(self, bodies: Bodies) -> Callable[[], None]:
        """Return what writes the wrenches of the state that the bodies are in.

        It is called in every substep once positions are current. It only launches kernels of Warp,
        recorded ones, on the current stream: engines on a GPU record it into their graph. What it
        writes acts until it is called again.
        """
        ...

    def pair_force(self, body_a: str, body_b: str) -> Tensor | None:
        """Return the force (N, 3) that body a exerts on body b [N], world frame; None if unknown.

        It is that of the last substep, zero after a reset.
        """
        ...
