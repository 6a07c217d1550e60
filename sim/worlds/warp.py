"""Worlds on MuJoCo Warp: thousands of simulations on a GPU, a few on Warp's CPU device.

State tensors are float32 views of Warp's arrays: nothing is copied. A control step, all physics
substeps with the controls of each, is one recorded graph, and so are `forward` and `reset`: without
that, launching a hundred kernels per substep from Python would cost more than the physics. A model
field that gets values per world is another array, so the graphs are recorded again.

Contacts and constraint rows have a capacity; what goes beyond it is lost without an error of the
engine. `check_capacity` tells, with the numbers to raise.
"""

# MuJoCo's extension modules have no stubs; Warp's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import mujoco_warp as mjw
import numpy as np
import numpy.typing as npt
import torch
import warp as wp
from torch import Tensor

from sim2arm.core.transforms import pose, quat_mul
from sim2arm.sim.warp_device import torch_stream, warp_device

from .compiled import (
    actuator_names,
    check_targets,
    compile_scene,
    find,
    home_key,
    mocap_index,
    pair_force_start,
)
from .guard import Guard
from .incident import Incident
from .law import Bodies, ForceLaw
from .pictures import Cameras, Shot, render_some
from .ray_camera import RayCameras
from .views import Frame, FreeBody, Joints

PLACES = ("body_pos", "body_quat", "geom_pos", "geom_quat")
"""Fields that MuJoCo Warp does not read again for geoms that are fixed to the world."""
CONSTANTS = (
    "body_subtreemass", "geom_aabb", "geom_rbound", "geom_size", "eq_data", "tendon_length0",
    "cam_pos0", "cam_poscom0", "cam_mat0", "light_pos0", "light_poscom0", "light_dir0",
    "dof_invweight0", "body_invweight0", "tendon_invweight0", "actuator_acc0",
)  # fmt: skip
"""Fields that `mjw.set_const` writes for each world, also where all worlds share one row."""


class WarpWorld:
    """N simulations of a scene on one device; the `World` protocol says what its methods mean."""

    def __init__(
        self,
        spec: mujoco.MjSpec,
        num_worlds: int,
        *,
        timestep: float = 1.0 / 480.0,
        control_substeps: int = 8,
        device: str = "cpu",
        contacts: int = 64,
        rows: int = 256,
        law: ForceLaw | None = None,
    ) -> None:
        """Compile a scene and start N worlds, at the keyframe `home` if the scene has one.

        Args:
            spec: the scene; its timestep, integrator, solver and Jacobian are set here.
            num_worlds: N.
            timestep: of one physics substep [s].
            control_substeps: S of a step without targets.
            device: as torch names it, `cpu` or `cuda:0`.
            contacts: room for contacts per world; one may have more while others have less.
            rows: room for constraint rows in each world.
            law: forces between bodies beside the engine's.

        Raises:
            NotImplementedError: the scene uses what MuJoCo Warp does not have.
        """
        self.model: Any = compile_scene(spec, timestep)
        self._device, self._substeps = torch.device(device), control_substeps
        self.warp_device = warp_device(self._device)
        self.capacity = (contacts, rows)
        with wp.ScopedDevice(self.warp_device):
            self.physics = mjw.put_model(self.model)
            self.physics.opt.warn_overflow = 0  # `check_capacity` tells, once and with numbers
            self.state = mjw.make_data(self.model, nworld=num_worlds, nconmax=contacts, njmax=rows)
        self.num_worlds = num_worlds
        self.qpos, self.qvel = self._tensor("qpos"), self._tensor("qvel")
        self.ctrl, self._time = self._tensor("ctrl"), self._tensor("time")
        self._sensors = self._tensor("sensordata")
        self._mask = torch.zeros(num_worlds, dtype=torch.bool, device=self._device)
        self._mocap: dict[str, tuple[int, Tensor]] = {}
        self._sites: dict[str, Frame] = {}
        self._bodies: dict[str, Frame] = {}
        self._jacobians: dict[str, tuple[Any, ...]] = {}
        self._graphs: dict[object, Any] = {}
        self._cameras: dict[Shot, Cameras] = {}
        self._path = self._make_path(control_substeps)
        self.version = 0
        self._find_start()
        self.guard = Guard(self)
        self.law = law
        self._act = None if law is None else law.bind(self._show_bodies())
        self.reset()
        self.forward()

    @property
    def device(self) -> torch.device:
        """See `World`."""
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        """See `World`: MuJoCo Warp computes in single precision."""
        return torch.float32

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
        """See `World`: such a world has been put back to its start, as MuJoCo's C engine does."""
        return self.guard.diverged.clone()

    # -- stepping ------------------------------------------------------------------------------

    def step(self, targets: Tensor | None = None) -> None:
        """See `World`."""
        substeps = self._substeps
        if targets is not None:
            check_targets(targets, self.num_worlds, self.model)
            substeps = targets.shape[1]
            if substeps > self._path.shape[0]:
                self._path = self._make_path(substeps)
                self._graphs.clear()
        if self.model.nu:
            held = self.ctrl.expand(substeps, -1, -1)
            path = held if targets is None else targets.transpose(0, 1)
            wp.to_torch(self._path)[:substeps].copy_(path)
        self._write_mocap()
        self._run(("step", substeps), lambda: self._advance(substeps))

    def _make_path(self, substeps: int) -> Any:
        """Return room for the controls (S, N, nu) of substeps; a model without any has one."""
        shape = (substeps, self.num_worlds, max(1, self.model.nu))
        return wp.zeros(shape, dtype=float, device=self.warp_device)

    def _advance(self, substeps: int) -> None:
        self.guard.remember(self._path[:substeps])
        for k in range(substeps):
            if self.model.nu:
                wp.copy(self.state.ctrl, self._path[k])
            if self._act is None:
                mjw.step(self.physics, self.state)
            else:
                mjw.step1(self.physics, self.state)
                self._act()
                mjw.step2(self.physics, self.state)
        self.guard.look()
        self._derive()

    def _show_bodies(self) -> Bodies:
        return Bodies(
            model=self.model,
            timestep=self.timestep,
            position=self._tensor("xpos"),
            rotation=self._tensor("xquat"),
            centre=self._tensor("xipos"),
            velocity=self.qvel,
            mass=self.field("body_mass"),
            inertia=self.field("body_inertia"),
            axes=self.field("body_iquat"),
            wrench=self._tensor("xfrc_applied"),
        )

    def reset(self, ids: Tensor | None = None) -> None:
        """See `World`."""
        if ids is None:
            self._mask.fill_(True)
        elif ids.dtype == torch.bool:
            self._mask.copy_(ids)
        else:
            self._mask.zero_()
            self._mask.index_fill_(0, ids.to(self._device), True)
        self._run("reset", self._restart)
        for i, buffer in self._mocap.values():
            buffer.copy_(torch.where(self._mask[:, None], self._read_mocap(i), buffer))

    def _restart(self) -> None:
        mask = wp.from_torch(self._mask)
        mjw.reset_data(self.physics, self.state, reset=mask)
        self.guard.restart(mask)

    def forward(self, ids: Tensor | None = None) -> None:
        """See `World`; all worlds are computed, which costs a GPU no more than some."""
        self._write_mocap()
        self._run("forward", self._derive)

    def _derive(self) -> None:
        mjw.kinematics(self.physics, self.state)
        mjw.com_pos(self.physics, self.state)
        mjw.com_vel(self.physics, self.state)

    def _run(self, key: object, work: Callable[[], None]) -> None:
        """Replay the graph of some work; the first time it is done as it comes, then recorded."""
        with self.scope():
            if key in self._graphs:
                wp.capture_launch(self._graphs[key])
            else:
                work()  # compiles kernels and allocates, which a recording must not
        if key not in self._graphs:
            self._graphs[key] = self._record(work)
        self.version += 1

    def _record(self, work: Callable[[], None]) -> Any:
        """Return the graph of some work, which is not done."""
        if self._device.type != "cuda":
            with wp.ScopedDevice(self.warp_device), wp.ScopedCapture(self.warp_device) as capture:
                work()
            return capture.graph
        stream = wp.Stream(self.warp_device)  # CUDA records nothing on the stream torch starts with
        with wp.ScopedStream(stream), wp.ScopedCapture(stream=stream) as capture:
            work()
        return capture.graph

    def scope(self) -> Any:
        """Return the device, and on a GPU the stream on which torch works."""
        if self._device.type == "cuda":
            return wp.ScopedStream(torch_stream(self._device))
        return wp.ScopedDevice(self.warp_device)

    # -- views ---------------------------------------------------------------------------------

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
            body = find(self.model, "body", name)
            self._bodies[name] = Frame(
                self,
                body,
                lambda: pose(self.read("xpos")[:, body], self.read("xquat")[:, body]),
            )
        return self._bodies[name]

    def site(self, name: str) -> Frame:
        """See `World`."""
        if name not in self._sites:
            site = find(self.model, "site", name)
            body = int(self.model.site_bodyid[site])

            def pose_now() -> Tensor:
                turn = wp.to_torch(self.physics.site_quat)[:, site]
                return pose(
                    self.read("site_xpos")[:, site], quat_mul(self.read("xquat")[:, body], turn)
                )

            self._sites[name] = Frame(self, body, pose_now)
        return self._sites[name]

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
        """See `World`: bool."""
        return self._tensor("eq_active")[:, find(self.model, "equality", name)]

    def pair_force(self, body_a: str, body_b: str) -> Tensor:
        """See `World`.

        Raises:
            ValueError: the scene has no such sensor.
        """
        start = pair_force_start(self.model, body_a, body_b)
        force = self._sensors[:, start : start + 3].clone()
        more = None if self.law is None else self.law.pair_force(body_a, body_b)
        return force if more is None else force + more

    def jacobian(self, site: str, joints: Sequence[str]) -> Tensor:
        """See `World`."""
        i = find(self.model, "site", site)
        dofs = [int(self.model.jnt_dofadr[find(self.model, "joint", name)]) for name in joints]
        n, nv, device = self.num_worlds, self.model.nv, self.warp_device
        if site not in self._jacobians:
            body = int(self.model.site_bodyid[i])
            self._jacobians[site] = (
                wp.zeros(n, dtype=wp.vec3, device=device),
                wp.full(n, body, dtype=int, device=device),
                wp.zeros((n, 3, nv), dtype=float, device=device),
                wp.zeros((n, 3, nv), dtype=float, device=device),
            )
        point, bodies, linear, angular = self._jacobians[site]
        wp.to_torch(point).copy_(self.read("site_xpos")[:, i])
        with self.scope():
            mjw.jac(self.physics, self.state, linear, angular, point, bodies)
        return torch.cat([wp.to_torch(linear), wp.to_torch(angular)], dim=1)[:, :, dofs]

    # -- model fields --------------------------------------------------------------------------

    def field(self, name: str) -> Tensor:
        """See `World`; names as in `mujoco.MjModel`, options as `opt.<name>`.

        Raises:
            ValueError: the model has no such field, or MuJoCo Warp has it once for all worlds.
        """
        if name in PLACES:
            raise ValueError(
                f"{name!r}: MuJoCo Warp places what is fixed to the world once, so that it would "
                "stay where it is; move a mocap body, or take the world 'mujoco'"
            )
        place, attribute = (
            (self.physics.opt, name.removeprefix("opt."))
            if name.startswith("opt.")
            else (self.physics, name)
        )
        array = getattr(place, attribute, None)
        per_world = getattr(type(place).__annotations__.get(attribute), "shape", ("",))[0] == "*"
        if not isinstance(array, wp.array) or not per_world:
            raise ValueError(f"{name!r} is no model field that MuJoCo Warp has for each world")
        self._expand(place, attribute)
        values = wp.to_torch(getattr(place, attribute))
        if self.guard.keep_field(name, values):  # whoever asks may write
            self._graphs.clear()
        return values

    def _expand(self, place: Any, attribute: str) -> None:
        """Give each world its row of a model field."""
        array = getattr(place, attribute)
        if array.shape[0] != self.num_worlds:
            values = wp.to_torch(array).expand(self.num_worlds, *wp.to_torch(array).shape[1:])
            setattr(place, attribute, wp.from_torch(values.contiguous(), dtype=array.dtype))
            self._graphs.clear()

    def commit_fields(self, ids: Tensor | None = None) -> None:
        """See `World`; in all worlds. Call `forward` afterwards, as after any write."""
        for name in CONSTANTS:  # else all worlds would write to one row
            self._expand(self.physics, name)
        self._run("constants", lambda: mjw.set_const(self.physics, self.state))

    # -- pictures ------------------------------------------------------------------------------

    def cameras(self, shots: Sequence[Shot]) -> Cameras:
        """See `World`; all worlds are drawn, on their device."""
        return RayCameras(self, shots)

    def render(
        self, camera: str, ids: Sequence[int], width: int, height: int
    ) -> npt.NDArray[np.uint8]:
        """See `World`."""
        return render_some(
            self, self._cameras, Shot(camera=camera, width=width, height=height), ids
        )

    # -- what the host asks for now and then ---------------------------------------------------

    def check_capacity(self) -> None:
        """See that no contact or constraint row was lost; waits for the device.

        Raises:
            CapacityError: there was not room for all; says what to raise, and to what.
        """
        problem = self.guard.capacity_problem(*self.capacity)
        if problem is not None:
            raise problem

    def incidents(self) -> list[Incident]:
        """See `World`; waits for the device."""
        return self.guard.incidents()

    def read(self, name: str) -> Tensor:
        """Return a derived field of the engine (N, ...); the next step overwrites it."""
        return self._tensor(name)

    def _tensor(self, name: str) -> Tensor:
        return wp.to_torch(getattr(self.state, name))

    def _find_start(self) -> None:
        """Read the state at which worlds start."""
        host = mujoco.MjData(self.model)
        key = home_key(self.model)
        if key >= 0:
            mujoco.mj_resetDataKeyframe(self.model, host, key)
        self.start = host

    def _read_mocap(self, i: int) -> Tensor:
        return torch.cat(
            [self._tensor("mocap_pos")[:, i], self._tensor("mocap_quat")[:, i]], dim=-1
        )

    def _write_mocap(self) -> None:
        for i, buffer in self._mocap.values():
            self._tensor("mocap_pos")[:, i] = buffer[:, :3]
            self._tensor("mocap_quat")[:, i] = buffer[:, 3:]
