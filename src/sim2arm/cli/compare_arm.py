"""The simulated arm of a comparison: one for all bundles, that of their trainings or as told."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim2arm.core.contract import Contract
from sim2arm.core.durable import hash_file
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.robots.actuators import IDEAL, find_actuators
from sim2arm.sim.tasks.base import Task

from .arm_records import gel_of, measured_gel
from .errors import UserError, user_input
from .eval import trained
from .experiments import TrainCfg
from .runs import find_cameras, find_touch

if TYPE_CHECKING:
    from sim2arm.sim.touch import Touch
    from sim2arm.sim.vision import Vision

    from .compare import CompareCfg


@dataclass(frozen=True, kw_only=True)
class SharedArm:
    """What every bundle is tried on: with another arm each, the arms would be compared too."""

    robot: str
    actuators: str
    cameras: str
    calibrations: tuple[str, ...]
    """Records of the cameras."""
    touch: str
    gel: str
    """Record of the gels, empty for none."""

    def vision(self) -> Vision | None:
        """Return its cameras.

        Raises:
            UserError: there are none of this name, or a record is of none of them.
        """
        found = find_cameras(self.cameras, self.calibrations, self.robot)
        return None if found is None else found.vision

    def pads(self) -> Touch | None:
        """Return its gels.

        Raises:
            UserError: there are none of this name, or the file is no record of a gel.
        """
        return find_touch(self.touch, self.gel)

    def words(self) -> list[str]:
        """Return what it is, for the plan."""
        found = [f"actuators {self.actuators}", f"cameras {self.cameras}", f"touch {self.touch}"]
        found += [f"calibrations {marks(self.calibrations)}"] if self.calibrations else []
        return found + ([f"gel {marks([self.gel])}"] if self.gel else [])


def marks(files: Sequence[str | Path]) -> str:
    """Return what tells files with other contents apart."""
    with user_input("--calibrations"):
        return " ".join(sorted(hash_file(Path(file))[:12] for file in files))


def find_arm(
    cfg: CompareCfg, bundles: Sequence[Path], contracts: Sequence[Contract], task: Task
) -> SharedArm:
    """Return the arm for a task: as the options say, else as all trainings had it.

    Raises:
        UserError: two bundles were trained on different ones, or there is none such.
    """
    pairs = () if cfg.task else zip(bundles, contracts, strict=True)
    every = [trained(bundle, contract) for bundle, contract in pairs]
    cameras = cfg.cameras or _shared("cameras", [each.cameras for each in every])
    touch = cfg.touch or _shared("touch", [each.touch for each in every])
    records = [each.calibrations for each in every if isinstance(each, TrainCfg)]
    seen = [tuple(files) for files in records if files]
    if len({marks(files) for files in seen}) > 1 and not cfg.calibrations:
        raise UserError(
            "the bundles were trained with different records of the cameras: pass --calibrations"
        )
    gels = [gel_of(each) for each in every if each.touch != "none"]
    if any(measured_gel(gel) != measured_gel(gels[0]) for gel in gels):
        raise UserError("the bundles were trained with gels that resist differently")
    files = tuple(map(str, cfg.calibrations)) or (seen[0] if seen and cameras != "none" else ())
    arm = SharedArm(
        robot=contracts[0].robot, cameras=cameras, calibrations=files, touch=touch,
        actuators=cfg.actuators or _shared("actuators", [each.actuators for each in every], IDEAL),
        gel=gels[0] if gels and touch != "none" else "",
    )  # fmt: skip
    pads, _ = arm.pads(), arm.vision()
    with user_input("--actuators"):
        actuators = find_actuators(arm.actuators, arm.robot)
    with user_input("--touch"):  # refused before anything runs
        SimulatedArm(
            task, arm.robot, control_hz=contracts[0].control_hz, threads=1, touch=pads,
            actuators=actuators,
        )  # fmt: skip
    return arm


def _shared(option: str, names: Sequence[str], default: str = "none") -> str:
    """Return what all trainings had; who had no camera or gels loses nothing by one."""
    told = set(names) - {"none"}
    if len(told) > 1:
        raise UserError(
            f"the bundles were trained on arms with different {option} ({', '.join(sorted(told))})"
            f": pass --{option} NAME, of the one arm that all are tried on"
        )
    return told.pop() if told else default
