"""`sim2arm replay`: what was recorded, once more.

Of a flight, which the gate keeps of its last seconds before a stop: its decisions (`flights.py`).
Of a dataset: its episodes, seen with other cameras (`see_again.py`). Of an incident, which
`sim2arm train` keeps: the step after which a Warp world was invalid, in MuJoCo's C engine. Where
that breaks too, the scene, its numbers or its controls are at fault; where it does not, single
precision or the solver of MuJoCo Warp may be.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import mujoco
import numpy as np
from tyro.conf import Positional, arg

from sim2arm.sim.worlds.incident import read_incident
from sim2arm_ros.flight import SUFFIX

from .errors import UserError, user_input
from .flights import replay_flight
from .parse import parse
from .see_again import see_again

INFO = Path("meta/info.json")
"""What a dataset has."""
GREATEST = 1.0e10
"""MuJoCo's mjMAXVAL: a state beyond it is invalid."""


@dataclass(frozen=True, kw_only=True)
class ReplayCfg:
    """Run a stop of the gate again, a step that broke a Warp world, or see episodes otherwise."""

    path: Annotated[Positional[Path], arg(metavar="FLIGHT|DATASET|INCIDENT")]
    """A flight of the gate, a dataset of sim2arm record, or an incident, a folder in `incidents/`
    of a run."""
    cameras: str = "none"
    """Of a dataset: what sees it now, a name of `sim2arm list`."""
    out: Path | None = None
    """Of a dataset: folder of the new one, which is gone on with if it is there."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, run the step and print what happens in its substeps."""
    cfg = parse(ReplayCfg, argv, "sim2arm replay")
    if cfg.path.suffix == SUFFIX:
        for line in replay_flight(cfg.path):
            print(line)
        return 0
    if (cfg.path / INFO).is_file():
        if cfg.out is None:
            raise UserError("--out: expected the folder of the new dataset")
        count = see_again(cfg.path, cfg.cameras, cfg.out)
        print(f"{cfg.out}: {count} episodes, as the cameras {cfg.cameras} see them")
        return 0
    with user_input("incident", cfg.path):
        model, data, controls = read_incident(cfg.path)
    for line in replay(model, data, controls):
        print(line)
    return 0


def replay(model: Any, data: Any, controls: Any) -> Generator[str, None, None]:
    """Yield a line before the first substep, one per substep, and what is to be said of them.

    Args:
        model: `mujoco.MjModel`.
        data: `mujoco.MjData` before the step; it is advanced.
        controls: of the substeps (S, nu).
    """
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    yield f"{'substep':>7}  {'contacts':>8}  {'rows':>5}  {'deepest [mm]':>12}  fastest joint"
    yield _line(model, data, 0)
    bad = _invalid(model, data)
    if bad:
        yield f"The state was invalid before the first substep ({bad}): it was written so."
        return
    with _warnings() as said:
        for k, row in enumerate(controls, start=1):
            data.ctrl[:] = row
            mujoco.mj_step(model, data)
            yield _line(model, data, k)
            bad = _invalid(model, data) or "; ".join(said)
            if bad:
                yield f"The C engine breaks too, in substep {k} of {len(controls)}: {bad}"
                return
    yield (
        f"The C engine stays valid in all {len(controls)} substeps: the state broke in the "
        "arithmetic of MuJoCo Warp alone"
    )


def _line(model: Any, data: Any, substep: int) -> str:
    deepest = 1e3 * max((-float(contact.dist) for contact in data.contact), default=0.0)
    head = f"{substep:>7}  {data.ncon:>8}  {data.nefc:>5}  {deepest:>12.3f}"
    if not model.nv:
        return head
    dof = int(np.argmax(np.nan_to_num(np.abs(data.qvel), nan=np.inf)))
    joint, kinds = int(model.dof_jntid[dof]), mujoco.mjtJoint
    slides = model.jnt_type[joint] == kinds.mjJNT_SLIDE
    slides |= model.jnt_type[joint] == kinds.mjJNT_FREE and dof - model.jnt_dofadr[joint] < 3
    unit = "m/s" if slides else "rad/s"
    return f"{head}  {_name(model, joint)}: {data.qvel[dof]:.4g} {unit}"


def _name(model: Any, joint: int) -> str:
    return model.joint(joint).name or f"joint {joint}"


def _invalid(model: Any, data: Any) -> str:
    """Return where positions or velocities are invalid, "" where they are not."""
    return ", ".join(
        f"{what} of {_name(model, joint)}"
        for joint in range(model.njnt)
        for what, values in (
            ("position", data.joint(joint).qpos),
            ("velocity", data.joint(joint).qvel),
        )
        if not (np.abs(values) < GREATEST).all()
    )


@contextmanager
def _warnings() -> Generator[list[str], None, None]:
    """Give a list of what the engine warns of meanwhile, instead of its log file."""
    said: list[str] = []
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(said.append)
    try:
        yield said
    finally:
        mujoco.set_mju_user_warning(before)
