"""A recording of an arm on its simulated self: what `calibrate dynamics` and `gap` begin with."""

# pyright: standard

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import Positional, arg

from sim2arm.core.calibration_record import InputFile
from sim2arm.core.robots import Robot
from sim2arm.sim.identification import ArmReplay, Recording, longest_run

from .errors import UserError
from .motion_source import MotionSource


@dataclass(frozen=True, kw_only=True)
class RecordedArmCfg:
    """Which recording of which arm."""

    log: Annotated[Positional[Path | None], arg(metavar="LOG")] = None
    """Raw log (rosbag2 with MCAP); without, what comes on the topics now."""
    joints_topic: str = "/joint_states"
    """Topic with joint states."""
    controller_topic: str = "/joint_trajectory_controller/controller_state"
    """Topic that says what the controller was told."""
    robot: str = "fr3"
    """Name of the arm."""
    width: float | None = None
    """Of the gripper [m]; open by default."""
    seconds: float = 40.0
    """Live: for how long."""
    threads: int = 2
    """Of the physics."""


def check_positive(cfg: object, names: Sequence[str]) -> None:
    """Refuse options that are not above 0.

    Raises:
        UserError: one is not.
    """
    for name in names:
        value = getattr(cfg, name)
        if not value > 0:
            option = name.replace("_", "-")
            raise UserError(f"--{option}: expected more than 0, got {value}")


def replay_arm(cfg: RecordedArmCfg, robot: Robot) -> tuple[ArmReplay, tuple[InputFile, ...]]:
    """Return the recording on the simulated arm, and its files.

    Raises:
        UserError: there is no ROS, or no such log.
        ValueError: the recording is not as expected; one line.
    """
    source = MotionSource(
        log=cfg.log, moved=cfg.controller_topic, seen=cfg.joints_topic, names=robot.joint_names,
        told=True, seconds=cfg.seconds,
    )  # fmt: skip
    recording = longest_run(_read(source), robot)
    replay = ArmReplay(robot, recording, width=cfg.width, threads=cfg.threads)
    return replay, source.inputs()


def _read(source: MotionSource) -> Recording:
    """Return what was told and measured, by stamps, what came twice once.

    Raises:
        ValueError: there is too little, or what is told has no speeds.
    """
    told, measured = list[tuple[int, np.ndarray, np.ndarray]](), list[tuple[int, np.ndarray]]()
    for one in source.events():
        if one.moved:
            if one.speeds is None:
                raise ValueError(f"{source.moved}: expected what a controller is told, with speeds")
            if not told or one.stamp_ns > told[-1][0]:
                told.append((one.stamp_ns, one.values, one.speeds))
        elif not measured or one.stamp_ns > measured[-1][0]:
            measured.append((one.stamp_ns, one.values))
    if min(len(told), len(measured)) < 50:
        raise ValueError(
            f"{len(told)} messages of {source.moved} and {len(measured)} of {source.seen}, "
            "expected 50 or more of each"
        )
    first = min(told[0][0], measured[0][0])
    return Recording(
        told_stamps=np.array([(t - first) / 1e9 for t, _, _ in told]),
        told_q=np.stack([q for _, q, _ in told]),
        told_dq=np.stack([dq for _, _, dq in told]),
        stamps=np.array([(t - first) / 1e9 for t, _ in measured]),
        q=np.stack([q for _, q in measured]),
    )
