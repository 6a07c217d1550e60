"""Calibrations of a robot's cameras in the report of the policy: measured value, trained range.

A contract says where each camera was in training and how far from there it may be; records of
`sim2arm calibrate` say where the real one is. What a record cannot tell apart from the trained
value (its 95 % interval holds it) counts as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sim2arm.calibration.camera_file import (
    HAND_EYE,
    INTRINSICS,
    MeasuredIntrinsics,
    MeasuredPose,
    read_intrinsics,
    read_pose,
)
from sim2arm.calibration.latency import KIND as LATENCY
from sim2arm.calibration.latency import MeasuredLatency, read_device_latency
from sim2arm.core.calibration_file import read_record
from sim2arm.core.contract import CameraMount, Contract, TrainedRange
from sim2arm.core.driver_stage import parse_stage, stage_intrinsics
from sim2arm.core.transforms import pose_between, quat_to_rotvec

from . import activation
from .activation import Item
from .graph import INTRINSICS as NAMES
from .graph import intrinsic_range
from .pictures import camera_of

ANOTHER = "calibrate the camera again, or train with its calibration"


@dataclass(frozen=True, kw_only=True)
class CameraCalibrations:
    """What was measured of the cameras of a robot, by their names."""

    lenses: dict[str, MeasuredIntrinsics]
    poses: dict[str, MeasuredPose]
    latencies: dict[str, MeasuredLatency] = field(default_factory=dict[str, MeasuredLatency])

    def items(self, contract: Contract) -> list[Item]:
        """Return the items of the report on the cameras that a policy sees through."""
        cameras = dict.fromkeys(
            name for spec in contract.inputs if (name := camera_of(spec)) is not None
        )
        mounts = {mount.name: mount for mount in contract.cameras}
        found: list[Item] = []
        for name in cameras:
            if name in self.poses:
                found += _place_items(contract, mounts.get(name), self.poses[name])
            if name in self.lenses:
                found += _lens_items(contract, self.lenses[name])
            if name in self.latencies:
                found += _latency_items(contract, self.latencies[name])
        for name in sorted({*self.lenses, *self.poses, *self.latencies} - set(cameras)):
            found.append(
                activation.equal(
                    f"calibration of {name}", f"one of {', '.join(cameras) or 'no camera'}", name,
                    "the policy sees through no such camera: whose calibration is it?",
                )
            )  # fmt: skip
        return found


def read_calibrations(files: Sequence[str | Path]) -> CameraCalibrations:
    """Return what records of intrinsics, of hand-eye and of latency say.

    Raises:
        ValueError: a file is none of these, was not accepted, or two are of one camera; one line.
    """
    lenses: dict[str, MeasuredIntrinsics] = {}
    poses: dict[str, MeasuredPose] = {}
    latencies: dict[str, MeasuredLatency] = {}
    for file in files:
        what = read_record(file).what
        if what == INTRINSICS:
            lens = read_intrinsics(file)
            twice = lens.camera in lenses
            lenses[lens.camera] = lens
        elif what == HAND_EYE:
            pose = read_pose(file)
            twice = pose.camera in poses
            poses[pose.camera] = pose
        elif what == LATENCY:
            latency = read_device_latency(file)
            twice = latency.device in latencies
            latencies[latency.device] = latency
        else:
            raise ValueError(
                f"{file}: expected a calibration of {INTRINSICS}, {HAND_EYE} or {LATENCY}, got "
                f"{what!r}"
            )
        if twice:
            raise ValueError(f"{file}: a second calibration of {what} of one camera")
    return CameraCalibrations(lenses=lenses, poses=poses, latencies=latencies)


def _place_items(
    contract: Contract, mount: CameraMount | None, measured: MeasuredPose
) -> list[Item]:
    """Compare where a camera is with where it was in training."""
    label = f"camera {measured.camera}"
    if mount is None or mount.frame != measured.frame:
        note = "it was trained on another mount, or this is the calibration of another camera"
        frame = None if mount is None else mount.frame
        return [activation.equal(f"{label}: carried by", frame, measured.frame, note)]
    off = np.asarray(pose_between(np.array(mount.pose), np.array(measured.pose)))
    shift = np.abs(np.array(measured.pose[:3]) - np.array(mount.pose[:3]))
    turn = np.abs(np.asarray(quat_to_rotvec(off[3:])))
    ranges = {one.name: one for one in contract.ranges}
    items: list[Item] = []
    parts = (
        ("position", shift, measured.half[:3], "m"),
        ("rotation", turn, measured.half[3:], "rad"),
    )
    for what, values, halves, unit in parts:
        allowed = _most(ranges.get(f"calibration/camera_{measured.camera}/{what}"))
        # The axis that is worst in view of what is allowed there.
        most = [max(allowed, half) for half in halves]
        worst = int(np.argmax(values / np.maximum(most, 1e-12)))
        items.append(
            activation.at_most(
                f"{label}: {what} from training", float(values[worst]), max(most[worst], 1e-9),
                unit, ANOTHER,
            )
        )  # fmt: skip
    return items


def _lens_items(contract: Contract, measured: MeasuredIntrinsics) -> list[Item]:
    """Compare the lens of a camera with what training drew from."""
    ranges = {one.name: one for one in contract.ranges}
    spec = next(spec for spec in contract.inputs if camera_of(spec) == measured.camera)
    label = f"camera {measured.camera}"
    if spec.driver_stage is None:
        return []
    stage = parse_stage(spec.driver_stage)
    try:
        seen = stage_intrinsics(stage, measured.intrinsics)
    except ValueError as error:
        return [activation.equal(f"{label}: calibrated at", "the size of its pictures", str(error))]
    scale = (seen.fx / measured.intrinsics.fx, seen.fy / measured.intrinsics.fy) * 2
    items: list[Item] = []
    for what, half, factor in zip(NAMES, measured.half, scale, strict=True):
        trained = ranges.get(intrinsic_range(measured.camera, what))
        if trained is None:
            continue
        middle, spread = 0.5 * (trained.low + trained.high), 0.5 * (trained.high - trained.low)
        spread = max(spread, half * factor)
        items.append(
            activation.within(
                f"{label}: {what}", getattr(seen, what), middle - spread, middle + spread,
                "pixel", ANOTHER,
            )
        )  # fmt: skip
    return items


def _latency_items(contract: Contract, measured: MeasuredLatency) -> list[Item]:
    """Compare how old pictures are when they arrive with what training drew from."""
    name = f"latency/camera_{measured.device}"
    trained = next((one for one in contract.ranges if one.name == name), None)
    if trained is None:
        label = f"camera {measured.device}: latency"
        return [activation.equal(label, "a trained range", "none in the contract", ANOTHER)]
    slack = 0.002  # of the clocks
    return [
        activation.within(
            f"camera {measured.device}: latency, {what}", value, max(0.0, trained.low - slack),
            trained.high + slack, "s", "train with the measured latency (--calibrations)",
        )
        for what, value in (("median", measured.middle), ("99 %", measured.high))
    ]  # fmt: skip


def _most(trained: TrainedRange | None) -> float:
    """Return how far training went from the nominal value, 0 where it did not."""
    return 0.0 if trained is None else max(abs(trained.low), abs(trained.high))
