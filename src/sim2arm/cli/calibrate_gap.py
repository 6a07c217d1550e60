"""`sim2arm calibrate gap`: how far the simulated arm and what it sees are from the real one."""

# pyright: standard

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from sim2arm.calibration.dynamics_file import read_dynamics
from sim2arm.calibration.gap_report import KIND, JointGap, make_record, write_gap
from sim2arm.core.calibration_record import CalibrationRecord, input_file
from sim2arm.core.robot_files import find_robot
from sim2arm.sim.gap import measure_gap
from sim2arm.sim.identification import ArmReplay

from .calibrate_intrinsics import record_path
from .errors import UserError, user_input
from .parse import parse
from .recorded_arm import RecordedArmCfg, check_positive, replay_arm

JOINTS = ("joints_topic", "controller_topic", "robot", "width", "seconds", "threads", "dynamics",
          "limit_mrad")  # fmt: skip
PICTURES = ("cameras", "calibrations", "touch", "task", "moments", "limit_grey")
"""Options of either."""


@dataclass(frozen=True, kw_only=True)
class CalibrateGapCfg(RecordedArmCfg):
    """Replay a recording of an arm on the simulated one, and say where and why they differ.

    joints: any recording of work will do; it begins at rest. pictures: of cameras and gels, with a
    dataset in place of the log; what was simulated is put where it was, of a real arm its joints
    are: what else is seen stands where the task puts it.
    """

    of: Literal["joints", "pictures"] = "joints"
    """What is compared."""
    dynamics: Path | None = None
    """Record of `calibrate dynamics`: the simulated arm is as that says."""
    limit_mrad: float = 3.0
    """Root mean square of the joints up to which the gap counts as small [mrad]."""
    out: Path | None = None
    """Record to write, .yaml. Default: ROBOT-gap.yaml, or ROBOT-pictures-gap.yaml, in the working
    directory."""
    cameras: str = ""
    """pictures: the simulated ones (sim2arm list); what the dataset says by default."""
    calibrations: tuple[Path, ...] = ()
    """pictures: records of these cameras, of hand-eye and intrinsics."""
    touch: str = ""
    """pictures: what the simulated pads are (sim2arm list); what the dataset says by default."""
    task: str = ""
    """pictures: what stands around; what the dataset says by default."""
    moments: int = 40
    """pictures: how many are compared, evenly over the dataset."""
    limit_grey: float = 10.0
    """pictures: root mean square up to which a difference counts as small [grey levels]."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run; exit code 1 if the gap is not small."""
    cfg = parse(CalibrateGapCfg, argv, "sim2arm calibrate gap")
    if cfg.of == "pictures":
        return _pictures(cfg)
    _refuse(cfg, PICTURES)
    if cfg.log is not None and (cfg.log / "meta" / "info.json").is_file():
        raise UserError(f"{cfg.log}: a dataset: expected a raw log, or --of pictures")
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


def _pictures(cfg: CalibrateGapCfg) -> int:
    from sim2arm.calibration.picture_gap_report import advice

    from .calibrate_picture_gap import PictureGapCfg, compare

    if cfg.log is None:
        raise UserError("--of pictures: expected a dataset in place of LOG")
    _refuse(cfg, JOINTS)
    check_positive(cfg, ("limit_grey", "moments"))
    path, found, record = compare(PictureGapCfg(
        data=cfg.log, cameras=cfg.cameras, calibrations=cfg.calibrations, touch=cfg.touch,
        task=cfg.task, moments=cfg.moments, limit_grey=cfg.limit_grey, out=cfg.out,
    ))  # fmt: skip
    print(f"{record.device}: recorded less simulated pictures")
    for note in record.notes:
        print(f"  {note}")
    for problem in record.problems:
        print(f"  not accepted: {problem}")
    for one in found:
        if one.difference > cfg.limit_grey:
            print(f"  next, for {one.name}: {advice(one)}")
    print(f"{path}: record; {path.with_suffix('.html').name}: report")
    return 1 if record.problems else 0


def _refuse(cfg: CalibrateGapCfg, names: Sequence[str]) -> None:
    """Refuse options of what is not compared.

    Raises:
        UserError: one was given.
    """
    usual = {field.name: field.default for field in fields(cfg)}
    for name in names:
        if getattr(cfg, name) != usual[name]:
            other = "pictures" if names is PICTURES else "joints"
            raise UserError(f"--{name.replace('_', '-')}: goes with --of {other}")


def run(cfg: CalibrateGapCfg) -> tuple[Path, JointGap, CalibrationRecord]:
    """Measure and write.

    Returns:
        The file of the record, what was found, and the record.

    Raises:
        UserError: options do not go together, or the recording is of another arm.
    """
    check_positive(cfg, ("limit_mrad", "seconds"))
    path = record_path(cfg.out, cfg.robot, KIND, cfg.log or Path("/nowhere"))
    with user_input("calibrate gap"):
        robot = find_robot(cfg.robot)
        replay, inputs = replay_arm(cfg, robot)
        gap = measure_gap(replay, _values(cfg, replay))
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
