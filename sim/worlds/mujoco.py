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

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import torch
from mujoco.batch import Batch
from torch import Tensor

from sim2arm.core.kinematics import forward_pose
from sim2arm.core.transforms import pose, quat_mul

from .chains import PARAMETERS, site_chain
from .mujoco_views import MujocoFrame, MujocoFreeBody, MujocoJoints
from .rendering import Renderer

_VEL = int(mujoco.mjtStage.mjSTAGE_VEL)
_NONE = int(mujoco.mjtStage.mjSTAGE_NONE)
_BAD = [
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
]


def add_pair_force_sensor(spec: mujoco.MjSpec, body_a: str, body_b: str) -> None:
    """Add the sensor that `pair_force(body_a, body_b)` reads: the net contact force of a on b.

    Only geoms of these two bodies count, not those of their children.
    """
    spec.add_sensor(
        name=_pair_name(body_a, body_b),
        type=mujoco.mjtSensor.mjSENS_CONTACT,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        objname=body_a,
        reftype=mujoco.mjtObj.mjOBJ_BODY,
        refname=body_b,
        # data, reduction, number of slots: one net force, which is given in the world frame
        intprm=[1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE), 3, 1],
    )


def _pair_name(body_a: str, body_b: str) -> str:
    return f"pair_force/{body_a}/{body_b}"


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
    ) -> None:
        """Compile a scene and start N worlds, at the keyframe `home` if the scene has one.

        Args:
            spec: the scene; its timestep, integrator, solver and Jacobian are set here.
            num_worlds: N.
            timestep: of one physics substep [s].
            control_substeps: S of a step without targets.
            num_threads: of the pool, 0: all CPUs. Results do not depend on it.
        """
        spec.option.timestep = timestep
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
        spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
        self.model: mujoco.MjModel = spec.compile()
        self.batch = Batch(self.model, num_worlds, num_threads)
        self._substeps = control_substeps
        keys = [self.model.key(i).name for i in range(self.model.nkey)]
        self._key = keys.index("home") if "home" in keys else -1
        self._qpos = torch.from_numpy(self.batch.bind("qpos"))
        self._qvel = torch.from_numpy(self.batch.bind("qvel"))
        self._ctrl = torch.from_numpy(self.batch.bind("ctrl"))
        self._time = torch.from_numpy(self.batch.bind("time"))
        self._mocap: dict[str, tuple[int, Tensor]] = {}
        self._renderers: dict[tuple[int, int], Renderer] = {}
        self._warnings = self._count_warnings()
        self.version = 0
        """Rises whenever something derived may have changed."""
        self._sites: dict[str, MujocoFrame] = {}
        self._bodies: dict[str, MujocoFrame] = {}
        self._pairs: dict[tuple[str, str], int] = {}
        self._expanded: set[str] = set()
        self._bound: set[str] = set()
        self._engine_version = -1  # for which the bound fields are current
        self._sensors = np.zeros_like(self.batch.bind("sensordata"))
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
        return tuple(self.model.actuator(i).name for i in range(self.model.nu))

    @property
    def diverged(self) -> Tensor:
        """See `World`: MuJoCo put such a world back to its defaults."""
        return torch.from_numpy(self._count_warnings() != self._warnings)

    def step(self, targets: Tensor | None = None) -> None:
        """See `World`."""
        self._write_mocap()
        control = None if targets is None else self._check_targets(targets)
        substeps = self._substeps if control is None else control.shape[1]
        self.batch.rollout(substeps, control, record=())
        self.version += 1
        self._sensors[:] = self.batch.bind("sensordata")

    def reset(self, ids: Tensor | None = None) -> None:
        """See `World`."""
        chosen = _indices(ids)
        self.batch.reset(chosen, keyframe=self._key, stage=_NONE)
        rows = slice(None) if chosen is None else chosen
        self._warnings[rows] = self._count_warnings()[rows]
        for i, buffer in self._mocap.values():
            buffer[rows] = self._read_mocap(i)[rows]
        self.version += 1

    def forward(self, ids: Tensor | None = None) -> None:
        """See `World`; runs `mj_forward`, so that forces are those of the present state."""
        self._write_mocap()
        chosen = _indices(ids)
        self.batch.forward(chosen)
        self.version += 1
        rows = slice(None) if chosen is None else chosen
        self._sensors[rows] = self.batch.bind("sensordata")[rows]
        if chosen is None:
            self._engine_version = self.version

    def joints(self, names: Sequence[str]) -> MujocoJoints:
        """See `World`.

        Raises:
            KeyError: a joint is not in the model.
            ValueError: the joints do not lie evenly in the state, so no view exists.
        """
        return MujocoJoints(self, tuple(names))

    def body(self, name: str) -> MujocoFrame:
        """See `World`."""
        if name not in self._bodies:
            self._bodies[name] = self._make_body(name)
        return self._bodies[name]

    def _make_body(self, name: str) -> MujocoFrame:
        body = self._id("body", name)
        read = self.read
        start = self._free_start(body)

        def pose_now() -> Tensor:
            return pose(read("xpos")[:, body], read("xquat")[:, body])

        def pose_of_state() -> Tensor:
            state = self._qpos[:, start : start + 7].numpy()
            turn = state[:, 3:]
            length = np.sqrt(np.sum(turn * turn, axis=-1, keepdims=True))
            return torch.from_numpy(np.concatenate([state[:, :3], turn / length], axis=-1))

        return MujocoFrame(self, body, pose_now if start < 0 else pose_of_state)

    def site(self, name: str) -> MujocoFrame:
        """See `World`."""
        if name not in self._sites:
            self._sites[name] = self._make_site(name)
        return self._sites[name]

    def _make_site(self, name: str) -> MujocoFrame:
        site = self._id("site", name)
        body = int(self.model.site_bodyid[site])
        read = self.read
        found = site_chain(self.model, site)

        def pose_now() -> Tensor:
            if found is not None and not self._expanded.intersection(PARAMETERS):
                q = self._qpos.numpy()[:, found.columns]
                return torch.from_numpy(forward_pose(found.chain, q))
            turn = self._parameter("site_quat")[:, site]
            return pose(read("site_xpos")[:, site], quat_mul(read("xquat")[:, body], turn))

        return MujocoFrame(self, body, pose_now)

    def free_body(self, name: str) -> MujocoFreeBody:
        """See `World`.

        Raises:
            ValueError: the body has no free joint.
        """
        body = self._id("body", name)
        q = self._free_start(body)
        if q < 0:
            raise ValueError(f"body {name!r} has no free joint: add one with add_freejoint()")
        dq = int(self.model.jnt_dofadr[self.model.body_jntadr[body]])
        return MujocoFreeBody(self._qpos[:, q : q + 7], self._qvel[:, dq : dq + 6])

    def mocap(self, name: str) -> Tensor:
        """See `World`."""
        if name not in self._mocap:
            i = int(self.model.body_mocapid[self._id("body", name)])
            if i < 0:
                raise ValueError(f"body {name!r} is not a mocap body: set mocap=True in the scene")
            self._mocap[name] = (i, self._read_mocap(i))
        return self._mocap[name][1]

    def pair_force(self, body_a: str, body_b: str) -> Tensor:
        """See `World`.

        Raises:
            ValueError: the scene has no such sensor.
        """
        pair = (body_a, body_b)
        if pair not in self._pairs:
            self._pairs[pair] = self._pair_start(body_a, body_b)
        start = self._pairs[pair]
        return torch.from_numpy(self._sensors[:, start : start + 3].copy())

    def _pair_start(self, body_a: str, body_b: str) -> int:
        """Return where the force between two bodies begins in `sensordata`."""
        name = _pair_name(body_a, body_b)
        sensor = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SENSOR, name)
        if sensor < 0:
            raise ValueError(
                f"no contact sensor between {body_a!r} and {body_b!r}: call "
                f"add_pair_force_sensor(spec, {body_a!r}, {body_b!r}) when building the scene"
            )
        return int(self.model.sensor_adr[sensor])

    def jacobian(self, site: str, joints: Sequence[str]) -> Tensor:
        """See `World`."""
        i = self._id("site", site)
        dofs = [int(self.model.jnt_dofadr[self._id("joint", name)]) for name in joints]
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

    def render(
        self, camera: str, ids: Sequence[int], width: int, height: int
    ) -> npt.NDArray[np.uint8]:
        """See `World`; `rendering.renderer_name()` says which renderer draws."""
        size = (width, height)
        if size not in self._renderers:
            self._renderers[size] = Renderer(self.model, width, height)
        return self._renderers[size].draw(self.batch, camera, ids)

    def read(self, name: str) -> Tensor:
        """Return a derived field of the engine (N, ...) at the present state.

        The next step overwrites it. Fields of stage ACC are not among them.
        """
        if name not in self._bound or self._engine_version != self.version:
            self.batch.bind(name)
            self._bound.add(name)
            self._write_mocap()
            self.batch.forward(stage=_VEL)
            self._engine_version = self.version
        array = self.batch.bind(name)
        view = array.view()
        view.flags.writeable = False
        return _as_tensor(view)

    def _free_start(self, body: int) -> int:
        """Return where the state of a body with a free joint begins in `qpos`, else -1."""
        joint = int(self.model.body_jntadr[body])
        if joint < 0 or self.model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE:
            return -1
        return int(self.model.jnt_qposadr[joint])

    def _parameter(self, name: str) -> Tensor:
        """Return a model parameter per world, expanded or not, (N or 1, ...)."""
        values = self.batch.expanded(name)
        return _as_tensor(getattr(self.model, name)[None] if values is None else values)

    def _check_targets(self, targets: Tensor) -> npt.NDArray[np.float64]:
        n, nu = self.num_worlds, self.model.nu
        if targets.ndim != 3 or targets.shape[0] != n or targets.shape[2] != nu:
            raise ValueError(
                f"targets must have shape ({n}, substeps, {nu}) for the controls "
                f"{self.actuators}, got {tuple(targets.shape)}"
            )
        if targets.shape[1] == 0:
            raise ValueError("targets must hold at least one substep, got 0")
        return targets.detach().numpy()

    def _id(self, kind: str, name: str) -> int:
        try:
            return int(getattr(self.model, kind)(name).id)
        except KeyError:
            count = {"body": "nbody", "joint": "njnt", "site": "nsite", "actuator": "nu"}[kind]
            known = [getattr(self.model, kind)(i).name for i in range(getattr(self.model, count))]
            raise KeyError(f"{kind} {name!r} is not in the model. Known: {known}") from None

    def _read_mocap(self, i: int) -> Tensor:
        position, turn = self.batch.bind("mocap_pos")[:, i], self.batch.bind("mocap_quat")[:, i]
        return torch.from_numpy(np.concatenate([position, turn], axis=-1))

    def _write_mocap(self) -> None:
        for i, buffer in self._mocap.values():
            values = buffer.numpy()
            self.batch.bind("mocap_pos")[:, i] = values[:, :3]
            self.batch.bind("mocap_quat")[:, i] = values[:, 3:]

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
