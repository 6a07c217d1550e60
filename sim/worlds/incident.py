"""A world whose state became invalid: what led to it, in files that MuJoCo's C engine can run."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

Array = npt.NDArray[Any]
MODEL, STATE = "model.mjb", "state.safetensors"


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One control step after which the state of a world was invalid."""

    model: Any
    """`mujoco.MjModel` of the scene."""
    world: int
    """Number of the world."""
    state: Mapping[str, Array]
    """State before the step, fields of `mujoco.MjData` by name."""
    controls: Array
    """Controls of the substeps (S, nu)."""
    fields: Mapping[str, Array] = field(default_factory=dict[str, Array])
    """Model fields that this world has for itself."""


def write_incident(folder: Path, incident: Incident) -> None:
    """Write an incident into a folder of its own.

    Args:
        folder: it is made.
        incident: what happened.
    """
    own = mujoco.MjModel.from_binary_path(_saved(folder, incident.model))
    for name, values in incident.fields.items():
        place: Any = own
        *path, attribute = name.split(".")
        for part in path:
            place = getattr(place, part)
        if np.ndim(getattr(place, attribute)):
            getattr(place, attribute)[:] = np.reshape(values, np.shape(getattr(place, attribute)))
        else:
            setattr(place, attribute, float(values))
    mujoco.mj_setConst(own, mujoco.MjData(own))
    _saved(folder, own)
    state = {f"state.{name}": np.ascontiguousarray(v) for name, v in incident.state.items()}
    save_file(state | {"controls": np.ascontiguousarray(incident.controls)}, folder / STATE)


def _saved(folder: Path, model: Any) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = str(folder / MODEL)
    mujoco.mj_saveModel(model, path, None)
    return path


def read_incident(folder: Path) -> tuple[Any, Any, Array]:
    """Return `mujoco.MjModel`, `mujoco.MjData` before the step, and the controls (S, nu).

    Raises:
        ValueError: there is no incident, it is damaged, or of another version of MuJoCo.
    """
    if not all((folder / name).is_file() for name in (MODEL, STATE)):
        raise ValueError(f"expected a folder with {MODEL} and {STATE}")
    model = mujoco.MjModel.from_binary_path(str(folder / MODEL))
    data = mujoco.MjData(model)
    try:
        stored = load_file(folder / STATE)
    except SafetensorError as error:
        raise ValueError(f"{STATE} is damaged: {error}") from error
    for name, values in stored.items():
        if name.startswith("state."):
            place = getattr(data, name.removeprefix("state."))
            place[:] = values.reshape(place.shape)
    return model, data, stored["controls"]
