"""`sim2arm calibrate joints PATH`: offsets of joints, from views of a board or of two arms."""

# pyright: standard

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg

from sim2arm.calibration.board import BoardCfg
from sim2arm.calibration.drift_report import make_record, write_drift
from sim2arm.calibration.hand_eye import HandEyeCfg
from sim2arm.calibration.hand_eye_report import JOINTS, summary
from sim2arm.calibration.joint_drift import DriftCfg, JointDrift, find_drift
from sim2arm.core.calibration_record import InputFile, input_file
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robot_files import find_robot
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.reader import Dataset

from .calibrate_hand_eye import look, write
from .calibrate_intrinsics import record_path
from .errors import UserError, user_input
from .parse import parse

LEADER, FOLLOWER = "leader_", "follower_"
"""What the columns of a table of two arms begin with."""


@dataclass(frozen=True, kw_only=True)
class CalibrateJointsCfg:
    """Find joint offsets from views of a board, or between a leader arm and its follower."""

    path: Annotated[Positional[Path], arg(metavar="PATH")]
    """views: folder of `calibrate views`; paired: a table (.csv with `stamp` [s] and the columns
    leader_JOINT and follower_JOINT [rad]) or a dataset whose actions are joint positions."""
    source: Literal["views", "paired"] = "views"
    """What PATH is."""
    robot: str = "fr3"
    """Name of the arm."""
    intrinsics: Path | None = None
    """views: of the camera, a record or camera_info of ROS as YAML."""
    name: str = ""
    """Name of what is calibrated; the robot's by default."""
    out: Path | None = None
    """Record to write, .yaml. Default: NAME-joints.yaml in the working directory."""
    board: BoardCfg = field(default_factory=BoardCfg)
    """views: the board as it was printed."""
    how: HandEyeCfg = field(default_factory=HandEyeCfg)
    """views: which of camera and board moves, and what is accepted."""
    drift: DriftCfg = field(default_factory=DriftCfg)
    """paired: from which offset on it is an alarm."""
    episode: int = 0
    """paired: which episode of a dataset."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run; exit code 1 for an offset that is an alarm or not accepted."""
    cfg = parse(CalibrateJointsCfg, argv, "sim2arm calibrate joints")
    path = record_path(cfg.out, cfg.name or cfg.robot, JOINTS, cfg.path)
    return of_views(cfg, path) if cfg.source == "views" else of_pairs(cfg, path)


def of_views(cfg: CalibrateJointsCfg, path: Path) -> int:
    """Find offsets with the camera's pose, from views of a board.

    Raises:
        UserError: the views do not make a calibration.
    """
    if cfg.intrinsics is None:
        raise UserError("--intrinsics: views need those of the camera")
    how = replace(cfg.how, joints=True)
    with user_input("calibrate joints"):
        views = look(cfg.path, cfg.intrinsics, cfg.robot, cfg.board, how)
    record = write(path, views, cfg.board, how, what=JOINTS, device=cfg.name or cfg.robot)
    print(f"{record.device}: {how.mount}")
    for line in [*summary(views.found), *record.notes[-1:], *record.problems]:
        print(f"  {line}")
    print(f"{path}: record; {path.with_suffix('.html').name}: report")
    return 1 if record.problems else 0


def of_pairs(cfg: CalibrateJointsCfg, path: Path) -> int:
    """Find offsets between a leader and its follower.

    Raises:
        UserError: the recording is not as expected.
    """
    with user_input("calibrate joints"):
        names = find_robot(cfg.robot).joint_names
        read = _of_table if cfg.path.is_file() else _of_dataset
        try:
            stamps, leader, follower, inputs = read(cfg, names)
        except DatasetError as error:
            raise UserError(str(error)) from error
        found = find_drift(stamps, leader, follower, names, cfg.drift)
    with user_input("calibrate joints", path):
        device = cfg.name or cfg.robot
        record = write_drift(
            path,
            found,
            (stamps, leader, follower),
            lambda pictures: make_record(
                found, cfg.drift, device=device, inputs=inputs, pictures=pictures
            ),
        )
    print(
        f"{record.device}: {found.seconds:.0f} s, the follower is {1e3 * found.delay:.0f} ms late"
    )
    for line in drift_lines(found):
        print(f"  {line}")
    print(f"{path}: record; {path.with_suffix('.html').name}: report")
    return 1 if found.alarms else 0


def drift_lines(found: JointDrift) -> list[str]:
    """Return a line for each joint, then the alarms."""
    lines = [
        f"{name}: offset {math.degrees(o):+.2f} +- {math.degrees(1.96 * s):.2f} deg (95 %)"
        for name, o, s in zip(found.names, found.offsets, found.sigma, strict=True)
    ]
    alarms = [f"alarm: {alarm}" for alarm in found.alarms] or ["no alarm"]
    return [*lines, *found.notes, *alarms]


Recording = tuple[FloatArray, FloatArray, FloatArray, tuple[InputFile, ...]]


def _of_table(cfg: CalibrateJointsCfg, names: Sequence[str]) -> Recording:
    columns = ["stamp", *(LEADER + n for n in names), *(FOLLOWER + n for n in names)]
    with cfg.path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [c for c in columns if c not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(
                f"{cfg.path}: expected the columns stamp [s], {LEADER}JOINT and {FOLLOWER}JOINT "
                f"[rad] of {cfg.robot}, missing: {', '.join(missing[:4])}"
            )
        rows: list[list[float]] = []
        for number, line in enumerate(reader, 2):
            try:
                rows.append([float(line[c]) for c in columns])
            except (TypeError, ValueError) as error:
                raise ValueError(f"{cfg.path}:{number}: expected numbers: {error}") from error
    if not rows:
        raise ValueError(f"{cfg.path}: no lines")
    values = np.array(rows)
    n = len(names)
    inputs = (input_file(cfg.path, f"{len(rows)} rows"),)
    return values[:, 0], values[:, 1 : n + 1], values[:, n + 1 :], inputs


def _of_dataset(cfg: CalibrateJointsCfg, names: Sequence[str]) -> Recording:
    data = Dataset(cfg.path)
    places: list[list[int]] = []
    for column in ("action", "observation.state"):
        feature = data.features.get(column)
        given = [] if feature is None else list(feature.names or ())
        absent = [n for n in names if n not in given]
        if absent:
            raise ValueError(
                f"{cfg.path}: column {column}: expected the joints of {cfg.robot} as elements, "
                f"missing: {', '.join(absent[:4])} (a dataset whose actions are steps of the tool "
                "tells no leader's joints)"
            )
        places.append([given.index(n) for n in names])
    episodes = len(data.starts) - 1
    if not 0 <= cfg.episode < episodes:
        raise ValueError(f"--episode: {cfg.path} has 0 to {episodes - 1}, got {cfg.episode}")
    rows = data.episode(cfg.episode)
    stamps = np.asarray(rows["timestamp"], dtype=np.float64).ravel()
    leader = np.asarray(rows["action"], dtype=np.float64)[:, places[0]]
    follower = np.asarray(rows["observation.state"], dtype=np.float64)[:, places[1]]
    info = input_file(cfg.path / "meta" / "info.json", f"episode {cfg.episode}")
    return stamps, leader, follower, (info,)
