"""`sim2arm calibrate latency`: how old pictures, touch and motion are, from motion itself."""

# pyright: standard

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg

from sim2arm.calibration.delay import Delay, DelayCfg, Relation, Signal, find_delay
from sim2arm.calibration.delay_report import make_record, write_delay
from sim2arm.calibration.latency import KIND
from sim2arm.calibration.motion import GelLevels, PictureShifts, States
from sim2arm.core.calibration_record import CalibrationRecord
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robot_files import find_robot

from .calibrate_intrinsics import record_path
from .errors import UserError, user_input
from .motion_source import MotionSource
from .parse import parse

Of = Literal["camera", "touch", "command"]
RELATIONS: dict[Of, Relation] = {"camera": "shifts", "touch": "levels", "command": "follows"}
LATEST = 0.7
"""Age on the way above which it counts as that [s]."""
RELATIVE: dict[Of, str] = {
    "camera": "those of the joint states",
    "touch": "those of the joint states of the gripper",
    "command": "what the controller was told, as what the arm did",
}


@dataclass(frozen=True, kw_only=True)
class CalibrateLatencyCfg:
    """Measure how much later something is seen than it happens.

    camera: move the arm so that what its camera sees moves, to and fro at changing speed, half a
    minute. touch: close and open the gripper on something again and again, from open. command: let
    the arm move as it does at work.
    """

    log: Annotated[Positional[Path | None], arg(metavar="LOG")] = None
    """Raw log (rosbag2 with MCAP); without, what comes on the topics now."""
    of: Of = "camera"
    """What is seen: pictures of a camera, a gel, or joints that do what a controller is told."""
    seen: str = ""
    """Topic of the camera or gel; for `command` that of the joint states by default."""
    joints_topic: str = "/joint_states"
    """Topic with joint states, of the gripper for `touch`."""
    controller_topic: str = "/joint_trajectory_controller/controller_state"
    """command: topic that says what the controller was told."""
    compressed: bool = False
    """Live: whether the camera's topic is one of CompressedImage."""
    robot: str = "fr3"
    """Name of the arm."""
    seconds: float = 40.0
    """Live: for how long."""
    name: str = ""
    """Name of what is calibrated, of the camera for example; what it is by default."""
    out: Path | None = None
    """Record to write, .yaml. Default: NAME-latency.yaml in the working directory."""
    how: DelayCfg = field(default_factory=DelayCfg)
    """Where the delay is looked for, and what is accepted."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run; exit code 1 if the calibration is not accepted."""
    cfg = parse(CalibrateLatencyCfg, argv, "sim2arm calibrate latency")
    path, found, record = run(cfg)
    half = 1.96e3 * found.sigma
    print(
        f"{record.device}: {1e3 * found.delay:.2f} +- {half:.2f} ms (95 %) behind "
        f"{RELATIVE[cfg.of]}"
    )
    for line in (*record.notes, *record.problems):
        print(f"  {line}")
    print(f"{path}: record; {path.with_suffix('.html').name}: report")
    return 1 if record.problems else 0


def run(cfg: CalibrateLatencyCfg) -> tuple[Path, Delay, CalibrationRecord]:
    """Measure and write.

    Returns:
        The file of the record, what was found, and the record.

    Raises:
        UserError: options do not go together, or the recording tells no delay.
    """
    if cfg.of != "command" and not cfg.seen:
        raise UserError("--seen: expected the topic of the camera or gel")
    if not cfg.seconds > 0:
        raise UserError(f"--seconds: expected more than 0, got {cfg.seconds}")
    path = record_path(cfg.out, cfg.name or cfg.of, KIND, cfg.log or Path("/nowhere"))
    with user_input("calibrate latency"):
        robot = find_robot(cfg.robot)
        command, heard = cfg.of == "command", Heard(cfg.of)
        source = MotionSource(
            log=cfg.log, moved=cfg.controller_topic if command else cfg.joints_topic,
            seen=cfg.seen or cfg.joints_topic,
            names=robot.gripper.joint_names if cfg.of == "touch" else robot.joint_names,
            told=command, picture=not command, compressed=cfg.compressed, seconds=cfg.seconds,
        )  # fmt: skip
        for told in source.events():
            heard.add(told.moved, told.stamp_ns, told.receipt_ns, told.values)
        found = find_delay(*heard.signals(cfg.of), RELATIONS[cfg.of], cfg.how)
        inputs = source.inputs()
    with user_input("calibrate latency", path):
        record = write_delay(
            path,
            found,
            lambda pictures: make_record(
                found, cfg.how, device=cfg.name or cfg.of, relative=RELATIVE[cfg.of],
                on_the_way=heard.on_the_way(), clocks_agree=heard.clocks_agree, inputs=inputs,
                notes=heard.notes(),
                pictures=pictures,
            ),
        )  # fmt: skip
    return path, found, record


class Heard:
    """What was heard: signals, and how long messages were on their way."""

    def __init__(self, of: Of) -> None:
        """Begin."""
        self._moved = States()
        self._seen = {"camera": PictureShifts, "touch": GelLevels, "command": States}[of]()
        self._ages = list[float]()
        self._first_ns: int | None = None

    def add(self, moved: bool, stamp_ns: int, receipt_ns: int, values: np.ndarray) -> None:
        """Take a message; times in nanoseconds."""
        if self._first_ns is None:
            self._first_ns = stamp_ns
        stamp = (stamp_ns - self._first_ns) / 1e9
        if moved:
            self._moved.add(stamp, values)
        elif self._seen.add(stamp, values):
            self._ages.append((receipt_ns - stamp_ns) / 1e9)

    def signals(self, of: Of) -> tuple[Signal, Signal]:
        """Return what moved and what was seen.

        Raises:
            ValueError: there is too little.
        """
        moved = self._moved.signal("states of what moved")
        if of == "touch":  # the width is what counts, whatever fingers there are
            moved = replace(moved, values=moved.values.sum(axis=1, keepdims=True))
        seen = self._seen
        return moved, seen.signal("joint states") if isinstance(seen, States) else seen.signal()

    def on_the_way(self) -> FloatArray:
        """Return (M,) the times from stamps to receipt [s]; zeros where clocks differ.

        A message that came a second late or later counts as just below that.
        """
        ages = np.array(self._ages)
        return ages.clip(0.0, LATEST) if self.clocks_agree else np.zeros_like(ages)

    def notes(self) -> list[str]:
        """Return what a reader has to know."""
        found: list[str] = []
        ages = np.array(self._ages)
        if not self.clocks_agree:
            found.append(
                f"Messages seem to arrive {1e3 * np.median(ages):.0f} ms after their stamps: "
                "clocks differ, so that their way is left out: synchronise them (chrony)."
            )
        if isinstance(self._seen, PictureShifts) and self._seen.repeated:
            found.append(f"{self._seen.repeated} pictures came twice.")
        return found

    @property
    def clocks_agree(self) -> bool:
        """Whether messages arrive after their stamps, and not long after."""
        early, late = np.quantile(self._ages, (0.01, 0.9))
        return bool(early > -1e-3 and late < 0.5)
