"""Worlds on MuJoCo's C engine: `mujoco.batch.Batch` on a pool of threads.

State tensors are float64 views of the batch's rows: nothing is copied, and a world is bit for bit
what `mj_step` computes. One control step is S - 1 substeps of `Batch.rollout` and one of
`Batch.step` with stage VEL, so that positions, velocities, poses and sensors of those stages
belong to the new state; contact forces (stage ACC) are those of the last substep.
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

from sim2arm.core.transforms import cross, pose, quat_mul

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
        for name in ("xpos", "xquat", "cvel", "subtree_com", "site_xpos", "sensordata"):
            self.batch.bind(name)
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
        if targets is None:
            self.batch.step(nstep=self._substeps, stage=_VEL)
        else:
            control = self._check_targets(targets)
            last = control.shape[1] - 1
            if last:
                self.batch.rollout(last, control[:, :last], record=())
            self.batch.bind("ctrl")[:] = control[:, last]
            self.batch.step(stage=_VEL)
        self.version += 1

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
        self.batch.forward(_indices(ids))
        self.version += 1

    def joints(self, names: Sequence[str]) -> MujocoJoints:
        """See `World`.

        Raises:
            KeyError: a joint is not in the model.
            ValueError: the joints do not lie evenly in the state, so no view exists.
        """
        return MujocoJoints(self, tuple(names))

    def body(self, name: str) -> MujocoFrame:
        """See `World`."""
        body = self._id("body", name)
        read = self.read

        def pose_now() -> Tensor:
            return pose(read("xpos")[:, body], read("xquat")[:, body])

        return MujocoFrame(self, body, pose_now)

    def site(self, name: str) -> MujocoFrame:
        """See `World`."""
        site = self._id("site", name)
        body = int(self.model.site_bodyid[site])
        read = self.read

        def pose_now() -> Tensor:
            turn = self._parameter("site_quat")[:, site]
            return pose(read("site_xpos")[:, site], quat_mul(read("xquat")[:, body], turn))

        return MujocoFrame(self, body, pose_now)

    def free_body(self, name: str) -> MujocoFreeBody:
        """See `World`.

        Raises:
            ValueError: the body has no free joint.
        """
        body = self._id("body", name)
        joint = int(self.model.body_jntadr[body])
        free = mujoco.mjtJoint.mjJNT_FREE
        if joint < 0 or self.model.jnt_type[joint] != free:
            raise ValueError(f"body {name!r} has no free joint: add one with add_freejoint()")
        q, dq = int(self.model.jnt_qposadr[joint]), int(self.model.jnt_dofadr[joint])
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
        name = _pair_name(body_a, body_b)
        sensor = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SENSOR, name)
        if sensor < 0:
            raise ValueError(
                f"no contact sensor between {body_a!r} and {body_b!r}: call "
                f"add_pair_force_sensor(spec, {body_a!r}, {body_b!r}) when building the scene"
            )
        start = int(self.model.sensor_adr[sensor])
        return self.read("sensordata")[:, start : start + 3].clone()

    def jacobian(self, site: str, joints: Sequence[str]) -> Tensor:
        """See `World`."""
        i = self._id("site", site)
        dofs = [int(self.model.jnt_dofadr[self._id("joint", name)]) for name in joints]
        point = self.batch.bind("site_xpos")[:, i]
        linear, angular = self.batch.jac(int(self.model.site_bodyid[i]), point)
        return torch.from_numpy(np.concatenate([linear, angular], axis=1)[:, :, dofs])

    def field(self, name: str) -> Tensor:
        """See `World`; names as in `mujoco.MjModel`, options as `opt.<name>`."""
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
        """Return a derived field of the engine (N, ...); the next call overwrites it."""
        array = self.batch.bind(name)
        view = array.view()
        view.flags.writeable = False
        return _as_tensor(view)

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


def _as_tensor(array: npt.NDArray[Any]) -> Tensor:
    """Return a tensor on the memory of an array that may be read-only; do not write to it."""
    interface = dict(array.__array_interface__)
    interface["data"] = (interface["data"][0], False)
    return torch.from_numpy(np.asarray(_Memory(interface, array)))


class _Memory:
    """Memory of an array without its read-only mark; keeps the array alive."""

    def __init__(self, interface: dict[str, Any], owner: npt.NDArray[Any]) -> None:
        self.__array_interface__, self.owner = interface, owner


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


def _indices(ids: Tensor | None) -> npt.NDArray[np.int32] | npt.NDArray[np.bool_] | None:
    """Return sorted ids or a mask for the batch."""
    if ids is None:
        return None
    array = ids.detach().numpy()
    return array if array.dtype == bool else np.unique(array).astype(np.int32)
