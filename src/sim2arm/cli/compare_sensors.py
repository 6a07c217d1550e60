"""Cameras and gels of the simulated arm of a comparison, those of the trainings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sim2arm.policies.verify import load_contract

from .arm_records import gel_of, measured_gel
from .errors import UserError
from .eval import trained
from .ros_evaluation import write_record
from .runs import find_cameras, find_touch

if TYPE_CHECKING:
    from .compare import CompareCfg


def write_sensors(
    cfg: CompareCfg, bundles: Sequence[Path], folder: Path
) -> tuple[Path | None, Path | None]:
    """Write cameras and gels for the node of the arm; return the files.

    Raises:
        UserError: two bundles were trained with different ones.
    """
    if cfg.task:
        return None, None
    every = [trained(bundle, load_contract(bundle)) for bundle in bundles]
    cameras = find_cameras(_shared("cameras", [each.cameras for each in every]))
    gels = [gel_of(each) for each in every if each.touch != "none"]
    if any(measured_gel(gel) != measured_gel(gels[0]) for gel in gels):
        raise UserError("the bundles were trained with gels that resist differently")
    touch = find_touch(_shared("gels", [each.touch for each in every]), gels[0] if gels else "")
    vision = None if cameras is None else cameras.vision
    return (
        write_record(folder / "vision.yaml", vision), write_record(folder / "touch.yaml", touch)
    )  # fmt: skip


def _shared(what: str, names: Sequence[str]) -> str:
    told = set(names) - {"none"}
    if len(told) > 1:
        raise UserError(f"the bundles were trained with different {what}: {sorted(told)}")
    return told.pop() if told else "none"
