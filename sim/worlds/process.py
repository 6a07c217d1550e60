"""Worlds in a process of their own, which may be of another Python.

`process_protocol` says how the two sides talk. Live views are tensors on shared memory, and one
control step is one message and one answer: outputs that were read after the last step are computed
with the next one. The scene is compiled here, so that the model is known on this side too.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .compiled import check_targets, compile_scene
from .incident import Incident
from .pictures import Cameras, Shot, check_shots, render_some
from .process_client import PATIENCE_S, Worker, WorkerError, worker_of
from .process_protocol import new_memory
from .process_views import Frame, FreeBody, Joints, Link, Output, ProcessCameras

MUJOCO_WORKER = (sys.executable, "-m", "sim2arm.sim.worlds.process_worker")
"""The worker of world `process`."""


class ProcessWorld:
    """N simulations in a worker; the `World` protocol says what its methods mean.

    Attributes:
        model: `mujoco.MjModel` of the scene.
        worker: the process.
    """

    def __init__(
        self,
        spec: mujoco.MjSpec,
        num_worlds: int,
        *,
        timestep: float = 1.0 / 480.0,
        control_substeps: int = 8,
        num_threads: int = 0,
        command: Sequence[str] = MUJOCO_WORKER,
        patience: float = PATIENCE_S,
    ) -> None:
        """Start the worlds.

        Args:
            spec: the scene; its timestep, integrator, solver and Jacobian are set here.
            num_worlds: N.
            timestep: of one physics substep [s].
            control_substeps: S of a step without targets.
            num_threads: of the physics, 0: all CPUs.
            command: program and arguments of the worker.
            patience: time limit of a command [s].

        Raises:
            WorkerError: the worker does not start, dies, or takes no scene that we write.
        """
        self.model: Any = compile_scene(spec, timestep)
        self.worker, self.num_worlds = worker_of(command, patience), num_worlds
        format_, scene = _write_scene(spec, self.model, self.worker)
        fd, memory = new_memory(len(scene))
        memory[:] = scene
        try:
            self._link = Link(
                self.worker, (fd, len(scene)), scene=format_, num_worlds=num_worlds,
                timestep=timestep, control_substeps=control_substeps, threads=num_threads,
            )  # fmt: skip
        finally:
            os.close(fd)
        facts, views = self._link.facts, self._link.views
        self.timestep = float(facts["timestep"])
        self.actuators: tuple[str, ...] = tuple(facts["actuators"])
        self._dtype: torch.dtype = getattr(torch, facts["dtype"])
        self.time, self._diverged = views["time"], views["diverged"]
        self._outputs: dict[tuple[str, ...], Output] = {}
        self._frames: dict[tuple[str, str], Frame] = {}
        self._live: dict[tuple[str, str], Tensor] = {}
        self._targets = torch.empty((num_worlds, 0), dtype=self._dtype)
        self._shots: dict[Shot, Cameras] = {}
        self._room = 0  # substeps that fit into the shared targets

    @property
    def device(self) -> torch.device:
        """See `World`: memory of the host."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """See `World`."""
        return self._dtype

    @property
    def diverged(self) -> Tensor:
        """See `World`."""
        return self._diverged.clone()

    def step(self, targets: Tensor | None = None) -> None:
        """See `World`."""
        if targets is None:
            self._link.step(None)
            return
        check_targets(targets, self.num_worlds, self.model)
        substeps = targets.shape[1]
        if substeps > self._room:
            _, views = self._link.ask("room", substeps=substeps)
            self._targets, self._room = views["targets"].flatten(), substeps
        self._targets[: targets.numel()].view(targets.shape).copy_(targets)
        self._link.step(substeps)

    def reset(self, ids: Tensor | None = None) -> None:
        """See `World`."""
        self._link.change("reset", ids)

    def forward(self, ids: Tensor | None = None) -> None:
        """See `World`."""
        self._link.forward(ids)

    def joints(self, names: Sequence[str]) -> Joints:
        """See `World`.

        Raises:
            KeyError: a joint is not in the model.
            ValueError: the joints do not lie evenly in the state, so no view exists.
        """
        return Joints(self._link, names)

    def body(self, name: str) -> Frame:
        """See `World`."""
        return self._frame("body", name)

    def site(self, name: str) -> Frame:
        """See `World`."""
        return self._frame("site", name)

    def _frame(self, kind: str, name: str) -> Frame:
        if (kind, name) not in self._frames:
            self._frames[kind, name] = Frame(self._link, kind, name)
        return self._frames[kind, name]

    def free_body(self, name: str) -> FreeBody:
        """See `World`.

        Raises:
            ValueError: the body has no free joint.
        """
        return FreeBody(self._link, name)

    def mocap(self, name: str) -> Tensor:
        """See `World`."""
        return self._shared("mocap", name)

    def equality(self, name: str) -> Tensor:
        """See `World`."""
        return self._shared("equality", name)

    def field(self, name: str) -> Tensor:
        """See `World`; names as the engine has them.

        Raises:
            ValueError: the engine has no such field per world.
        """
        return self._shared("field", name)

    def _shared(self, kind: str, name: str) -> Tensor:
        if (kind, name) not in self._live:
            self._live[kind, name] = self._link.ask("live", kind=kind, names=[name])[1]["value"]
        return self._live[kind, name]

    def pair_force(self, body_a: str, body_b: str) -> Tensor:
        """See `World`.

        Raises:
            ValueError: the scene has no such sensor.
        """
        return self._output("pair_force", body_a, body_b)

    def jacobian(self, site: str, joints: Sequence[str]) -> Tensor:
        """See `World`."""
        return self._output("jacobian", site, *joints)

    def _output(self, kind: str, *names: str) -> Tensor:
        key = (kind, *names)
        if key not in self._outputs:
            self._outputs[key] = Output(self._link, kind, names)
        return self._outputs[key].now()

    def commit_fields(self, ids: Tensor | None = None) -> None:
        """See `World`. Call `forward` afterwards, as after any write."""
        self._link.change("commit_fields", ids)

    def check_capacity(self) -> None:
        """See `World`."""
        self._link.ask("check_capacity")

    def incidents(self) -> list[Incident]:
        """See `World`: none, workers keep no state from before."""
        return []

    def cameras(self, shots: Sequence[Shot]) -> Cameras:
        """See `World`; drawn in the worker, pictures are shared memory."""
        check_shots(shots)
        return ProcessCameras(self._link, shots)

    def render(
        self, camera: str, ids: Sequence[int], width: int, height: int
    ) -> npt.NDArray[np.uint8]:
        """See `World`."""
        shot = Shot(camera=camera, width=width, height=height)
        return render_some(self, self._shots, shot, ids)


def _write_scene(spec: mujoco.MjSpec, model: Any, worker: Worker) -> tuple[str, bytes]:
    """Return the best format that the worker reads and we write, and the scene in it."""
    formats: dict[str, Callable[[], bytes]] = {
        f"mjb {mujoco.__version__}": lambda: _binary(model),
        "mjcf": lambda: spec.to_xml().encode(),
    }
    for name in worker.scenes:
        if name in formats:
            return name, formats[name]()
    raise WorkerError(
        f"{worker.engine} takes scenes as {worker.scenes}, this process writes {list(formats)}: "
        "install the same version of MuJoCo on both sides"
    )


def _binary(model: Any) -> bytes:
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()
