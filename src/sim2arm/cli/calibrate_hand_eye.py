"""`sim2arm calibrate hand-eye FOLDER`: where a camera is on an arm or beside it."""

# pyright: standard

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.calibration.board import BoardCfg, BoardFinder
from sim2arm.calibration.camera_file import HAND_EYE, read_intrinsics
from sim2arm.calibration.hand_eye import HandEyeCalibration, HandEyeCfg, calibrate_hand_eye
from sim2arm.calibration.hand_eye_report import make_record, summary, write_hand_eye
from sim2arm.calibration.lens import Lens, lens_of
from sim2arm.calibration.next_poses import Proposal, propose
from sim2arm.calibration.view_folder import ViewFolder, read_table, read_views
from sim2arm.core.calibration_record import CalibrationRecord, InputFile, input_file
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Robot

from .calibrate_intrinsics import board_settings, record_path
from .errors import UserError, user_input
from .parse import parse


@dataclass(frozen=True, kw_only=True)
class CalibrateHandEyeCfg:
    """Find where a camera is on the tool of an arm, or beside the arm, from views of a board."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Pictures and `views.csv` with the arm's joints [rad], as `calibrate views` writes them."""
    intrinsics: Path
    """Of the camera: a record of `calibrate intrinsics`, or camera_info of ROS as YAML."""
    robot: str = "fr3"
    """Name of the arm."""
    name: str = "camera"
    """Name of the camera, as simulation and graph.yaml call it: wrist, scene."""
    out: Path | None = None
    """Record to write, .yaml; page and pictures lie beside it. Default: NAME-hand-eye.yaml in the
    working directory."""
    board: BoardCfg = field(default_factory=BoardCfg)
    """The board as it was printed."""
    how: HandEyeCfg = field(default_factory=HandEyeCfg)
    """Which of camera and board moves, and what is accepted."""
    propose: int = 3
    """How many next poses to propose."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmViews:
    """What a folder of views gives."""

    robot: Robot
    lens: Lens
    folder: ViewFolder
    found: HandEyeCalibration
    inputs: tuple[InputFile, ...]
    notes: tuple[str, ...]


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run; exit code 1 if the calibration is not accepted."""
    cfg = parse(CalibrateHandEyeCfg, argv, "sim2arm calibrate hand-eye")
    path = record_path(cfg.out, cfg.name, HAND_EYE, cfg.folder)
    if not 0 <= cfg.propose <= 50:
        raise UserError(f"--propose: expected 0 to 50, got {cfg.propose}")
    views, record, proposals = run(cfg, path)
    print(f"{record.device}: {cfg.how.mount}, {views.robot.name}")
    for line in [*summary(views.found), *(f"  {note}" for note in record.notes[-2:])]:
        print(f"  {line.strip()}")
    for line in proposal_lines(views.robot, proposals):
        print(f"  {line}")
    for problem in record.problems:
        print(f"  not accepted: {problem}")
    if not record.problems:
        print("  accepted")
    print(f"{path}: record; {path.with_suffix('.html').name}: report")
    return 1 if record.problems else 0


def run(cfg: CalibrateHandEyeCfg, path: Path) -> tuple[ArmViews, CalibrationRecord, list[Proposal]]:
    """Calibrate and write.

    Raises:
        UserError: the views do not make a calibration, or the place to write is none.
    """
    with user_input("calibrate hand-eye"):
        told = read_intrinsics(cfg.intrinsics)
        if told.covariance is not None and told.camera != cfg.name:
            raise ValueError(
                f"{cfg.intrinsics}: of camera {told.camera!r}, --name says {cfg.name!r}: give the "
                "intrinsics of this camera"
            )
        views = look(cfg.folder, cfg.intrinsics, cfg.robot, cfg.board, cfg.how)
        proposals: list[Proposal] = []
        if cfg.propose and views.found.arm.q is not None:
            proposals = propose(views.found, views.robot, cfg.board, cfg.propose, cfg.how.seed)
    record = write(path, views, cfg.board, cfg.how, what=HAND_EYE, device=cfg.name,
                   notes=proposal_lines(views.robot, proposals))  # fmt: skip
    return views, record, proposals


def look(
    folder: Path, intrinsics: Path, robot_name: str, board: BoardCfg, how: HandEyeCfg
) -> ArmViews:
    """Return the calibration of a folder.

    Raises:
        ValueError: a file is not as expected, or the views do not make a calibration.
    """
    robot = find_robot(robot_name)
    told = read_intrinsics(intrinsics)
    table = read_table(folder, robot)
    seen = read_views(folder, BoardFinder(board), table.files)
    lens = lens_of(told.intrinsics)
    if seen.size != (lens.width, lens.height):
        raise ValueError(
            f"{intrinsics}: of {lens.width} x {lens.height} pixels, the pictures have "
            f"{seen.size[0]} x {seen.size[1]}: calibrate at the size that is used"
        )
    found = calibrate_hand_eye(seen.views, table.arm, lens, how, lens_covariance=told.covariance)
    inputs = (input_file(intrinsics, "intrinsics"), table.input, *seen.inputs)
    notes: tuple[str, ...] = ()
    if told.covariance is None:
        notes = (
            "The intrinsics came without uncertainty and are taken for exact: the intervals are "
            "too narrow by what they are wrong.",
        )
    return ArmViews(robot=robot, lens=lens, folder=seen, found=found, inputs=inputs, notes=notes)


def write(
    path: Path,
    views: ArmViews,
    board: BoardCfg,
    how: HandEyeCfg,
    *,
    what: str,
    device: str,
    notes: Sequence[str] = (),
) -> CalibrationRecord:
    """Write record, page and pictures.

    Raises:
        UserError: they cannot be written there.
    """
    chain = views.robot.chain
    with user_input(f"calibrate {what}", path):
        return write_hand_eye(
            path,
            views.found,
            lambda pictures: make_record(
                views.found, how, what=what, device=device,
                frames=(chain.base_frame, chain.tool_frame), settings=board_settings(board),
                inputs=views.inputs, notes=(*views.notes, *notes), pictures=pictures,
            ),
            views.folder.views,
            views.folder.picture,
            board,
        )  # fmt: skip


def proposal_lines(robot: Robot, proposals: Sequence[Proposal]) -> list[str]:
    """Return poses to look from next, a line each."""
    if not proposals:
        return []
    lines = [
        "Next views that would tell most, as joints of "
        f"{robot.name} [deg]; nothing here knows what stands around the arm, so look before it "
        "moves:"
    ]
    for k, one in enumerate(proposals, 1):
        joints = ", ".join(f"{math.degrees(v):.1f}" for v in one.q)
        lines.append(f"{k}: ({joints}); the worst known direction becomes {one.gain:.2f} times as "
                     "sure")  # fmt: skip
    return lines
