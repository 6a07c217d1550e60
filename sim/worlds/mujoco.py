"""Worlds on MuJoCo's C engine: `mujoco.batch.Batch` on a pool of threads.

State tensors are float64 views of the batch's rows: nothing is copied, and a world is bit for bit
what `mj_step` computes. A control step is one call of `Batch.rollout`. After it, forces (sensors of
stage ACC) are those of the last substep. Everything else that is derived follows from the new
state when it is first read: free bodies and sites of plain joint chains directly (`chains`), the
rest by one call of the engine up to stage VEL, collision detection included.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import torch
from mujoco.batch import Batch
from torch import Tensor

from sim2arm.core.transforms import pose, quat_mul

from .base import CapacityError
from .chains import PARAMETERS, ChainPose, site_chain
from .compiled import (
    actuator_names,
    check_targets,
    compile_scene,
    find,
    free_start,
    home_key,
    mocap_index,
    pair_force_start,
)
from .incident import Incident
from .law import Bodies, ForceLaw
from .pictures import Cameras, Shot, render_some
from .rendering import make_cameras
from .views import Frame, FreeBody, Joints, even_slice

_VEL = int(mujoco.mjtStage.mjSTAGE_VEL)
_NONE = int(mujoco.mjtStage.mjSTAGE_NONE)
_FULL = [
    int(mujoco.mjtWarning.mjWARN_CONTACTFULL),
    int(mujoco.mjtWarning.mjWARN_CNSTRFULL),
]
_BAD = [
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
]


class MujocoWorld:
    """N simulations of a scene on the CPU; the `World` protocol says what its methods mean."""

    def __init__(
        self,
        spec: mujoco.MjSpec,
        num_worlds: int,
        *,
        timestep: float = 1.0 / 480.0,
        control_substeps: int = 8,
        num_threads: int = 0,
        law: ForceLaw | None = None,
    ) -> None:
        """Compile a scene and start N worlds, at the keyframe `home` if the scene has one.

        Args:
            spec: the scene; its timestep, integrator, solver and Jacobian are set here.
            num_worlds: N.
            timestep: of one physics substep [s].
            control_substeps: S of a step without targets.
            num_threads: of the pool, 0: all CPUs. Results do not depend on it.
            law: forces between bodies beside the engine's.
        """
        self.model: mujoco.MjModel = compile_scene(spec, timestep)
        # A persistent batch goes on from the stage at which the law looked at it.
        self.batch = Batch(self.model, num_worlds, num_threads, persistent=law is not None)
        self._substeps = control_substeps
        self._key = home_key(self.model)
        self.qpos = torch.from_numpy(self.batch.bind("qpos"))
        self.qvel = torch.from_numpy(self.batch.bind("qvel"))
        self.ctrl = torch.from_numpy(self.batch.bind("ctrl"))
        self._time = torch.from_numpy(self.batch.bind("time"))
        self._mocap: dict[str, tuple[int, Tensor]] = {}
        self._cameras: dict[Shot, Cameras] = {}
        self._warnings = self._count_warnings()
        self.version = 0
        """Rises whenever something derived may have changed."""
        self._sites: dict[str, Frame] = {}
        self._bodies: dict[str, Frame] = {}
        self._pairs: dict[tuple[str, str], int] = {}
        self._expanded: set[str] = set()
        self._bound: set[str] = set()
        self._engine_version = -1  # for which the bound fields are current
        self._sensors = np.zeros_like(self.batch.bind("sensordata"))
        self.law = law
        self._act = None if law is None else law.bind(self._show_bodies())
        self.reset()
        self.forward()

    @property
    def num_worlds(self) -> int:
        """See `World`."""
        return self.batch.nsim

    @property
    def device(self) -> torch.device:
        """See `World`: the CPU."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """See `World`: as MuJoCo computes."""
        return torch.float64

    @property
    def timestep(self) -> float:
        """See `World`."""
        return float(self.model.opt.timestep)

    @property
    def time(self) -> Tensor:
        """See `World`; a live view."""
        return self._time

    @property
    def actuators(self) -> tuple[str, ...]:
        """See `World`."""
        return actuator_names(self.model)

    @property
    def diverged(self) -> Tensor:
        """See `World`: MuJoCo put such a world back to its defaults."""
        return torch.from_numpy(self._count_warnings() != self._warnings)

    def step(self, targets: Tensor | None = None) -> None:
        """See `World`."""
        moved = self.write_mocap()
        control = None if targets is None else self._check_targets(targets)
        substeps = self._substeps if control is None else control.shape[1]
        if self._act is None:
            self.batch.rollout(substeps, control, record=())
            self.version += 1
        else:
            self._step_with(self._act, substeps, control, moved=moved)
        self._sensors[:] = self.batch.bind("sensordata")

    def _step_with(
        self,
        act: Callable[[], None],
        substeps: int,
        control: npt.NDArray[np.float64] | None,
        *,
        moved: bool,
    ) -> None:
        """Advance with a force law, which acts on the positions at the start of each substep."""
        if moved or self._engine_version != self.version:
            self.batch.forward(stage=_VEL)
        for k in range(substeps):
            if control is not None:
                self.batch.bind("ctrl")[:] = control[:, k]
            act()
            self.batch.step(stage=_VEL)
        self.version += 1
        self._engine_version = self.version

    def _show_bodies(self) -> Bodies:
        places = {"position": "xpos", "rotation": "xquat", "centre": "xipos"}
        self._bound.update(places.values())
        return Bodies(
            model=self.model,
            timestep=self.timestep,
            velocity=self.qvel,
            mass=self.field("body_mass"),
            inertia=self.field("body_inertia"),
            axes=self.field("body_iquat"),
            wrench=torch.from_numpy(self.batch.bind("xfrc_applied")),
            **{name: _as_tensor(self.batch.bind(field)) for name, field in places.items()},
        )

    def reset(self, ids: Tensor | None = None) -> None:
        """See `World`."""
        chosen = _indices(ids)
        self.batch.reset(chosen, keyframe=self._key, stage=_NONE)
        rows = slice(None) if chosen is None else chosen
        self._warnings[rows] = self._count_warnings()[rows]
        self._sensors[rows] = 0.0
        for i, buffer in self._mocap.values():
            buffer[rows] = self._read_mocap(i)[rows]
        self.version += 1

    def forward(self, ids: Tensor | None = None) -> None:
        """See `World`."""
        self.write_mocap()
        chosen = _indices(ids)
        self.batch.forward(chosen, stage=_VEL)
        self.version += 1
        if chosen is None:
            self._engine_version = self.version

    def joints(self, names: Sequence[str]) -> Joints:
        """See `World`.

        Raises:
            KeyError: a joint is not in the model.
            ValueError: the joints do not lie evenly in the state, so no view exists.
        """
        return Joints(self, names)

    def body(self, name: str) -> Frame:
        """See `World`."""
        if name not in self._bodies:
            self._bodies[name] = self._make_body(name)
        return self._bodies[name]

    def _make_body(self, name: str) -> Frame:
        body = find(self.model, "body", name)
        read = self.read
        start = free_start(self.model, body)

        def pose_now() -> Tensor:
            return pose(read("xpos")[:, body], read("xquat")[:, body])

        def pose_of_state() -> Tensor:
            state = self.qpos[:, start : start + 7].numpy()
            turn = state[:, 3:]
            length = np.sqrt(np.sum(turn * turn, axis=-1, keepdims=True))
            return torch.from_numpy(np.concatenate([state[:, :3], turn / length], axis=-1))

        return Frame(self, body, pose_now if start < 0 else pose_of_state)

    def site(self, name: str) -> Frame:
        """See `World`."""
        if name not in self._sites:
            self._sites[name] = self._make_site(name)
        return self._sites[name]

    def _make_site(self, name: str) -> Frame:
        site = find(self.model, "site", name)
        body = int(self.model.site_bodyid[site])
        read = self.read
        found = site_chain(self.model, site)
        quick: ChainPose | None = None
        if found is not None:
            columns = even_slice(list(found.columns), found.chain.joint_names)
            quick = ChainPose(found.chain, self.qpos[:, columns])

        def pose_now() -> Tensor:
            if quick is not None and not self._expanded.intersection(PARAMETERS):
                return quick()
            turn = self._parameter("site_quat")[:, site]
            return pose(read("site_xpos")[:, site], quat_mul(read("xquat")[:, body], turn))

        return Frame(self, body, pose_now)

    def free_body(self, name: str) -> FreeBody:
        """See `World`.

        Raises:
            ValueError: the body has no free joint.
        """
        return FreeBody(self, name)

    def mocap(self, name: str) -> Tensor:
        """See `World`."""
        if name not in self._mocap:
            i = mocap_index(self.model, name)
            self._mocap[name] = (i, self._read_mocap(i))
        return self._mocap[name][1]

    def equality(self, name: str) -> Tensor:
        """See `World`: 0 or 1."""
        return torch.from_numpy(self.batch.bind("eq_active"))[:, find(self.model, "equality", name)]

    def pair_force(self, body_a: str, body_b: str) -> Tensor:
        """See `World`.

        Raises:
            ValueError: the scene has no such sensor.
        """
        pair = (body_a, body_b)
        if pair not in self._pairs:
            self._pairs[pair] = pair_force_start(self.model, body_a, body_b)
        start = self._pairs[pair]
        force = torch.from_numpy(self._sensors[:, start : start + 3].copy())
        more = None if self.law is None else self.law.pair_force(body_a, body_b)
        return force if more is None else force + more

    def jacobian(self, site: str, joints: Sequence[str]) -> Tensor:
        """See `World`."""
        i = find(self.model, "site", site)
        dofs = [int(self.model.jnt_dofadr[find(self.model, "joint", name)]) for name in joints]
        point = self.read("site_xpos").numpy()[:, i]
        linear, angular = self.batch.jac(int(self.model.site_bodyid[i]), point)
        return torch.from_numpy(np.concatenate([linear, angular], axis=1)[:, :, dofs])

    def field(self, name: str) -> Tensor:
        """See `World`; names as in `mujoco.MjModel`, options as `opt.<name>`."""
        self._expanded.add(name)
        return torch.from_numpy(self.batch.expand(name))

    def commit_fields(self, ids: Tensor | None = None) -> None:
        """See `World`; runs `mj_setConst`. Call `forward` afterwards, as after any write."""
        self.batch.set_const(_indices(ids))
        self.version += 1

    def check_capacity(self) -> None:
        """See `World`; MuJoCo's C engine has one arena per world."""
        lost = self.batch.warning[:, _FULL, 1].sum(axis=1)
        if lost.any():
            raise CapacityError(
                f"MuJoCo had no room for contacts or constraints in {int((lost > 0).sum())} of "
                f"{self.num_worlds} worlds; raise the memory of the scene (MjSpec.memory)"
            )

    def incidents(self) -> list[Incident]:
        """See `World`: none, the engine itself puts such a world back in the middle of a step."""
        return []

    def cameras(self, shots: Sequence[Shot]) -> Cameras:
        """See `World`; `rendering.renderer_name()` says which renderer draws."""
        return make_cameras(self, shots)

    def render(
        self, camera: str, ids: Sequence[int], width: int, height: int
    ) -> npt.NDArray[np.uint8]:
        """See `World`."""
        return render_some(
            self, self._cameras, Shot(camera=camera, width=width, height=height), ids
        )

    def read(self, name: str) -> Tensor:
        """Return a derived field of the engine (N, ...) at the present state.

        The next step overwrites it. Fields of stage ACC are not among them.
        """
        if name not in self._bound or self._engine_version != self.version:
            self.batch.bind(name)
            self._bound.add(name)
            self.write_mocap()
            self.batch.forward(stage=_VEL)
            self._engine_version = self.version
        array = self.batch.bind(name)
        view = array.view()
        view.flags.writeable = False
        return _as_tensor(view)

    def _parameter(self, name: str) -> Tensor:
        """Return a model parameter per world, expanded or not, (N or 1, ...)."""
        values = self.batch.expanded(name)
        return _as_tensor(getattr(self.model, name)[None] if values is None else values)

    def _check_targets(self, targets: Tensor) -> npt.NDArray[np.float64]:
        check_targets(targets, self.num_worlds, self.model)
        return targets.detach().numpy()

    def _read_mocap(self, i: int) -> Tensor:
        position, turn = self.batch.bind("mocap_pos")[:, i], self.batch.bind("mocap_quat")[:, i]
        return torch.from_numpy(np.concatenate([position, turn], axis=-1))

    def write_mocap(self) -> bool:
        """Hand poses written to mocap bodies to the engine; return whether any is new."""
        moved = False
        for i, buffer in self._mocap.values():
            values = buffer.numpy()
            position, turn = self.batch.bind("mocap_pos")[:, i], self.batch.bind("mocap_quat")[:, i]
            moved |= not np.array_equal(position, values[:, :3])
            moved |= not np.array_equal(turn, values[:, 3:])
            position[:], turn[:] = values[:, :3], values[:, 3:]
        return moved

    def take_mocap(self) -> None:
        """Let mocap bodies stand where the state says that was put into the engine."""
        for i, buffer in self._mocap.values():
            buffer[:] = self._read_mocap(i)

    def _count_warnings(self) -> npt.NDArray[np.int64]:
        return self.batch.warning[:, _BAD, 1].sum(axis=1)  # (world, kind, (last info, count))


def _as_tensor(array: npt.NDArray[Any]) -> Tensor:
    """Return a tensor on the memory of an array that may be read-only; do not write to it."""
    interface = dict(array.__array_interface__)
    interface["data"] = (interface["data"][0], False)
    return torch.from_numpy(np.asarray(_Memory(interface, array)))


class _Memory:
    """Memory of an array without its read-only mark; keeps the array alive."""

    def __init__(self, interface: dict[str, Any], owner: npt.NDArray[Any]) -> None:
        self.__array_interface__, self.owner = interface, owner


def _indices(ids: Tensor | None) -> npt.NDArray[np.int32] | npt.NDArray[np.bool_] | None:
    """Return sorted ids or a mask for the batch."""
    if ids is None:
        return None
    array = ids.detach().numpy()
    return array if array.dtype == bool else np.unique(array).astype(np.int32)
