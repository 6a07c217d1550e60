"""Compiled scenes, the same for every engine that steps MuJoCo's model: options, names, sensors."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
from torch import Tensor

_COUNTS = {
    "body": "nbody",
    "joint": "njnt",
    "site": "nsite",
    "actuator": "nu",
    "camera": "ncam",
    "geom": "ngeom",
    "equality": "neq",
    "light": "nlight",
    "material": "nmat",
}


class UnknownNameError(KeyError):
    """A name that is not in the model."""

    def __str__(self) -> str:
        """Return the message as it was written; `KeyError` would quote it."""
        return str(self.args[0])


def compile_scene(spec: mujoco.MjSpec | mujoco.MjModel, timestep: float) -> Any:
    """Return the `mujoco.MjModel` of a scene with our time step [s], integrator and solver.

    What another process has compiled so is returned as it is.
    """
    if isinstance(spec, mujoco.MjModel):
        return spec
    spec.option.timestep = timestep
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    return spec.compile()


def home_key(model: Any) -> int:
    """Return the number of the keyframe `home`, at which worlds start; -1 without one."""
    keys = [model.key(i).name for i in range(model.nkey)]
    return keys.index("home") if "home" in keys else -1


def find(model: Any, kind: str, name: str) -> int:
    """Return the number of a named element.

    Args:
        model: `mujoco.MjModel`.
        kind: `body`, `joint`, `site`, `actuator`, `camera`, `geom` or `equality`.
        name: of the element.

    Raises:
        UnknownNameError: it is not in the model; lists those that are.
    """
    try:
        return int(getattr(model, kind)(name).id)
    except KeyError:
        known = [getattr(model, kind)(i).name for i in range(getattr(model, _COUNTS[kind]))]
        raise UnknownNameError(f"{kind} {name!r} is not in the model. Known: {known}") from None


def free_start(model: Any, body: int) -> int:
    """Return where the state of a body with a free joint begins in `qpos`, else -1."""
    joint = int(model.body_jntadr[body])
    if joint < 0 or model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_FREE:
        return -1
    return int(model.jnt_qposadr[joint])


def mocap_index(model: Any, name: str) -> int:
    """Return the place of a mocap body among mocap bodies.

    Raises:
        KeyError: the body is not in the model.
        ValueError: it is not a mocap body.
    """
    i = int(model.body_mocapid[find(model, "body", name)])
    if i < 0:
        raise ValueError(f"body {name!r} is not a mocap body: set mocap=True in the scene")
    return i


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


def pair_force_start(model: Any, body_a: str, body_b: str) -> int:
    """Return where the force between two bodies begins in `sensordata`.

    Raises:
        ValueError: the scene has no such sensor.
    """
    sensor = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, _pair_name(body_a, body_b))
    if sensor < 0:
        raise ValueError(
            f"no contact sensor between {body_a!r} and {body_b!r}: call "
            f"add_pair_force_sensor(spec, {body_a!r}, {body_b!r}) when building the scene"
        )
    return int(model.sensor_adr[sensor])


def _pair_name(body_a: str, body_b: str) -> str:
    return f"pair_force/{body_a}/{body_b}"


def check_targets(targets: Tensor, num_worlds: int, model: Any) -> None:
    """Check controls of physics substeps.

    Raises:
        ValueError: the shape is not (N, S, nu) with at least one substep.
    """
    n, nu = num_worlds, model.nu
    if targets.ndim != 3 or targets.shape[0] != n or targets.shape[2] != nu:
        raise ValueError(
            f"targets must have shape ({n}, substeps, {nu}) for the controls "
            f"{actuator_names(model)}, got {tuple(targets.shape)}"
        )
    if targets.shape[1] == 0:
        raise ValueError("targets must hold at least one substep, got 0")


def actuator_names(model: Any) -> tuple[str, ...]:
    """Return the names of the controls, in order."""
    return tuple(model.actuator(i).name for i in range(model.nu))
