"""The engines we know, one line each."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import torch

from .base import World
from .law import ForceLaw, LawError
from .mujoco import MujocoWorld

LIMITED = ("warp",)
"""Engines whose contacts and constraint rows are allocated once, for as many as one says."""


class DeviceError(ValueError):
    """An engine does not run on the device that was asked for."""


class RoomError(ValueError):
    """Numbers of contacts or rows for an engine that makes room for them by itself."""


def make_world(
    name: str,
    spec: mujoco.MjSpec,
    num_worlds: int,
    *,
    timestep: float,
    control_substeps: int,
    device: str = "cpu",
    threads: int = 0,
    contacts: int | None = None,
    rows: int | None = None,
    law: ForceLaw | None = None,
) -> World:
    """Return N worlds of a scene on an engine.

    Args:
        name: one of `WORLDS`.
        spec: the scene; it is compiled with the engine's options.
        num_worlds: N.
        timestep: of a physics substep [s].
        control_substeps: substeps of a control step.
        device: where they run, `cpu` or `cuda:0`.
        threads: of the physics on a CPU, 0: all cores.
        contacts: room for contacts per world on an engine of `LIMITED`; its own default by default.
        rows: room for constraint rows in each world, as well.
        law: forces between bodies beside the engine's.

    Raises:
        ValueError: the engine is not known, or it takes no law.
        DeviceError: it does not run on the device.
        RoomError: contacts or rows were given to an engine that is not among `LIMITED`.
    """
    if name not in WORLDS:
        raise ValueError(f"world {name!r} is not known. Known: {sorted(WORLDS)}")
    given = {"contacts": contacts, "rows": rows}
    room = {what: number for what, number in given.items() if number is not None}
    if room and name not in LIMITED:
        raise RoomError(
            f"world {name!r} makes room for contacts and constraint rows by itself: leave out "
            f"{' and '.join(room)}, or take {' or '.join(LIMITED)}"
        )
    return WORLDS[name](
        spec,
        num_worlds,
        timestep=timestep,
        control_substeps=control_substeps,
        device=device,
        threads=threads,
        law=law,
        **room,
    )


def _mujoco(
    spec: mujoco.MjSpec, num_worlds: int, *, device: str, threads: int, **given: Any
) -> World:
    if device != "cpu":
        raise DeviceError(f"world 'mujoco' runs on the cpu, not on {device!r}: take 'warp'")
    return MujocoWorld(spec, num_worlds, num_threads=threads, **given)


def _warp(spec: mujoco.MjSpec, num_worlds: int, *, threads: int, **given: Any) -> World:
    device = given["device"]
    if device != "cpu" and not torch.cuda.is_available():
        raise DeviceError(f"device {device!r}: torch finds no GPU here; take 'cpu'")
    from .warp import WarpWorld  # loads MuJoCo Warp, which takes a second

    return WarpWorld(spec, num_worlds, **given)


def _process(
    spec: mujoco.MjSpec,
    num_worlds: int,
    *,
    device: str,
    threads: int,
    law: ForceLaw | None,
    **given: Any,
) -> World:
    if law is not None:
        raise LawError(
            "world 'process' takes no forces from outside its process, and gels are such: take "
            "'mujoco' or 'warp'"
        )
    if device != "cpu":
        raise DeviceError(f"world 'process' runs on the cpu, not on {device!r}: take 'warp'")
    from .process import ProcessWorld

    return ProcessWorld(spec, num_worlds, num_threads=threads, **given)


WORLDS: dict[str, Callable[..., World]] = {"mujoco": _mujoco, "warp": _warp, "process": _process}
"""Name -> how to build it; the conformance suite `tests/sim/test_world.py` runs on each."""
