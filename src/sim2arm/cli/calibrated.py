"""Cameras of the simulation as calibrations found the real ones: centres and spreads.

A record of intrinsics gives the lens, one of hand-eye the place, one of latency how old pictures
are; how far each may be off in training follows from what was measured instead of a guess.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

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
from sim2arm.core.driver_stage import stage_intrinsics
from sim2arm.core.robots import Robot
from sim2arm.sim.camera_terms import CameraPose, CameraView
from sim2arm.sim.cameras import CameraCfg
from sim2arm.sim.randomize import Term

from .cameras import Cameras
from .errors import UserError, user_input

WORDS = f"{INTRINSICS}, {HAND_EYE} or {LATENCY}"
SPREAD = 2.0
"""Training draws from this many halves of the 95 % interval: a camera that is mounted again lies
within, if nobody bent its mount."""


def calibrated(cameras: Cameras, files: Sequence[str | Path], robot: Robot) -> Cameras:
    """Return cameras with lens and place of the real ones.

    Args:
        cameras: as they were thought of.
        files: records of `calibrate intrinsics`, `hand-eye` and `latency`, whose device is the
            name of a camera.
        robot: whose base or tool carries them.

    Raises:
        UserError: a file is no such record, was not accepted, or is of no camera that is here.
    """
    for file in files:
        with user_input("--calibrations"):
            what = read_record(file).what
            if what == INTRINSICS:
                cameras = _with_lens(cameras, read_intrinsics(file), file)
            elif what == HAND_EYE:
                cameras = _with_place(cameras, read_pose(file), file, robot)
            elif what == LATENCY:
                cameras = _with_latency(cameras, read_device_latency(file), file)
            else:
                raise ValueError(f"{file}: expected a calibration of {WORDS}, got {what!r}")
    return cameras


def _with_lens(cameras: Cameras, found: MeasuredIntrinsics, file: str | Path) -> Cameras:
    camera = _camera(cameras, found.camera, file)
    k, stage = found.intrinsics, camera.stage
    if (k.width, k.height) != (stage.width, stage.height):
        raise ValueError(
            f"{file}: of {k.width} x {k.height} pixels, camera {camera.name!r} takes "
            f"{stage.width} x {stage.height}: calibrate at that size"
        )
    changed = replace(camera, intrinsics=k)
    small = stage_intrinsics(stage, k)
    fx, fy, cx, cy = found.half
    focal = 1.0 + SPREAD * max(fx / k.fx, fy / k.fy)
    axis = SPREAD * max(cx * small.fx / k.fx, cy * small.fy / k.fy)
    if not any(found.half):  # no interval is known: what was guessed stays
        return _changed(cameras, changed, CameraView, None)
    return _changed(cameras, changed, CameraView, CameraView(camera=camera.name, focal=focal,
                                                             axis=axis))  # fmt: skip


def _with_place(cameras: Cameras, found: MeasuredPose, file: str | Path, robot: Robot) -> Cameras:
    camera = _camera(cameras, found.camera, file)
    base, tool = robot.chain.base_frame, robot.chain.tool_frame
    if found.frame not in (base, tool):
        raise ValueError(
            f"{file}: frame: expected {base!r} or {tool!r} of {robot.name}, got {found.frame!r}: "
            "it was measured on another arm"
        )
    # Bases stand at the origin of the simulated world.
    body = "world" if found.frame == base else tool
    changed = replace(camera, body=body, pose=found.pose)
    term = CameraPose(
        camera=camera.name,
        position=SPREAD * max(found.half[:3]),
        rotation=SPREAD * max(found.half[3:]),
    )
    return _changed(cameras, changed, CameraPose, term)


def _with_latency(cameras: Cameras, found: MeasuredLatency, file: str | Path) -> Cameras:
    camera = _camera(cameras, found.device, file)
    sights = tuple(
        replace(sight, latency=(found.low, found.high))
        if sight.camera.name == camera.name
        else sight
        for sight in cameras.vision.sights
    )
    return replace(cameras, vision=replace(cameras.vision, sights=sights))


def _camera(cameras: Cameras, name: str, file: str | Path) -> CameraCfg:
    for sight in cameras.vision.sights:
        if sight.camera.name == name:
            return sight.camera
    here = ", ".join(sight.camera.name for sight in cameras.vision.sights)
    raise ValueError(f"{file}: device {name!r} is none of the cameras here: {here}")


def _changed(cameras: Cameras, camera: CameraCfg, kind: type[Term], term: Term | None) -> Cameras:
    """Return cameras with one that is another, and its term of a kind replaced."""
    sights = tuple(
        replace(sight, camera=camera) if sight.camera.name == camera.name else sight
        for sight in cameras.vision.sights
    )
    terms = cameras.terms
    if term is not None:
        others = [
            one
            for one in terms
            if not (isinstance(one, kind) and getattr(one, "camera", "") == camera.name)
        ]
        terms = (*others, term)
    return replace(cameras, vision=replace(cameras.vision, sights=sights), terms=terms)


def kept_name(file: str | Path) -> str:
    """Return the name that a run keeps its copy of a record under.

    Raises:
        UserError: it cannot be read.
    """
    with user_input("--calibrations"):
        record = read_record(file)
    if record.what not in (INTRINSICS, HAND_EYE, LATENCY):
        raise UserError(f"--calibrations: {file}: expected {WORDS}")
    return f"calibration-{record.device}-{record.what}.yaml"
