"""`sim2arm calibrate dynamics`: friction, inertia, gains, payload and delay of an arm."""

# pyright: standard

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import Positional, arg

from sim2arm.calibration.dynamics_file import KIND
from sim2arm.calibration.dynamics_report import make_record, summary, write_dynamics
from sim2arm.calibration.identified import Identified
from sim2arm.core.calibration_record import CalibrationRecord
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robot_files import find_robot
from sim2arm.sim.identification import ArmReplay, Recording, identify, longest_run

from .calibrate_intrinsics import record_path
from .errors import UserError, user_input
from .motion_source import MotionSource
from .parse import parse


@dataclass(frozen=True, kw_only=True)
class CalibrateDynamicsCfg:
    """Find the numbers of an arm from how it follows what it is told.

    The recording begins at rest. Half a minute in which every joint moves to and fro, slowly and
    fast, through configurations that differ: `sim2arm calibrate excitation` makes such motion.
    """

    log: Annotated[Positional[Path | None], arg(metavar="LOG")] = None
    """Raw log (rosbag2 with MCAP); without, what comes on the topics now."""
    joints_topic: str = "/joint_states"
    """Topic with joint states."""
    controller_topic: str = "/joint_trajectory_controller/controller_state"
    """Topic that says what the controller was told."""
    robot: str = "fr3"
    """Name of the arm."""
    numbers: tuple[str, ...] = ("coulomb", "viscous", "armature", "kp", "kd", "payload", "delay")
    """What is looked for; the rest stays as the model has it. One may be named whole
    (`payload/mass`)."""
    width: float | None = None
    """Of the gripper [m]; open by default."""
    held_out: float = 0.25
    """Share of the recording, at its end, that is only compared."""
    limit_mrad: float = 1.0
    """What may be left of it, root mean square of the joints, with which it is accepted [mrad]."""
    seconds: float = 40.0
    """Live: for how long."""
    out: Path | None = None
    """Record to write, .yaml. Default: ROBOT-dynamics.yaml in the working directory."""
    threads: int = 2
    """Of the physics."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run; exit code 1 if the identification is not accepted."""
    cfg = parse(CalibrateDynamicsCfg, argv, "sim2arm calibrate dynamics")
    path, found, record = run(cfg)
    print(f"{record.device}: {found.seconds:.0f} s")
    for line in (*summary(found), *record.notes):
        print(f"  {line}")
    for problem in record.problems:
        print(f"  not accepted: {problem}")
    print(f"{path}: record; {path.with_suffix('.html').name}: report; train with --dynamics {path}")
    return 1 if record.problems else 0


def run(cfg: CalibrateDynamicsCfg) -> tuple[Path, Identified, CalibrationRecord]:
    """Identify and write.

    Returns:
        The file of the record, what was found, and the record.

    Raises:
        UserError: options do not go together, or the recording is of another arm.
    """
    if not 0.0 < cfg.held_out < 0.8:
        raise UserError(f"--held-out: expected above 0 to below 0.8, got {cfg.held_out}")
    for name, value in (("--limit-mrad", cfg.limit_mrad), ("--seconds", cfg.seconds)):
        if not value > 0:
            raise UserError(f"{name}: expected more than 0, got {value}")
    path = record_path(cfg.out, cfg.robot, KIND, cfg.log or Path("/nowhere"))
    with user_input("calibrate dynamics"):
        robot = find_robot(cfg.robot)
        source = MotionSource(
            log=cfg.log, moved=cfg.controller_topic, seen=cfg.joints_topic,
            names=robot.joint_names, told=True, seconds=cfg.seconds,
        )  # fmt: skip
        recording = longest_run(read_recording(source), robot)
        replay = ArmReplay(robot, recording, width=cfg.width, threads=cfg.threads)
        found = identify(
            replay, cfg.numbers, held_out=cfg.held_out, say=lambda text: print(f"  {text}")
        )
        inputs = source.inputs()
    with user_input("calibrate dynamics", path):
        record = write_dynamics(
            path, found, robot.joint_names, _motion(replay, found),
            lambda pictures: make_record(
                found, device=robot.name, limit_mrad=cfg.limit_mrad,
                settings={"held_out": cfg.held_out}, inputs=inputs, pictures=pictures,
            ),
        )  # fmt: skip
    return path, found, record


def read_recording(source: MotionSource) -> Recording:
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


def _motion(
    replay: ArmReplay, found: Identified
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return times, and joints as measured, simulated before, and with the numbers."""
    start = np.array([n.value for n in replay.numbers])
    values = start.copy()
    places = {n.name: k for k, n in enumerate(replay.numbers)}
    for number in found.numbers:
        values[places[number.name]] = number.value
    before, after = replay.run(np.stack([start, values]))
    return replay.times, replay.measured, before, after
