"""`sim2arm calibrate gap`: how far the simulated arm is from the real one, and why."""

# pyright: standard

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import Positional, arg

from sim2arm.calibration.dynamics_file import read_dynamics
from sim2arm.calibration.gap_report import KIND, JointGap, make_record, write_gap
from sim2arm.core.calibration_record import CalibrationRecord, input_file
from sim2arm.core.robot_files import find_robot
from sim2arm.sim.gap import measure_gap
from sim2arm.sim.identification import ArmReplay, longest_run

from .calibrate_dynamics import read_recording
from .calibrate_intrinsics import record_path
from .errors import UserError, user_input
from .motion_source import MotionSource
from .parse import parse


@dataclass(frozen=True, kw_only=True)
class CalibrateGapCfg:
    """Replay a recording of an arm on the simulated one, and say where and why they differ.

    Any recording of work will do; it begins at rest.
    """

    log: Annotated[Positional[Path | None], arg(metavar="LOG")] = None
    """Raw log (rosbag2 with MCAP); without, what comes on the topics now."""
    joints_topic: str = "/joint_states"
    """Topic with joint states."""
    controller_topic: str = "/joint_trajectory_controller/controller_state"
    """Topic that says what the controller was told."""
    robot: str = "fr3"
    """Name of the arm."""
    dynamics: Path | None = None
    """Record of `calibrate dynamics`: the simulated arm is as that says."""
    width: float | None = None
    """Of the gripper [m]; open by default."""
    limit_mrad: float = 3.0
    """Root mean square of the joints up to which the gap counts as small [mrad]."""
    seconds: float = 40.0
    """Live: for how long."""
    out: Path | None = None
    """Record to write, .yaml. Default: ROBOT-gap.yaml in the working directory."""
    threads: int = 2
    """Of the physics."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run; exit code 1 if the gap is not small."""
    cfg = parse(CalibrateGapCfg, argv, "sim2arm calibrate gap")
    path, found, record = run(cfg)
    print(f"{record.device}: simulated less measured, root mean square")
    for name, a, b in zip(found.names, found.open_loop, found.restarted, strict=True):
        print(f"  {name}: {1e3 * a:.3g} mrad open loop, {1e3 * b:.3g} mrad restarted")
    for note in record.notes:
        print(f"  {note}")
    if record.problems and cfg.dynamics is None:
        print("  next: sim2arm calibrate dynamics")
    print(f"{path}: record; {path.with_suffix('.html').name}: report")
    return 1 if record.problems else 0


def run(cfg: CalibrateGapCfg) -> tuple[Path, JointGap, CalibrationRecord]:
    """Measure and write.

    Returns:
        The file of the record, what was found, and the record.

    Raises:
        UserError: options do not go together, or the recording is of another arm.
    """
    for name, value in (("--limit-mrad", cfg.limit_mrad), ("--seconds", cfg.seconds)):
        if not value > 0:
            raise UserError(f"{name}: expected more than 0, got {value}")
    path = record_path(cfg.out, cfg.robot, KIND, cfg.log or Path("/nowhere"))
    with user_input("calibrate gap"):
        robot = find_robot(cfg.robot)
        source = MotionSource(
            log=cfg.log, moved=cfg.controller_topic, seen=cfg.joints_topic,
            names=robot.joint_names, told=True, seconds=cfg.seconds,
        )  # fmt: skip
        recording = longest_run(read_recording(source), robot)
        replay = ArmReplay(robot, recording, width=cfg.width, threads=cfg.threads)
        gap = measure_gap(replay, _values(cfg, replay))
        inputs = source.inputs()
        if cfg.dynamics is not None:
            inputs = (*inputs, input_file(cfg.dynamics, "numbers of the simulated arm"))
    found = JointGap(
        names=robot.joint_names, open_loop=gap.rms(gap.open_loop), restarted=gap.rms(gap.restarted),
        moves=replay.measured.std(axis=0), shares=gap.shares,
        delay=None if gap.delay is None else (gap.delay.delay, gap.delay.sigma),
    )  # fmt: skip
    notes = [f"No delay is told: {gap.why_no_delay}."] if gap.why_no_delay else []
    with user_input("calibrate gap", path):
        record = write_gap(
            path, found,
            lambda pictures: make_record(
                found, device=robot.name, limit_mrad=cfg.limit_mrad,
                seconds=float(gap.times[-1] - gap.times[0]), inputs=inputs, notes=notes,
                pictures=pictures,
            ),
        )  # fmt: skip
    return path, found, record


def _values(cfg: CalibrateGapCfg, replay: ArmReplay) -> np.ndarray:
    """Return the numbers of the simulated arm.

    Raises:
        ValueError: the record is of another arm.
    """
    values = np.array([n.value for n in replay.numbers])
    if cfg.dynamics is None:
        return values
    told = read_dynamics(cfg.dynamics)
    if told.robot != replay.robot.name:
        raise ValueError(
            f"{cfg.dynamics}: dynamics of {told.robot!r}, the arm is a {replay.robot.name!r}"
        )
    places = {n.name: k for k, n in enumerate(replay.numbers)}
    for name, (value, _) in told.numbers.items():
        values[places[name]] = value
    return values
