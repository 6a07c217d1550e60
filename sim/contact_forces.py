"""Contact points of worlds and the forces there, for whatever draws them."""

# MuJoCo's extension modules have no stubs; Warp's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
import numpy.typing as npt
import torch

from .scene_view import model_of
from .worlds.base import World
from .worlds.mujoco import MujocoWorld

if TYPE_CHECKING:
    from .worlds.warp import WarpWorld


@dataclass(frozen=True, kw_only=True, eq=False)
class ContactForces:
    """Contacts at which a force acts."""

    worlds: npt.NDArray[np.int64]
    """(C,), rising."""
    points: npt.NDArray[np.float64]
    """(C, 3), in the frame of each world [m]."""
    forces: npt.NDArray[np.float64]
    """(C, 3), of the body with the lower number on that with the higher [N]: of a support on what
    stands on it, of the fingers on what they hold."""


def contact_forces(world: World, ids: Sequence[int]) -> ContactForces:
    """Return the contact forces of some worlds; a GPU is waited for.

    As everywhere, there are none from a reset to the next step. On MuJoCo's C engine they are
    computed for the present state. On MuJoCo Warp they are those of the last physics substep.

    Args:
        world: on one of these engines.
        ids: which worlds.

    Raises:
        TypeError: the world runs on another engine.
    """
    model = model_of(world)
    time = world.time.cpu().numpy()
    stepped = [i for i in sorted(set(ids)) if time[i] > 0.0]
    read = _of_mujoco if isinstance(world, MujocoWorld) else _of_warp
    worlds, points, forces, geoms = read(world, stepped)  # type: ignore[arg-type]
    bodies = model.geom_bodyid[geoms]  # (C, 2)
    # The engines give the force of the first geom on the second.
    forces = np.where(bodies[:, :1] > bodies[:, 1:], -forces, forces)
    acting = np.linalg.norm(forces, axis=-1) > 0.0
    return ContactForces(worlds=worlds[acting], points=points[acting], forces=forces[acting])


def _of_mujoco(world: MujocoWorld, ids: Sequence[int]) -> tuple[Any, Any, Any, Any]:
    """Return worlds (C,), points (C, 3), forces (C, 3) and geoms (C, 2) of all contacts."""
    model, data = world.batch.get_model(0), mujoco.MjData(world.model)
    worlds: list[int] = []
    points, forces, geoms = [np.empty((0, 3))], [np.empty((0, 3))], [np.empty((0, 2), dtype=int)]
    for i in ids:
        world.batch.get_model(i, model)
        world.batch.get_data(i, data)
        mujoco.mj_forward(model, data)
        local = np.zeros((data.ncon, 6))
        for k in range(data.ncon):
            mujoco.mj_contactForce(model, data, k, local[k])
        worlds += [i] * data.ncon
        points.append(data.contact.pos[: data.ncon].copy())
        frames = data.contact.frame[: data.ncon].reshape(-1, 3, 3)  # rows: normal, tangents
        forces.append(np.einsum("ci,cij->cj", local[:, :3], frames))
        geoms.append(data.contact.geom[: data.ncon].copy())
    return (
        np.array(worlds, dtype=np.int64),
        np.concatenate(points),
        np.concatenate(forces),
        np.concatenate(geoms),
    )


def _of_warp(world: WarpWorld, ids: Sequence[int]) -> tuple[Any, Any, Any, Any]:
    """Return worlds (C,), points (C, 3), forces (C, 3) and geoms (C, 2) of all contacts."""
    import mujoco_warp as mjw
    import warp as wp

    state = world.state
    if world.device.type == "cuda":
        torch.cuda.synchronize(world.device)  # the step runs on torch's stream, what follows not
    count = min(int(state.nacon.numpy()[0]), int(state.naconmax))
    with wp.ScopedDevice(world.warp_device):
        numbers = wp.array(np.arange(count), dtype=int)
        wrench = wp.zeros(count, dtype=wp.spatial_vector)
        if count:
            mjw.contact_force(world.physics, state, numbers, True, wrench)
        forces = wrench.numpy()[:, :3].astype(np.float64)
    worlds = state.contact.worldid.numpy()[:count].astype(np.int64)
    points = state.contact.pos.numpy()[:count].astype(np.float64)
    geoms = state.contact.geom.numpy()[:count]
    rows = np.flatnonzero(np.isin(worlds, ids))
    rows = rows[np.argsort(worlds[rows], kind="stable")]
    return worlds[rows], points[rows], forces[rows], geoms[rows]
