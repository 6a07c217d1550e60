"""`sim2arm calibrate latency`: how old pictures, touch and motion are, from motion itself."""

# pyright: standard

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg

from sim2arm.calibration.delay import Delay, DelayCfg, Relation, find_delay
from sim2arm.calibration.delay_report import make_record, write_delay
from sim2arm.calibration.latency import KIND
from sim2arm.calibration.motion import GelLevels, PictureShifts, States
from sim2arm.core.calibration_record import CalibrationRecord, InputFile, input_file
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Robot

from .calibrate_intrinsics import record_path
from .errors import UserError, user_input
from .parse import parse

Of = Literal["camera", "touch", "command"]
RELATIONS: dict[Of, Relation] = {"camera": "shifts", "touch": "levels", "command": "follows"}
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
        heard = listen(cfg, robot)
        found = find_delay(*heard.signals(cfg.of), RELATIONS[cfg.of], cfg.how)
        inputs = () if cfg.log is None else _inputs(cfg.log)
    with user_input("calibrate latency", path):
        record = write_delay(
            path,
            found,
            lambda pictures: make_record(
                found, cfg.how, device=cfg.name or cfg.of, relative=RELATIVE[cfg.of],
                on_the_way=heard.on_the_way(), inputs=inputs, notes=heard.notes(),
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

    def signals(self, of: Of) -> tuple:
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
        """Return (M,) the times from stamps to receipt [s]; zeros where clocks differ."""
        ages = np.array(self._ages)
        return ages if self._clocks_agree(ages) else np.zeros_like(ages)

    def notes(self) -> list[str]:
        """Return what a reader has to know."""
        found: list[str] = []
        ages = np.array(self._ages)
        if not self._clocks_agree(ages):
            found.append(
                f"Messages seem to arrive {1e3 * np.median(ages):.0f} ms after their stamps: "
                "clocks differ, so that their way is left out: synchronise them (chrony)."
            )
        if isinstance(self._seen, PictureShifts) and self._seen.repeated:
            found.append(f"{self._seen.repeated} pictures came twice.")
        return found

    @staticmethod
    def _clocks_agree(ages: FloatArray) -> bool:
        return bool(ages.min() > -1e-3 and ages.max() < 1.0)


def listen(cfg: CalibrateLatencyCfg, robot: Robot) -> Heard:
    """Return what a log or the topics say.

    Raises:
        UserError: there is no ROS, or no such log.
        ValueError: what is heard cannot be read.
    """
    heard = Heard(cfg.of)
    for told in _source(cfg, robot):
        heard.add(told.moved, told.stamp_ns, told.receipt_ns, told.values)
    return heard


def _source(cfg: CalibrateLatencyCfg, robot: Robot) -> Iterator:
    from sim2arm_ros.dds import RosImportError, install

    try:
        install()
    except RosImportError as error:
        raise UserError(str(error)) from error
    from sim2arm_ros.bag.reader import Log
    from sim2arm_ros.bag.scan import LogError
    from sim2arm_ros.graph import JOINT_STATE
    from sim2arm_ros.motion_events import STATE, MotionTopics, live_motion, log_motion
    from sim2arm_ros.pictures import COMPRESSED_IMAGE, IMAGE

    command = cfg.of == "command"
    topics = MotionTopics(
        moved=cfg.controller_topic if command else cfg.joints_topic,
        seen=cfg.seen or cfg.joints_topic,
        names=robot.gripper.joint_names if cfg.of == "touch" else robot.joint_names,
    )
    if cfg.log is None:
        picture = COMPRESSED_IMAGE if cfg.compressed else IMAGE
        kinds = (STATE if command else JOINT_STATE, JOINT_STATE if command else picture)
        print(f"listening to {topics.moved} and {topics.seen} for {cfg.seconds:g} s", flush=True)
        yield from live_motion(topics, kinds, cfg.seconds)
        return
    try:
        with Log(cfg.log) as log:
            yield from log_motion(log, topics)
    except LogError as error:
        raise UserError(str(error)) from error


def _inputs(log: Path) -> tuple[InputFile, ...]:
    files: Iterable[Path] = sorted(log.iterdir()) if log.is_dir() else [log]
    return tuple(input_file(file) for file in files if file.is_file())
