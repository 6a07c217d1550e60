"""`sim2arm calibrate dynamics`: friction, inertia, gains, payload and delay of an arm."""

# pyright: standard

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim2arm.calibration.dynamics_file import EVERY, KIND
from sim2arm.calibration.dynamics_report import make_record, summary, write_dynamics
from sim2arm.calibration.identified import Identified
from sim2arm.core.calibration_record import CalibrationRecord
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robot_files import find_robot
from sim2arm.sim.identification import ArmReplay, identify

from .calibrate_intrinsics import record_path
from .errors import UserError, user_input
from .parse import parse
from .recorded_arm import RecordedArmCfg, check_positive, replay_arm


@dataclass(frozen=True, kw_only=True)
class CalibrateDynamicsCfg(RecordedArmCfg):
    """Find the numbers of an arm from how it follows what it is told.

    The recording begins at rest. Half a minute in which every joint moves to and fro, slowly and
    fast, through configurations that differ: `sim2arm calibrate excitation` makes such motion.
    """

    numbers: tuple[str, ...] = EVERY
    """What is looked for; the rest stays as the model has it. One may be named whole
    (`payload/mass`)."""
    held_out: float = 0.25
    """Share of the recording, at its end, that is only compared."""
    limit_mrad: float = 1.0
    """What may be left of it, root mean square of the joints, with which it is accepted [mrad]."""
    out: Path | None = None
    """Record to write, .yaml. Default: ROBOT-dynamics.yaml in the working directory."""


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
    check_positive(cfg, ("limit_mrad", "seconds"))
    path = record_path(cfg.out, cfg.robot, KIND, cfg.log or Path("/nowhere"))
    with user_input("calibrate dynamics"):
        robot = find_robot(cfg.robot)
        replay, inputs = replay_arm(cfg, robot)
        found = identify(
            replay, cfg.numbers, held_out=cfg.held_out, say=lambda text: print(f"  {text}")
        )
    with user_input("calibrate dynamics", path):
        record = write_dynamics(
            path, found, robot.joint_names, _motion(replay, found),
            lambda pictures: make_record(
                found, device=robot.name, limit_mrad=cfg.limit_mrad,
                settings={"held_out": cfg.held_out}, inputs=inputs, pictures=pictures,
            ),
        )  # fmt: skip
    return path, found, record


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
