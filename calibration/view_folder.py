"""Pictures of a board in a folder, and where the arm was: how calibrations are recorded.

A folder holds pictures and, where an arm is part of it, `views.csv` with a line per picture:
`file`, `stamp_ns` (may be absent) and either the joints of the arm by their names [rad] or the pose
of the tool in the base, `x y z qw qx qy qz` [m].
"""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sim2arm.core.calibration_record import InputFile, input_file
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robots import Robot
from sim2arm.core.transforms import quat_to_matrix

from .board import BoardFinder, Image
from .board_views import BoardView
from .hand_eye_model import Arm, arm_of_joints

TABLE = "views.csv"
FACTORY = "factory.camera_info.yaml"
"""The lens that a camera says it has, where it says one."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MOST_PIXELS = 8192 * 6144
POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewFolder:
    """What a folder holds."""

    path: Path
    files: tuple[str, ...]
    """Names of the pictures, in order."""
    size: tuple[int, int]
    """Width and height of all pictures [pixels]."""
    views: list[BoardView]
    """What was found in each, perhaps nothing."""
    inputs: tuple[InputFile, ...]

    def picture(self, name: str) -> Image:
        """Return a picture (rows, cols, 3) RGB."""
        return read_picture(self.path / name)


def read_picture(path: Path) -> Image:
    """Return a picture (rows, cols, 3) RGB.

    Raises:
        ValueError: it is none, or too large.
    """
    found = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if found is None:
        raise ValueError(f"{path}: not a picture that can be read")
    if found.shape[0] * found.shape[1] > MOST_PIXELS:
        raise ValueError(f"{path}: more than {MOST_PIXELS} pixels")
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_views(folder: Path, finder: BoardFinder, files: Sequence[str] | None = None) -> ViewFolder:
    """Return the board in all pictures of a folder.

    Args:
        folder: with the pictures.
        finder: of the board.
        files: names of the pictures; all by default.

    Raises:
        ValueError: no pictures, one that cannot be read, two sizes, or the board is in none; one
            line.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    if files is None:
        files = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{folder}: no pictures ({', '.join(SUFFIXES)})")
    views: list[BoardView] = []
    inputs: list[InputFile] = []
    size: tuple[int, int] | None = None
    for name in files:
        picture = read_picture(folder / name)
        here = (picture.shape[1], picture.shape[0])
        if size is not None and here != size:
            raise ValueError(
                f"{folder / name}: {here[0]} x {here[1]} pixels, {files[0]} has {size[0]} x "
                f"{size[1]}: a calibration is of one size"
            )
        size = here
        views.append(finder.find(picture, name))
        inputs.append(input_file(folder / name, f"{len(views[-1].pixels)} corners"))
    assert size is not None  # there are pictures
    if not any(len(view.pixels) for view in views):
        b = finder.board
        raise ValueError(
            f"{folder}: none of {len(files)} pictures shows a board of {b.columns} x {b.rows} "
            f"squares with markers {b.dictionary}: give --board.columns, --board.rows and "
            "--board.dictionary of the one that was printed"
        )
    return ViewFolder(path=folder, files=tuple(files), size=size, views=views, inputs=tuple(inputs))


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewTable:
    """What `views.csv` says."""

    files: tuple[str, ...]
    arm: Arm
    input: InputFile


def read_table(folder: Path, robot: Robot) -> ViewTable:
    """Return where the arm was in each view.

    Raises:
        ValueError: no table, other columns than expected, or numbers that are none; one line.
    """
    path = folder / TABLE
    names = robot.joint_names
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = tuple(reader.fieldnames or ())
            lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path}: cannot be read: {reason}") from error
    given = tuple(c for c in columns if c not in ("file", "stamp_ns"))
    if "file" not in columns or set(given) not in (set(names), set(POSE)):
        raise ValueError(
            f"{path}: expected the columns file, stamp_ns (optional) and the joints of "
            f"{robot.name} ({', '.join(names)}) [rad], or {' '.join(POSE)} of the tool, got "
            f"{', '.join(columns)}"
        )
    wanted = names if set(given) == set(names) else POSE
    rows = [_numbers(line, wanted, path, k) for k, line in enumerate(lines, 2)]
    if not rows:
        raise ValueError(f"{path}: no lines")
    files = tuple(str(line["file"]) for line in lines)
    for k, name in enumerate(files, 2):
        if Path(name).name != name or files.count(name) > 1:
            raise ValueError(f"{path}:{k}: file: expected plain names, each once, got {name!r}")
    values = np.array(rows)
    arm = arm_of_joints(robot.chain, values) if wanted == names else _poses(values, path)
    return ViewTable(files=files, arm=arm, input=input_file(path, f"{len(rows)} views"))


def table_lines(
    names: Sequence[str], files: Sequence[str], stamps_ns: Sequence[int], q: FloatArray
) -> str:
    """Return the text of `views.csv`; q (N, n) [rad]."""
    lines = [",".join(["file", "stamp_ns", *names])]
    lines += [
        ",".join([file, str(stamp), *(f"{value:.9f}" for value in row)])
        for file, stamp, row in zip(files, stamps_ns, q.tolist(), strict=True)
    ]
    return "\n".join(lines) + "\n"


def _numbers(line: dict[str, str], wanted: Sequence[str], path: Path, number: int) -> list[float]:
    found: list[float] = []
    for name in wanted:
        try:
            value = float(line[name])
        except (TypeError, ValueError):
            value = np.nan
        if not np.isfinite(value):
            raise ValueError(f"{path}:{number}: {name}: expected a number, got {line[name]!r}")
        found.append(value)
    return found


def _poses(values: FloatArray, path: Path) -> Arm:
    q = values[:, 3:]
    if np.abs(np.linalg.norm(q, axis=1) - 1.0).max() > 1e-3:
        raise ValueError(f"{path}: qw qx qy qz: expected unit quaternions")
    T = np.tile(np.eye(4), (len(values), 1, 1))
    T[:, :3, :3] = quat_to_matrix(q / np.linalg.norm(q, axis=1, keepdims=True))
    T[:, :3, 3] = values[:, :3]
    return Arm(T_base_tool=T)
