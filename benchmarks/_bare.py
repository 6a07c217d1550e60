"""The bare engines: physics of a world's scene with given controls, and nothing else."""

# MuJoCo's extension modules have no stubs; Warp's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

from typing import Protocol

import mujoco_warp as mjw
import torch
import warp as wp
from mujoco.batch import Batch
from torch import Tensor

from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.guard import REMEMBERED
from sim2arm.sim.worlds.mujoco import MujocoWorld
from sim2arm.sim.worlds.warp import WarpWorld


class Bare(Protocol):
    """N simulations of the same scene beside a world."""

    name: str
    """What the engine is called in a table."""

    def load(self) -> None:
        """Take over the state of the world."""
        ...

    def run(self, controls: Tensor) -> None:
        """Run one control step with the controls (N, S, nu) of its substeps."""
        ...


class BareMujoco:
    """`mujoco.batch`: one `rollout` per control step."""

    name = "mujoco.batch"

    def __init__(self, world: MujocoWorld, threads: int) -> None:
        """Make as many simulations as the world has."""
        self._world, self._batch = world, Batch(world.model, world.num_worlds, threads)

    def load(self) -> None:
        """See `Bare`."""
        self._batch.state[:] = self._world.batch.state

    def run(self, controls: Tensor) -> None:
        """See `Bare`."""
        self._batch.rollout(controls.shape[1], controls.numpy(), record=())


class BareWarp:
    """`mujoco_warp`: the substeps of a control step as one recorded graph."""

    name = "mujoco_warp"

    def __init__(self, world: WarpWorld, substeps: int) -> None:
        """Make as many simulations as the world has, with as much room."""
        self._world = world
        contacts, rows = world.capacity
        with wp.ScopedDevice(world.warp_device):
            self._physics = mjw.put_model(world.model)
            self._physics.opt.warn_overflow = 0
            self._state = mjw.make_data(
                world.model, nworld=world.num_worlds, nconmax=contacts, njmax=rows
            )
            self._path = wp.zeros((substeps, *world.ctrl.shape), dtype=float)
            self._advance()
            with wp.ScopedCapture() as capture:
                self._advance()
        self._graph = capture.graph

    def _advance(self) -> None:
        for k in range(self._path.shape[0]):
            wp.copy(self._state.ctrl, self._path[k])
            mjw.step(self._physics, self._state)

    def load(self) -> None:
        """See `Bare`."""
        for name in (*REMEMBERED, "time"):
            wp.copy(getattr(self._state, name), getattr(self._world.state, name))

    def run(self, controls: Tensor) -> None:
        """See `Bare`."""
        wp.to_torch(self._path).copy_(controls.transpose(0, 1))
        wp.capture_launch(self._graph)


def make_bare(world: World, *, substeps: int, threads: int) -> Bare:
    """Return the bare engine beside a world."""
    if isinstance(world, WarpWorld):
        return BareWarp(world, substeps)
    assert isinstance(world, MujocoWorld)
    return BareMujoco(world, threads)


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all work; a CPU has, when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def used_memory(device: torch.device) -> int | None:
    """Return the memory of a GPU that is in use [bytes]; None without one."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info(device)
    return total - free
